"""本月报送: the month board of one's own unit, for who oversees of every unit; each cell leads to its rows or its act."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from admin.desk_forms import Asking
from admin.language import N_
from admin.pages import show
from admin.uploads import recent_months, today_of
from hub.database import Database
from hub.desks.month_board import OPEN_STATES, Board, BoardLine, CellState, board_of
from hub.registry.month_calendar import month_of, read_month
from hub.registry.permissions import Right
from hub.registry.scope import oversees, reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

CELL_STATES: dict[str, str] = {
    "due": N_("待报"),
    "overdue": N_("逾期未报"),
    "received": N_("处理中"),
    "errors": N_("有差错"),
    "accepted": N_("已入库"),
    "nil": N_("本月无变动"),
    "not_due": N_("未到期"),
}
_OPEN = {"open": N_("还没有报送")}
_TURNED_BACK = {"turned-back": N_("后来一份被退回")}
_FILTERS = _OPEN | CELL_STATES | _TURNED_BACK
_LOOKS = {"due": "wait", "received": "wait", "overdue": "bad", "errors": "bad", "accepted": "good", "nil": "good"}
OfState = Annotated[
    Literal["", "open", "due", "overdue", "received", "errors", "turned-back", "accepted", "nil"],
    QueryParameter(name="state"),
]


class MonthController(Controller):
    """GET /month."""

    @get(
        "/month",
        opt={"right": (Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES)},
        sync_to_thread=True,
    )
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        month: FromQuery[str] = "",
        cell_state: OfState = "",
    ) -> Response[str]:
        today, actor = today_of(settings), request.user
        chosen = month or month_of(today, settings.rounds)
        read_month(chosen)
        with database.begin(reach_of(actor)) as connection:
            board = board_of(connection, catalogue, actor, chosen, settings=settings, today=today)
        page: dict[str, Any] = {"month": chosen, "months": _choices(settings, chosen), "today": today}
        page |= {"lines": _wanted(board, cell_state), "counts": _counts(board), "chosen": cell_state, "board": board}
        page |= {"all_units": oversees(actor), "linked": not actor.may(Right.READ_MEASURES)}
        return show(request, "month.html", states=CELL_STATES, filters=_FILTERS, looks=_LOOKS, **page)


def _choices(settings: Settings, chosen: str) -> list[str]:
    """This month and the year before it, and the one that was asked for."""
    return sorted({*recent_months(today_of(settings)), chosen}, reverse=True)


def _wanted(board: Board, state: str) -> list[BoardLine]:
    """Lines whose cell of the first month is in the state, or was followed by a file that was turned back."""
    if state == "turned-back":
        return [line for line in board.lines if line.cells[0].turned_back]
    states: tuple[CellState | str, ...] = OPEN_STATES if state == "open" else (state,)
    return [line for line in board.lines if not state or line.cells[0].state in states]


def _counts(board: Board) -> dict[str, int]:
    """How many lines each filter shows."""
    counts = {state: len(_wanted(board, state)) for state in _FILTERS if state != "not_due"}
    return {state: many for state, many in counts.items() if many}
