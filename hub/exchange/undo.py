"""Taking a submission back: each record it changed gets the version from before as a new one; nothing is deleted.

A compensating submission goes the same line: difference, versions, homes, records that follow, change numbers.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row

from hub.database import run_sql, utc_now
from hub.errors import FileRefused
from hub.exchange.homes import settle_homes
from hub.exchange.merge import keep_replaced_versions
from hub.exchange.rerouting import home_joins, own_or_home_areas, reroute_records_of
from hub.tables.version_sql import numbers_now
from mappings.catalogue import Catalogue, RecordType

_SHOWN = 5  # receipts named in a sentence


class Blocking(msgspec.Struct, frozen=True, kw_only=True):
    """A later submission that changed some of the same records."""

    receipt: str
    records: int


def undo(connection: Connection, row: Row[Any], record_type: RecordType, catalogue: Catalogue) -> None:
    """Take back what ``row.undoes`` did, inside the caller's transaction; FileRefused when others built on it since."""
    refuse_if_blocked(connection, row.undoes, record_type)
    find_undone(connection, row, record_type)
    keep_replaced_versions(connection, row.submission_id, record_type)
    bring_back(connection, row, record_type)
    if record_type.clinical_fields:
        bring_back_sealed(connection, row, record_type)
    moved = settle_homes(connection, _persons_named(connection, row, record_type), catalogue)
    if moved:
        reroute_records_of(connection, row.submission_id, moved, catalogue)


def _persons_named(connection: Connection, row: Row[Any], record_type: RecordType) -> list[UUID]:
    """Everybody whose home one of these records tells: as it was sent, and as it is again."""
    roles = [role for role in record_type.people if role.sets_home]
    if not roles:
        return []
    named = " UNION ".join(
        f"SELECT v.{role.role}_ref FROM {{d}}.difference d JOIN {{d}}.ver_{record_type.code} v"
        " ON v.record_id = d.record_id AND v.submission_id IN (:undone, :submission)"
        f" WHERE d.submission_id = :submission AND d.row_no > 0 AND v.{role.role}_ref IS NOT NULL"
        for role in roles
    )
    values = {"submission": row.submission_id, "undone": row.undoes}
    return [cast(UUID, person) for (person,) in run_sql(connection, named, **values)]


