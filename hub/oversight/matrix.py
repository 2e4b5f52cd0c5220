"""Matrices: what is not done, by town or unit and by month or part, and exactly those lines behind every cell.

A cell is a count, a line behind it a place and a day; nobody's name or number is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Literal, cast, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, NotFound
from hub.oversight import matrix_sql as sql
from hub.oversight.quality import MEASURES, read_months
from hub.oversight.quality_lists import Measure
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.month_calendar import read_month
from hub.registry.organisations import Organisation, list_organisations
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import counting, is_care_only
from hub.settings import Settings
from mappings.catalogue import Catalogue

MatrixMeasure = Literal[
    "round", "balance", "raised", "asked", "comparison", "completeness", "completed", "logic", "accuracy", "timeliness"
]
Columns = Literal["month", "part"]
MATRIX_MEASURES: tuple[MatrixMeasure, ...] = get_args(MatrixMeasure)
OF_TOWNS = ("round", "balance")  # nobody else has them
SHARES = ("round", *MEASURES)  # told as a share that is done; the others as how many are not
LISTED = tuple(sql.SOURCES)  # their lines are listed here; the others' where people and rows are
_SENDERS = ("department", "care", "town")
_READERS = (Right.READ_MEASURES, Right.READ_ALL_SUBMISSIONS, Right.OPERATE, Right.SYSTEM)


class RedCell(msgspec.Struct, frozen=True, kw_only=True):
    """How many are not done, of how many; ``of`` is None where there is no whole."""

    against: int
    of: int | None

    @property
    def share(self) -> float | None:
        """How much is done."""
        return (self.of - self.against) / self.of if self.of else None

    def __add__(self, other: RedCell) -> RedCell:
        of = None if self.of is None or other.of is None else self.of + other.of
        return RedCell(against=self.against + other.against, of=of)


class MatrixLine(msgspec.Struct, frozen=True, kw_only=True):
    """One town or unit: a cell for every column, None where there was nothing."""

    key: str  # as an address names it: the area's code of a town's round and account, otherwise the unit's
    name: str
    name_en: str
    is_town: bool
    cells: tuple[RedCell | None, ...]


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Lines by town or unit; ``columns`` are months, or the codes of what is counted in one month."""

    measure: MatrixMeasure
    by: Columns
    columns: tuple[str, ...]
    lines: tuple[MatrixLine, ...]
    target: float | None = None

    def is_red(self, cell: RedCell) -> bool:
        """Short of the target; where none is set, anything that is not done."""
        if self.target is None or cell.share is None:
            return cell.against > 0
        return cell.share < self.target


class MatrixAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which matrix: over these months, or over the parts of the only one; towns alone, or every unit that sends."""

    measure: MatrixMeasure
    months: tuple[str, ...]
    by: Columns = "month"
    towns_only: bool = True


class RedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line behind a cell: where it stands and since when. ``part``: its record type, or its comparison."""

    id: UUID
    month: str
    part: str
    number: int
    kind: str
    unit: str  # the other one concerned
    area: str  # the village
    since: datetime
    due_on: date | None
    state: str


class RedLines(msgspec.Struct, frozen=True, kw_only=True):
    """One page behind a cell; ``total``: as many as the cell says. ``name``: whose they are."""

    lines: tuple[RedLine, ...]
    total: int
    name: str
    name_en: str


Found = tuple[str, str, str, int, int | None]  # whose, month, part, not done, of how many


def read_matrix(
    connection: Connection, actor: Actor, settings: Settings, catalogue: Catalogue, asked: MatrixAsked
) -> Matrix:
    """The bureau's: counts over all towns or units. Record types that are clinical by existing are in none of them."""
    require(actor, *_READERS)
    found = _count_cells(connection, actor, settings, catalogue, asked)
    index, organisations = load_area_index(connection), list_organisations(connection, settings.district)
    cells: dict[tuple[str, str], RedCell] = {}
    for whose, month, part, against, of in found:
        key = (whose, month if asked.by == "month" else part)
        one = RedCell(against=against, of=of)
        cells[key] = cells[key] + one if key in cells else one
    columns = asked.months if asked.by == "month" else _parts(catalogue, asked.measure, {part for _, part in cells})
    target = catalogue.quality.target(asked.measure) if asked.measure in MEASURES else None
    lines = tuple(_lines(asked, index, organisations, cells, columns))
    return Matrix(measure=asked.measure, by=asked.by, columns=columns, lines=lines, target=target)


