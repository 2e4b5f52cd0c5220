"""How good a month's data was, by organisation and record type: four measures, and the rows behind each of them.

Nothing here gives a value away: a figure is a count, a row behind it a place in a file and what is wrong there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, ClinicalBoundary, NotFound
from hub.oversight import quality_sql as sql
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, counting, is_care_only, oversees
from mappings.catalogue import Catalogue, RecordType

Measure = Literal["completeness", "completed", "logic", "accuracy", "timeliness"]  # completed: as things are today
MEASURES: tuple[Measure, ...] = get_args(Measure)
_ABOUT_VALUES = ("differs", "order")  # comparisons that say that a value is wrong, not that a record is missing
SMALLEST_SHOWN = 5  # of records that are clinical by existing (hub.exchange.small_cells)
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
_OVERSEER = (Right.READ_ALL_SUBMISSIONS, Right.OPERATE, Right.SYSTEM)
_OWN = (Right.READ_QUALITY, Right.READ_SUBMISSION)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """How many of how many; ``ratio`` and ``met`` are None where there is nothing to count."""

    numerator: int
    denominator: int
    ratio: float | None
    target: float
    met: bool | None

    @property
    def against(self) -> int:
        """As many as the list behind the figure has."""
        return self.denominator - self.numerator


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation's month of one record type. ``received`` is None where so few are not said."""

    organisation: str
    record_type: str
    month: str
    received: int | None
    figures: dict[Measure, Figure]  # none of what is clinical by existing, to whoever is not care


class FigureKey(msgspec.Struct, frozen=True, kw_only=True):
    """Which figure: it opens the rows that keep it from being all of them."""

    organisation: str
    record_type: str
    month: str
    measure: Measure


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


