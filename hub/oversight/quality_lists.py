"""The rows behind a quality figure, a page at a time, and how many of them there are of each reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import BadRequest
from hub.oversight import quality_sql as sql
from mappings.catalogue import Catalogue, RecordType

Measure = Literal["completeness", "completed", "logic", "accuracy", "timeliness"]  # completed: as things are today
MEASURES: tuple[Measure, ...] = get_args(Measure)
_PORTIONS = (5_000, 40_000)  # rows that are looked through for one page, before all the rest are
_ABOUT_VALUES = ("differs", "order")  # comparisons that say that a value is wrong, not that a record is missing


class FigureRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that counts against a figure: where it stands and what is wrong, never a value."""

    receipt: str
    row_no: int
    sheet_row: int | None = None
    record_id: UUID | None = None
    empty: tuple[str, ...] = ()  # base items without a value
    codes: tuple[str, ...] = ()  # row errors
    fields: tuple[str, ...] = ()  # where they are
    days_late: int = 0
    verdict: str = ""  # a town's
    check: str = ""  # the comparison that was closed with a correction

    @property
    def weight(self) -> int:
        """How much of the figure this row is: its empty cells, otherwise itself."""
        return len(self.empty) or 1


_RULES: dict[tuple[str, str], str] = {}  # catalogue and zone -> its digest: made once


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the statements share."""

    catalogue: Catalogue
    zone: str  # the district's clock, on which days are cut
    month: str
    organisation: str | None = None

    @property
    def rules(self) -> str:
        """What the figures are counted by, statement and values: kept ones of other rules are nobody's."""
        key = (self.catalogue.version, self.zone)
        if key not in _RULES:
            enabled = [one for one in self.catalogue.record_types.values() if one.enabled]
            chosen = [(one, self.catalogue.quality.of(one.code)) for one in enabled]
            counted = (sql.COUNT_ROWS, sql.count_records(chosen, self.verified), self.judging, self.logic)
            _RULES[key] = hashlib.sha256(repr(counted).encode()).hexdigest()
        return _RULES[key]

    @property
    def binds(self) -> dict[str, Any]:
        return {"month": self.month, "organisation": self.organisation}

    @property
    def judging(self) -> dict[str, Any]:
        rules = self.catalogue.quality
        checks = [code for code, one in self.catalogue.comparisons.items() if one.kind in _ABOUT_VALUES]
        verdicts = [*rules.confirmed, *rules.contradicted]
        return {"verdicts": verdicts, "contradicted": list(rules.contradicted), "checks": checks, "zone": self.zone}

    @property
    def verified(self) -> bool:
        """Whether towns send verdicts here."""
        known = self.catalogue.record_types.get(sql.VERIFICATION)
        return known is not None and known.enabled

    @property
    def logic(self) -> dict[str, Any]:
        return {"codes": list(self.catalogue.quality.logic)}


def list_rows(
    connection: Connection, asked: Asked, record_type: RecordType, measure: Measure, after: str, limit: int, reason: str
) -> tuple[tuple[FigureRow, ...], str | None]:
    """The next rows, and where the following page begins; the month's submissions are gone through only as far as needed."""
    listed, binds, read = _list_of(connection, asked, record_type, measure)
    binds |= _place(after) | ({"reason": reason} if reason else {})
    page, rows = sql.page_of(listed, measure, one_reason=bool(reason)), list[FigureRow]()
    for those in _portions(connection, asked, record_type, after):
        found = run_sql(connection, page, **binds, those=those, most=limit + 1 - len(rows))
        rows += [read(row) for row in found]
        if len(rows) > limit:
            break
    shown = tuple(rows[:limit])
    return shown, f"{shown[-1].receipt}.{shown[-1].row_no}" if shown and len(rows) > limit else None


def _portions(connection: Connection, asked: Asked, record_type: RecordType, after: str) -> Iterator[list[UUID]]:
    """The month's submissions behind a place in the order of their receipts: few rows at first, then more, then the rest."""
    place = {"receipt": _place(after)["receipt"], "those": None}
    ahead, those, many = list(_PORTIONS), list[UUID](), 0
    for submission_id, received in run_sql(connection, sql.submissions_from(record_type), **asked.binds, **place):
        those.append(cast(UUID, submission_id))
        many += whole(received)
        if ahead and many >= ahead[0]:
            yield those
            ahead, those, many = ahead[1:], [], 0
    if those:
        yield those


def _place(after: str) -> dict[str, str | int | None]:
    """Where a page begins: behind this row of this receipt."""
    receipt, _, row_no = after.rpartition(".")
    if after and not (receipt and row_no.isascii() and row_no.isdigit() and len(row_no) < 10):
        raise BadRequest(f"after: {after[:40]!r}")
    return {"receipt": receipt or None, "row": int(row_no or 0)}


def count_reasons(connection: Connection, asked: Asked, record_type: RecordType, measure: Measure) -> dict[str, int]:
    """How many rows count against a figure, of no reason and of each."""
    listed, binds, _ = _list_of(connection, asked, record_type, measure)
    rows = run_sql(connection, sql.count_reasons(listed, measure), **binds, those=None)
    return {str(reason): whole(many) for reason, many in rows}


def _list_of(
    connection: Connection, asked: Asked, record_type: RecordType, measure: Measure
) -> tuple[sql.Listed, dict[str, Any], Callable[[tuple[Any, ...]], FigureRow]]:
    """The statement that lists what counts against a figure, what it is bound to, and how its rows are read."""
    binds, rules = asked.binds, asked.catalogue.quality.of(record_type.code)
    if measure == "logic":
        return sql.list_contradictory(record_type), binds | asked.logic, _contradictory
    if measure == "timeliness":
        return sql.list_late(record_type, rules), binds | {"zone": asked.zone}, _late
    if measure == "accuracy":
        run_sql(connection, sql.PLAN)
        return sql.list_contradicted(record_type, asked.verified), binds | asked.judging, _contradicted
    version = "x" if measure == "completeness" else "c"
    return sql.list_lacking(record_type, rules.items, version), binds, _lacking


def _lacking(row: tuple[Any, ...]) -> FigureRow:
    return FigureRow(receipt=row[0], row_no=row[1], record_id=row[2], empty=tuple(row[3]))


def _late(row: tuple[Any, ...]) -> FigureRow:
    return FigureRow(receipt=row[0], row_no=row[1], record_id=row[2], days_late=row[3])


def _contradicted(row: tuple[Any, ...]) -> FigureRow:
    return FigureRow(receipt=row[0], row_no=row[1], record_id=row[2], verdict=row[3], check=row[4])


def _contradictory(row: tuple[Any, ...]) -> FigureRow:
    return FigureRow(
        receipt=row[0], row_no=row[1], sheet_row=row[2], codes=tuple(row[3]), fields=tuple(filter(None, row[4]))
    )


def whole(counted: object) -> int:
    return int(str(counted))
