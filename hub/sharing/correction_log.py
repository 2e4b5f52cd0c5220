"""Which changes of the log are corrections, the whole history of a record by its numbers, and what was handed over of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry.scope import is_care_only
from hub.registry.slice_definition import SliceDefinition
from hub.sharing.holdings import Handed
from mappings.catalogue import Catalogue

# mark: disputed, or no more; challenge: a unit had challenged the record; identity: the number is another one;
# value: of an event that was told otherwise; withdrawn: voided, or brought back; other: a state that went on
Cause = Literal["mark", "challenge", "identity", "value", "withdrawn", "other"]
_OPS = "('update', 'void', 'restore', 'relink', 'dispute', 'settle')"


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A change after which somebody's copy is no longer right. No value, no person."""

    seq: int
    record_type: str
    record_id: UUID
    version: int
    op: str
    changed_fields: tuple[str, ...]  # empty: all of them
    recorded_at: datetime
    cause: Cause


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which corrections: of these types, in (after, upto], from one source, or of these records; the newest first or last."""

    types: Sequence[str]
    after: int = 0
    upto: int = 2**62
    source: str = ""
    records: Sequence[UUID] = ()
    everything: bool = False  # also states that went on
    newest_first: bool = False
    most: int = 500


def find_corrections(connection: Connection, catalogue: Catalogue, wanted: Wanted) -> list[Correction]:
    """Corrections in the order of the log. By records the whole of their history is read, else the range alone."""
    types = [catalogue.record_types[code] for code in wanted.types]
    sources = " UNION ALL ".join(
        f"SELECT 1 FROM {{d}}.rec_{one.code} r WHERE r.record_id = l.record_id AND r.source = :source"
        f" AND l.record_type = '{one.code}'"
        for one in types
    )
    tests = ["cause <> 'other'"] if not wanted.everything else []
    tests += [f"EXISTS ({sources})"] if wanted.source else []
    order = "DESC" if wanted.newest_first else ""
    rows = run_sql(
        connection,
        f"WITH l AS ({_CANDIDATES}) SELECT seq, record_type, record_id, version, op, coalesce(changed_fields, '{{}}'),"
        f" recorded_at, cause FROM l {'WHERE ' + ' AND '.join(tests) if tests else ''} ORDER BY seq {order} LIMIT :most",
        after=wanted.after, upto=wanted.upto, types=list(wanted.types), most=wanted.most,
        events=[one.code for one in types if one.event_date],
        **({"source": wanted.source} if wanted.source else {}),
    )  # fmt: skip
    return [_correction(row) for row in rows]


_CAUSE = """
    CASE WHEN c.op IN ('dispute', 'settle') THEN 'mark'
         WHEN c.op <> 'relink' AND EXISTS (SELECT 1 FROM {d}.challenge x WHERE x.record_id = c.record_id
              AND x.opened_version < c.version AND (x.settled_version IS NULL OR c.version < x.settled_version))
              THEN 'challenge'
         WHEN c.op = 'relink' THEN CASE WHEN c.changed_fields <@ '{person}' THEN 'other' ELSE 'identity' END
         WHEN c.op IN ('void', 'restore') THEN 'withdrawn'
         WHEN c.record_type = ANY(CAST(:events AS text[])) THEN 'value' ELSE 'other' END AS cause
"""
_CANDIDATES = f"""
    SELECT c.*, {_CAUSE} FROM {{d}}.change_log c
     WHERE c.seq > :after AND c.seq <= :upto AND c.op IN {_OPS} AND c.record_type = ANY(CAST(:types AS text[]))
