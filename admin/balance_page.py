"""The month's account on pages: every area's line, and behind each figure the people who make it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from admin.desk_forms import Asking, choices_of
from admin.downloads import XLSX
from admin.language import N_, Language, translator
from admin.pages import show
from admin.people_pages import PURPOSES
from hub.casework.balance_reading import (
    FIGURES,
    Account,
    Figure,
    area_named_by_code,
    figure_named,
    list_months,
    list_moved,
    month_named,
    read_account,
)
from hub.casework.balance_table import AccountWords, figures_of, write_account
from hub.database import Database, utc_now
from hub.people.purposes import NoPurpose, Purpose, checked_purpose, oversees
from hub.registry.areas import load_area_index
from hub.registry.permissions import Right
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue

_LINES_A_PAGE = 200
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
KINDS = {
    "opening": N_("入账"),
    "birth": N_("出生"),
    "death": N_("死亡"),
    "moved": N_("迁移"),
    "correction": N_("订正"),
    "excused": N_("说明后通过"),
    "unexplained": N_("对不上"),
}
WHYS = {
    "no_cause": N_("居住地变了，但没有任何记录说明"),
    "not_here": N_("离开或死亡，但账上此人不在此地"),
    "lives_nowhere": N_("来了，但不知住在哪个村居"),
    "after_death": N_("已登记死亡，之后又有到来的记录"),
    "here_already": N_("登记出生，但此前账上已有此人"),
    "void": N_("记录作废"),
    "update": N_("记录更正"),
    "restore": N_("作废的记录恢复"),
    "relink": N_("记录改属他人"),
    "merge": N_("两人认定为一人"),
    "split": N_("一人认定为两人"),
    "apart": N_("认定为不同的人"),
    "undo": N_("撤回报送或认定"),
    "erased": N_("依法删除"),
}
STATES = {"drawn": N_("未封账"), "closed": N_("已封账")}
_TITLE = N_("{month}人口变动平衡表")
_FOOTER = N_("填表人：______________    审核人：______________    日期：______________")
_NO_PURPOSE = N_("请选择查阅目的；选“其他”或在区局查阅时，请用 4 至 200 个字写明理由，不要写号码。")
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
    def people(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        area: FromQuery[str] = "",
        figure: FromQuery[str] = "unexplained",
        purpose: FromQuery[str] = "",
        reason: FromQuery[str] = "",
        after: FromQuery[int] = 0,
    ) -> Response[str]:
        kept = {"month": month, "area": area, "figure": figure}
        if oversees(request.user) and not purpose:
            return _why_page(request, kept)
        try:
            said = checked_purpose(request.user, purpose or "verify", reason)
        except NoPurpose:
            return _why_page(request, kept, purpose, reason, _NO_PURPOSE)
        return _people_page(request, database, catalogue, kept, said, max(after, 0))


def _why_page(
    request: Asking, kept: dict[str, str], purpose: str = "", reason: str = "", error: str = ""
) -> Response[str]:
    """Who oversees says first what for; the same for every figure, whoever makes it."""
    return show(
        request, "balance_why.html", status=422 if error else 200, kept=kept, chosen=purpose[:20], reason=reason[:200],
        error=error, purposes=choices_of(PURPOSES, request.auth), must_explain=True,
    )  # fmt: skip


def _people_page(
    request: Asking, database: Database, catalogue: Catalogue, kept: dict[str, str], purpose: Purpose, after: int
) -> Response[str]:
    with database.begin(reach_of(request.user)) as connection:
        index = load_area_index(connection)
        month = month_named(connection, request.user, kept["month"])
        asked = (month, area_named_by_code(index, request.user, kept["area"]), figure_named(kept["figure"]))
        found = list_moved(connection, request.user, index, asked, purpose, after, _LINES_A_PAGE) if month else None
    following = after + len(found.lines) if found else 0
    more = following if found and following < found.total else None
    address = kept | {"purpose": purpose.code, "reason": purpose.text}
    words: dict[str, Any] = {"names": NAMES, "kinds": KINDS, "whys": WHYS, "record_types": catalogue.record_types}
    return show(request, "balance_people.html", found=found, figure=asked[2], more=more, address=address, **words)


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
