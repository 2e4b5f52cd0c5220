"""The dispute mark: a record that a unit challenges says so to everybody who has it, from one version to another.

A mark is a version like any other: content and digest stay, ``disputed`` changes, the log tells of it (op ``dispute``,
``settle``). A voided record is told to nobody and is not marked; once it stands again it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.tables.version_sql import version_columns
from mappings.catalogue import Catalogue, RecordType

_STANDING = "('open', 'answered')"
_UNTOLD = f"(c.opened_version IS NULL AND c.state IN {_STANDING})"
_OVER = (
    f"(c.opened_version IS NOT NULL AND c.settled_version IS NULL AND c.state NOT IN {_STANDING} AND NOT EXISTS ("
    f"SELECT 1 FROM {{d}}.challenge o WHERE o.record_id = c.record_id AND o.state IN {_STANDING}))"
)


def mark_disputed(connection: Connection, submission_id: UUID, catalogue: Catalogue) -> int:
    """Mark every record with a challenge that is not told of yet; how many records got a new version."""
    waiting = run_sql(
        connection,
        f"SELECT c.challenge_id, c.record_type, c.record_id FROM {{d}}.challenge c WHERE c.record_id IS NOT NULL"
        f" AND {_UNTOLD} ORDER BY c.challenge_id FOR UPDATE OF c SKIP LOCKED",
    )
    marked = 0
    for record_type, rows in _by_type(waiting, catalogue):
        marked += _change_mark(connection, submission_id, record_type, [record for _, record in rows], disputed=True)
        run_sql(
            connection,
            f"UPDATE {{d}}.challenge c SET opened_version = r.version FROM {{d}}.rec_{record_type.code} r"
            " WHERE c.challenge_id = ANY(CAST(:those AS uuid[])) AND r.record_id = c.record_id AND r.disputed",
            those=[challenge for challenge, _ in rows],
        )
    return marked


def lift_marks(connection: Connection, submission_id: UUID, catalogue: Catalogue) -> int:
    """Take the mark from records of which no challenge stands any more; how many records got a new version."""
    settled = run_sql(
        connection,
        f"SELECT c.challenge_id, c.record_type, c.record_id FROM {{d}}.challenge c WHERE {_OVER}"
        " ORDER BY c.challenge_id FOR UPDATE OF c SKIP LOCKED",
    )
    lifted = 0
    for record_type, rows in _by_type(settled, catalogue):
        lifted += _change_mark(connection, submission_id, record_type, [record for _, record in rows], disputed=False)
        run_sql(
            connection,
            f"UPDATE {{d}}.challenge c SET settled_version = r.version FROM {{d}}.rec_{record_type.code} r"
            " WHERE c.challenge_id = ANY(CAST(:those AS uuid[])) AND r.record_id = c.record_id AND NOT r.disputed",
            those=[challenge for challenge, _ in rows],
        )
    return lifted


def anything_to_tell(connection: Connection, catalogue: Catalogue) -> bool:
    """Whether a mark waits to be set or lifted; one more challenge of a marked record rests on the mark it has."""
    for record_type in _challenged_types(connection, catalogue):
        _share_mark(connection, record_type)
    due = f"NOT r.disputed AND {_UNTOLD} OR r.disputed AND {_OVER}"
    return any(
        run_sql(
            connection,
            f"SELECT 1 FROM {{d}}.challenge c JOIN {{d}}.rec_{record_type.code} r ON r.record_id = c.record_id"
            f" WHERE c.record_type = '{record_type.code}' AND NOT r.voided AND ({due}) LIMIT 1",
        )
        for record_type in _challenged_types(connection, catalogue)
    )


def _challenged_types(connection: Connection, catalogue: Catalogue) -> list[RecordType]:
    rows = run_sql(
        connection,
        f"SELECT DISTINCT c.record_type FROM {{d}}.challenge c"
        f" WHERE c.record_id IS NOT NULL AND ({_UNTOLD} OR {_OVER}) ORDER BY 1",
    )
    known = (catalogue.record_types.get(str(code)) for (code,) in rows)
    return [one for one in known if one is not None and one.enabled]


def _share_mark(connection: Connection, record_type: RecordType) -> None:
    run_sql(
        connection,
        f"UPDATE {{d}}.challenge c SET opened_version = r.version FROM {{d}}.rec_{record_type.code} r"
        f" WHERE c.record_type = '{record_type.code}' AND r.record_id = c.record_id AND r.disputed AND {_UNTOLD}",
    )


def _by_type(
    found: Iterable[tuple[object, ...]], catalogue: Catalogue
) -> list[tuple[RecordType, list[tuple[UUID, UUID]]]]:
    """Challenge and record by record type; in one order, because each type is waited for."""
    by_code: dict[str, list[tuple[UUID, UUID]]] = {}
    for challenge, code, record in found:
        by_code.setdefault(str(code), []).append((cast(UUID, challenge), cast(UUID, record)))
    known = ((catalogue.record_types.get(code), rows) for code, rows in sorted(by_code.items()))
    return [(record_type, rows) for record_type, rows in known if record_type is not None and record_type.enabled]


def _change_mark(
    connection: Connection, submission_id: UUID, record_type: RecordType, records: list[UUID], *, disputed: bool
) -> int:
    _wait_for_type(connection, record_type)
    count = _stage_marks(connection, submission_id, record_type, records, disputed)
    if count:
        _apply_marks(connection, submission_id, record_type, disputed)
    return count


def _wait_for_type(connection: Connection, record_type: RecordType) -> None:
    """Versions of this type are made by one transaction at a time (hub.exchange.pipeline waits for the same)."""
    run_sql(connection, "SELECT pg_advisory_xact_lock_shared(hashtext('homes'))")
    run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext(:name))", name=f"merge {record_type.code}")


def _stage_marks(
    connection: Connection, submission_id: UUID, record_type: RecordType, records: list[UUID], disputed: bool
) -> int:
    """One difference row a record whose mark changes."""
    refs = ", ".join(f"r.{role.role}_ref" for role in record_type.people)
    staged = run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest)
        WITH last AS (
            SELECT coalesce(least(min(row_no), 0), 0) AS row_no FROM {{d}}.difference WHERE submission_id = :submission
        )
        SELECT :submission, last.row_no - row_number() OVER (ORDER BY r.record_id), '{record_type.code}', :op,
               r.record_id, r.version + 1, r.record_key, ARRAY[{refs}]::uuid[], '{{disputed}}', r.areas, r.areas,
               r.content_digest
        FROM {{d}}.rec_{record_type.code} r, last
        WHERE r.record_id = ANY(CAST(:records AS uuid[])) AND NOT r.voided AND r.disputed <> :disputed
        RETURNING row_no
        """,
        submission=submission_id,
        op=_op(disputed),
        records=records,
        disputed=disputed,
    )
    return len(staged)