"""


def corrections_of_record(
    connection: Connection, catalogue: Catalogue, record_type: str, record_id: UUID
) -> list[Correction]:
    """Every correction of one record, whatever its cause, in the order of the log."""
    seqs = [seq for seq, _ in histories(connection, record_type, [record_id]).get(record_id, [])]
    return load_corrections(connection, catalogue, seqs)


def load_corrections(connection: Connection, catalogue: Catalogue, seqs: Iterable[int]) -> list[Correction]:
    """The corrections among these numbers of the log, as far as row security shows them."""
    rows = run_sql(
        connection,
        f"SELECT c.seq, c.record_type, c.record_id, c.version, c.op, coalesce(c.changed_fields, '{{}}'), c.recorded_at,"
        f" {_CAUSE} FROM {{d}}.change_log c WHERE c.seq = ANY(CAST(:seqs AS bigint[])) AND c.op IN {_OPS} ORDER BY c.seq",
        seqs=list(seqs),
        events=[one.code for one in catalogue.record_types.values() if one.event_date],
    )
    return [_correction(row) for row in rows]


def _correction(row: tuple[object, ...]) -> Correction:
    values = dict(zip(Correction.__struct_fields__, row, strict=True))
    return msgspec.convert(
        values | {"changed_fields": tuple(cast(Sequence[str], values["changed_fields"]))}, Correction
    )


def histories(
    connection: Connection, record_type: str, record_ids: Collection[UUID]
) -> dict[UUID, list[tuple[int, str]]]:
    """Number and op of every change of these records, in order. The log has no index by record: its batches are few."""
    rows = run_sql(
        connection,
        f"""
        WITH batch AS MATERIALIZED (
            SELECT DISTINCT b.from_seq, b.to_seq FROM {{d}}.ver_{record_type} v JOIN {{d}}.feed_batch b USING (submission_id)
            WHERE v.record_id = ANY(CAST(:those AS uuid[]))
        )
        SELECT l.record_id, l.seq, l.op FROM batch b JOIN {{d}}.change_log l ON l.seq BETWEEN b.from_seq AND b.to_seq
        WHERE l.record_id = ANY(CAST(:those AS uuid[])) AND l.record_type = :record_type ORDER BY l.seq
        """,
        those=list(record_ids),
        record_type=record_type,
    )
    found: dict[UUID, list[tuple[int, str]]] = defaultdict(list)
    for record_id, seq, op in rows:
        found[cast(UUID, record_id)].append((cast(int, seq), str(op)))
    return found


def definitions_naming(connection: Connection, record_type: str) -> dict[tuple[UUID, int], SliceDefinition]:
    """Every version of every subscription that names this type, by subscription and version."""
    rows = run_sql(
        connection,
        "SELECT subscription_id, version, definition FROM {d}.subscription_version"
        " WHERE definition -> 'record_types' @> CAST(:named AS jsonb)",
        named=msgspec.json.encode([{"record_type": record_type}]).decode(),
    )
    return {
        (cast(UUID, one), cast(int, version)): msgspec.convert(definition, SliceDefinition)
        for one, version, definition in rows
    }


def handed_over(
    connection: Connection, record_type: str, subscriptions: Collection[UUID], seqs: Collection[int]
) -> dict[UUID, list[Handed]]:
    """Pages that hold any of these changes, and every snapshot, export and repair of a copy, by subscription."""
    asked: dict[str, Any] = {"those": list(subscriptions), "seqs": list(seqs)}
    found: dict[UUID, list[Handed]] = defaultdict(list)
    for statement in (_PAGES, _SNAPSHOTS, _EXPORTS, _REPAIRS):
        values = asked if statement is _PAGES else {"those": asked["those"]}
        for one, *told, types in run_sql(connection, statement, **values):
            if types is None or record_type in cast(Sequence[str], types):
                found[cast(UUID, one)].append(_handed(told))
    return found


def _handed(told: list[Any]) -> Handed:
    export_no, version, areas, whole, from_seq, to_seq, at, fetched_at, acknowledged_at, records = told
    return Handed(
        export_no=export_no, cut=(version, None if areas is None else tuple(areas)), whole=whole, from_seq=from_seq,
        to_seq=to_seq, at=at, fetched_at=fetched_at or acknowledged_at, acknowledged_at=acknowledged_at,
        records=None if records is None else frozenset(records),
    )  # fmt: skip


_PAGES = """
WITH feed AS (SELECT DISTINCT subscription_id, epoch FROM {d}.delivery WHERE subscription_id = ANY(CAST(:those AS uuid[])))
SELECT DISTINCT p.subscription_id, '', p.definition_version, NULL::integer[], false, p.from_seq, p.to_seq, p.delivered_at,
       p.fetched_at, p.acknowledged_at, NULL::uuid[], NULL::text[]
  FROM unnest(CAST(:seqs AS bigint[])) asked(seq) CROSS JOIN feed CROSS JOIN LATERAL (
       SELECT e.* FROM {d}.delivery e WHERE e.subscription_id = feed.subscription_id AND e.epoch = feed.epoch
          AND e.kind = 'page' AND e.from_seq < asked.seq ORDER BY e.from_seq DESC LIMIT 1) p
 WHERE p.to_seq >= asked.seq
"""
_SNAPSHOTS = """
SELECT subscription_id, '', definition_version, NULL::integer[], true, from_seq, to_seq, delivered_at, fetched_at,
       acknowledged_at, NULL::uuid[], NULL::text[]
  FROM {d}.delivery WHERE subscription_id = ANY(CAST(:those AS uuid[])) AND kind = 'snapshot'
"""
_EXPORTS = """
SELECT subscription_id, export_no, definition_version, areas, whole, from_seq, to_seq, made_at, made_at,
       NULL::timestamptz, NULL::uuid[], record_types
  FROM {d}.slice_export WHERE subscription_id = ANY(CAST(:those AS uuid[]))
"""
_REPAIRS = """
SELECT subscription_id, '', definition_version, NULL::integer[], true, 0, seq, changed_at, changed_at,
       NULL::timestamptz, repaired, NULL::text[]
  FROM {d}.copy_check WHERE subscription_id = ANY(CAST(:those AS uuid[])) AND repaired <> '{}'
"""


def open_types(catalogue: Catalogue) -> list[str]:
    """Record types whose corrections are watched for everybody; what is clinical by existing is looked at on demand."""
    return [one.code for one in catalogue.record_types.values() if one.enabled and not is_care_only(one)]


def source_of(connection: Connection, record_type: str, record_id: UUID) -> str:
    """The organisation a record comes from; "" where row security does not show it."""
    rows = run_sql(connection, f"SELECT source FROM {{d}}.rec_{record_type} WHERE record_id = :one", one=record_id)
    return str(rows[0][0]) if rows else ""
