"""What came of a unit's record type in a month, and the one rule by which the month board calls it.

What was taken speaks for the month; in this order, the first that holds:

=========  =============================================================================================
errors     rows of what was taken are refused and did not come back yet; or nothing was taken, nothing is
           in work, and a whole file was refused or failed
received   a file is in work, or waits for a person
nil        all that was taken says that nothing happened
accepted   rows were taken
=========  =============================================================================================

A whole file refused later than everything that was taken or is in work changes nothing of it: the cell keeps its word
and says so (``turned_back``). What was taken back, withdrawn by its own unit, or tried without effect never came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql

SentState = Literal["received", "errors", "accepted", "nil"]
Place = tuple[str, str, str]  # unit, record type, month


class SentOfMonth(msgspec.Struct, frozen=True, kw_only=True):
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
    last_failed: UUID | None

    @property
    def state(self) -> SentState:
        if self.refused or self._nothing_else:
            return "errors"
        if self.open_at is not None:
            return "received"
        return "nil" if self.nil else "accepted"

    @property
    def turned_back(self) -> UUID | None:
        """The whole file that was refused although an earlier one was taken or is in work, and after which none came."""
        later = [at for at in (self.merged_at, self.open_at) if at is not None]
        last = self.failed_at is not None and all(self.failed_at > at for at in later)
        return self.last_failed if last and not self._nothing_else else None

    @property
    def _nothing_else(self) -> bool:
        return self.merged_at is None and self.open_at is None


def sent_in_months(
    connection: Connection, units: Sequence[str], months: Sequence[str], with_held: bool
) -> dict[Place, SentOfMonth]:
    """One statement over the months' submissions; ``with_held``: the rows that wait are counted too."""
    statement = _SENT.replace("{waiting}", _WAITING if with_held else _NOT_COUNTED)
    rows = run_sql(connection, statement, organisations=list(units), months=list(months))
    found = (msgspec.convert(dict(zip(SentOfMonth.__struct_fields__, row, strict=True)), SentOfMonth) for row in rows)
    return {(one.organisation, one.record_type, one.month): one for one in found}


# Taken back counts for nothing, unless that was taken back too.
_TAKEN_BACK = """EXISTS (
    SELECT 1 FROM {d}.submission undo
    WHERE undo.undoes = {of}.submission_id AND undo.state = 'merged'
      AND NOT EXISTS (SELECT 1 FROM {d}.submission redo WHERE redo.undoes = undo.submission_id AND redo.state = 'merged')
)"""
# Of a file whose rows came back in part, the refused ones that did not: a returned workbook says which rows it brings.
# Why a file was refused stands in the wide row, which the month's index leaves alone: it is looked up where one was.
_SENT = """
WITH kept AS (
    SELECT s.submission_id, s.thread_id, s.organisation, s.record_type, s.period, s.kind, s.state, s.received, s.refused,
           s.received_at
    FROM {d}.submission s
    WHERE s.period = ANY(:months) AND s.organisation = ANY(:organisations)
      AND s.kind IN ('regular', 'nil') AND NOT s.dry_run AND NOT {s_taken_back}
      AND NOT (s.state = 'refused' AND EXISTS (
          SELECT 1 FROM {d}.submission w
          WHERE w.submission_id = s.submission_id AND w.refusal ->> 'code' = 'F_WITHDRAWN'
      ))
), again AS (
    SELECT k.submission_id,
           range_agg(int8range(CAST(came ->> 0 AS bigint), CAST(came ->> 1 AS bigint), '[]')) AS rows
    FROM kept k
    JOIN {d}.submission mine ON mine.submission_id = k.submission_id
    JOIN {d}.submission later ON later.thread_id = coalesce(k.thread_id, k.submission_id)
     AND later.state = 'merged' AND later.kind = 'regular' AND later.received_at > k.received_at AND NOT later.dry_run
     AND coalesce(later.facts ->> 'returned_from', mine.receipt_number) = mine.receipt_number
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(later.facts -> 'returned_rows', '[[1, 9999999999]]')) AS came
    WHERE k.state = 'merged' AND k.refused > 0 AND NOT {later_taken_back}
    GROUP BY k.submission_id
), still_bad AS (
    SELECT a.submission_id, count(DISTINCT e.row_no) AS rows
    FROM again a JOIN {d}.row_error e ON e.submission_id = a.submission_id
    WHERE e.level = 'error' AND NOT CAST(e.row_no AS bigint) <@ a.rows
    GROUP BY a.submission_id
), sent AS (
    SELECT k.*, coalesce(w.rows, 0) AS waits,
           CASE WHEN k.state <> 'merged' THEN 0 WHEN a.submission_id IS NULL THEN k.refused
                ELSE coalesce(b.rows, 0) END AS bad
    FROM kept k
    LEFT JOIN LATERAL ({waiting}) w ON true
    LEFT JOIN again a ON a.submission_id = k.submission_id
    LEFT JOIN still_bad b ON b.submission_id = k.submission_id
)
SELECT organisation, record_type, period AS month, count(*) AS files,
       count(*) FILTER (WHERE state = 'asking') AS asking,
       count(*) FILTER (WHERE state = 'braked') AS braked,
       coalesce(sum(received) FILTER (WHERE state = 'merged'), 0)::bigint AS received,
       sum(bad)::bigint AS refused,
       sum(waits)::bigint AS held,
       coalesce(bool_and(kind = 'nil') FILTER (WHERE state = 'merged'), false) AS nil,
       max(received_at) FILTER (WHERE state IN ('received', 'checked', 'asking', 'braked')) AS open_at,
       max(received_at) FILTER (WHERE state IN ('refused', 'failed')) AS failed_at,
       max(received_at) FILTER (WHERE state = 'merged') AS merged_at,
       max(received_at) AS last_received_at,
       (array_agg(submission_id ORDER BY received_at DESC) FILTER (WHERE state IN ('refused', 'failed')))[1] AS last_failed
FROM sent GROUP BY 1, 2, 3
"""
_SENT = _SENT.replace("{s_taken_back}", _TAKEN_BACK.replace("{of}", "s"))
_SENT = _SENT.replace("{later_taken_back}", _TAKEN_BACK.replace("{of}", "later"))
# Of these months alone: what waits of all the others is not gone through.
_WAITING = """
SELECT count(*) AS rows FROM {d}.held_row h WHERE h.submission_id = k.submission_id AND h.state = 'waiting'
"""
_NOT_COUNTED = "SELECT 0 AS rows"
