"""Which of a person's identity numbers is right now, from the corrections and judgements that stand.

The others keep finding the person; records kept under them are given the right one, so that every subscriber who
holds an old number is told.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql
from hub.exchange.relinking import relink
from mappings.catalogue import Catalogue, RecordType


def settle_numbers(
    connection: Connection, submission_id: UUID, persons: Collection[UUID], catalogue: Catalogue
) -> None:
    """After these persons got or lost a number: which one is right, and every record of theirs under it."""
    if persons and choose_numbers(connection, persons, catalogue):
        relink(connection, submission_id, persons, catalogue, follows=True)


def choose_numbers(connection: Connection, persons: Collection[UUID], catalogue: Catalogue) -> int:
    """Mark the numbers that were replaced; how many identifiers that changed. The latest correction wins, by its date."""
    changed = run_sql(
        connection,
        f"""
        WITH chosen AS ({_chosen(catalogue)})
        UPDATE {{d}}.person_identifier i
        SET replaced_by = nullif(c.value, i.value), valid_to = CASE WHEN c.value <> i.value THEN c.day END
        FROM chosen c
        WHERE i.person_id = c.person_id AND i.kind = 'id_no'
          AND i.replaced_by IS DISTINCT FROM nullif(c.value, i.value)
        RETURNING i.value
        """,
        persons=list(persons),
    )
    return len(changed)


def wrong_numbers(connection: Connection, catalogue: Catalogue, most: int = 20) -> list[UUID]:
    """Persons whose right number is not the one that follows from what stands; empty when all is well."""
    several = "SELECT person_id FROM {d}.person_identifier WHERE kind = 'id_no' GROUP BY person_id HAVING count(*) > 1"
    persons = [person for (person,) in run_sql(connection, several)]
    rows = run_sql(
        connection,
        f"""
        WITH chosen AS ({_chosen(catalogue)})
        SELECT DISTINCT i.person_id FROM {{d}}.person_identifier i JOIN chosen c USING (person_id)
        WHERE i.kind = 'id_no' AND i.replaced_by IS DISTINCT FROM nullif(c.value, i.value) ORDER BY 1 LIMIT :most
        """,
        persons=persons,
        most=most,
    )
    return [UUID(str(person)) for (person,) in rows]


def _chosen(catalogue: Catalogue) -> str:
    """One number a person: what was last said of it, else the first that named them."""
    return f"""
        SELECT DISTINCT ON (i.person_id) i.person_id, i.value, s.day
        FROM {{d}}.person_identifier i
        LEFT JOIN ({_said(catalogue)}) s ON s.person_id = i.person_id AND s.number = i.value
        WHERE i.kind = 'id_no' AND i.person_id = ANY(CAST(:persons AS uuid[]))
        ORDER BY i.person_id, s.day DESC NULLS LAST, s.told DESC NULLS LAST, i.submission_id, i.value
    """


def _said(catalogue: Catalogue) -> str:
    judged = (
        "SELECT person_id, id_no AS number, decided_at::date AS day, decision_id AS told FROM {d}.person_decision"
        " WHERE kind = 'merge' AND state = 'done' AND id_no IS NOT NULL AND person_id = ANY(CAST(:persons AS uuid[]))"
    )
    return " UNION ALL ".join(
        [*(_corrections(each) for each in catalogue.record_types.values() if _corrects(each)), judged]
    )


def _corrects(record_type: RecordType) -> bool:
    return record_type.enabled and record_type.corrects_identity


def _corrections(record_type: RecordType) -> str:
    ref = f"{record_type.people[0].role}_ref"
    return (
        f"SELECT {ref} AS person_id, new_id AS number, {record_type.event_date} AS day, record_id AS told"
        f" FROM {{d}}.rec_{record_type.code} WHERE NOT voided AND new_id IS NOT NULL AND {ref} = ANY(CAST(:persons AS uuid[]))"
    )
