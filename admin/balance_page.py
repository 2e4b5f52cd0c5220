"""The month's account on pages: every area's line, and behind each figure the people who make it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy import Connection

from admin.desk_forms import FORM, Asking, Choice, Form, choices_of
from admin.downloads import XLSX
from admin.language import N_, Language, translator
from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of, kept_of
from admin.lists.balance_people import BALANCE_PEOPLE
from admin.lists.declared import Option, Words, options_of
from admin.lists.shown import Options
from admin.pages import go, show
from admin.people_pages import PURPOSES
from admin.refused_words import told_of
from hub.casework.balance_reading import (
    FIGURES,
    Account,
    Figure,
    MovedPeople,
    area_named_by_code,
    figure_named,
    is_drawn,
    list_months,
    list_moved,
    month_named,
    read_account,
)
from hub.casework.balance_table import AccountWords, figures_of, write_account
from hub.database import Database, utc_now
from hub.decisions.round_orders import Order, give_order, wait_for_order
from hub.errors import BadRequest, Conflict, HubError, NotFound
from hub.people.purposes import NoPurpose, Purpose, checked_purpose, oversees
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import reach_of

_START, _END = N_("期初"), N_("期末")
NAMES: Mapping[Figure, str] = {
    "opening": N_("入账"),
    "births": N_("出生"),
    "deaths": N_("死亡"),
    "moved_in": N_("迁入"),
    "moved_out": N_("迁出"),
    "corrected_in": N_("订正增"),
    "corrected_out": N_("订正减"),
    "adjusted_in": N_("补记增"),
    "adjusted_out": N_("补记减"),
    "excused": N_("说明后通过"),
    "unexplained": N_("差异人员"),
}
STATES = {"drawn": N_("未封账"), "closed": N_("已封账")}
_TITLE = N_("{month}人口变动平衡表")
_FOOTER = N_("填表人：______________    审核人：______________    日期：______________")
_NO_PURPOSE = N_("请选择查阅目的；选“其他”或在区局查阅时，请用 4 至 200 个字写明理由，不要写号码。")
_PATIENCE_SECONDS = 3.0
_ACTS = {"unexplained": "excuse", "excused": "take-back"}  # what may be done to the people of a figure
_DONE = {
    "excuse": N_("已说明，此人的差异通过。"),
    "take-back": N_("已收回说明，此人的差异重新列入。"),
    "asked": N_("已受理，正在办理；请稍后刷新本页。"),
}
_OF_PEOPLE = (Right.READ_CHANGE_LIST, Right.MANAGE_ROUND)


class BalanceController(Controller):
    """/balance, its workbook, and /balance/people."""

    @get("/balance", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def read(self, request: Asking, database: NamedDependency[Database], month: FromQuery[str] = "") -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            months = list_months(connection, request.user)
            chosen = month_named(connection, request.user, month)
            account = read_account(connection, request.user, load_area_index(connection), chosen) if chosen else None
        page: dict[str, Any] = {"months": months, "names": NAMES, "states": STATES, "figures_of": figures_of}
        linked = any(request.user.may(right) for right in _OF_PEOPLE)
        return show(request, "balance.html", account=account, linked=linked, **page)

    @get("/balance/account.xlsx", opt={"right": Right.READ_ROUND}, sync_to_thread=True)
    def workbook(
        self, request: Asking, database: NamedDependency[Database], month: FromQuery[str] = ""
    ) -> Response[bytes]:
        with database.begin(reach_of(request.user)) as connection:
            account = read_account(connection, request.user, load_area_index(connection), month)
        words = _words(account, request.auth.language)
        named = f"attachment; filename=\"balance-{month}.xlsx\"; filename*=UTF-8''{quote(words.title)}.xlsx"
        return Response(_written(account, words), media_type=XLSX, headers={"Content-Disposition": named})

    @get("/balance/people", opt={"right": _OF_PEOPLE}, sync_to_thread=True)
    def people(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(BALANCE_PEOPLE, door.query)
        kept = {name: asked[name] for name in ("month", "area", "figure")}
        if oversees(door.actor) and not asked["purpose"]:
            return _why_page(door.request, kept)
        try:
            said = checked_purpose(door.actor, asked["purpose"] or "verify", asked["reason"])
        except NoPurpose:
            return _why_page(door.request, kept, asked["purpose"], asked["reason"], _NO_PURPOSE)
        return _people_page(door, asked, said)

    @post(
        "/balance/people", opt={"right": Right.MANAGE_ROUND}, dependencies=FORM, status_code=200, sync_to_thread=True
    )  # fmt: skip
    def judge(self, door: NamedDependency[Door], form: Form) -> Response[Any]:
        sent = {name.removeprefix("q-"): value for name, value in form.items() if name.startswith("q-")}
        asked = kept_of(BALANCE_PEOPLE, sent)
        try:
            with door.database.begin(reach_of(door.actor)) as connection:
                order = _order_about(form, asked)
                job = give_order(connection, door.settings, door.actor, order, utc_now())
        except (BadRequest, Conflict, NotFound) as refused:
            return _not_judged(door, asked, refused, form)
        done = wait_for_order(door.database, job, _PATIENCE_SECONDS)
        return go(door.request, f"{asked.link()}&done={order.what if done else 'asked'}")


def _order_about(form: dict[str, str], asked: Asked) -> Order:
    """One person's difference, let pass or no more; which of the two follows from the figure."""
    what = _ACTS.get(asked["figure"])
    if what is None:
        raise BadRequest("没有这种办理。 There is no such act.")
    try:
        person = UUID(form.get("person", ""))
    except ValueError:
        raise BadRequest("请选择一个人。 Choose a person.", person="") from None
    return Order(what=what, month=asked["month"], person=person, reason=form.get("why", ""))  # type: ignore[arg-type]


