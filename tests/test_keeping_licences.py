"""What the hourly job of sharing does at once, done again without effect; and the watch beside it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from hub.database import Database, run_sql
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.subscriptions import Terms, renew_subscription
from hub.settings import Settings
from hub.sharing.freshness import watch_freshness
from hub.sharing.keeping import keep_sharing
from mappings.catalogue import Catalogue
from tests.certified import Certified
from tests.test_oracle import prepare

NOW = datetime(2025, 11, 3, 2, tzinfo=UTC)  # a Monday; October is over
LAST_DAY = Terms(purpose="核对", legal_basis="条例", expires_on=date(2025, 11, 2))


@pytest.fixture
def hub(database: Database, owner_database: Database, settings: Settings, catalogue: Catalogue) -> Certified:
    with owner_database.begin() as connection:
        prepare(connection, catalogue)
    return Certified(database, owner_database, FeedContext(catalogue, Keyring.load(settings.home)))


def test_last_month_is_certified_and_what_expired_lapses_once(
    hub: Certified, settings: Settings, catalogue: Catalogue
) -> None:
    hub.change("UPDATE {d}.subscription SET created_at = :at", at=datetime(2025, 9, 1, tzinfo=UTC))
    hub.send(1, 5)
    hub.pull(most=1)
    with hub.owner.begin() as connection:
        renew_subscription(connection, SYSTEM_ACTOR, catalogue, "town", terms=LAST_DAY)
    keep_sharing(hub.database, settings, catalogue, NOW)
    first = kept(hub)
    keep_sharing(hub.database, settings, catalogue, NOW)
    assert kept(hub) == first
    certificates, lapsed, notices = first
    assert ("whole", "2025-10", 4, 3) in certificates
    assert lapsed == [("town",)]
    assert ("subscription_lapsed", "health") in notices


def test_a_slice_that_stands_still_raises_one_alarm_until_it_moves(
    hub: Certified, settings: Settings, catalogue: Catalogue
) -> None:
    hub.send(1, 5)
    for _ in range(2):
        with hub.database.begin() as connection:
            watch_freshness(connection, settings, catalogue, NOW)
    assert standing(hub) == [("subscription/town", True), ("subscription/whole", True)]
    hub.pull()
    with hub.database.begin() as connection:
        watch_freshness(connection, settings, catalogue, NOW)
    assert standing(hub) == [("subscription/town", True), ("subscription/whole", False)]


def kept(hub: Certified) -> tuple[list[tuple[object, ...]], ...]:
    """Certificates, what lapsed, and whom a notice told of what."""
    with hub.owner.begin() as connection:
        return (
            run_sql(
                connection,
                "SELECT s.code, c.period, c.expected, c.acknowledged FROM {d}.certificate c"
                " JOIN {d}.subscription s USING (subscription_id) ORDER BY s.code, c.certificate_no",
            ),
            run_sql(
                connection,
                "SELECT s.code FROM {d}.subscription_event e JOIN {d}.subscription s USING (subscription_id)"
                " WHERE e.what = 'lapsed'",
            ),
            run_sql(connection, "SELECT kind, organisation FROM {d}.notice ORDER BY notice_id"),
        )


def standing(hub: Certified) -> list[tuple[object, ...]]:
    """Alarms of slices that were ever raised, and whether they last."""
    with hub.owner.begin() as connection:
        return run_sql(
            connection,
            "SELECT about, closed_at IS NULL FROM {d}.freshness_alarm WHERE kind = 'slice' ORDER BY about",
        )
