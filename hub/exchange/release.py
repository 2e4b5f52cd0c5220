"""Held rows that a person let pass go down the line again, as a submission of their own; then they wait no more.

What the sender wrote is not changed, but for one thing: whom a row means, where a person has said so.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row, select

from hub.database import new_uuids, run_sql, utc_now
from hub.errors import FileRefused
from hub.exchange.held import OTHER_TAKEN
from hub.settings import Settings
from hub.tables import submission
from hub.tables.version_sql import row_identifier
from mappings.catalogue import Catalogue, RecordType, Role

NEW = "new"  # whom the row means is nobody known
_JUDGED = "judged"  # in the column of doubts, where nothing else is looked for


def stage_released(connection: Connection, settings: Settings, catalogue: Catalogue, row: Row[Any]) -> dict[str, int]:
    """Copy the chosen rows, as far as they still wait, under the new submission; received, held and refused."""
    record_type = catalogue.record_types[row.record_type]
    origin = find_origin(connection, row)
    rows = _still_waiting(connection, origin.submission_id, record_type, row.facts["rows"])
    if not rows:
        raise FileRefused(code="F_NOTHING_HELD", params={})
    _copy_rows(connection, origin.submission_id, row.submission_id, record_type, rows)
    return {"received": len(rows), "held": 0, "refused": 0}


def find_origin(connection: Connection, row: Row[Any]) -> Row[Any]:
    """The submission whose held rows a release takes up."""
    named = submission.c.receipt_number == row.facts["released_from"]
    return connection.execute(select(submission).where(named)).one()


def _still_waiting(connection: Connection, origin: UUID, record_type: RecordType, rows: list[int]) -> list[int]:
    found = run_sql(
        connection,
        f"""
        SELECT s.row_no FROM {{d}}.stg_{record_type.code} s
        JOIN {{d}}.held_row h ON h.submission_id = s.submission_id AND h.row_no = s.row_no AND h.state = 'waiting'
        WHERE s.submission_id = :origin AND s.row_no = ANY (CAST(:rows AS integer[])) ORDER BY s.row_no
        """,
        origin=origin,
        rows=rows,
    )
    return [cast(int, row_no) for (row_no,) in found]


def _copy_rows(connection: Connection, origin: UUID, release: UUID, record_type: RecordType, rows: list[int]) -> None:
    """The same rows by their own numbers, with keys of their own should the record or its people be new."""
    keys = ["new_record", *(f"{role.role}_new" for role in record_type.people)]
    areas = [f"{role.role}_area" for role in record_type.people]
    kept = ["row_no", "sheet_row", "change_kind", "content_digest", *areas]
    kept += [*(field.name for field in record_type.plain_fields), "sealed"]
    fresh = ", ".join(f"CAST(:{name} AS uuid[])" for name in keys)
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.stg_{record_type.code} (submission_id, held, {", ".join([*kept, *keys])})
        SELECT :release, false, {", ".join([*(f"s.{name}" for name in kept), *(f"k.{name}" for name in keys)])}
        FROM {{d}}.stg_{record_type.code} s
        JOIN unnest(CAST(:rows AS integer[]), {fresh}) AS k (at, {", ".join(keys)}) ON k.at = s.row_no
        WHERE s.submission_id = :origin
        """,
        release=release,
        origin=origin,
        rows=rows,
        **{name: new_uuids(len(rows)) for name in keys},
    )


