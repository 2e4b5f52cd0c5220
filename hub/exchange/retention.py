"""Files as they were sent are kept for a time; then they go, and their digest, ledger row and receipt stay.

With the file go the values its row errors quoted: what was wrong, and where, stays on the receipt.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row

from hub import audit
from hub.database import Database, run_sql
from hub.errors import HubError
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.settings import Settings

_FACT = "file_expired"
_AT_ONCE = 200
_ENDED = "('merged', 'previewed', 'refused')"  # what failed may run once more, and needs its file


class FileExpired(HubError):
    """原始文件已过保存期限并已删除；回执、差错记录与摘要仍在。 The file as sent has expired; its receipt and digest remain."""

    status, problem, exit_code = 410, "file-expired", 4


def is_expired(row: Row[Any]) -> bool:
    """Whether a submission's file was kept, and its time is over."""
    return _FACT in row.facts


def refuse_expired(row: Row[Any]) -> None:
    if is_expired(row):
        raise FileExpired(row.receipt_number)


def expire_raw_files(database: Database, settings: Settings, now: datetime, actor: Actor = SYSTEM_ACTOR) -> int:
    """Remove stored uploads of submissions that ended longer ago than the setting says; how many.

    Never while rows of a submission wait for a person. Killed anywhere, the next run goes on.
    """
    days = settings.retention.raw_files_days
    if days <= 0:
        return 0
    expired = 0
    with database.begin() as connection:
        types = _types_with_old_files(connection, now - timedelta(days=days))
    for record_type in types:
        while gone := _expire_some(database, settings, actor, record_type, now, now - timedelta(days=days)):
            expired += gone
    return expired + _expire_rolls(database, settings, actor, now - timedelta(days=days))


def _expire_rolls(database: Database, settings: Settings, actor: Actor, before: datetime) -> int:
    """Rolls that were only compared: their files, and the lines nobody decided; what was decided is not asked again."""
    with database.begin() as connection:
        rows = run_sql(
            connection,
            "SELECT roll_id, stored_as FROM {d}.roll_check WHERE stored_as <> '' AND asked_at < :before"
            " ORDER BY asked_at FOR UPDATE SKIP LOCKED",
            before=before,
        )
        for _, place in rows:
            (settings.home / str(place)).unlink(missing_ok=True)
        gone = [cast(UUID, roll_id) for roll_id, _ in rows]
        run_sql(
            connection,
            "DELETE FROM {d}.roll_item WHERE roll_id = ANY(CAST(:gone AS uuid[])) AND state = 'open'",
            gone=gone,
        )
        run_sql(
            connection, "UPDATE {d}.roll_check SET stored_as = '' WHERE roll_id = ANY(CAST(:gone AS uuid[]))", gone=gone
        )
        if gone:
            audit.record(connection, actor, Right.SYSTEM, "rolls", what="files expired", files=len(gone))
    return len(gone)


def count_overdue(connection: Connection, settings: Settings, now: datetime) -> int:
    """Files that should be gone for a week, and of which no row waits: is the job running?"""
    days = settings.retention.raw_files_days
    if days <= 0:
        return 0
    overdue = run_sql(
        connection,
        f"SELECT count(*) FROM {{d}}.submission s WHERE {_OLD} AND s.held = 0",
        before=now - timedelta(days=days + 7),
    )
    return cast(int, overdue[0][0])


_OLD = (
    f"s.state IN {_ENDED} AND s.stored_as <> '' AND coalesce(s.merged_at, s.checked_at, s.received_at) < :before"
    " AND NOT EXISTS (SELECT 1 FROM {d}.held_row h WHERE h.submission_id = s.submission_id AND h.state = 'waiting')"
)


def _types_with_old_files(connection: Connection, before: datetime) -> list[str]:
    """Record types that have a staging table: rows of theirs may wait in it."""
    rows = run_sql(
        connection,
        f"SELECT DISTINCT s.record_type FROM {{d}}.submission s JOIN pg_tables t ON t.schemaname = :district"
        f" AND t.tablename = 'stg_' || s.record_type WHERE {_OLD} ORDER BY 1",
        before=before,
        district=connection.get_execution_options()["schema_translate_map"]["district"],
    )
    return [str(code) for (code,) in rows]


def _expire_some(
    database: Database, settings: Settings, actor: Actor, record_type: str, now: datetime, before: datetime
) -> int:
    """The files first, then that they are gone: a crash between is mended by doing it again."""
    with database.begin() as connection:
        rows = run_sql(
            connection,
            f"SELECT s.submission_id, s.stored_as FROM {{d}}.submission s WHERE {_OLD} AND s.record_type = :type"
            f" AND NOT EXISTS (SELECT 1 FROM {{d}}.stg_{record_type} w WHERE w.submission_id = s.submission_id)"
            " ORDER BY s.received_at LIMIT :most FOR UPDATE SKIP LOCKED",
            before=before,
            type=record_type,
            most=_AT_ONCE,
        )
        for _, place in rows:
            (settings.files / str(place)).unlink(missing_ok=True)
        if rows:
            _note_expired(connection, actor, [cast(UUID, one) for one, _ in rows], now)
    return len(rows)


def _note_expired(connection: Connection, actor: Actor, submissions: list[UUID], now: datetime) -> None:
    run_sql(
        connection,
        "UPDATE {d}.submission SET stored_as = '', facts = facts || jsonb_build_object(CAST(:fact AS text), CAST(:at AS text))"
        " WHERE submission_id = ANY(CAST(:gone AS uuid[]))",
        fact=_FACT,
        at=now.isoformat(timespec="seconds"),
        gone=submissions,
    )
    run_sql(
        connection,
        "UPDATE {d}.row_error SET value = NULL, params = '{}'"
        " WHERE submission_id = ANY(CAST(:gone AS uuid[])) AND (value IS NOT NULL OR params <> '{}')",
        gone=submissions,
    )
    audit.record(
        connection, actor, Right.SYSTEM, "submissions", what="files expired", files=len(submissions),
        digest=audit.digest_of(submissions),
    )  # fmt: skip
