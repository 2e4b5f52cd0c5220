"""What an effect looks like: a few rows of each outcome, old and new side by side, until somebody has decided.

Plain fields only: nothing clinical is ever in a sample, not even for care.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select

from hub.database import run_sql
from hub.tables import effect_sample, submission
from mappings.catalogue import RecordType

SAMPLES = 20  # of each outcome
OUTCOMES = ("new", "update", "void", "restore", "unchanged", "hold")
Sample = dict[str, Any]


def take_samples(connection: Connection, submission_id: UUID, record_type: RecordType) -> list[Sample]:
    """The first rows of each outcome, read while the effect is there: what was, and what it became or would become."""
    if not run_sql(connection, "SELECT 1 FROM {d}.difference WHERE submission_id = :one LIMIT 1", one=submission_id):
        return []
    rows = run_sql(connection, _SAMPLED.format(code=record_type.code, d="{d}"), submission=submission_id, most=SAMPLES)
    shown = [field.name for field in record_type.plain_fields]
    return [_sample(row, shown) for row in rows]


_SAMPLED = """
WITH numbered AS (
    SELECT d.*, row_number() OVER (PARTITION BY d.outcome ORDER BY d.row_no) AS sample_no
    FROM {d}.difference d
    WHERE d.submission_id = :submission AND d.row_no > 0 AND d.outcome <> 'refuse'
), chosen AS (
    SELECT * FROM numbered WHERE sample_no <= :most
)
SELECT c.outcome, c.sample_no, c.row_no, coalesce(s.sheet_row, c.row_no) AS sheet_row,
       CASE WHEN c.outcome IN ('unchanged', 'hold') THEN to_jsonb(now) ELSE to_jsonb(h) END AS before,
       CASE WHEN c.outcome IN ('unchanged', 'hold') THEN to_jsonb(s) ELSE to_jsonb(now) END AS after
FROM chosen c
LEFT JOIN {d}.stg_{code} s ON s.submission_id = :submission AND s.row_no = c.row_no
LEFT JOIN {d}.rec_{code} now ON now.record_id = c.record_id
LEFT JOIN {d}.rec_{code}_history h ON h.record_id = c.record_id AND h.version = c.version - 1
ORDER BY c.outcome, c.sample_no
"""


def _sample(row: tuple[Any, ...], shown: list[str]) -> Sample:
    outcome, sample_no, row_no, sheet_row, before, after = row
    return {
        "outcome": outcome,
        "sample_no": sample_no,
        "row_no": row_no,
        "sheet_row": sheet_row,
        "before": _shown(before, shown),
        "after": None if outcome == "void" else _shown(after, shown),
    }


def _shown(version: dict[str, Any] | None, shown: list[str]) -> dict[str, Any] | None:
    return None if version is None else {name: version.get(name) for name in shown}


def keep_samples(connection: Connection, submission_id: UUID, samples: list[Sample]) -> None:
    """Keep them in the transaction that sets the effect aside."""
    drop_samples(connection, submission_id)
    if samples:
        connection.execute(insert(effect_sample), [{"submission_id": submission_id, **sample} for sample in samples])


def drop_samples(connection: Connection, submission_id: UUID) -> None:
    """It is decided: nobody needs to look at them any more."""
    connection.execute(delete(effect_sample).where(effect_sample.c.submission_id == submission_id))


def drop_old_previews(connection: Connection, before: datetime) -> int:
    """Samples of previews nobody came back to; how many rows."""
    old = select(submission.c.submission_id).where(
        submission.c.state == "previewed", func.coalesce(submission.c.merged_at, submission.c.received_at) < before
    )
    dropped = delete(effect_sample).where(effect_sample.c.submission_id.in_(old)).returning(effect_sample.c.row_no)
    return len(connection.execute(dropped).all())


def read_samples(connection: Connection, submission_id: UUID) -> dict[str, list[Sample]]:
    """Outcome -> samples with row_no, sheet_row, before and after; row security shows one's own only."""
    mine = select(effect_sample).where(effect_sample.c.submission_id == submission_id)
    ordered = connection.execute(mine.order_by(effect_sample.c.outcome, effect_sample.c.sample_no)).all()
    found: dict[str, list[Sample]] = {outcome: [] for outcome in OUTCOMES}
    for one in ordered:
        place = {"row_no": one.row_no, "sheet_row": one.sheet_row}
        found[one.outcome].append({**place, "before": one.before, "after": one.after})
    return {outcome: samples for outcome, samples in found.items() if samples}
