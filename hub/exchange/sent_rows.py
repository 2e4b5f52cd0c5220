"""The rows a submission brought into the register, for who oversees: every value masked, nothing clinical."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from hub import audit
from hub.database import district_of
from hub.errors import ClinicalBoundary
from hub.registry.masking import mask_identifier
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import Scope
from mappings.catalogue import Field, RecordType

_OPEN_SENSITIVITIES = ("public", "internal")
_MOST_FIELDS = 10
_TELLING = 1  # of a value this short the first character would be all of it


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
    require(actor, Right.READ_ALL_SUBMISSIONS)
    if not Scope(actor=actor).may_see_type(record_type.code):
        raise ClinicalBoundary(record_type.code)
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
        masked=True,
    )
    return SentRows(fields=fields, rows=tuple(_masked(row, fields) for row in rows))


def _masked(row: Any, fields: tuple[Field, ...]) -> SentRow:
    return SentRow(
        row_no=row[0], values=tuple(_shown(value, field) for value, field in zip(row[1:], fields, strict=True))
    )


def _shown(value: object, field: Field) -> str:
    """What oversight may read as it is: public and internal facts; the rest by its ends only."""
    if value is None:
        return ""
    if field.sensitivity in _OPEN_SENSITIVITIES:
        return str(value)
    if field.type == "id_no":
        return mask_identifier(str(value))
    if field.type in ("date", "datetime"):
        return f"{str(value)[:4]}-**-**"
    return f"{str(value)[:1]}***" if len(str(value)) > _TELLING else "***"
