"""Alarms of freshness: opened once when something stops, told to who is concerned, over by themselves; never for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import insert

from hub.api.health import HubCollector
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.exchange.deliver import acknowledge
from hub.exchange.slices import FeedContext, current_epoch
from hub.keyring import Keyring
from hub.operations.doctor import examine
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.subscriptions import load_subscription
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.alarms import list_alarms
from hub.sharing.freshness import watch_freshness
from hub.sharing.freshness_reading import read_freshness
from hub.tables import channel_state, submission
from mappings.catalogue import Catalogue
from tests.test_oracle import prepare
from tests.test_slices import people, pull, send

BEFORE_THE_HOLIDAY = datetime(2026, 9, 30, 4, tzinfo=UTC)  # the days off last from 1 to 7 October 2026


class Watched:
    """A hub with the oracle's three subscriptions, and its watch."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue) -> None:
        self.database, self.settings = database, settings
        self.context = FeedContext(catalogue, Keyring.load(settings.home))

    def send(self, first: int, last: int, area: int = 5) -> None:
        send(self.database, self.context.catalogue, people(first, last, area))

    def fetch(self, code: str, *, right: bool = True) -> None:
        """Pull what waits, and acknowledge it."""
        page = pull(self.database, self.context, None, code, 100)
        with self.database.begin() as connection:
            its, number = load_subscription(connection, code), page.first_delivery_no + page.count - 1
            epoch = current_epoch(connection, its)
            digest = page.digest if right else "0" * 64
            assert acknowledge(connection, SYSTEM_ACTOR, its, epoch, number, digest).matches is right

    def watch(self, now: datetime) -> int:
        with self.database.begin() as connection:
            return watch_freshness(connection, self.settings, self.context.catalogue, now)

    def alarms(self) -> list[str]:
        with self.database.begin() as connection:
            return sorted(one.about for one in list_alarms(connection))

    def told(self, kind: str) -> list[str]:
        with self.database.begin() as connection:
            rows = run_sql(connection, "SELECT organisation FROM {d}.notice WHERE kind = :kind ORDER BY 1", kind=kind)
        return [str(row[0]) for row in rows]

    def heard(self, at: datetime, *, kind: str = "regular", state: str = "merged") -> None:
        row = {
            "submission_id": new_uuid(), "receipt_number": str(new_uuid()), "operation_id": str(new_uuid()),
            "organisation": "public_security", "record_type": "hukou_move_in", "kind": kind, "door": "api", "actor": "x",
            "file_name": "x", "file_size": 0, "file_sha256": "", "stored_as": "x", "state": state, "received_at": at,
        }  # fmt: skip
        with self.database.begin() as connection:
            connection.execute(insert(submission), [row])

    def channel(self, **values: Any) -> None:
        with self.database.begin() as connection:
            run_sql(connection, "DELETE FROM {d}.channel_state")
            connection.execute(insert(channel_state), [{"channel": "ga-pull"} | values])


