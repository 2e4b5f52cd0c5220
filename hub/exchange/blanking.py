"""A record without the person it told of: its versions lose their values, and keep number, digest and where they belonged.

What a row filter would have read is kept as that it was met: so the slices that held the record are told it left, and
pages of before can be derived again, blank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.exchange.rerouting import home_joins, own_or_home_areas
from hub.exchange.slice_sql import conditions, filter_digest
from hub.registry.slice_conditions import Values, blank_would_meet
from hub.registry.slice_definition import SliceType
from hub.tables.version_sql import version_columns
from mappings.catalogue import RecordType, Role

_PARTS = ("ref", "area", "as")  # who, where, under which number they were sent
_ENVELOPE = 11  # columns of a version before those of its people
_CHOSEN = (
    "d.submission_id = :submission AND d.record_type = '{code}' AND d.row_no < 0 AND d.outcome IN ('void', 'update')"
)
# a version blanked once before, for another of its people: what it met then is known, now it may only look so
_NOT_BLANK = "NOT EXISTS (SELECT 1 FROM {d}.erased_version e WHERE e.record_id = v.record_id AND e.version = v.version)"


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one type that name the person now or ever did: those about them, and those beside others."""

    record_type: RecordType
    persons: list[UUID]
    whole: list[UUID]
    beside: list[UUID]


def find_touched(connection: Connection, record_type: RecordType, persons: Collection[UUID]) -> Touched:
    named = _names_them(record_type, "v")
    main = f"r.{record_type.people[0].role}_ref = ANY(CAST(:persons AS uuid[]))"
    rows = run_sql(
        connection,
        f"""
        SELECT r.record_id, coalesce({main}, false)
        FROM (SELECT DISTINCT v.record_id FROM {{d}}.ver_{record_type.code} v WHERE {named}) t
        JOIN {{d}}.rec_{record_type.code} r USING (record_id) ORDER BY r.record_id
        """,
        persons=list(persons),
    )
    found = {whole: [cast(UUID, record) for record, is_whole in rows if is_whole == whole] for whole in (True, False)}
    return Touched(record_type=record_type, persons=list(persons), whole=found[True], beside=found[False])


def others_told(connection: Connection, touched: Touched) -> set[UUID]:
    """Whom else a record about the person places somewhere: their home no longer follows from it."""
    roles = [role for role in touched.record_type.people[1:] if role.sets_home]
    told: set[UUID] = set()
    for role in roles:
        rows = run_sql(
            connection,
            f"SELECT r.{role.role}_ref FROM {{d}}.rec_{touched.record_type.code} r"
            f" WHERE r.record_id = ANY(CAST(:whole AS uuid[])) AND r.{role.role}_ref IS NOT NULL",
            whole=touched.whole,
        )
        told |= {cast(UUID, person) for (person,) in rows}
    return told


def rows_sent(connection: Connection, touched: Touched) -> set[tuple[UUID, int]]:
    """Submission and row number of every version that told of the person."""
    rows = run_sql(
        connection,
        f"SELECT DISTINCT v.submission_id, v.row_no FROM {{d}}.ver_{touched.record_type.code} v"
        f" WHERE v.row_no > 0 AND {_theirs(touched.record_type, 'v')}",
        **_bound(touched),
    )
    return cast(set[tuple[UUID, int]], set(rows))


def erase_records(
    connection: Connection, submission_id: UUID, touched: Touched, filters: Sequence[SliceType]
) -> tuple[int, int]:
    """Blank every version; records about the person are voided, others go on without them. How many of each changed."""
    _leave_tombstones(connection, touched, filters)
    outcomes = _stage_leaving(connection, submission_id, touched)
    _keep_last_versions(connection, submission_id, touched.record_type)
    for table in (f"rec_{touched.record_type.code}", f"rec_{touched.record_type.code}_history"):
        _blank_whole(connection, table, touched)
        _blank_beside(connection, table, touched)
    if touched.record_type.clinical_fields:
        _unseal_nothing(connection, submission_id, touched)
    _take_next_version(connection, submission_id, touched.record_type)
    return outcomes.count("void"), outcomes.count("update")


def _names_them(record_type: RecordType, alias: str) -> str:
    tests = [f"{alias}.{role.role}_ref = ANY(CAST(:persons AS uuid[]))" for role in record_type.people]
    return f"({' OR '.join(tests)})"