def _op(disputed: bool) -> str:
    return "dispute" if disputed else "settle"


def _apply_marks(connection: Connection, submission_id: UUID, record_type: RecordType, disputed: bool) -> None:
    """The version before goes to the history, sealed cells go along, the record takes its mark or loses it."""
    code, columns = record_type.code, version_columns(record_type)
    chosen = (
        f"d.submission_id = :submission AND d.outcome = '{_op(disputed)}' AND d.record_type = '{code}'"
        " AND d.version = r.version + 1 AND r.record_id = d.record_id"
    )
    if record_type.clinical_fields:
        run_sql(
            connection,
            f"""
            INSERT INTO {{d}}.rec_{code}_sealed (record_id, version, sealed)
            SELECT d.record_id, d.version, o.sealed
            FROM {{d}}.difference d JOIN {{d}}.rec_{code} r ON {chosen}
            JOIN {{d}}.rec_{code}_sealed o ON o.record_id = d.record_id AND o.version = r.version
            """,
            submission=submission_id,
        )
    run_sql(
        connection,
        f"INSERT INTO {{d}}.rec_{code}_history ({', '.join(columns)})"
        f" SELECT {', '.join(f'r.{name}' for name in columns)}"
        f" FROM {{d}}.difference d JOIN {{d}}.rec_{code} r ON {chosen}",
        submission=submission_id,
    )
    run_sql(
        connection,
        f"UPDATE {{d}}.rec_{code} r SET version = d.version, disputed = :disputed, submission_id = :submission,"
        f" row_no = d.row_no, recorded_at = :now FROM {{d}}.difference d WHERE {chosen}",
        submission=submission_id,
        disputed=disputed,
        now=utc_now(),
    )
