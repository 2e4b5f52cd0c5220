"""How good a month's data was, by organisation and record type: four measures, and the rows behind each of them.

Nothing here gives a value away: a figure is a count, a row behind it a place in a file and what is wrong there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, ClinicalBoundary, NotFound
from hub.oversight import quality_sql as sql
from hub.oversight.quality_lists import MEASURES as MEASURES
from hub.oversight.quality_lists import Asked, FigureRow, count_reasons, list_rows, whole
from hub.oversight.quality_lists import Measure as Measure
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope, counting, is_care_only, oversees
from mappings.catalogue import Catalogue, RecordType

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


class FigureRows(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the rows behind a figure; ``total`` and ``reasons`` say how many there are in all, and why.

    The rows are as they are now, how many there are as it was when the figures were last kept.
    """

    rows: tuple[FigureRow, ...]
    total: int
    reasons: tuple[tuple[str, int], ...] = ()  # the most frequent first, and of how many rows
    next: str | None = None  # where the following page begins
    kept_at: datetime | None = None  # None: counted now


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
    return read_months(connection, actor, catalogue, zone, [month], organisation, record_type)


def read_months(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    zone: str,
    months: Sequence[str],
    organisation: str | None = None,
    record_type: str | None = None,
) -> list[Quality]:
    """The figures of several months: as they were last kept (``kept_at``), counted now where none are kept."""
    require(actor, *_OWN, *_OVERSEER, Right.READ_MEASURES)
    whose = _whose(actor, organisation)
    of_months = [Asked(catalogue=catalogue, zone=zone, month=_month(one), organisation=whose) for one in months]
    with counting(connection, actor, _opened(actor, catalogue)):
        if of_months and _reads_kept(connection, actor, of_months[0]) is not None:
            return list(_kept_qualities(connection, actor, of_months, record_type or None))
        return [one for asked in of_months for one in _live_qualities(connection, actor, asked, record_type or None)]


def kept_at(connection: Connection, catalogue: Catalogue, zone: str) -> datetime | None:
    """As of when the figures are; None: they are counted whenever they are asked for."""
    rules = Asked(catalogue=catalogue, zone=zone, month="").rules
    found = run_sql(connection, "SELECT counted_at FROM {d}.quality_head WHERE rules = :rules", rules=rules)
    return found[0][0] if found else None  # type: ignore[return-value]


def open_figure(
    connection: Connection,
    actor: Actor,
    catalogue: Catalogue,
    zone: str,
    key: FigureKey,
    after: str = "",
    limit: int = 100,
    reason: str = "",
) -> FigureRows:
    """The rows that count against one figure, behind ``after`` (a page's ``next``); that they were read is noted.

    ``reason``: only those of one of the figure's reasons: an item that is empty, the code of a row error, days late (up
    to 3, 7, 30 or more), what a town found or the comparison that was closed with a correction.
    """
    require(actor, *_OWN, *_OVERSEER)
    if not _may_open(actor, key.organisation):
        raise NotFound()
    record_type = _type_of(catalogue, actor, key)
    asked = Asked(catalogue=catalogue, zone=zone, month=_month(key.month), organisation=key.organisation)
    with counting(connection, actor, _opened(actor, catalogue)):
        counts, counted_at = _reasons_behind(connection, actor, asked, record_type, key.measure)
        rows: tuple[FigureRow, ...] = ()
        following: str | None = None
        if counts.get(reason):  # what is not there is not looked for
            rows, following = list_rows(connection, asked, record_type, key.measure, after, limit, reason)
    audit.record(
        connection,
        actor,
        Right.READ_QUALITY,
        f"quality/{key.organisation}/{key.record_type}/{key.month}",
        measure=key.measure,
        rows=len(rows),
        after=after,
        digest=audit.digest_of(f"{row.receipt}/{row.row_no}" for row in rows),
    )
    return FigureRows(
        rows=rows, total=counts.get(reason, 0), next=following, kept_at=counted_at,
        reasons=tuple(sorted(((code, many) for code, many in counts.items() if code), key=lambda one: (-one[1], one[0]))),
    )  # fmt: skip


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


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the statement counted for one organisation and type, in its order."""

    records: int = 0
    empty: int = 0  # cells of first versions
    empty_today: int = 0
    dated: int = 0
    late: int = 0
    judged: int = 0
    contradicted: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation's month of one record type, as it was counted."""

    organisation: str
    record_type: str
    month: str
    received: int
    wrong: int  # of them
    counts: Counts