def _theirs(record_type: RecordType, alias: str) -> str:
    """Versions that tell of the person: all of a record about them, and those that named them."""
    beside = f"{alias}.record_id = ANY(CAST(:beside AS uuid[])) AND {_names_them(record_type, alias)}"
    return f"({alias}.record_id = ANY(CAST(:whole AS uuid[])) OR {beside})"


def _bound(touched: Touched) -> dict[str, object]:
    return {"persons": touched.persons, "whole": touched.whole, "beside": touched.beside}


def _leave_tombstones(connection: Connection, touched: Touched, filters: Sequence[SliceType]) -> None:
    """Before anything is blanked: where each version belonged, and which row filters it met."""
    values: Values = dict(_bound(touched))
    code, met = touched.record_type.code, []
    for number, one in enumerate(filters):
        if one.record_type == code:
            values[f"filter_{number}"] = filter_digest(one)
            tests = conditions(one, touched.record_type, "v", number, values)
            if blank_would_meet(each.op for each in one.conditions):
                tests.append(_NOT_BLANK)
            met.append(f"CASE WHEN {' AND '.join(tests)} THEN CAST(:filter_{number} AS text) END")
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.erased_version AS known (record_id, version, record_type, areas, whole, met)
        SELECT v.record_id, v.version, '{code}', v.areas, v.record_id = ANY(CAST(:whole AS uuid[])),
               array_remove(ARRAY[{", ".join(met)}]::text[], NULL)
        FROM {{d}}.ver_{code} v WHERE {_theirs(touched.record_type, "v")}
        ON CONFLICT (record_id, version) DO UPDATE
        SET whole = known.whole OR excluded.whole, met = known.met || excluded.met
        """,
        **values,
    )


def _stage_leaving(connection: Connection, submission_id: UUID, touched: Touched) -> list[str]:
    """One difference row a standing record: void, or an update that takes the person out of it; the outcomes."""
    record_type = touched.record_type
    rows = run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest)
        WITH chosen AS (
            SELECT r.*, r.record_id = ANY(CAST(:whole AS uuid[])) AS leaves, {_fields_lost(record_type)} AS lost
            FROM {{d}}.rec_{record_type.code} r
            WHERE NOT r.voided AND {_theirs(record_type, "r")}
        ), located AS (
            SELECT l.*, {own_or_home_areas(record_type)} AS areas_now
            FROM (SELECT {_without_them(record_type)}, r.leaves, r.lost FROM chosen r) l
            {home_joins(record_type)}
        ), last AS (
            SELECT least(coalesce(min(row_no), 0), 0) AS row_no FROM {{d}}.difference WHERE submission_id = :submission
        )
        SELECT :submission, last.row_no - row_number() OVER (ORDER BY l.record_id), '{record_type.code}',
               CASE WHEN leaves THEN 'void' ELSE 'update' END, l.record_id, l.version + 1, NULL,
               ARRAY[{", ".join(f"l.{role.role}_ref" for role in record_type.people)}]::uuid[],
               CASE WHEN NOT leaves THEN lost || '{{person}}'::text[] END, l.areas,
               CASE WHEN leaves THEN l.areas ELSE l.areas_now END,
               CASE WHEN leaves THEN l.content_digest
                    ELSE substring(sha256(l.content_digest || CAST(:salt AS bytea)) FOR 16) END
        FROM located l, last
        RETURNING outcome
        """,
        submission=submission_id,
        salt=hashlib.sha256(submission_id.bytes).digest(),
        **_bound(touched),
    )
    return [str(outcome) for (outcome,) in rows]


def _fields_lost(record_type: RecordType) -> str:
    lost = [
        f"CASE WHEN r.{role.role}_ref = ANY(CAST(:persons AS uuid[])) THEN ARRAY[{_listed(fields)}]::text[] ELSE '{{}}' END"
        for role in record_type.people
        if (fields := _fields_of(record_type, role))
    ]
    return " || ".join(lost) or "'{}'::text[]"


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _fields_of(record_type: RecordType, role: Role) -> list[str]:
    return [field.name for field in record_type.plain_fields if field.role == role.role]


def _without_them(record_type: RecordType) -> str:
    """The columns of a version (alias r), the person's place in it empty."""
    people = {name for role in record_type.people for name in (f"{role.role}_ref", f"{role.role}_area")}
    kept = [f"r.{name}" for name in version_columns(record_type) if name not in people]
    emptied = [
        f"CASE WHEN r.leaves OR coalesce(r.{role.role}_ref <> ALL(CAST(:persons AS uuid[])), true)"
        f" THEN r.{role.role}_{part} END AS {role.role}_{part}"
        for role in record_type.people
        for part in ("ref", "area")
    ]
    return ", ".join([*kept, *emptied])


