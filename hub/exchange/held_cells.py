"""One row of a sender's own file as it was written, for who decides what becomes of it; nothing clinical.

Staged rows are for the worker alone: the stored file is read again, in a limited child, as for a returned workbook.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
from sqlalchemy import Connection, Row, select

from adapters.formats.sandbox import Limits
from hub.errors import FileRefused, NotFound
from hub.exchange.header_choices import load_choices
from hub.exchange.parse import ParsedFile, parse
from hub.exchange.release import find_origin
from hub.registry.permissions import Actor
from hub.registry.scope import Scope
from hub.settings import Settings
from hub.tables import organisation
from mappings.catalogue import Catalogue, Field

MOST_ROWS = 20_000  # of a file with more rows, only the cells with errors are shown


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A filled cell: the field it was taken for, and its text."""

    field: Field
    text: str


def read_cells(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, row: Row[Any], row_no: int
) -> list[Cell]:
    """The row's filled cells in the order of the fields; [] where the file is too large or cannot be read again."""
    sent = sent_file_of(connection, row)
    if not Scope(actor=actor).stored_file(sent.organisation):
        raise NotFound()
    if not sent.stored_as or sent.received > MOST_ROWS:
        return []
    try:
        return _find_cells(_parse_again(connection, settings, catalogue, sent), catalogue, sent.record_type, row_no)
    except FileRefused:
        return []


def sent_file_of(connection: Connection, row: Row[Any]) -> Row[Any]:
    """The submission whose file the row stands in: a release brings none of its own."""
    while row.kind == "release":
        row = find_origin(connection, row)
    return row


def _parse_again(connection: Connection, settings: Settings, catalogue: Catalogue, sent: Row[Any]) -> ParsedFile:
    kind = connection.scalar(select(organisation.c.kind).where(organisation.c.code == sent.organisation)) or ""
    record_type = catalogue.record_types[sent.record_type]
    mapping = catalogue.mapping_for(sent.organisation, kind, record_type.code)
    limits = Limits(
        cpu_seconds=settings.parse_cpu_seconds,
        wall_seconds=settings.parse_wall_seconds,
        max_bytes=settings.max_file_bytes,
    )
    choices = load_choices(connection, sent.organisation, record_type.code)
    return parse(settings.files / sent.stored_as, record_type, mapping, catalogue, limits, choices=choices)


def _find_cells(parsed: ParsedFile, catalogue: Catalogue, record_type: str, row_no: int) -> list[Cell]:
    found: list[Cell] = []
    for frame in parsed.frames:  # to its end, so that the child ends too
        for texts in frame.filter(pl.col("row_no") == row_no).iter_rows(named=True):
            fields = catalogue.record_types[record_type].plain_fields
            found = [Cell(field=field, text=texts[field.name]) for field in fields if texts.get(field.name)]
    return found
