"""Matrices by town or unit: a measure over months or over what it is made of, and the lines behind each cell."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from markupsafe import Markup
from sqlalchemy import Connection

from admin.charts import Mark, Series, Words, bars, heat_step, percent, whole
from admin.desk_forms import Asking
from admin.language import N_, Language, titled, translator
from admin.lists.challenges import CHALLENGE_KINDS, CHALLENGE_STATES
from admin.pages import show
from admin.uploads import today_of
from admin.words import CHANGES
from hub.database import Database
from hub.desks.due_month import due_month
from hub.oversight.matrix import (
    LISTED,
    SHARES,
    Matrix,
    MatrixLine,
    MatrixMeasure,
    RedCell,
    asked_of,
    list_behind,
    read_matrix,
)
from hub.registry.month_calendar import month_after, month_of
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_LINES_A_PAGE, _MONTHS, _MOST_MONTHS = 100, 6, 12
MATRIX_NAMES: dict[MatrixMeasure, str] = {
    "round": N_("月度核对完成率"),
    "balance": N_("平衡表差异人员"),
    "raised": N_("提出的校核未办结"),
    "asked": N_("被提出的校核未办结"),
    "comparison": N_("比对待办"),
    "completeness": N_("完整率（首次）"),
    "completed": N_("完整率（现在）"),
    "logic": N_("逻辑符合率"),
    "accuracy": N_("准确率"),
    "timeliness": N_("及时率"),
}
_MEANINGS: dict[MatrixMeasure, str] = {
    "round": N_("每格：已核条目占应核条目的比例；点开看未核的条目。"),
    "balance": N_("每格：平衡表上对不上的人数；点开看是哪些人（须说明目的）。"),
    "raised": N_("每格：该单位当月提出、至今未办结的校核件数；点开逐件查看。"),
    "asked": N_("每格：当月向该单位提出、至今未办结的校核件数；点开逐件查看。"),
    "comparison": N_("每格：当月发现、由该单位办理、至今待办的比对项；点开逐项查看。"),
}
_OF_QUALITY = N_("每格：达到的比例，下面是未达到的数目；先点开看信息类别，再点开看各行。")
_OF_TYPES = N_("每格：达到的比例，下面是未达到的数目；点开看未达到的各行。")
_DAY_BY_DAY = ("raised", "asked", "comparison")
_READ = {"right": (Right.READ_MEASURES, Right.READ_ALL_SUBMISSIONS)}


class MatrixController(Controller):
    """/matrix and the lines behind a cell."""

    path = "/matrix"

    @get("/", opt=_READ, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        measure: FromQuery[str] = "",
        month: FromQuery[str] = "",
        by: FromQuery[str] = "month",
        units: FromQuery[str] = "towns",
        many: FromQuery[int] = _MONTHS,
    ) -> Response[str]:
        back = range(min(max(many, 1), _MOST_MONTHS) if by != "part" else 1)
        with database.begin(reach_of(request.user)) as connection:
            last = month or _newest(connection, catalogue, settings, measure)
            asked = asked_of(measure, [month_after(last, -one) for one in back], by, towns_only=units != "all")
            matrix = read_matrix(connection, request.user, settings, catalogue, asked)
        language = request.auth.language
        chosen = {"measure": asked.measure, "month": last, "by": asked.by, "units": units, "many": many}
        return show(
            request, "matrix.html", matrix=matrix, chosen=chosen, months=_choices(settings, last),
            names=MATRIX_NAMES, meaning=_meaning(matrix), heads=_heads(catalogue, matrix, language),
            opened=_opener(request, matrix, last), written=written_cell, shade=shade_of(matrix),
            chart=_chart(matrix, language) if matrix.by == "month" else Markup(), is_share=asked.measure in SHARES,
        )  # fmt: skip

    @get("/rows", opt={"right": Right.READ_ALL_SUBMISSIONS}, sync_to_thread=True)
    def rows(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        measure: FromQuery[str] = "",
        month: FromQuery[str] = "",
        whose: FromQuery[str] = "",
        part: FromQuery[str] = "",
        after: FromQuery[UUID | None] = None,
    ) -> Response[str]:
        asked = asked_of(measure, [month], "month")
        page = (whose, part or None, after, _LINES_A_PAGE + 1)
        with database.begin(reach_of(request.user)) as connection:
            found = list_behind(connection, request.user, settings, catalogue, asked, *page)
            units = {one.code: one for one in list_organisations(connection, settings.district)}
        lines = found.lines[:_LINES_A_PAGE]
        more = lines[-1].id if len(found.lines) > _LINES_A_PAGE else None
        key = {"measure": asked.measure, "month": month, "whose": whose, "part": part}
        shown: dict[str, Any] = {"lines": lines, "total": found.total, "more": more, "key": key, "holder": found}
        return show(
            request, "matrix_rows.html", names=MATRIX_NAMES, units=units, catalogue=catalogue, kinds=CHALLENGE_KINDS,
            states=CHALLENGE_STATES, changes=CHANGES, **shown,
        )  # fmt: skip


def written_cell(matrix: Matrix, cell: RedCell) -> str:
    """The figure of a cell: a share where the measure is one, otherwise how many are not done."""
    if matrix.measure in SHARES:
        return percent(cell.share * 100) if cell.share is not None else "—"
    return whole(cell.against)


def shade_of(matrix: Matrix) -> Any:
    """How dark a cell is among all of the matrix: the more is not done, the darker."""
    share = matrix.measure in SHARES
    weights = [_weight(cell, share) for line in matrix.lines for cell in line.cells if cell is not None]
    most = max(weights, default=0.0)
    return lambda cell: heat_step(_weight(cell, share), most)


def _weight(cell: RedCell, share: bool) -> float:
    return 1 - cell.share if share and cell.share is not None else float(cell.against)


def _meaning(matrix: Matrix) -> str:
    return _MEANINGS.get(matrix.measure) or (_OF_TYPES if matrix.by == "part" else _OF_QUALITY)


def _heads(catalogue: Catalogue, matrix: Matrix, language: Language) -> list[str]:
    """What stands over the columns where they are no months."""
    known: dict[str, Any] = dict(catalogue.comparisons if matrix.measure == "comparison" else catalogue.record_types)
    if matrix.by == "month":
        return list(matrix.columns)
    return [titled(known[code].title, known[code].title_en, language) for code in matrix.columns]


def _newest(connection: Connection, catalogue: Catalogue, settings: Settings, measure: str) -> str:
    """What is found or raised day by day is told up to this month, what comes by the month up to the one that is due."""
    if measure in _DAY_BY_DAY:
        return month_of(today_of(settings), settings.rounds)
    return due_month(connection, catalogue, settings, today_of(settings))


def _choices(settings: Settings, last: str) -> list[str]:
    """To choose from: the year up to this month, and the one that is shown."""
    this = month_of(today_of(settings), settings.rounds)
    return sorted({last, *(month_after(this, -back) for back in range(_MOST_MONTHS + 1))}, reverse=True)


def _opener(request: Asking, matrix: Matrix, month: str) -> Any:
    """Where a cell leads: its lines; for whoever may not see them, nowhere."""
    may_list = request.user.may(Right.READ_ALL_SUBMISSIONS)
    may_people = request.user.may(Right.MANAGE_ROUND)

    def address(line: MatrixLine, column: str, cell: RedCell) -> str:
        if not cell.against:
            return ""
        at = {"month": column} if matrix.by == "month" else {"month": month, "part": column}
        if matrix.measure == "balance":
            return _to("/balance/people", month=column, area=line.key, figure="unexplained") if may_people else ""
        if not may_list:
            return ""
        if matrix.measure in LISTED:
            return _to("/matrix/rows", measure=matrix.measure, whose=line.key, **at)
        if matrix.by == "month":
            units = "towns" if line.is_town else "all"
            return _to("/matrix", measure=matrix.measure, by="part", units=units, **at) + f"#{line.key}"
        return _to("/quality/rows", organisation=line.key, record_type=column, month=month, measure=matrix.measure)

    return address


def _to(path: str, **asked: str) -> str:
    return f"{path}?{urlencode(asked)}"


def _chart(matrix: Matrix, language: Language) -> Markup:
    """The newest month, a bar a line."""
    translate = translator(language)
    share = matrix.measure in SHARES
    labels = [titled(line.name, line.name_en, language) for line in matrix.lines]
    newest = [line.cells[0] for line in matrix.lines]
    values = [None if cell is None else (cell.share or 0) * 100 if share else cell.against for cell in newest]
    name = translate(MATRIX_NAMES[matrix.measure])
    words = Words(
        name="newest", title=f"{name} {matrix.columns[0]}", heads=translate(N_("单位")), table=translate(N_("数据表")),
        empty=translate(N_("没有数据")),
    )  # fmt: skip
    target = Mark(value=matrix.target * 100, name=translate(N_("目标"))) if matrix.target is not None else None
    top, write = (100.0, percent) if share else (None, whole)
    return bars(words, labels, Series(name=name, values=values), top=top, target=target, write=write)