def _keep_last_versions(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    columns = version_columns(record_type)
    run_sql(
        connection,
        f"INSERT INTO {{d}}.rec_{record_type.code}_history ({', '.join(columns)})"
        f" SELECT {', '.join(f'r.{name}' for name in columns)}"
        f" FROM {{d}}.difference d JOIN {{d}}.rec_{record_type.code} r ON r.record_id = d.record_id"
        f" WHERE {_CHOSEN.format(code=record_type.code)}",
        submission=submission_id,
    )


def _blank_whole(connection: Connection, table: str, touched: Touched) -> None:
    """Everything but the envelope and whose record it was: also columns of fields the catalogue no longer has."""
    main = f"{touched.record_type.people[0].role}_ref"
    kept = {*version_columns(touched.record_type)[:_ENVELOPE], main}
    blank = [f"{name} = NULL" for name in _columns_of(connection, table) if name not in kept]
    run_sql(
        connection,
        f"UPDATE {{d}}.{table} v SET {', '.join(blank)}, record_key = 'erased|' || v.record_id"
        " WHERE v.record_id = ANY(CAST(:whole AS uuid[]))",
        whole=touched.whole,
    )


def _blank_beside(connection: Connection, table: str, touched: Touched) -> None:
    """What a record of others says of the person. Where an earlier version was about them, that version is blank."""
    for number, role in enumerate(touched.record_type.people):
        fields = _fields_of(touched.record_type, role)
        blank = {*fields, *(f"{role.role}_{part}" for part in _PARTS)} & {*_columns_of(connection, table)}
        if number == 0:
            kept = {*version_columns(touched.record_type)[:_ENVELOPE], f"{role.role}_ref"}
            blank = {name for name in _columns_of(connection, table) if name not in kept}
        in_key = number == 0 or bool({*fields} & {*touched.record_type.natural_key})
        key = ", record_key = 'erased|' || v.record_id" if in_key else ""
        run_sql(
            connection,
            f"UPDATE {{d}}.{table} v SET {', '.join(f'{name} = NULL' for name in sorted(blank))}{key}"
            f" WHERE v.record_id = ANY(CAST(:beside AS uuid[])) AND v.{role.role}_ref = ANY(CAST(:persons AS uuid[]))",
            beside=touched.beside,
            persons=touched.persons,
        )


def _columns_of(connection: Connection, table: str) -> list[str]:
    rows = run_sql(
        connection,
        "SELECT attname::text FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped",
        table=_qualified_name(connection, table),
    )
    return [str(name) for (name,) in rows]


def _qualified_name(connection: Connection, table: str) -> str:
    schema: str = connection.get_execution_options()["schema_translate_map"]["district"]
    return f'"{schema}".{table}'


def _unseal_nothing(connection: Connection, submission_id: UUID, touched: Touched) -> None:
    """Sealed cells of a record about the person go; those of a record of others go along with its new version."""
    code, main = touched.record_type.code, touched.record_type.people[0].role
    run_sql(
        connection,
        f"DELETE FROM {{d}}.rec_{code}_sealed o USING {{d}}.ver_{code} v"
        " WHERE v.record_id = o.record_id AND v.version = o.version AND (o.record_id = ANY(CAST(:whole AS uuid[]))"
        f" OR o.record_id = ANY(CAST(:beside AS uuid[])) AND v.{main}_ref = ANY(CAST(:persons AS uuid[])))",
        **_bound(touched),
    )
    run_sql(
        connection,
        f"INSERT INTO {{d}}.rec_{code}_sealed (record_id, version, sealed)"
        f" SELECT d.record_id, d.version, o.sealed FROM {{d}}.difference d JOIN {{d}}.rec_{code}_sealed o"
        " ON o.record_id = d.record_id AND o.version = d.version - 1"
        f" WHERE {_CHOSEN.format(code=code)}",
        submission=submission_id,
    )


def _take_next_version(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, voided = d.outcome = 'void', submission_id = :submission, row_no = d.row_no,
            recorded_at = :now, content_digest = d.content_digest, areas = d.areas_after
        FROM {{d}}.difference d
        WHERE {_CHOSEN.format(code=record_type.code)} AND r.record_id = d.record_id AND r.version = d.version - 1
        """,
        submission=submission_id,
        now=utc_now(),
    )
