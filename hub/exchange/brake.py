"""Is this effect unusual? Then it waits for a second person; the rules and their measures are in mappings/brake.toml."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, Row

from hub.database import run_sql, utc_now
from hub.exchange.outcomes import Counted
from hub.tables.version_sql import event_day
from mappings.catalogue import BrakeRule, RecordType

_LOOKED_AT = 200  # files of a month; a sender of row after row is known well enough by so many


class Reason(msgspec.Struct, frozen=True):
    """Why it waits: a code of the row-error catalogue and what its sentence needs."""

    code: str
    params: dict[str, Any]


def judge(
    connection: Connection, row: Row[Any], counted: Counted, record_type: RecordType, rule: BrakeRule
) -> list[Reason]:
    """What is unusual about an effect that has just been computed; nothing once a second person has let it happen."""
    if row.released_by is not None or row.kind == "system":
        return []
    if row.kind == "undo":
        return list(_many_undone(connection, row, counted, rule))
    voids = [*_many_voided(connection, row, counted, rule)]
    if row.kind == "backfill":
        return [Reason("F_BRAKE_BACKFILL", {"rows": row.received}), *voids]
    reasons = voids
    if row.period is not None:
        reasons += _few_rows(connection, row, record_type, rule)
    if row.period is not None and counted.accepted >= rule.period_rows:  # an old file sent again changes nothing
        reasons += _other_month(connection, row, record_type, rule)
    return reasons


def _many_voided(connection: Connection, row: Row[Any], counted: Counted, rule: BrakeRule) -> Iterator[Reason]:
    """Of the file alone, or together with those of the last day: in small pieces it is the same."""
    voided, rows = counted.effect["voided"], row.received
    if voided and not _is_much(voided, rows, rule):
        earlier = _of_last_day(connection, row, ("regular", "backfill"))
        voided, rows = voided + earlier.voided, rows + earlier.received
    if counted.effect["voided"] and _is_much(voided, rows, rule):
        yield Reason("F_BRAKE_VOIDS", {"count": voided, "rows": rows})


def _is_much(voided: int, rows: int, rule: BrakeRule) -> bool:
    return voided >= rule.voids_at_least and voided > rule.voids_share * rows


def _many_undone(connection: Connection, row: Row[Any], counted: Counted, rule: BrakeRule) -> Iterator[Reason]:
    undone = counted.accepted
    if 0 < undone < rule.undo_at_least:
        undone += _of_last_day(connection, row, ("undo",)).accepted
    if undone >= rule.undo_at_least:
        yield Reason("F_BRAKE_UNDO", {"count": undone})


class _Earlier(msgspec.Struct, frozen=True):
    """What happened without a second person."""

    received: int
    accepted: int
    voided: int


def _of_last_day(connection: Connection, row: Row[Any], kinds: tuple[str, ...]) -> _Earlier:
    found = run_sql(
        connection,
        """
        SELECT coalesce(sum(received), 0), coalesce(sum(accepted), 0),
               coalesce(sum(CAST(facts -> 'effect' ->> 'voided' AS integer)), 0)
        FROM {d}.submission
        WHERE organisation = :organisation AND record_type = :record_type AND state = 'merged'
          AND released_by IS NULL AND kind = ANY (CAST(:kinds AS text[])) AND merged_at > :since
        """,
        organisation=row.organisation,
        record_type=row.record_type,
        kinds=list(kinds),
        since=utc_now() - timedelta(days=1),
    )
    return _Earlier(*(int(str(number)) for number in found[0]))


def _few_rows(connection: Connection, row: Row[Any], record_type: RecordType, rule: BrakeRule) -> Iterator[Reason]:
    """A correction after the month's file is small and usual: so the month so far counts, not the file alone."""
    if row.thread_id is not None:
        return
    usual, so_far = _rows_of_months(connection, row, record_type)
    rows = so_far + row.received
    if usual >= rule.few_rows_usual and rows < rule.few_rows_share * usual:
        yield Reason("F_BRAKE_FEW_ROWS", {"rows": rows, "expected": usual})


def _rows_of_months(connection: Connection, row: Row[Any], record_type: RecordType) -> tuple[int, int]:
    """The median of last month's files, and the rows of this month's until now.

    Of events, only those told for the first time: a cumulative file is not the measure of the month after it.
    """
    first_told = "received - unchanged" if record_type.event_date else "received"
    found = run_sql(
        connection,
        f"""
        WITH file AS (
            (SELECT period, {first_told} AS told FROM {{d}}.submission WHERE period = :this AND organisation = :organisation
                AND record_type = :record_type AND kind = 'regular' AND state = 'merged' LIMIT :most)
            UNION ALL
            (SELECT period, {first_told} AS told FROM {{d}}.submission WHERE period = :last AND organisation = :organisation
                AND record_type = :record_type AND kind = 'regular' AND state = 'merged' LIMIT :most)
        )
        SELECT coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY told) FILTER (WHERE period = :last), 0),
               coalesce(sum(told) FILTER (WHERE period = :this), 0)
        FROM file
        """,
        this=row.period,
        last=month_before(row.period),
        organisation=row.organisation,
        record_type=row.record_type,
        most=_LOOKED_AT,
    )
    usual, so_far = cast(tuple[int, int], found[0])
    return int(usual), int(so_far)


def _other_month(connection: Connection, row: Row[Any], record_type: RecordType, rule: BrakeRule) -> Iterator[Reason]:
    if not record_type.event_date:
        return
    found = run_sql(
        connection,
        f"""
        SELECT to_char({event_day(record_type)}, 'YYYY-MM') AS month, count(*)
        FROM {{d}}.stg_{record_type.code} s
        WHERE s.submission_id = :submission AND {event_day(record_type)} IS NOT NULL
        GROUP BY 1 ORDER BY 2 DESC
        """,
        submission=row.submission_id,
    )
    months = cast(list[tuple[str, int]], found)
    dated = sum(count for _, count in months)
    if dated >= rule.period_rows and months[0][0] != row.period and months[0][1] > rule.period_share * dated:
        params = {"rows": dated, "count": months[0][1], "found": months[0][0], "expected": row.period}
        yield Reason("F_BRAKE_PERIOD", params)


def month_before(month: str) -> str:
    """2026-01 -> 2025-12."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year - (number == 1)}-{(number - 2) % 12 + 1:02d}"
