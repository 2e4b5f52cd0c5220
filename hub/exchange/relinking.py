"""Whom a record means follows from its identifiers: after those went to another person, the records go after them.

Each record whose person, number or key is another one now gets a new version. Two records of one source that become
one and the same: the one of the person who is kept stands, the other is voided until they are two again.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.exchange.rerouting import home_joins, own_or_home_areas, types_naming
from hub.tables.version_sql import (
    current_number,
    identifier_joins,
    number_as_sent,
    number_fields,
    numbers_now,
    person_of,
    record_key,
    version_columns,
)
from mappings.catalogue import Catalogue, RecordType

_GAVE_WAY, _WAS_VOID = "#gave-way-", "#was-void-"
_GIVES_WAY = f"r.record_key LIKE '%{_GAVE_WAY}' || r.record_id"  # it stood before another took its place
_DEAD = f"(r.voided AND NOT {_GIVES_WAY})"  # its source voided it
_MARKED = f"({_GIVES_WAY} OR r.record_key LIKE '%{_WAS_VOID}' || r.record_id)"


def relink(
    connection: Connection,
    submission_id: UUID,
    persons: Collection[UUID],
    catalogue: Catalogue,
    *,
    follows: bool = False,
) -> int:
    """Bring every record that names one of these persons to what its identifiers say; how many got a new version.

    ``follows``: the records are not what the submission is about, they follow from it.
    """
    changed = 0
    for record_type in types_naming(connection, persons, catalogue):
        found = _find(connection, submission_id, record_type, persons, follows=follows)
        if found:
            _replace_versions(connection, submission_id, record_type)
        changed += found
    return changed


def _find(
    connection: Connection, submission_id: UUID, record_type: RecordType, persons: Collection[UUID], *, follows: bool
) -> int:
    """One difference row a record that changes: its people and key as they now follow."""
    code = record_type.code
    named = " OR ".join(f"r.{role.role}_ref = ANY(CAST(:persons AS uuid[]))" for role in record_type.people)
    refs = {role.role: f"coalesce({person_of(record_type, role)}, s.{role.role}_ref)" for role in record_type.people}
    row_no = (
        "last.lowest - row_number() OVER (ORDER BY record_id)"
        if follows
        else "last.highest + row_number() OVER (ORDER BY record_id)"
    )
    found = run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest)
        WITH linked AS (
            SELECT s.*, {", ".join(f"{ref} AS {role}_now" for role, ref in refs.items())},
                   {record_key(record_type, refs)} AS whole_key
            FROM (SELECT r.* FROM {{d}}.rec_{code} r WHERE {named}) s
            {identifier_joins(record_type, source="s.source", as_sent=True)}
        ), located AS (
            SELECT l.*, {own_or_home_areas(record_type)} AS areas_now
            FROM ({_with_new_refs(record_type)}) l
            {home_joins(record_type)}
        ), ranked AS (
            SELECT r.*, row_number() OVER (
                PARTITION BY whole_key, source ORDER BY {_MARKED}, {_DEAD}, {_came(record_type)}, record_id DESC
            ) > 1 AS gives_way
            FROM located r
        ), judged AS (
            SELECT r.*, {_key_now()} AS key_now, {_voided_now()} AS voided_now, {_changed(record_type)} AS changed
            FROM ranked r
        ), last AS (
            SELECT coalesce(least(min(row_no), 0), 0) AS lowest, coalesce(greatest(max(row_no), 0), 0) AS highest
            FROM {{d}}.difference WHERE submission_id = :submission
        )
        SELECT :submission, {row_no}, '{code}',
               CASE WHEN voided_now AND NOT voided THEN 'void' WHEN voided AND NOT voided_now THEN 'restore' ELSE 'relink' END,
               record_id, version + 1, key_now, ARRAY[{", ".join(f"{role}_ref" for role in refs)}]::uuid[],
               CASE WHEN voided = voided_now THEN changed END,
               CASE WHEN NOT voided THEN areas END, CASE WHEN voided_now THEN areas ELSE areas_now END, content_digest
        FROM judged, last
        WHERE key_now <> record_key OR voided <> voided_now OR changed <> '{{}}' OR (NOT voided_now AND areas <> areas_now)
        RETURNING row_no
        """,
        submission=submission_id,
        persons=list(persons),
    )
    return len(found)