def count_lines(connection: Connection, asked: Asked, only: Iterable[str] | None = None) -> list[Line]:
    """The month's lines as they are now, of these record types."""
    came = run_sql(connection, sql.COUNT_ROWS, **asked.binds, **asked.logic, types=None if only is None else list(only))
    lines = [(str(whose), str(code), whole(rows), whole(wrong)) for whose, code, rows, wrong in came]
    counts = _count(connection, asked, list(dict.fromkeys(code for _, code, _, _ in lines)))
    return [
        Line(
            organisation=whose, record_type=code, month=asked.month, received=rows, wrong=wrong,
            counts=counts.get((code, whose), Counts()),
        )
        for whose, code, rows, wrong in lines
    ]  # fmt: skip


def _live_qualities(connection: Connection, actor: Actor, asked: Asked, only: str | None) -> Iterator[Quality]:
    for line in count_lines(connection, asked, None if only is None else [only]):
        its = asked.catalogue.record_types[line.record_type]
        yield _quality_of(asked.catalogue, line, shown=_may_have_figures(actor, its, line.organisation))


def _quality_of(catalogue: Catalogue, line: Line, *, shown: bool) -> Quality:
    return Quality(
        organisation=line.organisation,
        record_type=line.record_type,
        month=line.month,
        received=line.received if shown or not 0 < line.received < SMALLEST_SHOWN else None,
        figures=figures_of(catalogue, line) if shown else {},
    )


# ---- as they were kept (hub.oversight.quality_keeping) ----


def _reads_kept(connection: Connection, actor: Actor, asked: Asked) -> datetime | None:
    """As of when; a care organisation that oversees others has more than is kept for whoever does."""
    if actor.kind == "care" and oversees(actor):
        return None
    return kept_at(connection, asked.catalogue, asked.zone)


def _kept_qualities(
    connection: Connection, actor: Actor, of_months: Sequence[Asked], only: str | None
) -> Iterator[Quality]:
    catalogue, whose = of_months[0].catalogue, of_months[0].organisation
    closed = [code for code, one in catalogue.record_types.items() if is_care_only(one)] if oversees(actor) else []
    binds = {"months": [one.month for one in of_months], "organisation": whose, "only": only, "closed": closed}
    for month, organisation, code, received, wrong, *counted in run_sql(connection, sql.KEPT, **binds):
        counts = Counts(**dict(zip(Counts.__struct_fields__, map(whole, counted), strict=True)))
        line = Line(
            organisation=str(organisation), record_type=str(code), month=str(month), received=whole(received),
            wrong=whole(wrong), counts=counts,
        )  # fmt: skip
        if line.record_type in catalogue.record_types:
            yield _quality_of(catalogue, line, shown=line.record_type not in closed)


def _count(connection: Connection, asked: Asked, codes: list[str]) -> dict[tuple[str, str], Counts]:
    """By type and organisation; a type without fields to count has none."""
    rules = asked.catalogue.quality
    chosen = [(asked.catalogue.record_types[code], rules.of(code)) for code in codes]
    if not chosen:
        return {}
    run_sql(connection, sql.PLAN)
    counted = run_sql(connection, sql.count_records(chosen, asked.verified), **asked.binds, **asked.judging)
    names = Counts.__struct_fields__
    return {
        (str(code), str(whose)): Counts(**dict(zip(names, map(whole, found), strict=True)))
        for code, whose, *found in counted
    }


def figures_of(catalogue: Catalogue, line: Line) -> dict[Measure, Figure]:
    """The line's figures by the catalogue's rules."""
    rules, counts = catalogue.quality, line.counts
    cells = counts.records * len(rules.of(line.record_type).items)
    of_all: dict[Measure, tuple[int, int]] = {
        "completeness": (cells - counts.empty, cells),
        "completed": (cells - counts.empty_today, cells),
        "logic": (line.received - line.wrong, line.received),
        "accuracy": (counts.judged - counts.contradicted, counts.judged),
        "timeliness": (counts.dated - counts.late, counts.dated),
    }
    return {measure: figure(*pair, rules.target(measure)) for measure, pair in of_all.items()}


# ---- the rows behind them ----


def _reasons_behind(
    connection: Connection, actor: Actor, asked: Asked, record_type: RecordType, measure: Measure
) -> tuple[dict[str, int], datetime | None]:
    """How many rows there are, of no reason and of each; as kept, where that is."""
    as_of = _reads_kept(connection, actor, asked)
    if as_of is None:
        return count_reasons(connection, asked, record_type, measure), None
    binds = {"type": record_type.code, "measure": measure}
    found = run_sql(connection, sql.KEPT_REASONS, **asked.binds, **binds)
    kept: dict[str, int] = found[0][0] if found and found[0][0] else {}  # type: ignore[assignment]
    return kept, as_of
