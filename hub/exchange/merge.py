"""What does each staged row change? The difference to the register is computed once, then applied to it.

The current version of a record stays in its table, the one before goes to its history; no source overwrites another.
"""

from __future__ import annotations

from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.casework.verdict_rows import REFUSING, UNANSWERED
from hub.database import run_sql, utc_now
from hub.exchange.homes import persons_to_settle, settle_homes
from hub.exchange.numbers import settle_numbers
from hub.exchange.rerouting import home_joins, own_or_home_areas, reroute_records_of
from hub.exchange.staging import WORTH_ANALYSING, refresh_statistics
from hub.tables.version_sql import (
    SAME_ROW,
    event_day,
    identifier_joins,
    identifiers_disagree,
    number_fields,
    person_of,
    record_key,
    version_columns,
)
from mappings.catalogue import Catalogue, RecordType


def merge(
    connection: Connection,
    submission_id: UUID,
    source: str,
    record_type: RecordType,
    catalogue: Catalogue,
    rows: int = 0,
) -> None:
    """Compute the difference of a linked submission and apply it; records that follow a moved person are re-routed."""
    find_difference(connection, submission_id, source, record_type)
    if rows > WORTH_ANALYSING:
        refresh_statistics(connection, "difference")
    settle_repeated_keys(connection, submission_id)
    outcomes, moves = outcomes_of(connection, submission_id)
    if outcomes & {"update", "restore", "void"}:
        keep_replaced_versions(connection, submission_id, record_type)
        update_known(connection, submission_id, record_type)
    if "void" in outcomes:
        mark_voided(connection, submission_id, record_type)
    if "new" in outcomes:
        insert_new(connection, submission_id, source, record_type)
    if record_type.clinical_fields:
        seal_clinical(connection, submission_id, record_type)
    moved = settle_homes(
        connection, persons_to_settle(connection, submission_id, record_type, outcomes, moves), catalogue
    )
    if moved:
        reroute_records_of(connection, submission_id, moved, catalogue)
    if record_type.corrects_identity:
        take_back_numbers(connection, submission_id, record_type)
    settle_numbers(connection, submission_id, _corrected(connection, submission_id, record_type), catalogue)


def _corrected(connection: Connection, submission_id: UUID, record_type: RecordType) -> list[UUID]:
    """Whose numbers this submission corrects, or no longer does."""
    if not record_type.corrects_identity:
        return []
    ref = f"{record_type.people[0].role}_ref"
    rows = run_sql(
        connection,
        f"SELECT DISTINCT v.{ref} FROM {{d}}.difference d JOIN {{d}}.ver_{record_type.code} v ON v.record_id = d.record_id"
        f" AND v.version IN (d.version, d.version - 1) WHERE d.submission_id = :submission AND v.{ref} IS NOT NULL"
        " AND d.outcome IN ('new', 'update', 'void', 'restore')",
        submission=submission_id,
    )
    return [cast(UUID, person) for (person,) in rows]


