"""The two statements a slice is made of: a page of its changes, and the slice as it stands now."""

from __future__ import annotations

import hashlib

import msgspec

from hub.registry.slice_conditions import Values, blank_would_meet, condition_sql
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.slice_masks import masked_sql
from mappings.catalogue import Catalogue, RecordType

_INSTANT = '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\''


def page_statement(definition: SliceDefinition, catalogue: Catalogue) -> tuple[str, Values]:
    """One statement a page: head, how far the log was read, and the changes as JSON text, built in PostgreSQL.

    Bind ``after``, ``upper`` (or NULL), ``window``, ``limit`` (or NULL) and ``first`` (delivery number).
    """
    values: Values = {"types": [one.record_type for one in definition.record_types]}
    routed = ""
    if definition.areas is not None:
        routed = "AND (l.areas_before && CAST(:areas AS integer[]) OR l.areas_after && CAST(:areas AS integer[]))"
        values["areas"] = list(definition.areas)
    branches = [_change_branch(one, catalogue, number, values) for number, one in enumerate(definition.record_types)]
    statement = f"""
        WITH head AS (SELECT epoch, last_seq FROM {{d}}.feed_head),
        log AS MATERIALIZED (
            SELECT l.* FROM {{d}}.change_log l
            WHERE l.seq > :after AND l.seq <= coalesce(CAST(:upper AS bigint), CAST(:after AS bigint) + :window)
              AND l.record_type = ANY(CAST(:types AS text[])) {routed}
            ORDER BY l.seq LIMIT :limit
        ), change AS (
            {" UNION ALL ".join(branches)}
        ), numbered AS (
            SELECT c.*, :first + row_number() OVER (ORDER BY seq) - 1 AS delivery_no FROM change c WHERE op IS NOT NULL
        )
        SELECT head.epoch, head.last_seq, (SELECT count(*) FROM log), (SELECT max(seq) FROM log), told.count, told.changes
        FROM head, (
            SELECT count(*) AS count,
                   string_agg(json_build_object('seq', seq, 'delivery_no', delivery_no, 'op', op,
                       'record_type', record_type, 'record_id', record_id, 'person_id', person_id, 'version', version,
                       'recorded_at', recorded_at, 'before', CASE WHEN op <> 'enter' THEN before END,
                       'after', CASE WHEN op <> 'leave' THEN after END, 'source', source,
                       'disputed', disputed)::text, E',\\n' ORDER BY seq) AS changes
            FROM numbered
        ) told
    """
    return statement, values


def slice_statement(one: SliceType, definition: SliceDefinition, catalogue: Catalogue) -> tuple[str, Values]:
    """The records of one type that are in the slice now: id, person, version, source, mark, subscribed fields as JSON."""
    record_type = catalogue.record_types[one.record_type]
    rows, values = slice_rows(one, definition, record_type, f"{{d}}.rec_{record_type.code}")
    return f"SELECT {slice_columns(one, record_type)} FROM {rows} ORDER BY v.record_id", values


def slice_columns(one: SliceType, record_type: RecordType) -> str:
    """What is told of a version ``v``: id, person, version, source, mark, subscribed fields as JSON."""
    person, payload = main_person(record_type, "v"), _payload(one, record_type, "v")
    return f"v.record_id, {person}, v.version, v.source, v.disputed, {payload}"


def slice_rows(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, versions: str
) -> tuple[str, Values]:
    """Which of these versions (a table, or a query in brackets) are in the slice: what follows FROM; they are ``v``."""
    values: Values = {}
    tests = ["NOT v.voided", *conditions(one, record_type, "v", 0, values)]
    if definition.areas is not None:
        tests.append("v.areas && CAST(:areas AS integer[])")
        values["areas"] = list(definition.areas)
    return f"{versions} v {_sealed_join(one, record_type, 'v')} WHERE {' AND '.join(tests)}", values


def inside_sql(
    one: SliceType, areas: tuple[int, ...] | None, record_type: RecordType, number: int, values: Values
) -> str:
    """Whether a version ``v`` that stands is in a slice; filters and areas are bound by the filter's number."""
    tests = conditions(one, record_type, "v", number, values)
    if areas is not None:
        tests.append(f"v.areas && CAST(:areas_{number} AS integer[])")
        values[f"areas_{number}"] = list(areas)
    return f"coalesce({' AND '.join(tests)}, false)" if tests else "true"


def _change_branch(one: SliceType, catalogue: Catalogue, number: int, values: Values) -> str:
    """Changes of one record type: the version before and the version after, and what that is to this slice.

    A version outside the slice's areas is not needed, and row security does not show it: what left has no after.
    A change behind a mask is an update too, even where the mask looks the same: told by the version alone. To be silent
    about those, one would have to know what the mask hid, and of a version lawfully erased nobody does any more.
    """
    record_type = catalogue.record_types[one.record_type]
    tests = slice_tests(one, record_type, number, values, "areas" if "areas" in values else "")
    return f"""
        SELECT l.seq, '{record_type.code}' AS record_type, l.record_id,
               CASE WHEN is_in THEN a.person_id ELSE b.person_id END AS person_id, l.version,
               to_char(l.recorded_at AT TIME ZONE 'UTC', {_INSTANT}) AS recorded_at,
               CASE WHEN is_in THEN a.source ELSE b.source END AS source,
               CASE WHEN is_in THEN a.disputed ELSE b.disputed END AS disputed,
               {operation(f"CAST(:{tests.watched} AS text[])")} AS op,
               b.payload AS before, a.payload AS after
        FROM log l
        LEFT JOIN LATERAL ({_version(one, record_type, "l.version")}) a ON true
        LEFT JOIN LATERAL ({_version(one, record_type, "l.version - 1", "l.op <> 'new' AND ")}) b ON true
        CROSS JOIN LATERAL (
            SELECT {tests.was} AS was, {tests.is_in} AS is_in
        ) inside
        WHERE l.record_type = '{record_type.code}'
    """


