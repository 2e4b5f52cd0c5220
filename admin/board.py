"""The bureau's month at a glance: which unit has sent what, what is due and overdue, whom to remind, down to the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from markupsafe import Markup
from sqlalchemy import Connection, Row

from admin.charts import Series, Words, stacked
from admin.desk_forms import FORM, Asking, Form, detail_of
from admin.language import N_, Language, translator
from admin.pages import go, show
from admin.uploads import recent_months, today_of
from hub.database import Database, utc_now
from hub.decisions.round_orders import wait_for_order
from hub.desks.due_month import due_month
from hub.desks.month_asking import ask_for_month
from hub.desks.month_board import OPEN_STATES, Board, BoardLine, Cell, CellState, board_of
from hub.desks.month_reminding import NothingOpen, RemindedToday, list_unit_contacts, reminded_units
from hub.exchange import listing
from hub.exchange.related import count_waiting
from hub.exchange.sent_rows import list_sent_rows
from hub.exchange.small_cells import written_count
from hub.registry import month_calendar
from hub.registry.organisations import Organisation, find_organisation
from hub.registry.permissions import Right
from hub.registry.scope import is_care_only, reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_ROWS_A_PAGE = 50
_WAITED_SECONDS = 2.0  # for the worker to make a notice, so that the next page says so
CELL_STATES: dict[CellState, str] = {
    "overdue": N_("逾期未报"),
    "due": N_("待报"),
    "errors": N_("有差错"),
    "received": N_("已收到"),
    "accepted": N_("已通过"),
    "nil": N_("零报送"),
    "not_due": N_("未到期"),
}
_GROUPS = {"department": N_("部门"), "care": N_("医疗照护"), "town": N_("镇街")}
_PARTS: tuple[tuple[str, tuple[CellState, ...]], ...] = (
    (N_("已报"), ("received", "accepted", "nil")),
    (N_("有差错"), ("errors",)),
    (N_("待报"), ("due",)),
    (N_("逾期未报"), ("overdue",)),
)
_SENT: tuple[CellState, ...] = ("received", "accepted", "nil", "errors")
_TOLD = {"reminded": N_("已提醒，该单位会在提醒页看到；登记了联系人的同时发出。")}


class SentCell(msgspec.Struct, frozen=True, kw_only=True):
    """One record type of a unit: its state, and what was counted. A type of care has one count, never a small one."""

    line: BoardLine
    cell: Cell
    sums: Row[Any] | None
    received: str


class UnitLine(msgspec.Struct, frozen=True, kw_only=True):
    """One unit's month."""

    organisation: Organisation
    cells: tuple[SentCell, ...]
    states: Mapping[str, int]

    @property
    def owed(self) -> int:
        return sum(one.line.owed for one in self.cells)

    @property
    def sent(self) -> int:
        return sum(one.line.owed and one.cell.sent for one in self.cells)

    @property
    def open(self) -> int:
        return sum(self.states.get(state, 0) for state in OPEN_STATES)


class BoardController(Controller):
    """/board and the rows behind a submission."""

    @get("/board", opt={"right": (Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)}, sync_to_thread=True)
    def board(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        only: FromQuery[str] = "",
        told: FromQuery[str] = "",
    ) -> Response[str]:
        return _show_board(request, database, settings, catalogue, month, only, notice=_TOLD.get(told, ""))

    @post(
        "/board/remind",
        opt={"right": Right.MANAGE_ROUND},
        dependencies=FORM,
        status_code=200,
        sync_to_thread=True,
    )
    def remind(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        form: Form,
    ) -> Response[Any]:
        month, unit, only = form.get("month", ""), form.get("organisation", ""), form.get("only", "")
        month_calendar.read_month(month)
        try:
            with database.begin(reach_of(request.user)) as connection:
                asked = ask_for_month(connection, settings, catalogue, request.user, unit, month, utc_now())
        except (NothingOpen, RemindedToday) as wrong:
            error = detail_of(wrong, request.auth)
            return _show_board(request, database, settings, catalogue, month, only, error=error, status=409)
        wait_for_order(database, asked, _WAITED_SECONDS)
        kept = f"&only={only}" if only in CELL_STATES else ""
        return go(request, f"/board?month={month}{kept}&told=reminded")

    @get("/submissions/{submission_id:uuid}/rows", opt={"right": Right.READ_ALL_SUBMISSIONS}, sync_to_thread=True)
    def rows(
        self,
        request: Asking,
        database: NamedDependency[Database],
        catalogue: NamedDependency[Catalogue],
        submission_id: FromPath[UUID],
        after: FromQuery[int] = 0,
    ) -> Response[str]:
        with database.begin(reach_of(request.user)) as connection:
            sent = listing.find_submission(connection, request.user, submission_id)
            sender = find_organisation(connection, sent.organisation)
            record_type = catalogue.record_types[sent.record_type]
            found = list_sent_rows(connection, request.user, sent.submission_id, record_type, after, _ROWS_A_PAGE + 1)
        shown = found.rows[:_ROWS_A_PAGE]
        more = shown[-1].row_no if len(found.rows) > _ROWS_A_PAGE else None
        page: dict[str, Any] = {"row": sent, "sender": sender, "record_type": record_type, "fields": found.fields}
        return show(request, "rows.html", shown=shown, more=more, **page)


