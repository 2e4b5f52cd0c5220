"""What the hub itself does to the register enters the ledger like everything sent: with a number, an author and a time."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from hub.database import new_uuid, utc_now
from hub.exchange.receipt_number import new_receipt_number
from hub.settings import Settings
from hub.tables import submission


def enter_system_submission(connection: Connection, settings: Settings, author: str, subject: str) -> tuple[UUID, str]:
    """A ledger row of the hub about ``subject`` (area, person); its id and receipt number."""
    submission_id, now = new_uuid(), utc_now()
    number = new_receipt_number(now.astimezone(ZoneInfo(settings.time_zone)).date())
    values = {
        "submission_id": submission_id,
        "receipt_number": number,
        "operation_id": str(submission_id),
        "organisation": "hub",
        "record_type": subject,
        "kind": "system",
        "door": "system",
        "actor": author,
        "file_name": "",
        "file_size": 0,
        "file_sha256": "",
        "stored_as": "",
        "state": "checked",
        "received_at": now,
        "checked_at": now,
    }
    connection.execute(insert(submission).values(values))
    return submission_id, number
