"""The rows a submission brought into the register, for who oversees: every value masked, nothing clinical."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from hub import audit
from hub.database import district_of
from hub.errors import ClinicalBoundary, NotFound
from hub.registry.masking import mask_field
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only, open_submission
from mappings.catalogue import Field, RecordType

_MOST_FIELDS = 10


class SentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its number in the file, and its values in the order of the fields."""

    row_no: int
    values: tuple[str, ...]


class SentRows(msgspec.Struct, frozen=True, kw_only=True):
    fields: tuple[Field, ...]
    rows: tuple[SentRow, ...]


def list_sent_rows(
    connection: Connection, actor: Actor, submission_id: UUID, record_type: RecordType, after: int, limit: int
) -> SentRows:
    """Rows behind number ``after`` in the order of the file; that they were read is noted."""
    refuse_closed(actor, record_type)
    open_submission(connection, submission_id)
    fields = record_type.plain_fields[:_MOST_FIELDS]
    names = ", ".join(field.name for field in fields)
    rows = connection.execute(
        text(
            f"SELECT row_no, {names} FROM {district_of(connection)}.ver_{record_type.code}"
            " WHERE submission_id = :submission AND row_no > :after ORDER BY row_no LIMIT :most"
        ),
        {"submission": submission_id, "after": after, "most": limit},
    ).all()
    audit.record(
        connection,
        actor,
        Right.READ_ALL_SUBMISSIONS,
        f"submission/{submission_id}",
        rows=len(rows),
        after=after,
        digest=audit.digest_of(row.row_no for row in rows),
        masked=True,
    )
    return SentRows(fields=fields, rows=tuple(_masked(row, fields) for row in rows))


def read_sent_row(
    connection: Connection, actor: Actor, submission_id: UUID, record_type: RecordType, row_no: int
) -> Row[Any]:
    """``record_id`` and the plain fields of one row as they are; who calls this has a reason and notes it."""
    refuse_closed(actor, record_type)
    open_submission(connection, submission_id)
    names = ", ".join(field.name for field in record_type.plain_fields)
    row = connection.execute(
        text(
            f"SELECT record_id, {names} FROM {district_of(connection)}.ver_{record_type.code}"
            " WHERE submission_id = :submission AND row_no = :row_no ORDER BY version DESC LIMIT 1"
        ),
        {"submission": submission_id, "row_no": row_no},
    ).one_or_none()
    if row is None:
        raise NotFound()
    return row


def refuse_closed(actor: Actor, record_type: RecordType) -> None:
    """Rows are for who oversees; of types that are clinical by existing there are none for them."""
    require(actor, Right.READ_ALL_SUBMISSIONS)
    if is_care_only(record_type):
        raise ClinicalBoundary(record_type.code)


def _masked(row: Any, fields: tuple[Field, ...]) -> SentRow:
    shown = (mask_field(value, field, "oversight") for value, field in zip(row[1:], fields, strict=True))
    return SentRow(row_no=row[0], values=tuple(shown))
