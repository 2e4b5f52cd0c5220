"""A submission that brings no file: a decision enters the ledger with a number of its own, like everything sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from hub.database import new_uuid, utc_now
from hub.exchange.receipt_number import new_receipt_number
from hub.registry.permissions import Actor
from hub.settings import Settings
from hub.tables import submission

_DOORS = {"panel": "upload"}  # the ledger's word for it


def enter(connection: Connection, settings: Settings, actor: Actor, **values: Any) -> UUID | None:
    """Write the ledger row; None when the same decision (operation, or undo of the same) was there first."""
    submission_id, now = new_uuid(), utc_now()
    row = {
        "submission_id": submission_id,
        "receipt_number": new_receipt_number(now.astimezone(ZoneInfo(settings.time_zone)).date()),
        "door": _DOORS.get(actor.door, actor.door),
        "actor": actor.name,
        "file_name": "",
        "file_size": 0,
        "file_sha256": "",
        "stored_as": "",
        "received_at": now,
        "checked_at": now,
        **values,
    }
    entered = insert(submission).values(row).on_conflict_do_nothing().returning(submission.c.submission_id)
    made: UUID | None = connection.scalar(entered)
    return made