def take_back_numbers(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """A correction that is not accepted gives nobody a number."""
    told = (
        f"SELECT s.new_id FROM {{d}}.difference d JOIN {{d}}.stg_{record_type.code} s ON {SAME_ROW}"
        " WHERE d.submission_id = :submission AND d.row_no > 0 AND s.new_id IS NOT NULL AND d.outcome"
    )
    run_sql(
        connection,
        f"""
        DELETE FROM {{d}}.person_identifier i
        WHERE i.kind = 'id_no' AND i.submission_id = :submission
          AND i.value IN ({told} IN ('hold', 'refuse')) AND i.value NOT IN ({told} NOT IN ('hold', 'refuse'))
          AND i.value NOT IN (SELECT s.id_no FROM {{d}}.stg_{record_type.code} s WHERE s.submission_id = :submission)
        """,
        submission=submission_id,
    )


def find_difference(connection: Connection, submission_id: UUID, source: str, record_type: RecordType) -> None:
    """One difference row a staged row: its record, what happens to it, its people and areas before and after."""
    people = {role.role: person_of(record_type, role) for role in record_type.people}
    only_a_number = "verdict = 'update' AND changed = '{}'"  # written as it was before, or after, it was corrected
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest, finding, moves)
        WITH linked AS (
            SELECT s.*, {", ".join(f"{person} AS {role}_ref" for role, person in people.items())},
                   {record_key(record_type, people)} AS record_key,
                   {identifiers_disagree(record_type)} AS disagree,
                   {_number_taken(record_type)} AS taken
            FROM {{d}}.stg_{record_type.code} s
            {identifier_joins(record_type)}
            WHERE s.submission_id = :submission AND NOT s.held
        ), located AS (
            SELECT l.*, {own_or_home_areas(record_type)} AS areas, {_says_otherwise(record_type)} AS moves
            FROM linked l
            {home_joins(record_type)}
        ), compared AS (
            SELECT n.*, r.record_id, r.version AS old_version, r.areas AS old_areas,
                   r.content_digest AS old_digest,
                   CASE
                       WHEN n.doubt = '{UNANSWERED}' THEN 'unchanged'
                       WHEN n.doubt IN {REFUSING} THEN 'refuse'
                       WHEN n.doubt IS NOT NULL OR n.disagree OR n.taken THEN 'hold'
                       WHEN r.record_id IS NULL THEN CASE n.change_kind WHEN 'void' THEN 'refuse' ELSE 'new' END
                       WHEN n.change_kind = 'void' THEN CASE WHEN r.voided THEN 'unchanged' ELSE 'void' END
                       WHEN r.voided AND (n.change_kind = 'correct' OR EXISTS (
                            SELECT 1 FROM {{d}}.submission u WHERE u.submission_id = r.submission_id AND u.kind = 'undo'
                       )) THEN 'restore' -- an undo says nothing of the record: it may come again
                       WHEN r.content_digest = n.content_digest THEN 'unchanged'
                       WHEN n.change_kind = 'new' AND EXISTS (
                            SELECT 1 FROM {{d}}.rec_{record_type.code}_history h
                            WHERE h.record_id = r.record_id AND h.content_digest = n.content_digest
                              AND h.row_no > 0 -- what a mark or a move repeats, nobody has sent
                              AND NOT EXISTS (
                                    SELECT 1 FROM {{d}}.submission u WHERE u.undoes = h.submission_id AND u.state = 'merged'
                              )
                       ) THEN 'older'
                       WHEN r.voided THEN 'restore'
                       ELSE 'update'
                   END AS verdict,
                   r.voided, {_changed_fields(record_type)} AS changed, {_renamed(record_type)} AS renamed
            FROM located n
            LEFT JOIN {{d}}.rec_{record_type.code} r ON r.record_key = n.record_key AND r.source = :source
            OFFSET 0 -- a fence: the verdict is computed once a row, not once a use
        )
        SELECT submission_id, row_no, '{record_type.code}',
               CASE WHEN verdict = 'older' OR {only_a_number} THEN 'unchanged' ELSE verdict END,
               coalesce(record_id, new_record), coalesce(old_version, 0) + 1, record_key,
               ARRAY[{", ".join(f"{role}_ref" for role in people)}]::uuid[],
               CASE WHEN verdict = 'update' THEN changed END,
               CASE WHEN NOT voided THEN old_areas END, CASE WHEN verdict = 'void' THEN old_areas ELSE areas END,
               CASE WHEN verdict = 'void' THEN old_digest ELSE content_digest END,
               CASE
                   WHEN doubt IS NOT NULL THEN doubt
                   WHEN disagree THEN 'E_IDENTIFIER_CONFLICT'
                   WHEN taken THEN 'E_IDENTITY_TAKEN'
                   WHEN verdict = 'refuse' THEN 'E_VOID_UNKNOWN'
                   WHEN verdict = 'older' THEN 'N_OLDER_VERSION'
                   WHEN verdict = 'unchanged' AND voided AND change_kind = 'new' THEN 'N_OLDER_VERSION'
                   WHEN verdict = 'update' AND change_kind = 'new' AND renamed THEN 'W_NAME_DIFFERS'
               END,
               moves
        FROM compared
        """,
        submission=submission_id,
        source=source,
    )


def _number_taken(record_type: RecordType) -> str:
    """True where a correction wants to give a person a number that another person has."""
    if not record_type.corrects_identity:
        return "false"
    person = person_of(record_type, record_type.people[0])
    return (
        "coalesce((SELECT t.person_id FROM {d}.person_identifier t"
        f" WHERE t.kind = 'id_no' AND t.value = s.new_id) <> {person}, false)"
    )


def _says_otherwise(record_type: RecordType) -> str:
    """True where the row places a person elsewhere, or later, than known so far."""
    day = event_day(record_type, "l")
    tests = [
        f"(l.{role.role}_area IS NOT NULL AND (l.{role.role}_area IS DISTINCT FROM {role.role}_home.home_area"
        f" OR {day} IS DISTINCT FROM {role.role}_home.home_since))"
        for role in record_type.people
        if role.sets_home
    ]
    return " OR ".join(tests) or "false"


def _changed_fields(record_type: RecordType) -> str:
    """Names of the plain fields that differ; ``clinical`` when only the digest tells; ``person`` when a person does."""
    tests = [
        f"CASE WHEN n.{field.name} IS DISTINCT FROM r.{field.name} THEN '{field.name}' END"
        for field in record_type.plain_fields
    ]
    tests += [
        f"CASE WHEN n.{role.role}_ref IS DISTINCT FROM r.{role.role}_ref THEN 'person' END"
        for role in record_type.people
    ]
    if record_type.clinical_fields:
        tests.append("'clinical'")
    return f"CASE WHEN r.record_id IS NOT NULL THEN array_remove(ARRAY[{', '.join(tests)}]::text[], NULL) END"


def _renamed(record_type: RecordType) -> str:
    """True where the record named the same person otherwise; a name that was not known yet is no other name."""
    tests = [
        f"(n.{role.prefix}name <> r.{role.prefix}name AND n.{role.role}_ref IS NOT DISTINCT FROM r.{role.role}_ref)"
        for role in record_type.people
        if f"{role.prefix}name" in {field.name for field in record_type.plain_fields}
    ]
    return f"coalesce({' OR '.join(tests)}, false)" if tests else "false"


# Rows whose record is known; of a doubtful one it is known too, only not who is in it.
_MEANT = "(outcome NOT IN ('hold', 'refuse') OR finding = 'E_PERSON_UNCLEAR')"


def settle_repeated_keys(connection: Connection, submission_id: UUID) -> None:
    """Rows of one file that mean one record: the same again is unchanged, a different one holds them all for a human."""
    repeated = run_sql(
        connection,
        f"SELECT record_key FROM {{d}}.difference WHERE submission_id = :submission AND {_MEANT}"
        " GROUP BY record_key HAVING count(*) > 1",
        submission=submission_id,
    )
    if not repeated:
        return
    run_sql(
        connection,
        f"""
        WITH ranked AS (
            SELECT row_no, record_key, row_number() OVER first_come AS nth,
                   content_digest <> first_value(content_digest) OVER first_come
                   OR (outcome = 'void') <> first_value(outcome = 'void') OVER first_come AS differs
            FROM {{d}}.difference
            WHERE submission_id = :submission AND {_MEANT} AND record_key = ANY(CAST(:keys AS text[]))
            WINDOW first_come AS (PARTITION BY record_key ORDER BY row_no)
        ), judged AS (
            SELECT row_no, nth, bool_or(differs) OVER (PARTITION BY record_key) AS clashing FROM ranked
        )
        UPDATE {{d}}.difference d
        SET outcome = CASE WHEN clashing THEN 'hold' ELSE 'unchanged' END,
            finding = CASE WHEN clashing THEN 'E_KEY_CONFLICT' ELSE 'N_REPEATED_ROW' END
        FROM judged j
        WHERE d.submission_id = :submission AND d.row_no = j.row_no AND (j.clashing OR j.nth > 1 AND d.outcome <> 'hold')
        """,
        submission=submission_id,
        keys=[row[0] for row in repeated],
    )


def outcomes_of(connection: Connection, submission_id: UUID) -> tuple[set[str], bool]:
    """Which outcomes occur at all, and whether anybody may have moved: what does not occur needs no statement."""
    rows = run_sql(
        connection,
        "SELECT outcome, bool_or(moves) FROM {d}.difference WHERE submission_id = :submission AND row_no > 0 GROUP BY outcome",
        submission=submission_id,
    )
    accepted = {"new", "update", "restore"}
    return {str(outcome) for outcome, _ in rows}, any(moves for outcome, moves in rows if outcome in accepted)


def keep_replaced_versions(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """The version that is about to be replaced goes to the history."""
    columns = ", ".join(version_columns(record_type))
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{record_type.code}_history ({columns})
        SELECT {", ".join(f"r.{name}" for name in version_columns(record_type))}
        FROM {{d}}.difference d JOIN {{d}}.rec_{record_type.code} r ON r.record_id = d.record_id
        WHERE d.submission_id = :submission AND d.row_no > 0 AND d.outcome IN ('update', 'void', 'restore')
        """,
        submission=submission_id,
    )


