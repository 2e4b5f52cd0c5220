"""Where people live once a submission is taken back: as if it had never been sent, from every version that stands."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql
from hub.tables.version_sql import event_day
from mappings.catalogue import Catalogue, RecordType, Role


def settle_homes(
    connection: Connection, submission_id: UUID, undone: UUID, record_type: RecordType, catalogue: Catalogue
) -> list[UUID]:
    """Homes of everybody the undone submission may have moved; those who now live elsewhere.

    The same rule as in the merge, over all that was ever said and stands: the latest event wins, then the latest said.
    """
    persons = _persons_of(connection, submission_id, undone, record_type)
    if not persons:
        return []
    rows = run_sql(
        connection,
        f"""
        WITH RECURSIVE said AS ({_said(catalogue)}),
        chain AS (
            SELECT DISTINCT submission_id AS first, submission_id AS last, 0 AS undone FROM said
            UNION ALL
            SELECT c.first, u.submission_id, c.undone + 1
            FROM chain c JOIN {{d}}.submission u ON u.undoes = c.last
            WHERE u.state <> 'refused' AND (u.state = 'merged' OR u.submission_id = :submission)
        ), standing AS (
            SELECT first AS submission_id FROM chain GROUP BY first HAVING max(undone) % 2 = 0
        ), told AS (
            SELECT DISTINCT ON (s.person_id) s.person_id, s.area_id, s.since
            FROM said s JOIN standing USING (submission_id) JOIN {{d}}.feed_batch b USING (submission_id)
            WHERE NOT EXISTS (SELECT 1 FROM {{d}}.submission u WHERE u.submission_id = s.submission_id AND u.kind = 'undo')
            ORDER BY s.person_id, s.since DESC NULLS LAST, b.from_seq DESC, s.row_no DESC
        ), settled AS (
            SELECT p.person_id, t.area_id, t.since
            FROM unnest(CAST(:persons AS uuid[])) AS p (person_id) LEFT JOIN told t USING (person_id)
        )
        UPDATE {{d}}.person p SET home_area = settled.area_id, home_since = settled.since
        FROM settled JOIN {{d}}.person old USING (person_id)
        WHERE p.person_id = settled.person_id
          AND (p.home_area IS DISTINCT FROM settled.area_id OR p.home_since IS DISTINCT FROM settled.since)
        RETURNING p.person_id, old.home_area IS DISTINCT FROM settled.area_id
        """,
        submission=submission_id,
        persons=persons,
    )
    return [cast(UUID, person) for person, elsewhere in rows if elsewhere]


def _persons_of(connection: Connection, submission_id: UUID, undone: UUID, record_type: RecordType) -> list[UUID]:
    """Everybody a record names who may have moved by it: as it was sent, and as it is again."""
    roles = [role for role in record_type.people if role.sets_home]
    if not roles:
        return []
    named = " UNION ".join(
        f"SELECT v.{role.role}_ref FROM {{d}}.difference d JOIN {{d}}.ver_{record_type.code} v"
        " ON v.record_id = d.record_id AND v.submission_id IN (:undone, :submission)"
        f" WHERE d.submission_id = :submission AND d.row_no > 0 AND v.{role.role}_ref IS NOT NULL"
        for role in roles
    )
    return [cast(UUID, person) for (person,) in run_sql(connection, named, submission=submission_id, undone=undone)]


def _said(catalogue: Catalogue) -> str:
    """Every version, current or not, that once said where one of the persons lives."""
    return " UNION ALL ".join(
        _said_by(record_type, role)
        for record_type in catalogue.record_types.values()
        if record_type.enabled
        for role in record_type.people
        if role.sets_home
    )


def _said_by(record_type: RecordType, role: Role) -> str:
    return (
        f"SELECT v.{role.role}_ref AS person_id, v.{role.role}_area AS area_id, {event_day(record_type, 'v')} AS since,"
        f" v.submission_id, v.row_no FROM {{d}}.ver_{record_type.code} v"
        f" WHERE v.{role.role}_ref = ANY(CAST(:persons AS uuid[])) AND v.{role.role}_area IS NOT NULL"
        " AND NOT v.voided AND v.row_no > 0"
    )
