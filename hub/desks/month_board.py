"""The month board: per unit and record type, what each month owes: not due, due, received, errors, accepted, overdue, nil.

``board_of`` is the one derivation behind the unit's own board, the bureau's, and the lines of the inbox. What is due
and until when stands in mappings/due.toml and, for one department, in its mapping file (``due_after``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry import month_calendar
from hub.registry.organisations import Organisation, find_organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, oversees
from hub.settings import RoundPolicy, Settings
from mappings.catalogue import Catalogue, RecordType

CellState = Literal["not_due", "due", "received", "errors", "accepted", "overdue", "nil"]
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
    sent = _sent(connection, [one.code for one in units], shown, with_held)
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


# ---- what was sent ----


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one unit's type in one month; a place of ``_SENT``'s columns."""

    organisation: str
    record_type: str
    month: str
    files: int
    asking: int
    braked: int
    received: int
    refused: int
    held: int
    nil: bool
    open_at: datetime | None  # the newest that is still worked on, or waits for a person
    failed_at: datetime | None
    merged_at: datetime | None
    last_received_at: datetime

    @property
    def state(self) -> CellState:
        later = [at for at in (self.merged_at, self.open_at) if at is not None]
        failed = self.failed_at is not None and all(self.failed_at > at for at in later)
        if failed or self.refused:
            return "errors"
        if self.open_at is not None:
            return "received"
        return "nil" if self.nil else "accepted"


# Taken back counts for nothing, unless that was taken back too. Rows refused count until a later sending of the same
# workbook was taken.
_SENT = """
WITH waiting AS ({waiting}), sent AS (
    SELECT s.organisation, s.record_type, s.period, s.kind, s.state, s.received, s.received_at,
           CASE WHEN s.state = 'merged' AND s.refused > 0 AND NOT EXISTS (
               SELECT 1 FROM {d}.submission later
               WHERE later.thread_id = coalesce(s.thread_id, s.submission_id) AND later.state = 'merged'
                 AND later.kind = 'regular' AND later.received_at > s.received_at
           ) THEN s.refused ELSE 0 END AS refused,
           coalesce(w.rows, 0) AS held
    FROM {d}.submission s LEFT JOIN waiting w ON w.submission_id = s.submission_id
    WHERE s.period = ANY(:months) AND s.organisation = ANY(:organisations)
      AND s.kind IN ('regular', 'nil') AND NOT s.dry_run
      AND NOT EXISTS (
          SELECT 1 FROM {d}.submission undo
          WHERE undo.undoes = s.submission_id AND undo.state = 'merged'
            AND NOT EXISTS (
                SELECT 1 FROM {d}.submission redo WHERE redo.undoes = undo.submission_id AND redo.state = 'merged'
            )
      )
)
SELECT organisation, record_type, period AS month, count(*) AS files,
       count(*) FILTER (WHERE state = 'asking') AS asking,
       count(*) FILTER (WHERE state = 'braked') AS braked,
       coalesce(sum(received) FILTER (WHERE state = 'merged'), 0)::bigint AS received,
       sum(refused)::bigint AS refused,
       sum(held)::bigint AS held,
       coalesce(bool_and(kind = 'nil') FILTER (WHERE state = 'merged'), false) AS nil,
       max(received_at) FILTER (WHERE state IN ('received', 'checked', 'asking', 'braked')) AS open_at,
       max(received_at) FILTER (WHERE state IN ('refused', 'failed')) AS failed_at,
       max(received_at) FILTER (WHERE state = 'merged') AS merged_at,
       max(received_at) AS last_received_at
FROM sent GROUP BY 1, 2, 3
"""
_WAITING = """
SELECT submission_id, count(*) AS rows FROM {d}.held_row
WHERE state = 'waiting' AND organisation = ANY(:organisations) GROUP BY submission_id
"""
_NOT_COUNTED = "SELECT CAST(NULL AS uuid) AS submission_id, 0 AS rows WHERE false"
_Place = tuple[str, str, str]  # unit, record type, month


def _sent(connection: Connection, units: Sequence[str], months: Sequence[str], with_held: bool) -> dict[_Place, _Sent]:
    statement = _SENT.replace("{waiting}", _WAITING if with_held else _NOT_COUNTED)
    rows = run_sql(connection, statement, organisations=list(units), months=list(months))
    found = (msgspec.convert(dict(zip(_Sent.__struct_fields__, row, strict=True)), _Sent) for row in rows)
    return {(one.organisation, one.record_type, one.month): one for one in found}


def _begun(
    connection: Connection, units: Sequence[str], months: Sequence[str], sent: Iterable[_Place], last_ended: str
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
    sent: dict[_Place, _Sent]
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
        told = {name: getattr(found, name) for name in ("state", "files", "received", "refused", "held")}
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