class SliceTests(msgspec.Struct, frozen=True):
    """What makes a change one of a slice's: tests of the version before (b) and after (a), the value that is watched."""

    was: str
    is_in: str
    watched: str


def slice_tests(one: SliceType, record_type: RecordType, number: int, values: Values, areas: str = "") -> SliceTests:
    """The tests by the log's row (l) and its two versions; ``areas`` names the bound ids, "" is everywhere."""
    watched = [*one.fields, "person", "disputed", *(["clinical"] if _clinical(one, record_type) else [])]
    values[f"watched_{number}"] = [*watched, *(each.field for each in one.conditions)]
    within = [f"l.areas_{when} && CAST(:{areas} AS integer[])" if areas else "true" for when in ("before", "after")]
    met = [_met(one, record_type, *version, number, values) for version in (("b", "l.version - 1"), ("a", "l.version"))]
    before = ["b.record_id IS NOT NULL", "NOT b.voided", within[0], *met[0]]
    after = ["NOT a.voided", within[1], *met[1]]
    was, is_in = (f"coalesce({' AND '.join(tests)}, false)" for tests in (before, after))
    return SliceTests(was, is_in, f"watched_{number}")


def operation(watched: str) -> str:
    """What the change is to the slice; NULL where it is none of its business."""
    return (
        "CASE WHEN was AND NOT is_in THEN 'leave' WHEN is_in AND NOT was THEN 'enter'"
        f" WHEN was AND is_in AND coalesce(l.changed_fields && {watched}, true) THEN 'update' END"
    )


def _version(one: SliceType, record_type: RecordType, version: str, only: str = "") -> str:
    """One version of a record by its key, wherever it is kept: two index look-ups, never a scan; none where not ``only``."""
    tested = "".join(f", v.{name}" for name in dict.fromkeys(each.field for each in one.conditions))
    columns = (
        f"v.record_id, v.voided, v.source, v.disputed, {main_person(record_type, 'v')} AS person_id,"
        f" {_payload(one, record_type, 'v')} AS payload{tested}"
    )
    return " UNION ALL ".join(
        f"SELECT {columns} FROM {{d}}.{table} v {_sealed_join(one, record_type, 'v')}"
        f" WHERE {only}v.record_id = l.record_id AND v.version = {version}"
        for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history")
    )


def _payload(one: SliceType, record_type: RecordType, alias: str) -> str:
    parts = [f"'{name}', {delivered(one, record_type, name, alias)}" for name in plain_names(one, record_type)]
    if _clinical(one, record_type):
        parts.append("'_sealed', encode(sealed.sealed, 'base64')")
    return f"json_build_object({', '.join(parts)})"


def delivered(one: SliceType, record_type: RecordType, name: str, alias: str) -> str:
    """The value of one plain field as the subscriber gets it: what a mask hides does not leave the database."""
    column = f"{alias}.{name}"
    return masked_sql(record_type.by_name[name], column) if name in one.masked else column


def plain_names(one: SliceType, record_type: RecordType) -> list[str]:
    """Subscribed fields that are columns of their own; the clinical ones lie sealed."""
    return [name for name in one.fields if not record_type.by_name[name].clinical]


def _clinical(one: SliceType, record_type: RecordType) -> bool:
    return any(record_type.by_name[name].clinical for name in one.fields)


def _sealed_join(one: SliceType, record_type: RecordType, alias: str) -> str:
    if not _clinical(one, record_type):
        return ""
    return (
        f"LEFT JOIN {{d}}.rec_{record_type.code}_sealed sealed"
        f" ON sealed.record_id = {alias}.record_id AND sealed.version = {alias}.version"
    )


def main_person(record_type: RecordType, alias: str) -> str:
    return f"{alias}.{record_type.people[0].role}_ref" if record_type.people else "NULL::uuid"


def _met(one: SliceType, record_type: RecordType, alias: str, version: str, number: int, values: Values) -> list[str]:
    """The conditions on a version; of one that was lawfully erased there is no value left, only that it met them."""
    tests = conditions(one, record_type, alias, number, values)
    if not tests:
        return []
    values[f"filter_{number}"] = filter_digest(one)
    its = f"e.record_id = l.record_id AND e.version = {version}"
    erased = (
        f"EXISTS (SELECT 1 FROM {{d}}.erased_version e WHERE {its} AND CAST(:filter_{number} AS text) = ANY(e.met))"
    )
    met = f"coalesce({' AND '.join(tests)}, false)"
    if blank_would_meet(each.op for each in one.conditions):
        met = f"({met} AND NOT EXISTS (SELECT 1 FROM {{d}}.erased_version e WHERE {its}))"
    return [f"({met} OR {erased})"]


def filter_digest(one: SliceType) -> str:
    """What a row filter is remembered by, whatever the order it was written in."""
    canonical = sorted((each.field, each.op, sorted(each.values)) for each in one.conditions)
    return hashlib.sha256(msgspec.json.encode([one.record_type, canonical])).hexdigest()


def conditions(one: SliceType, record_type: RecordType, alias: str, number: int, values: Values) -> list[str]:
    """Tests of one slice's row filter on a version, their values bound by the filter's number."""
    return [
        condition_sql(record_type.by_name[each.field], each.op, each.values, alias, f"chosen_{number}_{place}", values)
        for place, each in enumerate(one.conditions)
    ]
