"""Reads every column of a batch by its field's type: from cells as sent to typed values and findings."""

from __future__ import annotations

from functools import partial

import polars as pl

from hub.exchange.checks.context import CheckContext
from hub.exchange.checks.findings import Findings
from hub.exchange.checks.raw_cells import beside
from mappings.catalogue import Field
from mappings.fields.areas import read_area
from mappings.fields.certificates import read_birth_certificate, read_certificate, read_division, read_uscc
from mappings.fields.codes import read_code
from mappings.fields.dates import read_date, read_datetime, read_month
from mappings.fields.identity_number import FOREIGN_CARD, PERMIT, IdentityRules, read_identity_number
from mappings.fields.names import read_name
from mappings.fields.numbers import read_boolean, read_decimal, read_integer
from mappings.fields.phones import read_phone
from mappings.fields.reading import Cells, Reading, nothing
from mappings.fields.text import read_text

KINDS: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
}
NUMBERED_AS_CITIZENS = ["111", "112", "113", PERMIT, FOREIGN_CARD]
Values = dict[str, pl.Series]


def read_columns(batch: pl.DataFrame, cells: dict[str, Cells], context: CheckContext, findings: Findings) -> Values:
    """The typed values of every field of the record type; fields the file lacks are empty."""
    values: Values = {}
    for field in context.record_type.fields:
        column = cells.get(field.name)
        if column is None or column.text.null_count() == batch.height:
            values[field.name] = empty_column(field, batch.height)
            continue
        identity = field.type == "id_no"
        reading = _read_identity(field, column, values, context) if identity else _read(field, column, batch, context)
        values[field.name] = reading.values.rename(field.name)
        findings.add(field.name, reading.found)
        if identity:
            _tell_the_document(field, values, context, findings)
    return values


def empty_column(field: Field, height: int) -> pl.Series:
    return nothing(height, KINDS.get(field.type)).alias(field.name)


def _read(field: Field, cells: Cells, batch: pl.DataFrame, context: CheckContext) -> Reading:
    """By the field's type."""
    months = context.record_type.date_precision == "month"
    newborn = context.record_type.no_id_allowed
    match field.type:
        case "name":
            return read_name(cells, newborn=newborn, optional=not field.required)
        case "code":
            return read_code(cells, context.code_tables[field.code_set])
        case "date":
            return read_date(cells, context.today, month_will_do=months)
        case "datetime":
            return read_datetime(cells, context.today)
        case "month":
            return read_month(cells, context.today)
        case "area":
            return read_area(cells, context.area_table, partial(beside, batch, field))
        case "certificate" if field.name in context.birth_certificates:
            return read_birth_certificate(cells)
        case "integer":
            return read_integer(cells)
        case "decimal":
            return read_decimal(cells)
        case "boolean":
            return read_boolean(cells)
        case _:
            return _read_words(field, cells)


def _read_words(field: Field, cells: Cells) -> Reading:
    readers = {"phone": read_phone, "uscc": read_uscc, "division": read_division, "certificate": read_certificate}
    return readers.get(field.type, read_text)(cells)


def _read_identity(field: Field, cells: Cells, values: Values, context: CheckContext) -> Reading:
    """A citizen's number, unless the row itself says that the document is another one."""
    rules = IdentityRules(
        today=context.today,
        fictitious_prefixes=context.fictitious_prefixes,
        may_be_missing=context.record_type.no_id_allowed or not field.required,
    )
    document = _document_field(field, context)
    if document is None or values[document].null_count() == len(cells.text):
        return read_identity_number(cells, rules)
    other = (values[document].is_not_null() & ~values[document].is_in(NUMBERED_AS_CITIZENS)).fill_null(False)
    if not other.any():
        return read_identity_number(cells, rules)
    nobody = nothing(len(other))
    citizens = read_identity_number(Cells(cells.text.zip_with(~other, nobody), cells.kinds), rules)
    others = read_certificate(Cells(cells.text.zip_with(other, nobody), cells.kinds))
    found = pl.concat([citizens.found, others.found])
    return Reading(citizens.values.zip_with(~other, others.values), found)


def _document_field(field: Field, context: CheckContext) -> str | None:
    parts = (f.name for f in context.record_type.fields if f.role == field.role and f.part == "id_type")
    return next(parts, None) if field.part == "id_no" else None


def _tell_the_document(field: Field, values: Values, context: CheckContext, findings: Findings) -> None:
    """A residence permit or a foreigner's card has said so itself: the kind of document follows it."""
    found = findings.of(field.name)
    told = found.filter(pl.col("code") == "N_ID_OTHER_DOCUMENT") if found.height else found
    if told.is_empty():
        return
    document = _document_field(field, context)
    if document is not None:
        values[document] = values[document].clone().scatter(told["row"], told["detail"])
    titles = {code.value: code.title for code in context.catalogue.code_sets["cert_type"].codes}
    worded = pl.col("detail").replace(titles)
    other = pl.col("code") == "N_ID_OTHER_DOCUMENT"
    findings.replace(field.name, found.with_columns(pl.when(other).then(worded).otherwise("detail").alias("detail")))
