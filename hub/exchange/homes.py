"""Where people live follows from every record that stands: the latest event wins, of one day the newest record.

Nothing of it depends on the order in which records arrived, so it may be settled anew at any time.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql
from hub.tables.version_sql import SAME_ROW, event_day
from mappings.catalogue import Catalogue, RecordType, Role


def settle_homes(connection: Connection, persons: Collection[UUID], catalogue: Catalogue) -> list[UUID]:
    """Give these persons the home that follows; those who now live elsewhere."""
    if not persons:
        return []
    rows = run_sql(
        connection,
        f"""
        WITH {_settled(catalogue, "unnest(CAST(:persons AS uuid[]))")}
        UPDATE {{d}}.person p SET home_area = settled.area_id, home_since = settled.since
        FROM settled JOIN {{d}}.person old USING (person_id)
        WHERE p.person_id = settled.person_id
          AND (p.home_area IS DISTINCT FROM settled.area_id OR p.home_since IS DISTINCT FROM settled.since)
        RETURNING p.person_id, old.home_area IS DISTINCT FROM settled.area_id
        """,
        persons=list(persons),
    )
    return [cast(UUID, person) for person, elsewhere in rows if elsewhere]


def wrong_homes(connection: Connection, catalogue: Catalogue, most: int = 20) -> list[UUID]:
    """Persons whose kept home is not the one that follows from the records; empty when all is well."""
    rows = run_sql(
        connection,
        f"""
        WITH everybody AS (SELECT person_id FROM {{d}}.person), {_settled(catalogue, "(SELECT person_id FROM everybody)")}
        SELECT p.person_id FROM settled JOIN {{d}}.person p USING (person_id)
        WHERE p.home_area IS DISTINCT FROM settled.area_id OR p.home_since IS DISTINCT FROM settled.since
        ORDER BY 1 LIMIT :most
        """,
        most=most,
    )
    return [cast(UUID, person) for (person,) in rows]


def _settled(catalogue: Catalogue, persons: str) -> str:
    """Common table expressions up to ``settled (person_id, area_id, since)``, one row each of ``persons``."""
    return f"""
        asked AS (SELECT DISTINCT person_id FROM {persons} AS p (person_id)),
        said AS ({_said(catalogue)}),
        told AS (
            SELECT DISTINCT ON (person_id) person_id, area_id, since FROM said
            ORDER BY person_id, since DESC NULLS LAST, record_id DESC
        ), settled AS (SELECT a.person_id, t.area_id, t.since FROM asked a LEFT JOIN told t USING (person_id))
    """


def _said(catalogue: Catalogue) -> str:
    return " UNION ALL ".join(
        f"SELECT r.{role.role}_ref AS person_id, r.{role.role}_area AS area_id, {event_day(record_type, 'r')} AS since,"
        f" r.record_id FROM asked JOIN {{d}}.rec_{record_type.code} r ON r.{role.role}_ref = asked.person_id"
        f" WHERE r.{role.role}_area IS NOT NULL AND NOT r.voided"
        for record_type, role in home_roles(catalogue)
    )


def home_roles(catalogue: Catalogue) -> list[tuple[RecordType, Role]]:
    """Which records say where whom lives."""
    return [
        (record_type, role)
        for record_type in catalogue.record_types.values()
        if record_type.enabled
        for role in record_type.people
        if role.sets_home
    ]


def persons_to_settle(
    connection: Connection, submission_id: UUID, record_type: RecordType, outcomes: Collection[str], moves: bool
) -> list[UUID]:
    """Everybody whose home this submission may have changed, as its records were and as they are now."""
    persons: set[UUID] = set()
    replaced = bool({"update", "void", "restore"} & set(outcomes))
    for role in record_type.people:
        if role.sets_home and (moves or replaced):
            persons |= _settled_by_records(connection, submission_id, record_type, role)
        if role.sets_home and {"hold", "refuse", "unchanged"} & set(outcomes):
            persons |= _begun_in_vain(connection, submission_id, record_type, role)
    return list(persons)


def _settled_by_records(connection: Connection, submission_id: UUID, record_type: RecordType, role: Role) -> set[UUID]:
    code, name = record_type.code, role.role
    differs = " OR ".join(
        f"{event_day(record_type, 'h')} IS DISTINCT FROM {event_day(record_type, 'r')}"
        if part == "day"
        else f"h.{part} IS DISTINCT FROM r.{part}"
        for part in (f"{name}_ref", f"{name}_area", "day")
    )
    rows = run_sql(
        connection,
        f"""
        WITH told AS (
            SELECT h.{name}_ref AS was, r.{name}_ref AS is_now
            FROM {{d}}.difference d
            JOIN {{d}}.rec_{code} r ON r.record_id = d.record_id
            LEFT JOIN {{d}}.rec_{code}_history h
                   ON h.record_id = d.record_id AND h.version = d.version - 1 AND d.outcome IN ('update', 'restore')
            WHERE d.submission_id = :submission AND d.row_no > 0 AND (
                d.outcome IN ('void', 'restore') OR d.outcome IN ('new', 'update') AND d.moves
                OR d.outcome = 'update' AND ({differs})
            )
        )
        SELECT was FROM told WHERE was IS NOT NULL UNION SELECT is_now FROM told WHERE is_now IS NOT NULL
        """,
        submission=submission_id,
    )
    return {cast(UUID, person) for (person,) in rows}


def _begun_in_vain(connection: Connection, submission_id: UUID, record_type: RecordType, role: Role) -> set[UUID]:
    """A person who began to exist by a row that is not accepted has no home from it."""
    number = record_type.people.index(role) + 1
    rows = run_sql(
        connection,
        f"""
        SELECT DISTINCT s.{role.role}_new
        FROM {{d}}.difference d
        JOIN {{d}}.stg_{record_type.code} s ON {SAME_ROW}
        WHERE d.submission_id = :submission AND d.people[{number}] = s.{role.role}_new
          AND (d.outcome IN ('hold', 'refuse') OR d.finding = 'N_REPEATED_ROW')
        """,
        submission=submission_id,
    )
    return {cast(UUID, person) for (person,) in rows}