def refuse_if_blocked(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    found = blocking(connection, submission_id, record_type)
    if found:
        raise FileRefused(code="F_UNDO_BLOCKED", params=blocked_params(found))


def blocked_params(found: list[Blocking]) -> dict[str, Any]:
    """What the sentence of F_UNDO_BLOCKED names."""
    named = "、".join(one.receipt for one in found[:_SHOWN]) + ("…" if len(found) > _SHOWN else "")
    return {"found": named, "count": sum(one.records for one in found)}


def blocking(connection: Connection, submission_id: UUID, record_type: RecordType) -> list[Blocking]:
    """Later submissions that changed the same records, the newest first; what was itself taken back does not count."""
    later = run_sql(
        connection,
        f"""
        SELECT s.submission_id, s.undoes, s.receipt_number, count(DISTINCT v.record_id)
        FROM ({_CHANGED}) c
        JOIN {{d}}.ver_{record_type.code} v ON v.record_id = c.record_id AND v.version > c.version AND v.row_no > 0
        JOIN {{d}}.submission s ON s.submission_id = v.submission_id
        WHERE s.submission_id <> :undone
        GROUP BY s.submission_id, s.undoes, s.receipt_number
        ORDER BY s.receipt_number DESC
        """,
        undone=submission_id,
    )
    undoes = {one: taken_back for one, taken_back, _, _ in later}
    standing = _standing({one: cast(UUID | None, taken_back) for one, taken_back in undoes.items()})
    return [
        Blocking(receipt=str(receipt), records=cast(int, records))
        for one, _, receipt, records in later
        if one in standing
    ]


# What a submission did to records, by the batch of numbers it got; re-routed ones follow by themselves.
_CHANGED = """
    SELECT l.seq, l.record_id, l.version, l.op, l.changed_fields,
           CASE WHEN l.op = 'new' THEN l.version ELSE l.version - 1 END AS target
    FROM {d}.change_log l
    WHERE l.seq >= (SELECT min(b.from_seq) FROM {d}.feed_batch b WHERE b.submission_id = :undone)
      AND l.seq <= (SELECT max(b.to_seq) FROM {d}.feed_batch b WHERE b.submission_id = :undone)
      AND EXISTS (SELECT 1 FROM {d}.feed_batch b WHERE b.submission_id = :undone AND l.seq BETWEEN b.from_seq AND b.to_seq)
      AND l.op NOT IN ('reroute', 'relink', 'dispute', 'settle')
      -- of whom was lawfully erased there is nothing to bring back
      AND NOT EXISTS (SELECT 1 FROM {d}.erased_version e WHERE e.record_id = l.record_id AND e.whole)
"""


def _standing(undoes: dict[Any, UUID | None]) -> set[Any]:
    """Among these submissions, those whose effect stands: one and its undo cancel out, pair by pair."""
    followed = {taken_back: one for one, taken_back in undoes.items() if taken_back in undoes}
    standing = set()
    for one in (one for one, taken_back in undoes.items() if taken_back not in undoes):
        chain = [one]
        while chain[-1] in followed:
            chain.append(followed[chain[-1]])
        if len(chain) % 2:
            standing.add(chain[-1])
    return standing


def counts_of(connection: Connection, submission_id: UUID) -> dict[str, int]:
    """What taking it back would do, by kind of effect."""
    rows = run_sql(connection, f"SELECT c.op, count(*) FROM ({_CHANGED}) c GROUP BY c.op", undone=submission_id)
    done = {str(op): cast(int, count) for op, count in rows}
    return {
        "voided": done.get("new", 0) + done.get("restore", 0),
        "changed": done.get("update", 0),
        "restored": done.get("void", 0),
    }


def find_undone(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """One difference row a record: the contrary of what was done to it."""
    refs = ", ".join(f"l.{role.role}_ref" for role in record_type.people)
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest, moves)
        WITH l AS (
            SELECT c.seq, c.op, c.changed_fields, t.*, r.version AS last_version, r.voided AS is_voided,
                   r.areas AS areas_now
            FROM ({_CHANGED}) c
            JOIN {{d}}.ver_{record_type.code} t ON t.record_id = c.record_id AND t.version = c.target
            JOIN {{d}}.rec_{record_type.code} r ON r.record_id = c.record_id
        )
        SELECT :submission, row_number() OVER (ORDER BY l.seq), '{record_type.code}',
               CASE l.op WHEN 'void' THEN 'restore' WHEN 'update' THEN 'update' ELSE 'void' END,
               l.record_id, l.last_version + 1, l.record_key, ARRAY[{refs}]::uuid[],
               CASE WHEN l.op = 'update' THEN l.changed_fields END,
               CASE WHEN NOT l.is_voided THEN l.areas_now END,
               CASE WHEN l.op IN ('update', 'void') THEN {own_or_home_areas(record_type)} ELSE l.areas_now END,
               l.content_digest, false
        FROM l
        {home_joins(record_type)}
        """,
        submission=row.submission_id,
        undone=row.undoes,
    )


def bring_back(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """The earlier version's values become the current ones; what did not exist before is voided with the values it has."""
    people = [name for role in record_type.people for name in (f"{role.role}_ref", f"{role.role}_area")]
    kept = {name: f"t.{name}" for name in [*people, *(field.name for field in record_type.plain_fields)]}
    values = ", ".join(f"{name} = {value}" for name, value in (kept | dict(numbers_now(record_type, "t"))).items())
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, voided = d.outcome = 'void', submission_id = :submission, row_no = d.row_no,
            recorded_at = :now, content_digest = d.content_digest,
            areas = CASE WHEN d.outcome <> 'void' THEN d.areas_after WHEN c.op = 'new' THEN r.areas ELSE t.areas END,
            {values}
        FROM {{d}}.difference d
        JOIN ({_CHANGED}) c ON c.record_id = d.record_id
        JOIN {{d}}.rec_{record_type.code}_history t ON t.record_id = c.record_id AND t.version = c.target
        WHERE d.submission_id = :submission AND d.row_no > 0 AND r.record_id = d.record_id
        """,
        submission=row.submission_id,
        undone=row.undoes,
        now=utc_now(),
    )


def bring_back_sealed(connection: Connection, row: Row[Any], record_type: RecordType) -> None:
    """The sealed clinical cells of the earlier version, unopened."""
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{record_type.code}_sealed (record_id, version, sealed)
        SELECT d.record_id, d.version, o.sealed
        FROM {{d}}.difference d
        JOIN ({_CHANGED}) c ON c.record_id = d.record_id
        JOIN {{d}}.rec_{record_type.code}_sealed o ON o.record_id = c.record_id AND o.version = c.target
        WHERE d.submission_id = :submission AND d.row_no > 0
        """,
        submission=row.submission_id,
        undone=row.undoes,
    )


def drop_rows_of(connection: Connection, submission_id: UUID, record_type: str) -> int:
    """The staged and held rows of what is taken back or withdrawn wait for nobody any more; how many there were."""
    dropped = run_sql(
        connection,
        f"DELETE FROM {{d}}.stg_{record_type} WHERE submission_id = :gone RETURNING row_no",
        gone=submission_id,
    )
    run_sql(connection, "DELETE FROM {d}.difference WHERE submission_id = :gone", gone=submission_id)
    return len(dropped)