def _show_board(
    request: Asking, database: Database, settings: Settings, catalogue: Catalogue, month: str, only: str,
    *, notice: str = "", error: str = "", status: int = 200,
) -> Response[str]:  # fmt: skip
    today = today_of(settings)
    if month:
        month_calendar.read_month(month)
    with database.begin(reach_of(request.user)) as connection:
        chosen = month or due_month(connection, catalogue, settings, today)
        board = board_of(connection, catalogue, request.user, chosen, settings=settings, today=today, months=1)
        sums = listing.month_board(connection, request.user, chosen)
        closed = [code for code, one in catalogue.record_types.items() if is_care_only(one)]
        waiting = count_waiting(connection, request.user, month=chosen, without=closed)
        reminding = _reminding(connection, request, chosen, today, settings)
    units = _units_of(board, sums)
    states = Counter[str](cell.state for cell in board.cells(chosen))
    return show(
        request, "board.html", status=status, month=chosen, months=_months(settings, today, chosen), only=only,
        units=[unit for unit in units if only not in CELL_STATES or unit.states.get(only)], of_all=len(units),
        states=states, titles=CELL_STATES, chart=sending_chart(board, chosen, request.auth.language, "sending"),
        total=_total(catalogue, sums), waiting=waiting, has_closed=any(one.cell.closed for u in units for one in u.cells),
        linked=request.user.may(Right.READ_ALL_SUBMISSIONS), notice=notice, error=error, today=today, **reminding,
    )  # fmt: skip


def _reminding(connection: Connection, request: Asking, month: str, today: date, settings: Settings) -> dict[str, Any]:
    """Whom to ring up, and who was reminded: for who may remind."""
    if not request.user.may(Right.MANAGE_ROUND):
        return {"reminds": False, "contacts": {}, "reminded": {}, "reminded_today": set()}
    zone, known = ZoneInfo(settings.time_zone), reminded_units(connection, month)
    today_told = {unit for unit, (_, last) in known.items() if last.astimezone(zone).date() == today}
    contacts = list_unit_contacts(connection, request.user)
    return {"reminds": True, "contacts": contacts, "reminded": known, "reminded_today": today_told}


def _months(settings: Settings, today: date, chosen: str) -> list[str]:
    """To choose from: the year up to this month, and the one that is shown."""
    months = recent_months(today)
    this = month_calendar.month_of(today, settings.rounds)
    return sorted({*months, this, chosen}, reverse=True)


def _units_of(board: Board, sums: Sequence[Row[Any]]) -> list[UnitLine]:
    """Every unit that sends has a line; those who owe most first."""
    counted = {(one.organisation, one.record_type): one for one in sums}
    found: dict[str, list[BoardLine]] = {}
    for line in board.lines:
        found.setdefault(line.organisation.code, []).append(line)
    units = [_unit_line(lines, counted) for lines in found.values()]
    return sorted(units, key=lambda unit: (-unit.states.get("overdue", 0), -unit.open))


def _unit_line(lines: Sequence[BoardLine], counted: Mapping[tuple[str, str], Row[Any]]) -> UnitLine:
    cells = tuple(_sent_cell(line, counted) for line in lines)
    states = Counter[str](one.cell.state for one in cells)
    return UnitLine(organisation=lines[0].organisation, cells=cells, states=states)


def _sent_cell(line: BoardLine, counted: Mapping[tuple[str, str], Row[Any]]) -> SentCell:
    sums = counted.get((line.organisation.code, line.record_type.code))
    rows = int(sums.received or 0) if sums is not None else 0
    cell = line.cells[0]
    received = written_count(rows) if cell.closed else f"{rows:,}"
    return SentCell(line=line, cell=cell, sums=None if cell.closed else sums, received=received)


def sending_chart(board: Board, month: str, language: Language, name: str) -> Markup:
    """What every month is owed, by kind of unit: sent, with errors, due, overdue."""
    translate = translator(language)
    owed = [line for line in board.lines if line.owed]
    kinds = [kind for kind in _GROUPS if any(line.organisation.kind == kind for line in owed)]
    at = board.months.index(month)

    def many(kind: str, states: tuple[CellState, ...]) -> int:
        return sum(line.organisation.kind == kind and line.cells[at].state in states for line in owed)

    parts = [Series(name=translate(title), values=[many(kind, states) for kind in kinds]) for title, states in _PARTS]
    words = Words(
        name=name, title=translate(N_("应报类别的报送情况")), heads=translate(N_("单位类型")), table=translate(N_("数据表")),
        description=translate(N_("每个单位每个应报的信息类别计一项。")), empty=translate(N_("本月没有应报的类别。")),
    )  # fmt: skip
    return stacked(words, [translate(_GROUPS[kind]) for kind in kinds], parts)


def _total(catalogue: Catalogue, cells: Sequence[Row[Any]]) -> dict[str, int]:
    """Sums without the types that are clinical by existing: a suppressed cell is not to be had by subtraction."""
    open_cells = [cell for cell in cells if not is_care_only(catalogue.record_types[cell.record_type])]
    names = ("files", "unfinished", "failed", "received", "accepted", "unchanged", "held", "refused")
    return {name: sum(int(getattr(cell, name) or 0) for cell in open_cells) for name in names}
