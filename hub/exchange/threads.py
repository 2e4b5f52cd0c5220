"""A workbook that goes back and forth is one thread: rows that come back leave the held rows they were before."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from hub.database import run_sql
from hub.exchange.receipt_number import read_receipt_number
from hub.tables import submission
from mappings.catalogue import RecordType

# Made once and searched by halves: there may be as many ranges as rows.
_IN_RANGES = (
    "(SELECT range_agg(int8range(r.first, r.last, '[]'))"
    " FROM unnest(CAST(:first AS bigint[]), CAST(:last AS bigint[])) AS r (first, last))"
)


def find_returned(connection: Connection, row: Row[Any], number: str) -> Row[Any] | None:
    """The submission a returned workbook names, if it is the sender's own and of the same record type."""
    read = read_receipt_number(number)
    if read is None:
        return None
    own = submission.c.organisation == row.organisation, submission.c.record_type == row.record_type
    return connection.execute(select(submission).where(submission.c.receipt_number == read, *own)).first()


def thread_of(connection: Connection, row: Row[Any], facts: dict[str, Any]) -> UUID | None:
    """The thread a file belongs to by the receipt number in it; a number that is not the sender's is only noted."""
    number = facts.get("returned_from")
    if not number:
        begun: UUID | None = row.thread_id  # what brings no file was entered in its thread
        return begun
    earlier = find_returned(connection, row, number)
    if earlier is None or earlier.submission_id == row.submission_id:
        facts["returned_unknown"] = number
        return None
    thread: UUID = earlier.thread_id or earlier.submission_id
    return thread


def take_back_held(connection: Connection, row: Row[Any], record_type: RecordType) -> int:
    """The earlier submission's held rows that came back with this one wait no more; how many."""
    ranges = row.facts.get("returned_rows") or []
    earlier = find_returned(connection, row, row.facts["returned_from"]) if row.thread_id and ranges else None
    if earlier is None or earlier.state != "merged":
        return 0
    values = {"earlier": earlier.submission_id, "first": [one[0] for one in ranges], "last": [one[1] for one in ranges]}
    gone = run_sql(
        connection,
        f"DELETE FROM {{d}}.stg_{record_type.code} s WHERE s.submission_id = :earlier"
        f" AND CAST(s.row_no AS bigint) <@ {_IN_RANGES} RETURNING s.row_no",
        **values,
    )
    run_sql(
        connection,
        f"DELETE FROM {{d}}.difference d WHERE d.submission_id = :earlier AND d.outcome = 'hold'"
        f" AND CAST(d.row_no AS bigint) <@ {_IN_RANGES}",
        **values,
    )
    return len(gone)
