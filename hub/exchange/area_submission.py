"""A change of areas is a submission of the hub itself: the areas change and every record they touch is re-routed, at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection

from hub.casework.round_areas import follow_areas
from hub.database import Database, run_sql, utc_now
from hub.exchange import receipts
from hub.exchange.changelog import number_changes
from hub.exchange.rerouting import reroute_areas
from hub.exchange.system_submission import enter_system_submission
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
        follow_areas(connection)
        submission_id, number = enter_system_submission(connection, settings, actor.name, "area")
        affected = {*changed.replaced, *changed.moved_villages}
        rerouted = reroute_areas(connection, submission_id, affected, catalogue) if affected else 0
        _finish(connection, submission_id, changed, rerouted)
        receipts.issue(connection, keyring, submission_id)
        number_changes(connection, submission_id)
    return number


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