def list_behind(
    connection: Connection,
    actor: Actor,
    settings: Settings,
    catalogue: Catalogue,
    asked: MatrixAsked,
    whose: str,
    part: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> RedLines:
    """What is not done of one cell, in the order of their ids; that it was read is noted. ``whose``: as its line says."""
    require(actor, Right.READ_ALL_SUBMISSIONS, Right.OPERATE)
    if asked.measure not in LISTED:
        raise BadRequest(f"measure: {asked.measure!r}; {' '.join(LISTED)}")
    index, units = load_area_index(connection), list_organisations(connection, settings.district)
    holder = _holder(asked.measure, whose, index, units)
    if part is not None and part not in {**catalogue.record_types, **catalogue.comparisons}:
        raise NotFound()
    bound = _bound(settings, catalogue, asked.months) | {"whose": holder, "part": part, "after": after, "most": limit}
    with counting(connection, actor, ()):
        rows = run_sql(connection, sql.list_red(asked.measure), **bound)
        total = _int(rows[0][-1]) if rows else 0
    audit.record(
        connection, actor, Right.READ_ALL_SUBMISSIONS, f"matrix/{asked.measure}/{whose}",
        rows=len(rows), months=list(asked.months), part=part or "",
    )  # fmt: skip
    name, name_en = _name_of(asked.measure, whose, index, units)
    lines = tuple(_red_line(row, index) for row in rows)
    return RedLines(lines=lines, total=total, name=name, name_en=name_en)


def asked_of(measure: str, months: Sequence[str], by: str, *, towns_only: bool = True) -> MatrixAsked:
    """What an address asks for: the first measure where it names none that there is, months checked."""
    chosen = next((one for one in MATRIX_MEASURES if one == measure), MATRIX_MEASURES[0])
    for month in months:
        read_month(month)
    columns: Columns = "part" if by == "part" and chosen != "balance" else "month"
    return MatrixAsked(
        measure=chosen, months=tuple(months), by=columns, towns_only=towns_only or chosen in OF_TOWNS
    )  # fmt: skip


# ---- counted ----


def _count_cells(
    connection: Connection, actor: Actor, settings: Settings, catalogue: Catalogue, asked: MatrixAsked
) -> list[Found]:
    if asked.measure in MEASURES:
        return _quality_cells(connection, actor, settings, catalogue, asked)
    statement = sql.BALANCE if asked.measure == "balance" else sql.count_red(asked.measure)
    with counting(connection, actor, ()):
        rows = run_sql(connection, statement, **_bound(settings, catalogue, asked.months))
    return [
        (str(whose), str(month), str(part), _int(red), None if of is None else _int(of))
        for whose, month, part, red, of in rows
    ]


def _quality_cells(
    connection: Connection, actor: Actor, settings: Settings, catalogue: Catalogue, asked: MatrixAsked
) -> list[Found]:
    measure = cast(Measure, asked.measure)
    found: list[Found] = []
    for one in read_months(connection, actor, catalogue, settings.time_zone, asked.months):
        figure = one.figures.get(measure)
        if figure is not None and figure.denominator:
            found.append((one.organisation, one.month, one.record_type, figure.against, figure.denominator))
    return found


def _bound(settings: Settings, catalogue: Catalogue, months: Iterable[str]) -> dict[str, Any]:
    closed = [code for code, one in catalogue.record_types.items() if is_care_only(one)]
    return {
        "months": list(months), "closed": closed, "zone": settings.time_zone, "ends": settings.rounds.month_ends_on or 0
    }  # fmt: skip


def _parts(catalogue: Catalogue, measure: str, codes: set[str]) -> tuple[str, ...]:
    """Record types, or comparisons, in the catalogue's order."""
    known: Iterable[str] = catalogue.comparisons if measure == "comparison" else catalogue.record_types
    return tuple(code for code in known if code in codes)


def _int(counted: object) -> int:
    return int(str(counted))


# ---- whose ----


def _holder(measure: str, key: str, index: AreaIndex, units: Sequence[Organisation]) -> str:
    """Whose lines a key means in the statements: an area's id, or a unit's code. What nobody is called is not repeated."""
    if measure not in OF_TOWNS and any(one.code == key for one in units):
        return key
    if measure not in OF_TOWNS or key not in index.codes:
        raise NotFound()
    return str(index.codes[key])


def _name_of(measure: str, key: str, index: AreaIndex, units: Sequence[Organisation]) -> tuple[str, str]:
    if measure in OF_TOWNS:
        return index.name_of.get(index.codes[key], key), ""
    return next(((one.name, one.name_en) for one in units if one.code == key), (key, ""))


def _lines(
    asked: MatrixAsked, index: AreaIndex, units: Sequence[Organisation], cells: dict[tuple[str, str], RedCell],
    columns: Sequence[str],
) -> Iterator[MatrixLine]:  # fmt: skip
    """The towns in the order of their codes; where every unit is asked for, the other senders before them."""
    office = {one.area_id: one for one in units if one.kind == "town" and one.area_id is not None}
    towns = sorted((area for area, kind in index.kind.items() if kind == "town"), key=lambda area: index.code_of[area])
    if not asked.towns_only:
        others = (one for one in units if one.enabled and one.kind in _SENDERS and one.area_id not in towns)
        yield from (_line(one.code, one.code, one, None, cells, columns) for one in others)
    for area in towns:
        unit, code = office.get(area), index.code_of[area]
        if asked.measure in OF_TOWNS:
            yield _line(code, str(area), unit, index.name_of[area], cells, columns)
        elif unit is not None:
            yield _line(unit.code, unit.code, unit, None, cells, columns)


def _line(
    key: str, holder: str, unit: Organisation | None, area_name: str | None,
    cells: dict[tuple[str, str], RedCell], columns: Sequence[str],
) -> MatrixLine:  # fmt: skip
    own = tuple(cells.get((holder, column)) for column in columns)
    name, name_en = (unit.name, unit.name_en) if unit else (area_name or key, "")
    is_town = unit is None or unit.kind == "town"
    return MatrixLine(key=key, name=area_name or name, name_en=name_en, is_town=is_town, cells=own)


# ---- one by one ----


def _red_line(row: Sequence[Any], index: AreaIndex) -> RedLine:
    line_id, month, part, number, kind, unit, area, since, due_on, state, _ = row
    village = index.name_of.get(index.current(area), "") if area is not None else ""
    return RedLine(
        id=line_id, month=month, part=part, number=number, kind=kind, unit=unit, area=village, since=since,
        due_on=due_on, state=state,
    )  # fmt: skip
