"""The month board: per unit and record type, what each month owes: not due, due, received, errors, accepted, overdue, nil.

``board_of`` is the one derivation behind the unit's own board, the bureau's, and the lines of the inbox. What is due
and until when stands in mappings/due.toml and, for one department, in its mapping file (``due_after``). What a month is
called once something came of it: hub/desks/month_board_sent.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.desks.month_board_sent import Place, SentOfMonth, SentState, sent_in_months
from hub.registry import month_calendar
from hub.registry.organisations import Organisation, find_organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, oversees
from hub.settings import RoundPolicy, Settings
from mappings.catalogue import Catalogue, RecordType

CellState = Literal[SentState, "not_due", "due", "overdue"]
OPEN_STATES: tuple[CellState, ...] = ("due", "overdue")  # the unit has yet to send, or to say that nothing happened
MONTHS_SHOWN = 6
SENDING_KINDS = ("department", "care", "town")


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One record type of one unit in one month."""

    organisation: str
    record_type: str
    month: str
    state: CellState
    due_on: date | None = None  # None: sent as it comes
    files: int = 0
    received: int = 0  # rows, of what was merged
    refused: int = 0  # rows not yet sent again
    held: int = 0  # rows that still wait for a person; 0 for who may not see them
    waits: Literal["", "asking", "braked"] = ""  # a person of the unit must say how it goes on
    last_received_at: datetime | None = None
    turned_back: UUID | None = None  # a whole file refused after what was taken; it changed nothing of that
    closed: bool = False  # clinical by existing and somebody else's: that something came is all there is to see

    @property
    def sent(self) -> bool:
        return self.state not in ("not_due", *OPEN_STATES)


class BoardLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record type of one unit, a cell for each month of the board, the newest first."""

    organisation: Organisation
    record_type: RecordType
    owed: bool  # every month, by this unit
    cells: tuple[Cell, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """``lines`` by unit, then in the catalogue's order; ``months`` the newest first."""

    months: tuple[str, ...]
    lines: tuple[BoardLine, ...]

    def turned_back(self, month: str) -> list[Cell]:
        """The cells of one month after which a whole file was refused."""
        return [cell for cell in self.cells(month) if cell.turned_back is not None]

    def cells(self, month: str, *states: CellState) -> list[Cell]:
        """The cells of one month in one of these states; all of them if none is named."""
        at = self.months.index(month)
        return [line.cells[at] for line in self.lines if not states or line.cells[at].state in states]


def board_of(
    connection: Connection,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    organisation: str | None = None,
    *,
    settings: Settings,
    today: date,
    months: int = MONTHS_SHOWN,
    with_held: bool = True,
) -> Board:
    """The board of one unit, or of every sending unit for who oversees (``organisation`` None); ``month`` and the
    ``months - 1`` before it.

    Somebody else's unit is seen only by who oversees: its types that are clinical by existing have no counts and no
    state but due, overdue or received. Costs one statement over the months' submissions and one probe a unit;
    without the rows that wait (``with_held``) less than half of it.
    """
    shown = tuple(month_calendar.month_after(month, -back) for back in range(months))
    units = _units(connection, settings, actor, organisation)
    sent = sent_in_months(connection, [one.code for one in units], shown, with_held)
    begun = _begun(connection, [one.code for one in units], shown, sent, _last_ended(settings.rounds, today))
    drawing = _Drawing(
        catalogue=catalogue, actor=actor, policy=settings.rounds, today=today, months=shown, sent=sent, begun=begun
    )
    return Board(months=shown, lines=tuple(drawing.lines(units)))


def due_day(catalogue: Catalogue, policy: RoundPolicy, unit: Organisation, record_type: RecordType, month: str) -> date:
    """The last day on which this unit's month is in time."""
    own = catalogue.mappings.get((unit.code, record_type.code)) or catalogue.mappings.get((unit.kind, record_type.code))
    told = (own.due_after if own else None, catalogue.due.of(record_type.code).due_after)
    days = next((one for one in told if one is not None), catalogue.due.usual.due_after)
    return month_calendar.last_day(month, policy) + timedelta(days=days)


