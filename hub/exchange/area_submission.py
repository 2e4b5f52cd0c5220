"""A change of areas is a submission of the hub itself: the areas change and every record they touch is re-routed, at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.exchange import receipts
from hub.exchange.changelog import number_changes
from hub.exchange.receipt_number import new_receipt_number
from hub.exchange.rerouting import reroute_areas
from hub.keyring import Keyring
from hub.registry.area_changes import AreaChange
from hub.registry.permissions import Actor
from hub.settings import Settings
from hub.tables import submission
from mappings.catalogue import Catalogue

Change = Callable[[Connection], AreaChange]


def change_areas(database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, change: Change) -> str:
    """Run ``change`` (merge_areas, split_area or recode_area) and re-route its records; the receipt number."""
    keyring = Keyring.load(settings.home)
    with database.begin() as connection:
        run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('homes'))")
        changed = change(connection)
        submission_id, number = _enter(connection, settings, actor)
        affected = {*changed.replaced, *changed.moved_villages}
        rerouted = reroute_areas(connection, submission_id, affected, catalogue) if affected else 0
        _finish(connection, submission_id, changed, rerouted)
        receipts.issue(connection, keyring, submission_id)
        number_changes(connection, submission_id)
    return number


def _enter(connection: Connection, settings: Settings, actor: Actor) -> tuple[UUID, str]:
    submission_id, now = new_uuid(), utc_now()
    number = new_receipt_number(now.astimezone(ZoneInfo(settings.time_zone)).date())
    connection.execute(
        insert(submission).values(
            submission_id=submission_id,
            receipt_number=number,
            operation_id=str(submission_id),
            organisation="hub",
            record_type="area",
            kind="system",
            door="system",
            actor=actor.name,
            file_name="",
            file_size=0,
            file_sha256="",
            stored_as="",
            state="checked",
            received_at=now,
            checked_at=now,
        )
    )
    return submission_id, number


def _finish(connection: Connection, submission_id: UUID, changed: AreaChange, rerouted: int) -> None:
    facts = {
        "effect": {"rerouted": rerouted},
        "areas": {
            "replaced": {str(old): new for old, new in changed.replaced.items()},
            "moved_villages": {str(village): town for village, town in changed.moved_villages.items()},
        },
    }
    connection.execute(
        submission.update()
        .where(submission.c.submission_id == submission_id)
        .values(state="merged", merged_at=utc_now(), facts=facts)
    )