def update_known(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """Changed records take their new version."""
    people = [
        f"{role.role}_ref = d.people[{number}], {role.role}_area = s.{role.role}_area"
        for number, role in enumerate(record_type.people, 1)
    ]
    fields = [f"{name} = s.{name}" for name in _as_sent(record_type)]
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, voided = false, submission_id = :submission, row_no = d.row_no, recorded_at = :now,
            content_digest = d.content_digest, areas = d.areas_after, {", ".join([*people, *fields])}
        FROM {{d}}.difference d
        JOIN {{d}}.stg_{record_type.code} s ON {SAME_ROW}
        WHERE d.submission_id = :submission AND d.outcome IN ('update', 'restore') AND r.record_id = d.record_id
        """,
        submission=submission_id,
        now=utc_now(),
    )


def mark_voided(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """A voided record keeps its values in a new version that says so."""
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, voided = true, submission_id = :submission, row_no = d.row_no, recorded_at = :now
        FROM {{d}}.difference d
        WHERE d.submission_id = :submission AND d.outcome = 'void' AND r.record_id = d.record_id
        """,
        submission=submission_id,
        now=utc_now(),
    )


def insert_new(connection: Connection, submission_id: UUID, source: str, record_type: RecordType) -> None:
    """Records nobody knew get their first version."""
    people = [
        value
        for number, role in enumerate(record_type.people, 1)
        for value in (f"d.people[{number}]", f"s.{role.role}_area")
    ]
    fields = [f"s.{name}" for name in _as_sent(record_type)]
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{record_type.code} ({", ".join(version_columns(record_type))})
        SELECT d.record_id, 1, :source, d.record_key, false, d.submission_id, d.row_no, :now, d.content_digest,
               d.areas_after, false, {", ".join([*people, *fields])}
        FROM {{d}}.difference d
        JOIN {{d}}.stg_{record_type.code} s ON {SAME_ROW}
        WHERE d.submission_id = :submission AND d.outcome = 'new'
        """,
        submission=submission_id,
        source=source,
        now=utc_now(),
    )


def _as_sent(record_type: RecordType) -> list[str]:
    """What a version takes over from its row as it is, in the order of ``version_columns``."""
    numbers = [f"{role.role}_as" for role, _ in number_fields(record_type)]
    return [*numbers, *(field.name for field in record_type.plain_fields)]


def seal_clinical(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    """The sealed clinical cells of each new version; a voided version keeps those of the one before."""
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{record_type.code}_sealed (record_id, version, sealed)
        SELECT d.record_id, d.version, CASE WHEN d.outcome = 'void' THEN o.sealed ELSE s.sealed END
        FROM {{d}}.difference d
        JOIN {{d}}.stg_{record_type.code} s ON {SAME_ROW}
        LEFT JOIN {{d}}.rec_{record_type.code}_sealed o
               ON o.record_id = d.record_id AND o.version = d.version - 1 AND d.outcome = 'void'
        WHERE d.submission_id = :submission AND d.outcome IN ('new', 'update', 'restore', 'void')
          AND CASE WHEN d.outcome = 'void' THEN o.sealed ELSE s.sealed END IS NOT NULL
        """,
        submission=submission_id,
    )