@pytest.fixture
def watched(
    database: Database, owner_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[Watched]:
    with owner_database.begin() as connection:
        prepare(connection, catalogue)
        for code in ("public_security", "bureau"):
            run_sql(
                connection,
                "INSERT INTO shared.organisation (code, district, name, kind)"
                " VALUES (:code, 'd999001', :code, CASE :code WHEN 'bureau' THEN 'bureau' ELSE 'department' END)",
                code=code,
            )
    yield Watched(database, settings, catalogue)


def test_a_slice_nobody_fetches_alarms_once_and_is_over_when_it_is_fetched(watched: Watched) -> None:
    watched.send(0, 3)
    now, tomorrow = utc_now(), utc_now() + timedelta(hours=25)
    assert (watched.watch(now), watched.alarms()) == (0, [])
    assert watched.watch(tomorrow) == 2
    assert watched.alarms() == ["subscription/town", "subscription/whole"]  # the third has no such records
    assert "health" in watched.told("slice_stale") and "bureau" in watched.told("slice_stale")
    told = len(watched.told("slice_stale"))
    assert (watched.watch(tomorrow), len(watched.told("slice_stale"))) == (0, told)
    watched.fetch("town")
    assert (watched.watch(tomorrow), watched.alarms()) == (1, ["subscription/whole"])
    watched.fetch("whole")
    assert (watched.watch(tomorrow), watched.alarms()) == (1, [])
    watched.watch(tomorrow + timedelta(days=30))
    assert [one for one in watched.alarms() if one.startswith("subscription")] == []  # nothing to fetch is no alarm


def test_what_is_none_of_its_business_makes_no_slice_stale(watched: Watched) -> None:
    watched.send(0, 2, area=7)  # another town
    with watched.database.begin() as connection:
        run_sql(connection, "UPDATE {d}.subscription SET freshness_hours = 2 WHERE code = 'town'")
        run_sql(connection, "UPDATE {d}.subscription SET freshness_hours = 0 WHERE code = 'whole'")
    assert (watched.watch(utc_now() + timedelta(hours=3)), watched.alarms()) == (0, [])
    watched.send(2, 3)
    assert (watched.watch(utc_now() + timedelta(hours=3)), watched.alarms()) == (1, ["subscription/town"])


def test_two_who_watch_at_once_open_it_once(watched: Watched) -> None:
    watched.send(0, 3)
    tomorrow, done = utc_now() + timedelta(hours=25), []
    watchers = [Thread(target=lambda: done.append(watched.watch(tomorrow))) for _ in range(2)]
    for one in watchers:
        one.start()
    for one in watchers:
        one.join()
    assert sorted(done) == [0, 2]
    with watched.database.begin() as connection:
        (count,) = run_sql(connection, "SELECT count(*) FROM {d}.freshness_alarm")[0]
    assert count == 2
    assert watched.told("slice_stale").count("health") == 2  # one a subscription


def test_an_acknowledgement_that_differs_alarms_until_it_is_right(watched: Watched) -> None:
    watched.send(0, 1)
    watched.fetch("town", right=False)
    watched.fetch("whole")
    assert watched.watch(utc_now()) == 1
    assert watched.alarms() == ["subscription/town/acknowledgement"]
    watched.fetch("town")
    assert (watched.watch(utc_now()), watched.alarms()) == (1, [])


def test_a_source_is_silent_after_its_working_days_and_a_nil_return_is_speaking(watched: Watched) -> None:
    published = BEFORE_THE_HOLIDAY - timedelta(days=2)
    with watched.database.begin() as connection:
        run_sql(connection, "UPDATE {d}.catalogue_entry SET published_at = :published", published=published)
    about = "source/public_security/hukou_move_in"  # daily: two working days at most
    assert load_calendar(watched.settings).after(BEFORE_THE_HOLIDAY.date(), 2) == date(2026, 10, 9)
    watched.heard(BEFORE_THE_HOLIDAY)
    watched.watch(datetime(2026, 10, 9, 12, tzinfo=UTC))
    assert about not in watched.alarms()
    assert [each for each in watched.alarms() if "civil_affairs" in each] == [
        "source/civil_affairs"
    ]  # never, of any type
    watched.watch(datetime(2026, 10, 10, 4, tzinfo=UTC))
    assert about in watched.alarms()
    assert "public_security" in watched.told("source_silent")
    watched.heard(datetime(2026, 10, 11, 1, tzinfo=UTC), state="refused")
    watched.watch(datetime(2026, 10, 11, 4, tzinfo=UTC))
    assert about in watched.alarms()
    watched.heard(datetime(2026, 10, 12, 1, tzinfo=UTC), kind="nil")
    watched.watch(datetime(2026, 10, 12, 4, tzinfo=UTC))
    assert about not in watched.alarms()


def test_a_failing_channel_alarms_and_is_well_again(watched: Watched) -> None:
    watched.settings.channels.mkdir(parents=True)
    (watched.settings.channels / "ga-pull.toml").write_text(
        'kind = "http_pull"\norganisation = "public_security"', "utf-8"
    )
    for failures, expected in ((2, []), (3, ["channel/ga-pull"]), (9, ["channel/ga-pull"]), (0, [])):
        watched.channel(failures=failures, last_tried_at=utc_now())
        watched.watch(utc_now())
        assert watched.alarms() == expected
    assert watched.told("channel_failing") == ["bureau", "public_security"]


def test_the_figures_say_what_waits_for_whom(watched: Watched, app_database: Database) -> None:
    watched.send(0, 3)
    watched.watch(utc_now() + timedelta(hours=25))
    metrics = {sample.name: sample for family in HubCollector(app_database).collect() for sample in family.samples}
    assert metrics["hub_freshness_alarms"].value == 2
    assert metrics["hub_freshness_alarms"].labels == {"kind": "slice"}
    with watched.database.begin() as connection:
        shown = read_freshness(connection, SYSTEM_ACTOR, watched.settings, watched.context.catalogue, utc_now())
    assert {one.code: (one.waiting, one.stale) for one in shown.lags} == {
        "whole": (3, False), "town": (3, False), "conditioned": (0, False),
    }  # fmt: skip
    found = {one.code: one.state for one in examine(watched.settings, watched.database, watched.context.catalogue)}
    assert found["D_FRESHNESS"] == "warn"