def _with_new_refs(record_type: RecordType) -> str:
    """The linked records with the people that follow in place of those they had; those go by ``<role>_was``."""
    kept = [
        name for name in version_columns(record_type) if name not in {f"{role.role}_ref" for role in record_type.people}
    ]
    refs = [f"{role.role}_now AS {role.role}_ref, {role.role}_ref AS {role.role}_was" for role in record_type.people]
    return f"SELECT {', '.join([*kept, *refs])}, whole_key FROM linked"


def _came(record_type: RecordType) -> str:
    """It named somebody else before: the record of the person who is kept stands before it."""
    return " OR ".join(f"r.{role.role}_ref IS DISTINCT FROM r.{role.role}_was" for role in record_type.people)


def _key_now() -> str:
    """Its natural key; out of the way of the record that stands in its place, where there is one."""
    mark = f"CASE WHEN {_DEAD} THEN '{_WAS_VOID}' ELSE '{_GAVE_WAY}' END || r.record_id"
    return f"CASE WHEN r.gives_way THEN r.whole_key || {mark} ELSE r.whole_key END"


def _voided_now() -> str:
    return f"(r.gives_way OR {_DEAD})"


def _changed(record_type: RecordType) -> str:
    """Fields whose number is another one now, and ``person`` where a person is."""
    tests = [
        f"CASE WHEN {current_number(number_as_sent(role, field, 'r'))} IS DISTINCT FROM r.{field} THEN '{field}' END"
        for role, field in number_fields(record_type)
    ]
    tests += [
        f"CASE WHEN r.{role.role}_ref IS DISTINCT FROM r.{role.role}_was THEN 'person' END"
        for role in record_type.people
    ]
    return f"array_remove(ARRAY[{', '.join(tests)}]::text[], NULL)"


def _replace_versions(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """The version before goes to the history, sealed cells go along, the record takes what was found."""
    code, columns = record_type.code, version_columns(record_type)
    fresh = (
        f"d.submission_id = :submission AND d.record_type = '{code}' AND d.outcome IN ('relink', 'void', 'restore')"
        " AND d.version = r.version + 1"
    )
    if record_type.clinical_fields:
        run_sql(
            connection,
            f"""
            INSERT INTO {{d}}.rec_{code}_sealed (record_id, version, sealed)
            SELECT d.record_id, d.version, o.sealed
            FROM {{d}}.difference d JOIN {{d}}.rec_{code} r ON r.record_id = d.record_id
            JOIN {{d}}.rec_{code}_sealed o ON o.record_id = d.record_id AND o.version = r.version
            WHERE {fresh}
            """,
            submission=submission_id,
        )
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{code}_history ({", ".join(columns)})
        SELECT {", ".join(f"r.{name}" for name in columns)}
        FROM {{d}}.difference d JOIN {{d}}.rec_{code} r ON r.record_id = d.record_id WHERE {fresh}
        """,
        submission=submission_id,
    )
    _leave_keys(connection, submission_id, record_type, fresh)
    _take_what_was_found(connection, submission_id, record_type, fresh)


def _leave_keys(connection: Connection, submission_id: UUID, record_type: RecordType, fresh: str) -> None:
    """Two records may change places: a key is free only once the record that had it has left it."""
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r SET record_key = '#moving-' || r.record_id
        FROM {{d}}.difference d WHERE {fresh} AND r.record_id = d.record_id AND d.record_key <> r.record_key
        """,
        submission=submission_id,
    )


def _take_what_was_found(connection: Connection, submission_id: UUID, record_type: RecordType, fresh: str) -> None:
    refs = [f"{role.role}_ref = d.people[{number}]" for number, role in enumerate(record_type.people, 1)]
    numbers = [f"{column} = {value}" for column, value in numbers_now(record_type, "r")]
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, record_key = d.record_key, areas = d.areas_after, submission_id = :submission,
            row_no = d.row_no, recorded_at = :now,
            voided = CASE d.outcome WHEN 'void' THEN true WHEN 'restore' THEN false ELSE r.voided END,
            {", ".join([*refs, *numbers])}
        FROM {{d}}.difference d
        WHERE {fresh} AND r.record_id = d.record_id
        """,
        submission=submission_id,
        now=utc_now(),
    )
