"""The months' rounds on pages: a town sees its own with its villages, the bureau every town; the table to sign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from admin.downloads import CSV, XLSX
from admin.language import N_, Language, titled, translator
from admin.pages import show
from admin.visits import Visit
from hub.casework.round_progress import VERDICTS, RoundSummary, TownProgress, progress, summaries, total
from hub.casework.round_reminding import reminded_towns
from hub.casework.round_table import TableWords, as_csv, write_table, written_share
from hub.casework.rounds import load_round, local_day, months_to_open
from hub.database import Database, utc_now
from hub.decisions.round_orders import newest_order
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue, Code

ROUND_STATES = {
    "open": N_("进行中"),
    "late": N_("已逾期，仍有未核"),
    "complete": N_("已完成核对，待关闭"),
    "closed": N_("已结束"),
    "left": N_("已结束，仍有未核"),
}
ORDERS_DONE = {
    "open": N_("已开启。"),
    "close": N_("已关闭。"),
    "remind": N_("已催办：镇街会收到提醒。"),
    "nobody": N_("没有需要催办的镇街：都已核完，或今天已经催办过。"),
}
ORDER_WORDS = {
    "open": N_("开启"),
    "close": N_("关闭"),
    "remind": N_("催办"),
    "draw": N_("生成平衡表"),
    "seal": N_("封账"),
    "excuse": N_("说明差异"),
    "take-back": N_("收回说明"),
}
_HEADERS = (N_("镇街"), N_("村居"), N_("应核"), N_("已核"))
_DONE = N_("完成率")
_TITLE = N_("{month}月度核对表")
_FOOTER = N_("填表人：______________    审核人：______________    日期：______________")

Asking = Request[Actor, Visit, Any]
_ROUNDS_A_PAGE = 12
Opened = Annotated[
    int | None, QueryParameter(name="town", ge=1, description="展开的镇街 / the town whose villages are shown")
]


class RoundsController(Controller):
    """/rounds, /rounds/{month} and its table."""

    @get("/rounds", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def read_all(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        before: FromQuery[str] = "",
    ) -> Response[str]:
        now = utc_now()
        with database.begin(reach_of(request.user)) as connection:
            rounds = summaries(connection, request.user, settings.time_zone, _ROUNDS_A_PAGE + 1, before)
            manages = request.user.may(Right.MANAGE_ROUND)
            openable = months_to_open(connection, settings, now) if manages else []
            ordered = [(month, newest_order(connection, month)) for month in openable]
        today = local_day(settings, now)
        return show(
            request,
            "rounds.html",
            rounds=[(one, state_of_round(one, today)) for one in rounds[:_ROUNDS_A_PAGE]],
            before=before,
            more=len(rounds) > _ROUNDS_A_PAGE,
            openable=openable,
            ordered=[(month, order) for month, order in ordered if order and order.state != "succeeded"],
            orders=ORDER_WORDS,
            automatic=settings.rounds.automatic,
            states=ROUND_STATES,
            written_share=written_share,
        )

    @get("/rounds/{month:str}", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
        opened: Opened = None,
        done: FromQuery[str] = "",
    ) -> Response[str]:
        now = utc_now()
        with database.begin(reach_of(request.user)) as connection:
            its = load_round(connection, month)
            towns = progress(connection, request.user, month, settings.time_zone)
            manages = request.user.may(Right.MANAGE_ROUND)
            order = newest_order(connection, month) if manages else None
            reminded = reminded_towns(connection, settings, month) if manages else {}
        own = request.user.may(Right.READ_CHANGE_LIST)
        page: dict[str, Any] = {
            "verdicts": _verdicts(catalogue),
            "states": ROUND_STATES,
            "written_share": written_share,
        }
        sums = total(town.tally for town in towns)
        today = local_day(settings, now)
        page |= {"state": state_of_lines(its.state, sums.open, its.due_on, today), "today": today, "manages": manages}
        page |= {"order": order, "orders": ORDER_WORDS, "reminded": reminded, "notice": ORDERS_DONE.get(done, "")}
        return show(request, "round.html", its=its, towns=towns, total=sums, own=own, opened=opened, **page)

    @get("/rounds/{month:str}/check.xlsx", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def workbook(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            towns = progress(connection, request.user, month, settings.time_zone)
        words = _words(catalogue, month, request.auth.language)
        return _as_file(_workbook(towns, words), XLSX, f"check-{month}.xlsx", f"{words.title}.xlsx")

    @get("/rounds/{month:str}/check.csv", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def text(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromPath[str],
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            towns = progress(connection, request.user, month, settings.time_zone)
        words = _words(catalogue, month, request.auth.language)
        return _as_file(as_csv(towns, words), CSV, f"check-{month}.csv", f"{words.title}.csv")


def state_of_round(one: RoundSummary, today: date) -> str:
    """How a month stands for whoever looks: a town by its own lines, the bureau by all."""
    return state_of_lines(one.state, one.tally.open, one.due_on, today)


def state_of_lines(state: str, still_open: int, due_on: date, today: date) -> str:
    """open, late, complete, closed or left: done with lines open."""
    if state != "open":
        return "left" if still_open else "closed"
    if not still_open:
        return "complete"
    return "late" if today > due_on else "open"


def _verdicts(catalogue: Catalogue) -> list[Code]:
    """In the order in which they are counted."""
    known = {code.value: code for code in catalogue.code_sets["verdict"].codes}
    return [known[value] for value in VERDICTS]


def _words(catalogue: Catalogue, month: str, language: Language) -> TableWords:
    translate = translator(language)
    verdicts = [titled(code.title, code.title_en, language) for code in _verdicts(catalogue)]
    year, number = month.split("-")
    named = f"{month} " if language == "en" else f"{year}年{int(number)}月"
    return TableWords(
        title=translate(_TITLE).format(month=named),
        headers=[*map(translate, _HEADERS), *verdicts, translate(_DONE)],
        subtotal=translate(N_("小计")),
        total=translate(N_("合计")),
        town_alone=translate(N_("镇街本级")),
        footer=translate(_FOOTER),
    )


def _workbook(towns: Sequence[TownProgress], words: TableWords) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "check.xlsx"
        write_table(path, towns, words, utc_now())
        return path.read_bytes()


def _as_file(content: bytes, media_type: str, plain: str, name: str) -> Response[bytes]:
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    return Response(content, media_type=media_type, headers={"Content-Disposition": named})
