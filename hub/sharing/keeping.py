"""What comes due in sharing, all of it: clocks of requests and entries, backlogs, last month's certificates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

from sqlalchemy import Connection

from hub.database import Database
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.sharing.backlog import make_backlog_notices
from hub.sharing.certificates import issue_monthly
from hub.sharing.copy_check_notices import make_copy_check_notices
from hub.sharing.entry_notices import make_entry_notices
from hub.sharing.requests import today
from hub.sharing.terms_watch import make_licence_notices
from mappings.catalogue import Catalogue


def keep_sharing(database: Database, settings: Settings, catalogue: Catalogue, now: datetime) -> None:
    """Each in a transaction of its own: one that fails keeps no other from being told. As often as one likes."""
    context = FeedContext(catalogue, Keyring.load(settings.home), settings.page_window)
    with ExitStack() as steps:  # run from the last to the first, each whatever became of the others
        steps.callback(issue_monthly, database, context, settings.time_zone, today(settings, now))
        steps.callback(_told, database, lambda connection: make_backlog_notices(connection, settings, now, catalogue))
        steps.callback(
            _told, database, lambda connection: make_copy_check_notices(connection, settings, SYSTEM_ACTOR, now)
        )
        steps.callback(_told, database, lambda connection: make_entry_notices(connection, settings, now))
        steps.callback(_told, database, lambda connection: make_licence_notices(connection, settings, now))


def _told(database: Database, tell: Callable[[Connection], int]) -> None:
    with database.begin() as connection:
        tell(connection)
