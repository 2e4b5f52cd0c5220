"""Marks are set and lifted by a submission of the hub itself, for all records at once."""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from hub.database import Database, utc_now
from hub.exchange import receipts
from hub.exchange.changelog import number_changes
from hub.exchange.disputes import anything_to_tell, lift_marks, mark_disputed
from hub.exchange.system_submission import enter_system_submission
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue

log = structlog.get_logger("hub.line")


def lift_settled(database: Database, settings: Settings, catalogue: Catalogue) -> int:
    """Mark what was challenged outside a submission, lift what is settled; how many records changed. Safe to repeat."""
    with database.begin() as connection:
        if not anything_to_tell(connection, catalogue):
            return 0
    keyring = Keyring.load(settings.home)
    with database.begin() as connection:
        marked, lifted = _tell(connection, settings, catalogue, keyring)
    log.info("marks", marked=marked, lifted=lifted)
    return marked + lifted


def _tell(connection: Connection, settings: Settings, catalogue: Catalogue, keyring: Keyring) -> tuple[int, int]:
    submission_id, _ = enter_system_submission(connection, settings, SYSTEM_ACTOR.name, "challenge")
    effect = {
        "disputed": mark_disputed(connection, submission_id, catalogue),
        "settled": lift_marks(connection, submission_id, catalogue),
    }
    mine = submission.c.submission_id == submission_id
    values = {"state": "merged", "merged_at": utc_now(), "facts": {"effect": effect}}
    connection.execute(submission.update().where(mine).values(**values))
    receipts.issue(connection, keyring, submission_id)
    number_changes(connection, submission_id)
    return effect["disputed"], effect["settled"]
