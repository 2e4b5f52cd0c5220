"""Profiles follow the change log: whoever a changed record speaks of, or spoke of before, is derived anew."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import Database, run_sql, utc_now
from hub.people.attributes import batched, derive, hold_profiles
from mappings.catalogue import Catalogue

CHANGES_AT_ONCE = 2_000


def catch_up(connection: Connection, catalogue: Catalogue, limit: int = CHANGES_AT_ONCE) -> int:
    """Read the next page of the log and derive everybody in it; how many changes were read, 0 when none is left.

    Belongs in one transaction with nothing else: position and profiles are committed together or not at all.
    """
    hold_profiles(connection)
    _begin_anew_after_restore(connection)
    count, last, persons = _read_changes(connection, catalogue, limit)
    if count:
        derive(connection, catalogue, persons)
        _advance(connection, last)
    return count


def lag(connection: Connection) -> int:
    """How many changes the profiles have not seen yet."""
    rows = run_sql(
        connection,
        "SELECT h.last_seq - coalesce(r.position, 0) FROM {d}.feed_head h"
        " LEFT JOIN {d}.feed_reader r ON r.name = 'profile' AND r.epoch = h.epoch",
    )
    return cast(int, rows[0][0])


def derive_all(database: Database, catalogue: Catalogue) -> int:
    """Everybody anew, a chunk a transaction, then the position moves to where the log ended when it began."""
    with database.begin() as connection:
        hold_profiles(connection)
        _begin_anew_after_restore(connection)
        head = cast(int, run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0])
        persons = known_persons(connection)
    derived = 0
    for some in batched(persons):
        with database.begin() as connection:
            derived += derive(connection, catalogue, some)
    with database.begin() as connection:
        hold_profiles(connection)
        _advance(connection, head)
    return derived


def known_persons(connection: Connection) -> list[UUID]:
    """Everybody, those included who have a profile and should not; who comes later is in the log."""
    rows = run_sql(
        connection, "SELECT person_id FROM {d}.person UNION SELECT person_id FROM {d}.person_profile ORDER BY 1"
    )
    return [cast(UUID, person) for (person,) in rows]


def persons_to_come(connection: Connection, catalogue: Catalogue) -> set[UUID]:
    """Everybody in the part of the log that the profiles have not seen yet."""
    return set(_read_changes(connection, catalogue, lag(connection))[2])


def _begin_anew_after_restore(connection: Connection) -> None:
    """Another epoch: the hub was restored, so the whole log is read again."""
    run_sql(
        connection,
        "UPDATE {d}.feed_reader r SET epoch = h.epoch, position = 0, updated_at = :now FROM {d}.feed_head h"
        " WHERE r.name = 'profile' AND r.epoch <> h.epoch",
        now=utc_now(),
    )


def _read_changes(connection: Connection, catalogue: Catalogue, limit: int) -> tuple[int, int, list[UUID]]:
    """One statement: how many changes, the last one's number, and the persons of each changed version and the one before."""
    rows = run_sql(
        connection,
        f"""
        WITH page AS MATERIALIZED (
            SELECT l.seq, l.record_type, l.record_id, l.version FROM {{d}}.change_log l
            WHERE l.seq > coalesce((SELECT r.position FROM {{d}}.feed_reader r JOIN {{d}}.feed_head h USING (epoch)
                                    WHERE r.name = 'profile'), 0)
            ORDER BY l.seq LIMIT :limit
        ), named AS ({_named_by_versions(catalogue)})
        SELECT (SELECT count(*) FROM page), (SELECT max(seq) FROM page), array_agg(DISTINCT person_id) FROM named
        """,
        limit=limit,
    )
    count, last, persons = rows[0]
    return cast(int, count), cast(int, last), cast(list[UUID], persons or [])


def _named_by_versions(catalogue: Catalogue) -> str:
    return " UNION ALL ".join(
        f"SELECT named.person_id FROM page JOIN {{d}}.{table} v ON v.record_id = page.record_id"
        " AND v.version BETWEEN page.version - 1 AND page.version"
        f" CROSS JOIN LATERAL (VALUES {', '.join(f'(v.{role.role}_ref)' for role in record_type.people)}) named (person_id)"
        f" WHERE page.record_type = '{record_type.code}' AND named.person_id IS NOT NULL"
        for record_type in catalogue.record_types.values()
        if record_type.enabled and record_type.people
        for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history")
    )


def _advance(connection: Connection, position: int) -> None:
    run_sql(
        connection,
        "UPDATE {d}.feed_reader SET position = :position, updated_at = :now WHERE name = 'profile' AND position < :position",
        position=position,
        now=utc_now(),
    )
