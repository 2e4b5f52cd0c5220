"""Which person does each staged row mean? Known ones are found by identifier; the others begin to exist here.

Rows that wait for a person, or of which it is doubtful whom they mean, make nobody and name nobody.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.tables.version_sql import event_day, identifier_joins, number_fields, person_of, row_identifier
from mappings.catalogue import RecordType, Role

_GOES_ON = "s.submission_id = :submission AND NOT s.held AND s.doubt IS NULL"


def link(connection: Connection, submission_id: UUID, source: str, record_type: RecordType) -> None:
    """Make every person and identifier the staged rows speak of."""
    use_current_numbers(connection, submission_id, record_type)
    for role in record_type.people:
        if role.identifiers:
            _make_persons(connection, submission_id, record_type, role)
            _add_identifiers(connection, submission_id, source, record_type, role)
            _make_unnumbered(connection, submission_id, source, record_type, role)
    if record_type.corrects_identity:
        _take_corrected_number(connection, submission_id, source, record_type)


def use_current_numbers(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """A number that was corrected since is read as the one that is right now."""
    fields = number_fields(record_type)
    if not fields or not run_sql(connection, _ANY_REPLACED):
        return
    for role, field in fields:
        run_sql(
            connection,
            f"""
            UPDATE {{d}}.stg_{record_type.code} s SET {field} = i.replaced_by, {role.role}_as = s.{field}
            FROM {{d}}.person_identifier i
            WHERE {_GOES_ON} AND i.kind = 'id_no' AND i.value = s.{field} AND i.replaced_by IS NOT NULL
            """,
            submission=submission_id,
        )


_ANY_REPLACED = "SELECT 1 FROM {d}.person_identifier WHERE replaced_by IS NOT NULL LIMIT 1"


def _make_persons(connection: Connection, submission_id: UUID, record_type: RecordType, role: Role) -> None:
    """One new person for each first identifier nobody has yet, living where the row says; two rows of one person make one.

    If the merge holds that row back, it takes the home back too.
    """
    kind, value = _first_identifier(role)
    area, since = _home(record_type, role)
    run_sql(
        connection,
        f"""
        WITH fresh AS MATERIALIZED (
            SELECT DISTINCT ON (kind, value) kind, value, person_id, home_area, home_since
            FROM (
                SELECT {kind} AS kind, {value} AS value, s.{role.role}_new AS person_id,
                       {area} AS home_area, {since} AS home_since
                FROM {{d}}.stg_{record_type.code} s
                WHERE {_GOES_ON} AND {value} IS NOT NULL AND {_unknown(role)}
            ) mention
            ORDER BY kind, value, person_id
        ), named AS (
            INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
            SELECT kind, value, person_id, :submission FROM fresh
        )
        INSERT INTO {{d}}.person (person_id, home_area, home_since, created_at)
        SELECT person_id, home_area, home_since, :now FROM fresh ORDER BY person_id
        """,
        submission=submission_id,
        now=utc_now(),
    )


def _make_unnumbered(
    connection: Connection, submission_id: UUID, source: str, record_type: RecordType, role: Role
) -> None:
    """Somebody without any number who is said to live here is a person too: the record remembers whom it means."""
    remembered = row_identifier(record_type, role)
    if not role.sets_home or remembered is None:
        return
    area, since = _home(record_type, role)
    run_sql(
        connection,
        f"""
        WITH fresh AS MATERIALIZED (
            SELECT DISTINCT ON (value) value, person_id, home_area, home_since
            FROM (
                SELECT {remembered} AS value, s.{role.role}_new AS person_id, {area} AS home_area, {since} AS home_since
                FROM {{d}}.stg_{record_type.code} s WHERE {_GOES_ON} AND s.change_kind <> 'void'
            ) mention
            WHERE value IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM {{d}}.person_identifier i WHERE i.kind = 'row' AND i.value = mention.value)
            ORDER BY value, person_id
        ), named AS (
            INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
            SELECT 'row', value, person_id, :submission FROM fresh
        )
        INSERT INTO {{d}}.person (person_id, home_area, home_since, created_at)
        SELECT person_id, home_area, home_since, :now FROM fresh ORDER BY person_id
        """,
        submission=submission_id,
        source=source,
        now=utc_now(),
    )


def _unknown(role: Role) -> str:
    tests = [
        "NOT EXISTS (SELECT 1 FROM {d}.person_identifier i"
        f" WHERE i.kind = '{identifier.kind}' AND i.value = s.{identifier.field})"
        for identifier in role.identifiers
    ]
    return " AND ".join(tests)


def _first_identifier(role: Role) -> tuple[str, str]:
    if len(role.identifiers) == 1:
        return f"'{role.identifiers[0].kind}'", f"s.{role.identifiers[0].field}"
    cases = [f"WHEN s.{identifier.field} IS NOT NULL THEN '{identifier.kind}'" for identifier in role.identifiers]
    values = [f"s.{identifier.field}" for identifier in role.identifiers]
    return f"CASE {' '.join(cases)} END", f"coalesce({', '.join(values)})"


def _home(record_type: RecordType, role: Role) -> tuple[str, str]:
    if not role.sets_home:
        return "NULL::integer", "NULL::date"
    return (
        f"s.{role.role}_area",
        f"CASE WHEN s.{role.role}_area IS NOT NULL THEN {event_day(record_type)} END",
    )


def _add_identifiers(
    connection: Connection, submission_id: UUID, source: str, record_type: RecordType, role: Role
) -> None:
    """A person found by one identifier also gets the others the row gives: so a newborn gets its number.

    Nobody gets a second identity number this way: the merge holds such a row.
    """
    for rank, identifier in enumerate(role.identifiers):
        if len(role.identifiers) == 1:
            return
        unnumbered = (
            "NOT EXISTS (SELECT 1 FROM {d}.person_identifier o WHERE o.kind = 'id_no' AND o.person_id = given.person_id)"
            if identifier.kind == "id_no"
            else "true"
        )
        once = "DISTINCT ON (person_id)" if identifier.kind == "id_no" else ""
        run_sql(
            connection,
            f"""
            WITH given AS (
                SELECT DISTINCT ON (s.{identifier.field}) s.{identifier.field} AS value, s.row_no,
                       {person_of(record_type, role)} AS person_id
                FROM {{d}}.stg_{record_type.code} s
                {identifier_joins(record_type, role)}
                WHERE {_GOES_ON} AND s.{identifier.field} IS NOT NULL
                  AND {role.role}_i{rank}.person_id IS NULL
                ORDER BY s.{identifier.field}, s.row_no
            )
            INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
            SELECT {once} '{identifier.kind}', value, person_id, :submission
            FROM given WHERE person_id IS NOT NULL AND {unnumbered} ORDER BY person_id, row_no
            ON CONFLICT (kind, value) DO NOTHING
            """,
            submission=submission_id,
            source=source,
        )


def _take_corrected_number(connection: Connection, submission_id: UUID, source: str, record_type: RecordType) -> None:
    """The new number becomes the person's; the old one keeps finding them. A number somebody else has is left alone."""
    main = record_type.people[0]
    run_sql(
        connection,
        f"""
        WITH corrected AS (
            SELECT DISTINCT ON (s.new_id) s.new_id, {person_of(record_type, main)} AS person_id
            FROM {{d}}.stg_{record_type.code} s
            {identifier_joins(record_type, main)}
            WHERE {_GOES_ON} AND s.new_id IS NOT NULL AND s.change_kind <> 'void'
            ORDER BY s.new_id, s.row_no
        )
        INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
        SELECT 'id_no', new_id, person_id, :submission FROM corrected WHERE person_id IS NOT NULL
        ON CONFLICT (kind, value) DO NOTHING
        """,
        submission=submission_id,
        source=source,
    )