def _not_judged(door: Door, asked: Asked, refused: HubError, form: dict[str, str]) -> Response[Any]:
    """The same people again, with what was typed, and why it was not done."""
    try:
        said = checked_purpose(door.request.user, asked["purpose"], asked["reason"])
    except NoPurpose:
        kept = {name: asked[name] for name in ("month", "area", "figure")}
        return _why_page(door.request, kept, asked["purpose"], asked["reason"], _NO_PURPOSE)
    wrong = {"reason": "why"}.get(next(iter(refused.facts), ""), "person")
    told = {"error": told_of(refused, door.request.auth), "wrong": wrong, "given": form}
    return _people_page(door, asked, said, refused.status, **told)


def _why_page(
    request: Asking, kept: dict[str, str], purpose: str = "", reason: str = "", error: str = ""
) -> Response[str]:
    """Who oversees says first what for; the same for every figure, whoever makes it."""
    return show(
        request, "balance_why.html", status=422 if error else 200, kept=kept, chosen=purpose[:20], reason=reason[:200],
        error=error, purposes=choices_of(PURPOSES, request.auth), must_explain=True,
    )  # fmt: skip


def _people_page(door: Door, asked: Asked, purpose: Purpose, status: int = 200, **told: Any) -> Response[Any]:
    figure = figure_named(asked["figure"])
    said = {"purpose": purpose.code, "reason": purpose.text}
    asked = msgspec.structs.replace(asked, filters=asked.filters | said)

    def rows(connection: Connection, after: str, size: int) -> Fetched:
        found = _moved(connection, door.request.user, asked, purpose, figure, _number(after), size)
        if found is None:
            return Fetched(rows=[], told={"found": None, "act": "", "people": []})
        following = _number(after) + len(found.lines)
        more = str(following) if following < found.total else ""
        may = door.request.user.may(Right.MANAGE_ROUND) and is_drawn(connection, door.request.user, found.month)
        act, people = _ACTS.get(figure, "") if may else "", _people_of(found)
        return Fetched(rows=found.lines, more=more, told={"found": found, "act": act, "people": people})

    source = Source(rows=rows, options=lambda connection, words: _chosen(connection, asked, words))
    blank = {"error": "", "wrong": "", "given": {}, "notice": _DONE.get(door.request.query_params.get("done", ""), "")}
    return answer_list(
        door, asked, source, "balance_people.html", status=status, names=NAMES, figure=figure, **(blank | told)
    )  # fmt: skip


def _people_of(found: MovedPeople) -> list[Choice]:
    """Everybody on the page once, as the list names them."""
    named = {line.person_id: f"{line.name} {line.id_no} {line.to_area or line.from_area}" for line in found.lines}
    return [Choice(str(person), title) for person, title in named.items()]


def _chosen(connection: Connection, asked: Asked, words: Words) -> Options:
    """The address in words: what stands on the cover of the file."""
    index = load_area_index(connection)
    area = next((index.name_of[each] for code, each in index.codes.items() if code == asked["area"]), asked["area"])
    return {
        "month": [Option(value=asked["month"], title=words.month(asked["month"]))],
        "area": [Option(value=asked["area"], title=area)],
        "figure": options_of(NAMES, words.say),  # type: ignore[arg-type]
        "purpose": options_of(PURPOSES, words.say),
    }


def _moved(
    connection: Connection, actor: Actor, asked: Asked, purpose: Purpose, figure: Figure, after: int, size: int
) -> MovedPeople | None:
    index = load_area_index(connection)
    month = month_named(connection, actor, asked["month"])
    area = area_named_by_code(index, actor, asked["area"])
    return list_moved(connection, actor, index, (month, area, figure), purpose, after, size) if month else None


def _number(after: str) -> int:
    if after and not after.isdecimal():
        raise BadRequest("after")
    return int(after or 0)


def _words(account: Account, language: Language) -> AccountWords:
    translate = translator(language)
    year, number = account.month.split("-")
    named = f"{account.month} " if language == "en" else f"{year}年{int(number)}月"
    return AccountWords(
        title=translate(_TITLE).format(month=named),
        headers=[translate(one) for one in (N_("区划"), _START, *(NAMES[figure] for figure in FIGURES), _END)],
        footer=translate(_FOOTER),
        state=f"{translate(STATES[account.state])} {account.as_of}",
    )


def _written(account: Account, words: AccountWords) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "balance.xlsx"
        write_account(path, account, words, utc_now())
        return path.read_bytes()
