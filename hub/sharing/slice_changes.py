"""What changes of the log are to a slice, by their numbers alone: enter, update, leave, or none of its business."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql, set_reach
from hub.exchange.slice_sql import operation, slice_tests
from hub.registry.permissions import Actor
from hub.registry.scope import is_care_only
from hub.registry.slice_conditions import Values
from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import Catalogue, RecordType


class SliceChange(msgspec.Struct, frozen=True):
    """One change as the slice is told of it; no value, no person."""

    seq: int
    op: str  # enter update leave
    recorded_at: datetime


class Behind(msgspec.Struct, frozen=True):
    """Changes of a slice behind a place in the log, and up to where the log was read for them."""

    changes: list[SliceChange]
    reached: int


def operations_of(
    connection: Connection, catalogue: Catalogue, definition: SliceDefinition, seqs: Iterable[int]
) -> dict[int, str]:
    """What each of these changes is to the slice; those that are none of its business are left out."""
    chosen = "l.seq = ANY(CAST(:seqs AS bigint[]))"
    rows = _run(connection, catalogue, definition, chosen, {"seqs": sorted({*seqs})})
    return {cast(int, seq): str(op) for _, _, seq, op, _ in rows if seq is not None}


def changes_behind(
    connection: Connection, catalogue: Catalogue, definition: SliceDefinition, after: int, upper: int, most: int
) -> Behind:
    """The slice's changes in (after, upper], looked for in the first ``most`` rows that may be its own."""
    values: Values = {"after": after, "upper": upper, "most": most}
    there = _types_there(connection, catalogue, definition, values)
    rows = _run(connection, catalogue, definition, _IN_RANGE, values, there)
    count, last = rows[0][:2]
    changes = [SliceChange(*row[2:]) for row in rows if row[2] is not None]  # type: ignore[arg-type]
    return Behind(changes, cast(int, last) if count == most else upper)


_IN_RANGE = "l.seq > :after AND l.seq <= :upper AND l.record_type = ANY(CAST(:types AS text[])) {routed} ORDER BY l.seq LIMIT :most"


def _types_there(connection: Connection, catalogue: Catalogue, definition: SliceDefinition, values: Values) -> set[str]:
    """The record types of the range: a statement over all that a slice names takes longer to plan than to run."""
    kept = [one.record_type for one in definition.record_types if _is_kept(catalogue, one.record_type)]
    bound = {**values, "types": kept}
    chosen = _IN_RANGE.format(routed=_routed(definition, bound))
    rows = run_sql(
        connection, f"SELECT DISTINCT record_type FROM (SELECT l.* FROM {{d}}.change_log l WHERE {chosen}) l", **bound
    )
    return {str(record_type) for (record_type,) in rows}


def _run(
    connection: Connection, catalogue: Catalogue, definition: SliceDefinition, chosen: str, values: Values,
    there: set[str] | None = None,
) -> list[tuple[object, ...]]:  # fmt: skip
    known = [one for one in definition.record_types if _is_kept(catalogue, one.record_type)]
    looked = known if there is None else [one for one in known if one.record_type in there]
    if not looked:
        return [(0, None, None, None, None)]
    values["types"] = [one.record_type for one in known]
    routed = _routed(definition, values)
    branches = " UNION ALL ".join(
        _branch(one, catalogue.record_types[one.record_type], number, values, "areas" if routed else "")
        for number, one in enumerate(looked)
    )
    return run_sql(
        connection,
        f"""
        WITH log AS MATERIALIZED (SELECT l.* FROM {{d}}.change_log l WHERE {chosen.format(routed=routed)}),
        looked AS (SELECT count(*) AS rows, max(seq) AS last FROM log)
        SELECT looked.rows, looked.last, c.seq, c.op, c.recorded_at
        FROM looked LEFT JOIN (SELECT * FROM ({branches}) b WHERE op IS NOT NULL) c ON true ORDER BY c.seq
        """,
        **values,
    )


def _is_kept(catalogue: Catalogue, record_type: str) -> bool:
    """Whether the type is in use; a subscription of one that was switched off is not told of it."""
    known = catalogue.record_types.get(record_type)
    return known is not None and known.enabled


def _routed(definition: SliceDefinition, values: Values) -> str:
    if definition.areas is None:
        return ""
    values["areas"] = list(definition.areas)
    return "AND (l.areas_before && CAST(:areas AS integer[]) OR l.areas_after && CAST(:areas AS integer[]))"


def _branch(one: SliceType, record_type: RecordType, number: int, values: Values, areas: str) -> str:
    tests = slice_tests(one, record_type, number, values, areas)
    version = f"SELECT v.* FROM {{d}}.ver_{record_type.code} v WHERE v.record_id = l.record_id AND v.version = "
    return f"""
        SELECT l.seq, l.recorded_at, {operation(f"CAST(:{tests.watched} AS text[])")} AS op
        FROM log l
        LEFT JOIN LATERAL ({version} l.version) a ON true
        LEFT JOIN LATERAL ({version} l.version - 1) b ON l.op <> 'new'
        CROSS JOIN LATERAL (SELECT {tests.was} AS was, {tests.is_in} AS is_in) inside
        WHERE l.record_type = '{record_type.code}'
    """


def narrowed(
    definition: SliceDefinition, record_type: str, areas: Sequence[int] | None = None
) -> SliceDefinition | None:
    """The slice of one record type alone, in fewer areas if an export had fewer; None where it has no such type."""
    found = tuple(one for one in definition.record_types if one.record_type == record_type)
    if not found:
        return None
    return SliceDefinition(found, definition.areas if areas is None else tuple(areas))


def types_for(actor: Actor, catalogue: Catalogue) -> list[str]:
    """Record types of which this actor may know that they were shared: what is clinical by existing, care alone."""
    enabled = (one for one in catalogue.record_types.values() if one.enabled)
    return [one.code for one in enabled if actor.kind == "care" or not is_care_only(one)]


def open_sharing(connection: Connection, actor: Actor, record_types: Iterable[str]) -> None:
    """From here on this transaction sees the log and every subscription, to derive what was shared; values leave it never.

    Records that are clinical by existing open to care organisations alone.
    """
    care = "on" if actor.kind == "care" else ""
    set_reach(connection, {"types": ",".join(record_types), "areas": "*", "ledger": "all", "care": care})