def name_people(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """Before doubts are looked for: the rows mean whom a person has said they mean, and are marked as judged.

    ``forget_marks`` takes the marks away again before the rows are linked.
    """
    _refuse_if_gone(connection, row, record_type)
    judged: dict[str, dict[str, str]] = row.facts.get("people", {})
    for row_no, people in judged.items():
        for role in record_type.people:
            said = people.get(role.role)
            if said == NEW:
                _begin_person(connection, row, record_type, role, int(row_no))
            elif said is not None:
                _name_person(connection, row, record_type, role, int(row_no), UUID(said))
    if judged:
        run_sql(
            connection,
            f"UPDATE {{d}}.stg_{record_type.code} SET doubt = '{_JUDGED}'"
            " WHERE submission_id = :submission AND row_no = ANY (CAST(:rows AS integer[]))",
            submission=row.submission_id,
            rows=[int(row_no) for row_no in judged],
        )


def forget_marks(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """Judged rows go on as any other."""
    run_sql(
        connection,
        f"UPDATE {{d}}.stg_{record_type.code} SET doubt = NULL WHERE submission_id = :submission AND doubt = '{_JUDGED}'",
        submission=row.submission_id,
    )


def _refuse_if_gone(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """A release that had to wait for its second person may find that its rows came back corrected meanwhile."""
    gone = run_sql(
        connection,
        f"""
        SELECT 1 FROM {{d}}.stg_{record_type.code} s
        LEFT JOIN {{d}}.held_row h ON h.submission_id = :origin AND h.row_no = s.row_no AND h.state = 'waiting'
        WHERE s.submission_id = :release AND h.row_no IS NULL LIMIT 1
        """,
        origin=find_origin(connection, row).submission_id,
        release=row.submission_id,
    )
    if gone:
        raise FileRefused(code="F_NOTHING_HELD", params={})


def _name_person(
    connection: Connection, row: Row[Any], record_type: RecordType, role: Role, row_no: int, person_id: UUID
) -> None:
    """By the number the person has now; a record that named nobody also remembers it, for when the row comes again."""
    _remember_person(connection, row, record_type, role, row_no, person_id)
    field = next((one.field for one in role.identifiers if one.kind == "id_no"), None)
    if field is not None:
        run_sql(
            connection,
            f"""
            UPDATE {{d}}.stg_{record_type.code} s SET {field} = i.value
            FROM {{d}}.person_identifier i
            WHERE s.submission_id = :submission AND s.row_no = :row_no
              AND i.kind = 'id_no' AND i.person_id = :person AND i.replaced_by IS NULL
            """,
            submission=row.submission_id,
            row_no=row_no,
            person=person_id,
        )


def _remember_person(
    connection: Connection, row: Row[Any], record_type: RecordType, role: Role, row_no: int, person_id: UUID
) -> None:
    value = row_identifier(record_type, role)
    if value is None:
        return
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
        SELECT 'row', r.value, :person, :submission FROM ({_remembered_as(record_type, value)}) r WHERE r.value IS NOT NULL
        ON CONFLICT (kind, value) DO UPDATE SET person_id = excluded.person_id, submission_id = excluded.submission_id
        """,
        person=person_id,
        submission=row.submission_id,
        row_no=row_no,
        source=row.organisation,
    )


def _begin_person(connection: Connection, row: Row[Any], record_type: RecordType, role: Role, row_no: int) -> None:
    """Somebody nobody knew, without a number: they begin to exist here, so that the same row is not asked about again."""
    value = row_identifier(record_type, role)
    if value is None:
        return
    run_sql(
        connection,
        f"""
        WITH named AS (
            INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
            SELECT 'row', r.value, r.person_id, :submission FROM ({_remembered_as(record_type, value, role)}) r
            WHERE r.value IS NOT NULL
            ON CONFLICT (kind, value) DO NOTHING
            RETURNING person_id
        )
        INSERT INTO {{d}}.person (person_id, created_at) SELECT person_id, :now FROM named
        """,
        submission=row.submission_id,
        row_no=row_no,
        source=row.organisation,
        now=utc_now(),
    )


def _remembered_as(record_type: RecordType, value: str, role: Role | None = None) -> str:
    """The name by which one staged row's record is remembered, and the person its role would begin."""
    begun = f", s.{role.role}_new AS person_id" if role else ""
    return (
        f"SELECT {value} AS value{begun} FROM {{d}}.stg_{record_type.code} s"
        " WHERE s.submission_id = :submission AND s.row_no = :row_no"
    )


def finish_release(connection: Connection, row: Row[Any], record_type: RecordType) -> int:
    """In the transaction of its merge: the rows it took up wait no more, nor do those that said otherwise; how many."""
    origin = find_origin(connection, row).submission_id
    rivals = _rivals_of(connection, origin, row.submission_id)
    released = run_sql(
        connection,
        f"""
        UPDATE {{d}}.held_row h
        SET state = 'released', release_id = :release, decided_by = :actor, decided_at = :now, reason = :reason
        FROM {{d}}.stg_{record_type.code} s
        WHERE s.submission_id = :release AND h.submission_id = :origin AND h.row_no = s.row_no AND h.state = 'waiting'
        RETURNING h.row_no
        """,
        release=row.submission_id,
        origin=origin,
        actor=row.actor,
        reason=row.facts.get("reason", ""),
        now=utc_now(),
    )
    taken = [cast(int, row_no) for (row_no,) in released]
    _refuse_rivals(connection, origin, row, [row_no for row_no in rivals if row_no not in taken])
    _unstage(connection, origin, record_type, [*taken, *rivals])
    return len(taken)


def _rivals_of(connection: Connection, origin: UUID, release: UUID) -> list[int]:
    """Rows of the same file that said otherwise of a record that this release has settled."""
    rows = run_sql(
        connection,
        """
        SELECT DISTINCT other.row_no
        FROM {d}.difference now
        JOIN {d}.difference mine ON mine.submission_id = :origin AND mine.row_no = now.row_no
        JOIN {d}.difference other ON other.submission_id = :origin AND other.record_key = mine.record_key
        WHERE now.submission_id = :release AND now.row_no > 0 AND now.outcome NOT IN ('hold', 'refuse')
          AND mine.finding = 'E_KEY_CONFLICT' AND other.finding = 'E_KEY_CONFLICT' AND other.row_no <> mine.row_no
        """,
        origin=origin,
        release=release,
    )
    return [cast(int, row_no) for (row_no,) in rows]


def _refuse_rivals(connection: Connection, origin: UUID, row: Row[Any], rivals: list[int]) -> None:
    run_sql(
        connection,
        """
        UPDATE {d}.held_row
        SET state = 'refused', release_id = :release, decided_by = :actor, decided_at = :now, reason = :reason
        WHERE submission_id = :origin AND row_no = ANY (CAST(:rivals AS integer[])) AND state = 'waiting'
        """,
        release=row.submission_id,
        actor=row.actor,
        now=utc_now(),
        reason=OTHER_TAKEN,
        origin=origin,
        rivals=rivals,
    )


def _unstage(connection: Connection, origin: UUID, record_type: RecordType, rows: list[int]) -> None:
    for table in (f"stg_{record_type.code}", "difference"):
        run_sql(
            connection,
            f"DELETE FROM {{d}}.{table} WHERE submission_id = :origin AND row_no = ANY (CAST(:rows AS integer[]))",
            origin=origin,
            rows=rows,
        )
