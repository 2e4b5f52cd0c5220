"""Typed staged rows, written as the check stage would, so that a test can start behind it."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy import Connection

from hub.database import new_uuid, new_uuids
from hub.exchange.staging import copy_staged
from hub.operations.record_tables import staged_columns
from mappings.catalogue import RecordType


def stage(connection: Connection, record_type: RecordType, rows: list[dict[str, Any]]) -> UUID:
    """Stage rows (field -> value, ``change_kind``, ``<role>_area``); the submission they belong to."""
    submission_id = new_uuid()
    names = staged_columns(record_type)
    frame = pl.DataFrame(
        {name: [_staged(record_type, name, number, row) for number, row in enumerate(rows, 1)] for name in names},
        schema=dict.fromkeys(names, pl.String),
    )
    copy_staged(connection, submission_id, record_type.code, frame)
    return submission_id


def _staged(record_type: RecordType, name: str, number: int, row: dict[str, Any]) -> str | None:
    made = {"row_no": str(number), "sheet_row": str(number + 1), "held": str(row.get("held", False)).lower()}
    if name in made:
        return made[name]
    if name == "content_digest":
        content = "\x1f".join(f"{one.name}={row.get(one.name)}" for one in record_type.plain_fields)
        return "\\x" + hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    if name == "new_record" or name.endswith("_new"):
        return new_uuids(1)[0]
    value = row.get(name, "new" if name == "change_kind" else None)
    return None if value is None else str(value)
