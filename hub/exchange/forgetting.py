"""What beside the records says something of an erased person: rows that wait, row errors, samples, numbers, judgements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from mappings.catalogue import RecordType

Rows = set[tuple[UUID, int]]  # submission and row number
_UNDER_WAY = "('checked', 'braked')"
_THESE = "unnest(CAST(:submissions AS uuid[]), CAST(:numbers AS integer[])) AS these (submission_id, row_no)"


def numbers_of(connection: Connection, persons: Collection[UUID]) -> list[str]:
    """Every number that finds one of these persons, old ones too."""
    rows = run_sql(
        connection,
        "SELECT DISTINCT value FROM {d}.person_identifier WHERE person_id = ANY(CAST(:persons AS uuid[])) AND kind <> 'row'",
        persons=list(persons),
    )
    return [str(value) for (value,) in rows]


def rows_under_way(connection: Connection, types: Iterable[RecordType], numbers: list[str]) -> list[str]:
    """Receipt numbers of submissions that are about to change the register and name the person."""
    found: list[str] = []
    for record_type in types:
        rows = run_sql(
            connection,
            f"SELECT DISTINCT u.receipt_number FROM {{d}}.stg_{record_type.code} s JOIN {{d}}.submission u USING (submission_id)"
            f" WHERE u.state IN {_UNDER_WAY} AND ({_names(record_type)})",
            known=numbers,
        )
        found += [str(receipt) for (receipt,) in rows]
    return sorted(found)


def _names(record_type: RecordType) -> str:
    fields = {identifier.field for role in record_type.people for identifier in role.identifiers}
    fields |= {field.name for field in record_type.plain_fields if field.type == "id_no"}
    return " OR ".join(f"s.{field} = ANY(CAST(:known AS text[]))" for field in sorted(fields)) or "false"


def forget_rows(connection: Connection, types: Iterable[RecordType], numbers: list[str], sent: Rows) -> int:
    """Rows that wait go; of the others what was wrong with them stays, the values do not. How many waited."""
    waiting: Rows = set()
    for record_type in types:
        waiting |= _drop_staged(connection, record_type, numbers, sent)
    rows = sent | waiting | _named_in_errors(connection, numbers)
    these = _bound(rows)
    run_sql(
        connection,
        f"UPDATE {{d}}.row_error e SET value = NULL, params = '{{}}' FROM {_THESE}"
        " WHERE e.submission_id = these.submission_id AND e.row_no = these.row_no",
        **these,
    )
    _drop_samples(connection, numbers, these)
    _close_held(connection, waiting)
    return len(waiting)


def _bound(rows: Rows) -> dict[str, object]:
    ordered = sorted(rows)
    return {"submissions": [one for one, _ in ordered], "numbers": [number for _, number in ordered]}


def _drop_staged(connection: Connection, record_type: RecordType, numbers: list[str], sent: Rows) -> Rows:
    dropped = run_sql(
        connection,
        f"DELETE FROM {{d}}.stg_{record_type.code} s WHERE {_names(record_type)} OR EXISTS ("
        f"SELECT 1 FROM {_THESE} WHERE these.submission_id = s.submission_id AND these.row_no = s.row_no)"
        " RETURNING s.submission_id, s.row_no",
        known=numbers,
        **_bound(sent),
    )
    return cast(Rows, set(dropped))


def _named_in_errors(connection: Connection, numbers: list[str]) -> Rows:
    """Rows that were refused or noted with one of the numbers in them, however it was typed."""
    rows = run_sql(
        connection,
        r"SELECT DISTINCT submission_id, row_no FROM {d}.row_error"
        r" WHERE upper(regexp_replace(normalize(value, NFKC), '[^0-9A-Za-z]', '', 'g')) = ANY(CAST(:known AS text[]))",
        known=numbers,
    )
    return cast(Rows, set(rows))


def _drop_samples(connection: Connection, numbers: list[str], these: dict[str, object]) -> None:
    named = " OR ".join(
        f"EXISTS (SELECT 1 FROM jsonb_each_text(coalesce(nullif(e.{side}, 'null'), '{{}}')) v"
        " WHERE v.value = ANY(CAST(:known AS text[])))"
        for side in ("before", "after")
    )
    run_sql(
        connection,
        f"DELETE FROM {{d}}.effect_sample e WHERE {named} OR EXISTS ("
        f"SELECT 1 FROM {_THESE} WHERE these.submission_id = e.submission_id AND these.row_no = e.row_no)",
        known=numbers,
        **these,
    )


def _close_held(connection: Connection, waiting: Rows) -> None:
    these = _bound(waiting)
    for table in ("held_candidate", "difference"):
        run_sql(
            connection,
            f"DELETE FROM {{d}}.{table} h USING {_THESE}"
            " WHERE h.submission_id = these.submission_id AND h.row_no = these.row_no",
            **these,
        )
    run_sql(
        connection,
        f"UPDATE {{d}}.held_row h SET state = 'refused', decided_at = :now, decided_by = 'hub',"
        f" reason = '依法删除 lawfully erased' FROM {_THESE}"
        " WHERE h.submission_id = these.submission_id AND h.row_no = these.row_no AND h.state = 'waiting'",
        now=utc_now(),
        **these,
    )


def forget_records(connection: Connection, records: Sequence[UUID], submission_id: UUID) -> None:
    """Comparison items that rest on a record about the person; what earlier differences still say of its key."""
    run_sql(
        connection,
        "DELETE FROM {d}.comparison_item i WHERE EXISTS (SELECT 1 FROM jsonb_array_elements(i.sides) side"
        " WHERE side->>'record_id' = ANY(CAST(:records AS text[])))",
        records=[str(record) for record in records],
    )
    run_sql(
        connection,
        "UPDATE {d}.difference SET record_key = NULL"
        " WHERE record_id = ANY(CAST(:records AS uuid[])) AND submission_id <> :submission",
        records=list(records),
        submission=submission_id,
    )


def forget_challenges(connection: Connection, records: Sequence[UUID], persons: Collection[UUID]) -> None:
    """What was said of the person in words; that there was a challenge, and how it ended, stays."""
    run_sql(
        connection,
        "UPDATE {d}.challenge SET claimed = '', reason = '', answer_text = '', person_id = NULL,"
        " closed_at = CASE WHEN state IN ('open', 'answered') THEN :now ELSE closed_at END,"
        " closed_by = CASE WHEN state IN ('open', 'answered') THEN 'hub' ELSE closed_by END,"
        " state = CASE WHEN state IN ('open', 'answered') THEN 'withdrawn' ELSE state END"
        " WHERE record_id = ANY(CAST(:records AS uuid[])) OR person_id = ANY(CAST(:persons AS uuid[]))",
        records=list(records),
        persons=list(persons),
        now=utc_now(),
    )


def forget_casework(connection: Connection, persons: Collection[UUID], numbers: list[str]) -> None:
    """What rolls and the month's account say of the person; that somebody was counted stays, so that sums stay right."""
    run_sql(
        connection,
        "DELETE FROM {d}.roll_item WHERE person_id = ANY(CAST(:persons AS uuid[])) OR EXISTS ("
        "SELECT 1 FROM unnest(CAST(:known AS text[])) number WHERE strpos("
        "regexp_replace(upper(normalize(told::text, NFKC)), '[^0-9A-Z]', '', 'g'), number) > 0)",
        persons=list(persons),
        known=numbers,
    )
    run_sql(
        connection,
        "UPDATE {d}.balance_movement SET reason = '' WHERE person_id = ANY(CAST(:persons AS uuid[]))",
        persons=list(persons),
    )
    _ask_no_more(connection, persons)


