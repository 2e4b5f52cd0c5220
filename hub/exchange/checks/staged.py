"""Writes the rows that may go on: typed, numbered, with a digest of their content and their clinical cells sealed."""

from __future__ import annotations

import hashlib

import polars as pl

from hub.exchange.checks.columns import Values
from hub.exchange.checks.context import CheckContext
from mappings.catalogue import Field
from mappings.fields.reading import nothing

SEPARATOR = "\x1f"
EMPTY = "\x00"  # an empty cell: no text that passed a check can contain it


def stage(
    batch: pl.DataFrame, values: Values, kinds: pl.Series, held: pl.Series, refused: pl.Series, context: CheckContext
) -> pl.DataFrame:
    """The frame for COPY into the staging table, in its order of columns; refused rows are left out."""
    envelope = batch.select("row_no", "sheet_row").with_columns(kinds.alias("change_kind"), held.alias("held"))
    content = pl.DataFrame([values[field.name] for field in context.record_type.fields])
    if refused.any():
        envelope, content = envelope.filter(~refused), content.filter(~refused)
    plain = [field.name for field in context.record_type.plain_fields]
    return envelope.with_columns(
        _digests(content, context),
        *_new_ids(envelope.height, context),
        *_areas(content, context),
    ).select(*_envelope_names(context), *(content[name] for name in plain), _sealed(content, context))


def _envelope_names(context: CheckContext) -> list[str]:
    people = [name for role in context.record_type.people for name in (f"{role.role}_new", f"{role.role}_area")]
    return ["row_no", "sheet_row", "change_kind", "held", "content_digest", "new_record", *people]


def _digests(content: pl.DataFrame, context: CheckContext) -> pl.Series:
    """BLAKE2b of all fields in the catalogue's order, keyed, so that the digests tell nobody what a cell says."""
    texts = [_canonical(field).fill_null(EMPTY) for field in context.record_type.fields]
    rows = content.select(pl.concat_str(texts, separator=SEPARATOR).cast(pl.Binary)).to_series().to_list()
    blake2b, key = hashlib.blake2b, context.digest_key
    digests = [blake2b(row, key=key, digest_size=16).digest() for row in rows]
    return _as_bytea(pl.Series("content_digest", digests, dtype=pl.Binary))


def _canonical(field: Field) -> pl.Expr:
    column = pl.col(field.name)
    if field.type == "date":
        return column.dt.strftime("%Y-%m-%d")
    if field.type == "datetime":
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S")
    return column.cast(pl.String)


def _as_bytea(digests: pl.Series) -> pl.Series:
    return ("\\x" + digests.bin.encode("hex")).alias(digests.name)


def _new_ids(height: int, context: CheckContext) -> list[pl.Series]:
    """A key for each row, should its record be new, and for each of its people, should they be unknown."""
    names = ["new_record", *(f"{role.role}_new" for role in context.record_type.people)]
    keys = pl.Series(context.new_uuids(height * len(names)), dtype=pl.String)
    return [keys.slice(place * height, height).alias(name) for place, name in enumerate(names)]


def _areas(content: pl.DataFrame, context: CheckContext) -> list[pl.Series]:
    """Per person the area the row itself gives: the first of the role's area fields that lies in the district."""
    table, areas = context.area_table, []
    for role in context.record_type.people:
        known = nothing(content.height, pl.Int32())
        for name in role.area_fields:
            if content[name].null_count() < content.height:
                ids = table.ids_of(content[name])
                known = ids if known.null_count() == content.height else known.zip_with(known.is_not_null(), ids)
        areas.append(known.alias(f"{role.role}_area"))
    return areas


def _sealed(content: pl.DataFrame, context: CheckContext) -> pl.Series:
    """The clinical cells as one JSON object, sealed; empty where there are none."""
    fields = context.record_type.clinical_fields
    empty = nothing(content.height).alias("sealed")
    if not fields or not content.height:
        return empty
    cells = [
        _canonical(field).alias(field.name) if field.type in ("date", "datetime") else field.name for field in fields
    ]
    told = content.select(pl.any_horizontal(pl.col(field.name).is_not_null() for field in fields)).to_series()
    if not told.any():
        return empty
    texts = content.filter(told).select(pl.struct(cells).struct.json_encode().cast(pl.Binary)).to_series().to_list()
    sealed = _as_bytea(pl.Series("sealed", context.seal(texts), dtype=pl.Binary))
    return empty.scatter(told.arg_true(), sealed)