class FigureRows(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the rows behind a figure; ``total`` is how many there are in all."""

    rows: tuple[FigureRow, ...]
    total: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the statements share."""

    catalogue: Catalogue
    zone: str  # the district's clock, on which days are cut
    month: str
    organisation: str | None = None

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


def figure(numerator: int, denominator: int, target: float) -> Figure:
    """Nothing to count is neither all nor none of it."""
    ratio = numerator / denominator if denominator else None
    met = None if ratio is None else ratio >= target
    return Figure(numerator=numerator, denominator=denominator, ratio=ratio, target=target, met=met)


def written(of: Figure | None) -> str:
    """For people: one decimal, rounded down, so that what is short of a target never looks as if it were not."""
    if of is None or not of.denominator:
        return "—"
    tenths = of.numerator * 1000 // of.denominator
    return f"{tenths // 10}.{tenths % 10}%"


def read_quality(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    zone: str,
    month: str,
    organisation: str | None = None,
    record_type: str | None = None,
) -> list[Quality]:
    """The month's figures: of one's own organisation, for who oversees of all; what was sent and stands."""
    require(actor, *_OWN, *_OVERSEER, Right.READ_MEASURES)
    asked = Asked(catalogue=catalogue, zone=zone, month=_month(month), organisation=_whose(actor, organisation))
    with counting(connection, actor, _opened(actor, catalogue)):
        return list(_qualities(connection, actor, asked, record_type))


def open_figure(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    zone: str,
    key: FigureKey,
    after: int = 0,
    limit: int = 100,
    reason: str = "",
) -> FigureRows:
    """The rows that count against one figure, behind the first ``after``; that they were read is noted.

    ``reason``: only those of one of the figure's reasons (``read_reasons``).
    """
    require(actor, *_OWN, *_OVERSEER)
    if not _may_open(actor, key.organisation):
        raise NotFound()
    record_type = _type_of(catalogue, actor, key)
    asked = Asked(catalogue=catalogue, zone=zone, month=_month(key.month), organisation=key.organisation)
    with counting(connection, actor, _opened(actor, catalogue)):
        found = _rows_behind(connection, asked, record_type, key.measure, {"after": after, "most": limit}, reason)
    audit.record(
        connection,
        actor,
        Right.READ_QUALITY,
        f"quality/{key.organisation}/{key.record_type}/{key.month}",
        measure=key.measure,
        rows=len(found.rows),
        after=after,
        digest=audit.digest_of(f"{row.receipt}/{row.row_no}" for row in found.rows),
    )
    return found


def read_reasons(
    connection: Connection, actor: Actor, catalogue: Catalogue, zone: str, key: FigureKey
) -> list[tuple[str, int]]:
    """Why a figure is not all of them, the most frequent reason first, and of how many rows: items that are empty, codes of
    row errors, days late (up to 3, 7, 30 or more), what a town found or the comparison that was closed with a correction."""
    require(actor, *_OWN, *_OVERSEER)
    if not _may_open(actor, key.organisation):
        raise NotFound()
    record_type = _type_of(catalogue, actor, key)
    asked = Asked(catalogue=catalogue, zone=zone, month=_month(key.month), organisation=key.organisation)
    with counting(connection, actor, _opened(actor, catalogue)):
        listed, binds, _ = _list_of(connection, asked, record_type, key.measure)
        rows = run_sql(connection, sql.count_reasons(listed, key.measure), **binds, **_WHOLE)
    return [(str(reason), _int(many)) for reason, many in rows]


# ---- whose, and of what ----


def _whose(actor: Actor, organisation: str | None) -> str | None:
    """The organisation to count for: any or all for who oversees, one's own for everybody else."""
    return organisation or None if oversees(actor) else actor.organisation


def _may_open(actor: Actor, organisation: str) -> bool:
    return any(actor.may(right) for right in _OVERSEER) or organisation == actor.organisation


def _opened(actor: Actor, catalogue: Catalogue) -> list[str]:
    """Record types that are counted over whoever sent them: all for who oversees, verdicts for everybody."""
    if not oversees(actor):
        return [sql.VERIFICATION]
    return [code for code, one in catalogue.record_types.items() if one.enabled and not is_care_only(one)]


def _month(written_month: str) -> str:
    if not _MONTH.fullmatch(written_month):
        raise BadRequest("月份应写作 YYYY-MM。 A month is written YYYY-MM.")
    return written_month


def _type_of(catalogue: Catalogue, actor: Actor, key: FigureKey) -> RecordType:
    record_type = catalogue.record_types.get(key.record_type)
    if record_type is None or not record_type.enabled or key.measure not in MEASURES:
        raise NotFound(key.record_type)
    if not _may_have_figures(actor, record_type, key.organisation):
        raise ClinicalBoundary(record_type.code)
    return record_type


def _may_have_figures(actor: Actor, record_type: RecordType, organisation: str) -> bool:
    return not is_care_only(record_type) or Scope(actor=actor).may_see_clinical(organisation)


# ---- the figures ----


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the statement counted for one organisation and type, in its order."""

    records: int = 0
    empty: int = 0  # cells of first versions
    empty_today: int = 0
    dated: int = 0
    late: int = 0
    judged: int = 0
    contradicted: int = 0


def _qualities(connection: Connection, actor: Actor, asked: Asked, only: str | None) -> Iterator[Quality]:
    came = run_sql(connection, sql.COUNT_ROWS, **asked.binds, **asked.logic)
    lines = [(str(whose), str(code), _int(rows), _int(wrong)) for whose, code, rows, wrong in came]
    chosen = [line for line in lines if only in (None, "", line[1])]
    counts = _count(connection, asked, list(dict.fromkeys(line[1] for line in chosen)))
    for whose, code, rows, wrong in chosen:
        shown = _may_have_figures(actor, asked.catalogue.record_types[code], whose)
        yield Quality(
            organisation=whose,
            record_type=code,
            month=asked.month,
            received=rows if shown or not 0 < rows < SMALLEST_SHOWN else None,
            figures=_figures(asked, code, counts.get((code, whose), _Counts()), rows, wrong) if shown else {},
        )


def _count(connection: Connection, asked: Asked, codes: list[str]) -> dict[tuple[str, str], _Counts]:
    """By type and organisation; a type without fields to count has none."""
    rules = asked.catalogue.quality
    chosen = [(asked.catalogue.record_types[code], rules.of(code)) for code in codes]
    if not chosen:
        return {}
    run_sql(connection, sql.PLAN)
    counted = run_sql(connection, sql.count_records(chosen, asked.verified), **asked.binds, **asked.judging)
    names = _Counts.__struct_fields__
    return {
        (str(code), str(whose)): _Counts(**dict(zip(names, map(_int, found), strict=True)))
        for code, whose, *found in counted
    }


def _figures(asked: Asked, code: str, counts: _Counts, rows: int, wrong: int) -> dict[Measure, Figure]:
    rules = asked.catalogue.quality
    cells = counts.records * len(rules.of(code).items)
    of_all: dict[Measure, tuple[int, int]] = {
        "completeness": (cells - counts.empty, cells),
        "completed": (cells - counts.empty_today, cells),
        "logic": (rows - wrong, rows),
        "accuracy": (counts.judged - counts.contradicted, counts.judged),
        "timeliness": (counts.dated - counts.late, counts.dated),
    }
    return {measure: figure(*pair, rules.target(measure)) for measure, pair in of_all.items()}


def _int(counted: object) -> int:
    return int(str(counted))


# ---- the rows behind them ----


def _rows_behind(
    connection: Connection, asked: Asked, record_type: RecordType, measure: Measure, page: dict[str, int], reason: str
) -> FigureRows:
    listed, binds, read = _list_of(connection, asked, record_type, measure)
    if not reason:
        return _page_of(run_sql(connection, listed, **binds, **page), read)
    chosen = sql.list_of_reason(listed, measure)
    return _page_of(
        run_sql(connection, chosen, **binds, **_WHOLE, reason=reason, skip=page["after"], take=page["most"]), read
    )


_WHOLE: dict[str, int | None] = {"after": 0, "most": None}


def _list_of(
    connection: Connection, asked: Asked, record_type: RecordType, measure: Measure
) -> tuple[str, dict[str, Any], Callable[[tuple[Any, ...]], FigureRow]]:
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


def _page_of(found: list[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], FigureRow]) -> FigureRows:
    return FigureRows(rows=tuple(map(read, found)), total=found[0][-1] if found else 0)


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