def _ask_no_more(connection: Connection, persons: Collection[UUID]) -> None:
    """Lines that wait go off the towns' lists; a town of which nothing else waits is done."""
    run_sql(
        connection,
        """
        WITH gone AS (
            DELETE FROM {d}.round_item
            WHERE person_id = ANY(CAST(:persons AS uuid[])) AND state IN ('open', 'deferred') RETURNING item_id
        )
        DELETE FROM {d}.round_change c USING gone WHERE c.item_id = gone.item_id
        """,
        persons=list(persons),
    )
    run_sql(
        connection,
        "UPDATE {d}.round_town t SET completed_at = :now WHERE completed_at IS NULL AND NOT EXISTS (SELECT 1"
        " FROM {d}.round_item i WHERE i.round_id = t.round_id AND i.town = t.town AND i.state = 'open')",
        now=utc_now(),
    )


def forget_person(connection: Connection, persons: Collection[UUID]) -> None:
    """Numbers, profile, candidates and pairs go; of judgements it stays that they were made."""
    for statement in _OF_A_PERSON:
        run_sql(connection, statement, persons=list(persons))
    run_sql(
        connection,
        "UPDATE {d}.person SET erased_at = :now WHERE person_id = ANY(CAST(:persons AS uuid[]))",
        persons=list(persons),
        now=utc_now(),
    )


_OF_A_PERSON = (
    "DELETE FROM {d}.person_identifier WHERE person_id = ANY(CAST(:persons AS uuid[]))",
    "DELETE FROM {d}.person_profile WHERE person_id = ANY(CAST(:persons AS uuid[]))",
    "DELETE FROM {d}.person_pair WHERE first_id = ANY(CAST(:persons AS uuid[])) OR second_id = ANY(CAST(:persons AS uuid[]))",
    "DELETE FROM {d}.held_candidate WHERE person_id = ANY(CAST(:persons AS uuid[]))",
    "DELETE FROM {d}.comparison_item WHERE person_id = ANY(CAST(:persons AS uuid[]))",
    "UPDATE {d}.person_decision SET id_no = NULL, identifiers = '[]', moved = '[]', reason = '',"
    " state = CASE state WHEN 'asked' THEN 'refused' ELSE state END,"
    " refusal = CASE state WHEN 'asked' THEN '已依法删除。 Lawfully erased.' ELSE '' END"
    " WHERE person_id = ANY(CAST(:persons AS uuid[])) OR other_id = ANY(CAST(:persons AS uuid[]))",
)
