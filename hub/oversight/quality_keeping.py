"""Keeps the quality figures, so that nobody who looks counts a month again: what something touched since is counted anew.

A cell is a record type's month. What its figures depend on is either numbered in the change log (records, verdicts) or
summed up in a fingerprint (which submissions stand, which differences were closed): ended months that nothing touches
cost nothing. Too many cells are counted rather than one too few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, insert

from hub.database import district_of, run_sql, utc_now
from hub.oversight.quality import Line, count_lines, figures_of
from hub.oversight.quality_lists import Asked, count_reasons
from hub.oversight.quality_sql import VERIFICATION, counted
from hub.tables import quality_figure
from mappings.catalogue import Catalogue

Cell = tuple[str, str]  # month, record type


def keep_quality_figures(connection: Connection, catalogue: Catalogue, zone: str) -> int:
    """Count what was touched since the last time; how many cells that were."""
    now, asked = utc_now(), Asked(catalogue=catalogue, zone=zone, month="")
    kept_to, rules = _lock_head(connection)
    seq = int(str(run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]))
    cells, known = _standing_cells(connection, catalogue), _known_cells(connection)
    touched = {cell for cell, mark in cells.items() if rules != asked.rules or known.get(cell) != mark}
    if rules == asked.rules and seq > kept_to:
        touched |= {cell for cell in _touched_cells(connection, asked, kept_to, seq) if cell in cells}
    gone = known.keys() - cells.keys()
    _remove_figures(connection, touched | gone)
    for month, codes in _by_month(touched).items():
        _recount(connection, msgspec.structs.replace(asked, month=month), codes, cells)
    run_sql(
        connection, "UPDATE {d}.quality_head SET seq = :seq, rules = :rules, counted_at = :now",
        seq=seq, rules=asked.rules, now=now,
    )  # fmt: skip
    return len(touched) + len(gone)


def _lock_head(connection: Connection) -> tuple[int, str]:
    """How far the log was followed and by which rules; whoever comes second waits."""
    run_sql(
        connection,
        "INSERT INTO {d}.quality_head (district, seq, rules, counted_at) VALUES (:district, 0, '', :now)"
        " ON CONFLICT DO NOTHING",
        district=district_of(connection), now=utc_now(),
    )  # fmt: skip
    ((seq, rules),) = run_sql(connection, "SELECT seq, rules FROM {d}.quality_head FOR UPDATE")
    return int(str(seq)), str(rules)


# ---- which cells ----


def _standing_cells(connection: Connection, catalogue: Catalogue) -> dict[Cell, str]:
    """Every cell of which something stands, with its fingerprint."""
    types = [code for code, one in catalogue.record_types.items() if one.enabled]
    return {(str(month), str(code)): str(mark) for month, code, mark in run_sql(connection, _STANDING, types=types)}


def _known_cells(connection: Connection) -> dict[Cell, str]:
    found = run_sql(connection, "SELECT DISTINCT month, record_type, mark FROM {d}.quality_figure")
    return {(str(month), str(code)): str(mark) for month, code, mark in found}


def _touched_cells(connection: Connection, asked: Asked, after: int, upper: int) -> set[Cell]:
    """The months of every version of each record that changed, or of which a verdict did."""
    judged = _JUDGED_RECORDS if asked.verified else ""
    found = run_sql(connection, _TOUCHED.replace("/*judged*/", judged), after=after, upper=upper)
    return {(str(month), str(code)) for month, code in found}


_SENT_IN = (
    "JOIN {d}.change_log o ON o.record_id = about.record_id JOIN {d}.feed_batch b ON b.batch = o.batch"
    " JOIN {d}.submission s ON s.submission_id = b.submission_id AND s.period IS NOT NULL"
)
_STANDING = f"""
WITH sent AS MATERIALIZED (
    SELECT s.period, s.record_type, count(*) || ' ' || sum(s.received) || ' '
           || sum(hashtextextended(s.submission_id::text, 0)::numeric) AS mark
      FROM {{d}}.submission s
     WHERE s.period IS NOT NULL AND s.record_type = ANY (CAST(:types AS text[])) AND {counted("s")}
     GROUP BY s.period, s.record_type),
about AS MATERIALIZED (
    SELECT CAST(side ->> 'record_id' AS uuid) AS record_id,
           hashtextextended(concat_ws('|', i.item_id, i.check_code, i.evidence, i.closed_at, i.organisation), 0) AS mark
      FROM {{d}}.comparison_item i CROSS JOIN jsonb_array_elements(i.sides) side
     WHERE i.state IN ('closed', 'gone') AND (i.evidence LIKE 'corrected: %' OR i.evidence LIKE 'explained: %')),
said AS (SELECT s.period, s.record_type, sum(about.mark::numeric) AS mark FROM about {_SENT_IN} GROUP BY 1, 2)
SELECT sent.period, sent.record_type, concat_ws(' ', sent.mark, said.mark) FROM sent LEFT JOIN said USING (period, record_type)
"""
_TOUCHED = f"""
WITH changed AS MATERIALIZED (
    SELECT record_id, record_type FROM {{d}}.change_log WHERE seq > :after AND seq <= :upper),
about AS MATERIALIZED (SELECT record_id FROM changed /*judged*/ UNION SELECT record_id FROM changed)
SELECT DISTINCT s.period, s.record_type FROM about {_SENT_IN}
"""
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_JUDGED_RECORDS = "".join(
    f" UNION SELECT CASE WHEN v.source_record_id ~ '{_UUID}' THEN CAST(v.source_record_id AS uuid) END"
    f" FROM changed c JOIN {{d}}.rec_{VERIFICATION}{tail} v ON v.record_id = c.record_id"
    f" WHERE c.record_type = '{VERIFICATION}'"
    for tail in ("", "_history")
)


# ---- counting them ----


def _by_month(cells: Iterable[Cell]) -> dict[str, list[str]]:
    months: dict[str, list[str]] = defaultdict(list)
    for month, code in sorted(cells):
        months[month].append(code)
    return months


def _remove_figures(connection: Connection, cells: Iterable[Cell]) -> None:
    chosen = list(cells)
    run_sql(
        connection,
        "DELETE FROM {d}.quality_figure f USING unnest(CAST(:months AS text[]), CAST(:codes AS text[])) gone(month, code)"
        " WHERE f.month = gone.month AND f.record_type = gone.code",
        months=[month for month, _ in chosen], codes=[code for _, code in chosen],
    )  # fmt: skip


def _recount(connection: Connection, asked: Asked, codes: list[str], marks: dict[Cell, str]) -> None:
    lines = [
        _written_line(connection, asked, line) | {"mark": marks[asked.month, line.record_type]}
        for line in count_lines(connection, asked, codes)
    ]
    if lines:
        connection.execute(insert(quality_figure), lines)


def _written_line(connection: Connection, asked: Asked, line: Line) -> dict[str, object]:
    """The counts of a line, and for each measure that is short how many rows are behind it and why."""
    record_type, its = asked.catalogue.record_types[line.record_type], {"organisation": line.organisation}
    own = msgspec.structs.replace(asked, **its)
    behind = {
        measure: count_reasons(connection, own, record_type, measure)
        for measure, figure in figures_of(asked.catalogue, line).items()
        if figure.against
    }
    counts = {name: getattr(line.counts, name) for name in line.counts.__struct_fields__}
    return {
        "month": line.month, "record_type": line.record_type, "received": line.received, "wrong": line.wrong,
        "behind": behind, **its, **counts,
    }  # fmt: skip
