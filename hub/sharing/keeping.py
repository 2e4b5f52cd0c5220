"""What comes due in sharing, all of it: clocks of requests and entries, backlogs, last month's certificates."""

from __future__ import annotations

from datetime import datetime

from hub.database import Database
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.settings import Settings
from hub.sharing.backlog import make_backlog_notices
from hub.sharing.certificates import issue_monthly
from hub.sharing.entry_notices import make_entry_notices
from hub.sharing.requests import today
from hub.sharing.terms_watch import make_licence_notices
from mappings.catalogue import Catalogue


def keep_sharing(database: Database, settings: Settings, catalogue: Catalogue, now: datetime) -> None:
    """Each in a transaction of its own: one that fails keeps no other from being told. As often as one likes."""
    with database.begin() as connection:
        make_licence_notices(connection, settings, now)
    with database.begin() as connection:
        make_entry_notices(connection, settings, now)
    with database.begin() as connection:
        make_backlog_notices(connection, settings, now, catalogue)
    context = FeedContext(catalogue, Keyring.load(settings.home), settings.page_window)
    issue_monthly(database, context, settings.time_zone, today(settings, now))
