"""The statements of the comparison of copies: a slice's records as they stood at one place of the feed, and their cells.

What a record was at ``seq``: its current version if nothing changed it since, else the one before its first later change.
The digests are those of adapters.copy_digest, byte for byte.
"""

from __future__ import annotations

from adapters.copy_digest import DIGEST_BYTES, TOWN_DIGITS
from hub.exchange.slice_sql import delivered, main_person, plain_names, slice_columns, slice_rows
from hub.registry.slice_conditions import Values
from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import RecordType

_ENVELOPE = ("record_id", "version", "source", "disputed", "voided", "areas")
_NUMBERS = frozenset({"integer", "decimal"})


def town_counts(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, town_field: str
) -> tuple[str, Values]:
    """How many records each town has. Bind ``seq``."""
    rows, values = _standing(one, definition, record_type)
    town = _town(one, record_type, town_field)
    return f"{_LATER} SELECT {town}, count(*) FROM {rows} GROUP BY 1", _bound(values, record_type)


def town_digests(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, town_field: str
) -> tuple[str, Values]:
    """Count and digest of every town. Bind ``seq`` and ``buckets``."""
    cells, values = _cells(one, definition, record_type, town_field)
    digest = _cut("sha256(string_agg(int4send(bucket) || digest, ''::bytea ORDER BY bucket))")
    return f"{_LATER} SELECT town, sum(records), {digest} FROM ({cells}) cell GROUP BY town", values


def cell_digests(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, town_field: str
) -> tuple[str, Values]:
    """The digests of the cells of some towns. Bind ``seq``, ``buckets`` and ``towns``."""
    cells, values = _cells(
        one, definition, record_type, town_field, f"{_town(one, record_type, town_field)} = ANY(:towns)"
    )
    return f"{_LATER} SELECT town, bucket, digest FROM ({cells}) cell", values


def cell_records(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, town_field: str
) -> tuple[str, Values]:
    """Town, bucket, digest, whether it lies in one of the cells, and the record as it is delivered, of the records
    in these cells and of those named. Bind ``seq``, ``buckets``, ``named``, and the cells: ``cell_towns`` beside
    ``cell_buckets``.
    """
    cells = "SELECT t, b FROM unnest(CAST(:cell_towns AS text[]), CAST(:cell_buckets AS integer[])) AS c (t, b)"
    within = f"({_town(one, record_type, town_field)}, {_BUCKET}) IN ({cells})"
    rows, values = _standing(one, definition, record_type)
    digest = _row_digest(one, record_type)
    return (
        f"{_LATER} SELECT {digest}, {within}, {slice_columns(one, record_type)}"
        f" FROM {rows} AND ({within} OR v.record_id = ANY(CAST(:named AS uuid[])))",
        _bound(values, record_type),
    )


def all_records(one: SliceType, definition: SliceDefinition, record_type: RecordType) -> tuple[str, Values]:
    """Every record as it is delivered. Bind ``seq``."""
    rows, values = _standing(one, definition, record_type)
    return f"{_LATER} SELECT {slice_columns(one, record_type)} FROM {rows}", _bound(values, record_type)


def changed_later(record_type: RecordType) -> tuple[str, Values]:
    """Which of the ``named`` records changed behind ``seq``."""
    return (
        f"{_LATER} SELECT record_id FROM later WHERE record_id = ANY(CAST(:named AS uuid[]))",
        _bound({}, record_type),
    )


# ---- the records as they stood ----

_LATER = (
    "WITH later AS MATERIALIZED (SELECT record_id, min(version) AS version FROM {d}.change_log"
    " WHERE seq > :seq AND record_type = :record_type GROUP BY record_id)"
)
_BUCKET = "CAST(CAST(CAST('x' || right(CAST(v.record_id AS text), 8) AS bit(32)) AS bigint) % :buckets AS integer)"


def _standing(one: SliceType, definition: SliceDefinition, record_type: RecordType) -> tuple[str, Values]:
    names = plain_names(one, record_type)
    people = [main_person(record_type, "r").removeprefix("r.")] if record_type.people else []
    wanted = dict.fromkeys((*_ENVELOPE, *people, *names, *(each.field for each in one.conditions)))
    current, before = (", ".join(f"{alias}.{name}" for name in wanted) for alias in ("r", "h"))
    versions = (
        f"(SELECT {current} FROM {{d}}.rec_{record_type.code} r"
        " WHERE NOT EXISTS (SELECT 1 FROM later l WHERE l.record_id = r.record_id)"
        f" UNION ALL SELECT {before} FROM later l JOIN {{d}}.rec_{record_type.code}_history h"
        " ON h.record_id = l.record_id AND h.version = l.version - 1)"
    )
    return slice_rows(one, definition, record_type, versions)


def _cells(
    one: SliceType, definition: SliceDefinition, record_type: RecordType, town_field: str, only: str = "true"
) -> tuple[str, Values]:
    rows, values = _standing(one, definition, record_type)
    digest = _cut("sha256(string_agg(digest, ''::bytea ORDER BY record_id))")
    return (
        f"SELECT town, bucket, count(*) AS records, {digest} AS digest FROM"
        f" (SELECT {_town(one, record_type, town_field)} AS town, {_BUCKET} AS bucket, v.record_id,"
        f" {_row_digest(one, record_type)} AS digest FROM {rows} AND {only}) digested GROUP BY town, bucket",
        _bound(values, record_type),
    )


def _bound(values: Values, record_type: RecordType) -> Values:
    return values | {"record_type": record_type.code}


# ---- canonical text ----


def _row_digest(one: SliceType, record_type: RecordType) -> str:
    """Without the clinical fields: where there are any, the records come sealed and are digested after opening."""
    names = sorted(plain_names(one, record_type))
    fields = ", ".join(f"'{name}', {_canonical(one, record_type, name)}" for name in names)
    person = main_person(record_type, "v")
    canonical = f"json_build_array(:record_type, v.record_id, {person}, v.disputed, json_build_object({fields}))"
    return _cut(f"sha256(convert_to(CAST({canonical} AS text), 'UTF8'))")


def _canonical(one: SliceType, record_type: RecordType, name: str) -> str:
    value = delivered(one, record_type, name, "v")
    if record_type.by_name[name].type not in _NUMBERS or name in one.masked:
        return value
    return f"CAST(trim_scale({value}) AS text)"


def _cut(digest: str) -> str:
    return f"substr({digest}, 1, {DIGEST_BYTES})"


def _town(one: SliceType, record_type: RecordType, town_field: str) -> str:
    return f"coalesce(left({delivered(one, record_type, town_field, 'v')}, {TOWN_DIGITS}), '')" if town_field else "''"
