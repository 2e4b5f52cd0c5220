"""What became of every row of a submission, and where in the sender's file it stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import polars as pl
from sqlalchemy import Connection, Integer, Row, Text, Uuid, column, select, text

from adapters.formats.sandbox import Limits
from hub.database import district_of
from hub.errors import FileRefused
from hub.exchange.parse import parse
from hub.registry.scope import Scope
from hub.tables import row_error
from mappings.catalogue import Catalogue, RecordType
from mappings.catalogue import Mapping as ColumnMapping

UNCHANGED_CODES = ("N_REPEATED_ROW", "N_OLDER_VERSION")
Errors = Mapping[int, Sequence[Row[Any]]]


class RowPlace(NamedTuple):
    """Where a row stands; ``section`` is the heading above it, if there is one."""

    sheet: str
    sheet_row: int
    section: str | None


class ReadAgain(msgspec.Struct, frozen=True, kw_only=True):
    """The stored file as it was understood: header rows by sheet, and the place of each row asked for."""

    headers: dict[str, list[int]]
    places: dict[int, RowPlace]


def errors_of(connection: Connection, submission_id: UUID) -> dict[int, list[Row[Any]]]:
    """All row errors, by row number; within a row the worst first."""
    its = row_error.c
    asked = select(row_error).where(its.submission_id == submission_id).order_by(its.row_no, its.error_no)
    found: dict[int, list[Row[Any]]] = {}
    for error in connection.execute(asked):
        found.setdefault(error.row_no, []).append(error)
    order = ("error", "hold", "warning", "note")
    return {row_no: sorted(errors, key=lambda error: order.index(error.level)) for row_no, errors in found.items()}


def changed_rows(connection: Connection, scope: Scope, submission_id: UUID, record_type: RecordType) -> set[int]:
    """Rows that made a version of a record; of the clean rows, the others changed nothing."""
    versions = text(f"{district_of(connection)}.ver_{record_type.code}")
    mine = column("submission_id", Uuid) == submission_id, scope.records_sent(column("source", Text))
    return set(connection.scalars(select(column("row_no", Integer)).select_from(versions).where(*mine)))


def read_again(
    file: Path,
    record_type: RecordType,
    mapping: ColumnMapping | None,
    catalogue: Catalogue,
    limits: Limits,
    choices: Mapping[str, str],
    wanted: Collection[int] | None,
) -> ReadAgain:
    """Parse the stored file once more, for its rows' places alone. Nothing is found in a file that was refused."""
    places: dict[int, RowPlace] = {}
    try:
        parsed = parse(file, record_type, mapping, catalogue, limits, choices=choices)
        for frame in parsed.frames:
            chosen = frame.select("row_no", "sheet", "sheet_row", "section")
            if wanted is not None:
                chosen = chosen.filter(pl.col("row_no").is_in(list(wanted)))
            places |= {row_no: RowPlace(*place) for row_no, *place in chosen.iter_rows()}
    except FileRefused:
        return ReadAgain(headers={}, places={})
    sheets = parsed.facts["sheets"]
    assert isinstance(sheets, list)
    return ReadAgain(headers={each["sheet"]: each["header_rows"] for each in sheets}, places=places)