def owes(catalogue: Catalogue, unit: Organisation, record_type: RecordType) -> bool:
    """Whether this unit sends this type every month, or says that nothing happened."""
    due = catalogue.due.of(record_type.code)
    return due.every_month and bool({unit.code, unit.kind} & {*(due.owed_by or record_type.sources)})


def sendable_by(catalogue: Catalogue, unit: Organisation) -> list[RecordType]:
    """What a unit may send, in the catalogue's order."""
    known = (one for one in catalogue.record_types.values() if one.enabled)
    return [one for one in known if {unit.code, unit.kind} & {*one.sources}]


# ---- since when ----


def _begun(
    connection: Connection, units: Sequence[str], months: Sequence[str], sent: Iterable[Place], last_ended: str
) -> dict[str, str]:
    """The month from which a unit owes: where it began to send; who never sent anything owes the month that ended last."""
    found = run_sql(connection, _SENT_BEFORE, organisations=list(units), first=months[-1])
    begun = {str(code): months[-1] for (code,) in found}
    for unit, _, month in sent:
        begun[unit] = min(begun.get(unit, month), month)
    return {unit: min(begun.get(unit, last_ended), last_ended) for unit in units}


_SENT_BEFORE = """
SELECT u.code FROM unnest(CAST(:organisations AS text[])) AS u (code)
WHERE EXISTS (SELECT 1 FROM {d}.submission s WHERE s.organisation = u.code AND s.period < :first)
"""


# ---- the cells ----


class _Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a cell is made of."""

    catalogue: Catalogue
    actor: Actor
    policy: RoundPolicy
    today: date
    months: tuple[str, ...]
    sent: dict[Place, SentOfMonth]
    begun: dict[str, str]

    def lines(self, units: Sequence[Organisation]) -> Iterator[BoardLine]:
        own = self.actor.organisation
        for unit in units:
            for record_type in sendable_by(self.catalogue, unit):
                owed = owes(self.catalogue, unit, record_type)
                cells = tuple(self._cell(unit, record_type, month, owed) for month in self.months)
                if owed or unit.code == own or any(cell.sent for cell in cells):
                    yield BoardLine(organisation=unit, record_type=record_type, owed=owed, cells=cells)

    def _cell(self, unit: Organisation, record_type: RecordType, month: str, owed: bool) -> Cell:
        due_on = due_day(self.catalogue, self.policy, unit, record_type, month) if owed else None
        place = {"organisation": unit.code, "record_type": record_type.code, "month": month, "due_on": due_on}
        closed = is_care_only(record_type) and unit.code != self.actor.organisation
        found = self.sent.get((unit.code, record_type.code, month))
        if found is None:
            return msgspec.convert({**place, "state": self._unsent(unit, month, due_on), "closed": closed}, Cell)
        if closed:
            return msgspec.convert({**place, "state": "received", "closed": True}, Cell)
        told = {name: getattr(found, name) for name in ("state", "files", "received", "refused", "held", "turned_back")}
        waits = "asking" if found.asking else "braked" if found.braked else ""
        return msgspec.convert({**place, **told, "waits": waits, "last_received_at": found.last_received_at}, Cell)

    def _unsent(self, unit: Organisation, month: str, due_on: date | None) -> CellState:
        if due_on is None or month < self.begun[unit.code]:
            return "not_due"
        if self.today > due_on:
            return "overdue"
        asked_from = month_calendar.last_day(month, self.policy)
        asked_from -= timedelta(days=self.catalogue.due.usual.asked_before)
        return "due" if self.today >= asked_from else "not_due"


def _last_ended(policy: RoundPolicy, today: date) -> str:
    month = month_calendar.month_of(today, policy)
    return month_calendar.month_after(month, -1)


def _units(connection: Connection, settings: Settings, actor: Actor, code: str | None) -> list[Organisation]:
    """The units of the board, as far as they are the actor's to see."""
    if code is None and oversees(actor):
        known = list_organisations(connection, settings.district)
        return [one for one in known if one.enabled and one.kind in SENDING_KINDS]
    wanted = actor.organisation if code is None else code
    may_see = oversees(actor) or (wanted == actor.organisation and actor.may(Right.READ_SUBMISSION))
    one = find_organisation(connection, wanted) if may_see else None
    return [one] if one else []
