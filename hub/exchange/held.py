"""Rows that wait for a person: noted when their submission is merged, settled when they leave staging for good.

A row waits exactly as long as it is staged; ``untrue_rows`` says where that does not hold.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from hub.database import run_sql, utc_now
from mappings.catalogue import Catalogue, RecordType

CAME_BACK, TAKEN_BACK, OTHER_TAKEN = "came-back", "taken-back", "other-taken"  # why nobody need decide any more


def note_held(connection: Connection, row: Row[Any], record_type: RecordType) -> int:
    """Every row of a submission that waits, with all the codes why; how many. In the transaction of its merge."""
    noted = run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.held_row (submission_id, row_no, record_type, organisation, sheet_row, codes, held_at, state)
        SELECT s.submission_id, s.row_no, '{record_type.code}', :organisation, s.sheet_row, ARRAY(
                   SELECT DISTINCT code FROM (
                       SELECT e.code FROM {{d}}.row_error e
                       WHERE e.submission_id = :submission AND e.row_no = s.row_no AND e.level = 'hold'
                       UNION ALL SELECT d.finding WHERE d.finding IS NOT NULL
                   ) found ORDER BY code
               ), :now, 'waiting'
        FROM {{d}}.stg_{record_type.code} s
        LEFT JOIN {{d}}.difference d
               ON d.submission_id = :submission AND d.row_no = s.row_no AND d.outcome = 'hold'
        WHERE s.submission_id = :submission AND (s.held OR d.outcome = 'hold')
        ON CONFLICT DO NOTHING
        RETURNING row_no
        """,
        submission=row.submission_id,
        organisation=row.organisation,
        now=utc_now(),
    )
    return len(noted)


def settle_held(connection: Connection, submission_id: UUID, record_type: RecordType, reason: str, by: UUID) -> int:
    """Waiting rows that are staged no more need no decision; ``by`` is the submission that saw to that. How many."""
    gone = run_sql(
        connection,
        f"""
        UPDATE {{d}}.held_row h SET state = 'returned', reason = :reason, release_id = :by, decided_at = :now
        WHERE h.submission_id = :submission AND h.state = 'waiting' AND NOT EXISTS (
            SELECT 1 FROM {{d}}.stg_{record_type.code} s WHERE s.submission_id = :submission AND s.row_no = h.row_no
        )
        RETURNING h.row_no
        """,
        submission=submission_id,
        reason=reason,
        by=by,
        now=utc_now(),
    )
    return len(gone)


def drop_refused(connection: Connection, submission_id: UUID, record_type: str) -> int:
    """Staged rows that a person refused; their errors, the receipt and the stored file stay. How many."""
    refused = "SELECT h.row_no FROM {d}.held_row h WHERE h.submission_id = :submission AND h.state = 'refused'"
    dropped = run_sql(
        connection,
        f"DELETE FROM {{d}}.stg_{record_type} s WHERE s.submission_id = :submission AND s.row_no IN ({refused})"
        " RETURNING s.row_no",
        submission=submission_id,
    )
    run_sql(
        connection,
        f"DELETE FROM {{d}}.difference d WHERE d.submission_id = :submission AND d.outcome = 'hold'"
        f" AND d.row_no IN ({refused})",
        submission=submission_id,
    )
    return len(dropped)


def untrue_rows(connection: Connection, catalogue: Catalogue) -> list[str]:
    """Rows said to wait that are staged no more, and staged rows of merged submissions that nobody is asked about."""
    found: list[str] = []
    for record_type in catalogue.record_types.values():
        if record_type.enabled:
            rows = run_sql(connection, _UNTRUE.format(code=record_type.code, d="{d}"))
            found += [f"{record_type.code} {submission_id}/{row_no}: {wrong}" for submission_id, row_no, wrong in rows]
    return found


# A refused row is dropped by the job that was queued with the refusal: until then it may still be staged.
_UNTRUE = """
SELECT h.submission_id, h.row_no, 'waits and is not staged' FROM {d}.held_row h
WHERE h.record_type = '{code}' AND h.state = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM {d}.stg_{code} s WHERE s.submission_id = h.submission_id AND s.row_no = h.row_no)
UNION ALL
SELECT s.submission_id, s.row_no, 'staged and does not wait' FROM {d}.stg_{code} s
JOIN {d}.submission u ON u.submission_id = s.submission_id AND u.state = 'merged'
LEFT JOIN {d}.difference d ON d.submission_id = s.submission_id AND d.row_no = s.row_no AND d.outcome = 'hold'
WHERE (s.held OR d.outcome = 'hold') AND NOT EXISTS (
    SELECT 1 FROM {d}.held_row h
    WHERE h.submission_id = s.submission_id AND h.row_no = s.row_no AND h.state IN ('waiting', 'refused')
)
ORDER BY 1, 2
"""
