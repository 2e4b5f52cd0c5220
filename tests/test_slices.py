"""What a subscriber can rely on: pages that repeat, numbers without gaps, snapshots that join, cursors that expire."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from hub.database import Database, run_sql
from hub.errors import BadRequest, CursorGone, NotFound
from hub.exchange.changelog import number_changes
from hub.exchange.deliver import acknowledge
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, Page, current_epoch, read_page, snapshot
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.subscriptions import load_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.staged import stage
from tests.test_oracle import prepare

NUMBERS = [f"99900119900101{n:03d}{n % 10}" for n in range(12)]


@pytest.fixture
def context(owner_database: Database, settings: Settings, catalogue: Catalogue) -> FeedContext:
    """The three subscriptions of the oracle's district: whole, town (A), conditioned."""
    with owner_database.begin() as connection:
        prepare(connection, catalogue)
    return FeedContext(catalogue, Keyring.load(settings.home))


def send(database: Database, catalogue: Catalogue, rows: list[dict[str, Any]], source: str = "999001001") -> None:
    with database.begin() as connection:
        record_type = catalogue.record_types["resident_roll"]
        submission_id = stage(connection, record_type, rows)
        apply_staged(connection, submission_id, source, record_type, catalogue)
        number_changes(connection, submission_id)


def people(first: int, last: int, area: int, name: str = "李伟") -> list[dict[str, Any]]:
    return [{"id_no": NUMBERS[n], "name": name, "live_div": str(area), "person_area": area} for n in range(first, last)]


def pull(
    database: Database, context: FeedContext, cursor: str | None = None, code: str = "town", limit: int = 3
) -> Page:
    with database.begin() as connection:
        return read_page(connection, SYSTEM_ACTOR, context, code, cursor, limit)


def changes(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(f"[{page.changes}]")
    return found


def test_the_same_cursor_gives_the_same_page_byte_for_byte(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 5, 5))
    first = pull(database, context)
    send(database, context.catalogue, people(0, 5, 5, "王芳") + people(5, 8, 6))
    again = pull(database, context)
    assert (again.changes, again.digest, again.next) == (first.changes, first.digest, first.next)
    assert first.digest == hashlib.sha256(first.changes.encode()).hexdigest()


def test_delivery_numbers_run_on_without_gaps_and_pages_abut(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 7, 5))
    cursor, numbers, end = None, [], 0
    while True:
        page = pull(database, context, cursor)
        assert page.from_seq == end
        numbers += [change["delivery_no"] for change in changes(page)]
        cursor, end = page.next, page.to_seq
        if not page.more:
            break
    assert numbers == list(range(1, 8))


def test_a_bookmark_moves_on_where_nothing_matched(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 4, 7))  # town B
    page = pull(database, context)
    assert (page.count, page.to_seq, page.more) == (0, 4, False)
    send(database, context.catalogue, people(4, 6, 5))
    following = pull(database, context, page.next)
    assert [change["delivery_no"] for change in changes(following)] == [1, 2]
    assert pull(database, context, page.next).changes == following.changes


def test_who_moves_away_leaves_and_is_told_with_what_was_known(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 1, 5))
    send(database, context.catalogue, people(0, 1, 7))
    enter, leave = changes(pull(database, context))
    assert (enter["op"], leave["op"]) == ("enter", "leave")
    assert leave["before"] == enter["after"] == {"id_no": NUMBERS[0]}
    assert leave["after"] is None


def test_a_change_of_unsubscribed_fields_is_nobodys_business(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 1, 5))
    send(database, context.catalogue, people(0, 1, 5, "王芳"))  # the town's slice has no names
    assert [change["op"] for change in changes(pull(database, context))] == ["enter"]
    assert [change["op"] for change in changes(pull(database, context, code="whole"))] == ["enter", "update"]


def test_a_snapshot_joins_the_feed_exactly(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 5, 5))
    with database.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        lines = snapshot(connection, SYSTEM_ACTOR, context, "town")
        first = json.loads(next(lines))
        send(database, context.catalogue, people(5, 7, 6))  # while the snapshot is being read
        told = [first, *map(json.loads, lines)]
        connection.commit()
    held, closing = told[:-1], told[-1]["snapshot"]
    assert len(held) == closing["count"] == 5
    page = pull(database, context, closing["next"])
    assert [change["delivery_no"] for change in changes(page)] == [6, 7]
    ids = {record["record_id"] for record in held} | {change["record_id"] for change in changes(page)}
    assert len(ids) == 7


def test_a_new_epoch_makes_every_cursor_stale(
    database: Database, owner_database: Database, context: FeedContext
) -> None:
    send(database, context.catalogue, people(0, 2, 5))
    cursor = pull(database, context).next
    with owner_database.begin() as connection:
        run_sql(connection, "UPDATE {d}.feed_head SET epoch = 'restored', epoch_start = last_seq")
    with pytest.raises(CursorGone) as gone:
        pull(database, context, cursor)
    assert gone.value.facts["snapshot_url"] == "/v1/subscriptions/town/snapshot"


def test_a_changed_subscription_makes_its_cursors_stale(
    database: Database, owner_database: Database, context: FeedContext
) -> None:
    send(database, context.catalogue, people(0, 2, 5))
    cursor = pull(database, context).next
    with owner_database.begin() as connection:
        run_sql(connection, "UPDATE {d}.subscription SET epoch = epoch + 1 WHERE code = 'town'")
    with pytest.raises(CursorGone):
        pull(database, context, cursor)


def test_a_cursor_made_by_somebody_else_is_refused(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 2, 5))
    cursor = pull(database, context).next
    forged = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    with pytest.raises(BadRequest):
        pull(database, context, forged)
    with pytest.raises(CursorGone):
        pull(database, context, cursor, code="whole")


def test_another_organisations_subscription_does_not_exist(database: Database, context: FeedContext) -> None:
    stranger = Actor(
        name="x", organisation="labour", kind="department", door="api", rights=frozenset({Right.PULL_SLICE})
    )
    with database.begin() as connection, pytest.raises(NotFound):
        read_page(connection, stranger, context, "town")


def test_an_acknowledgement_closes_what_both_sides_hold_alike(database: Database, context: FeedContext) -> None:
    send(database, context.catalogue, people(0, 5, 5))
    first = pull(database, context)
    second = pull(database, context, first.next)
    with database.begin() as connection:
        subscription = load_subscription(connection, "town")
        epoch = current_epoch(connection, subscription)
        wrong = acknowledge(connection, SYSTEM_ACTOR, subscription, epoch, 3, "0" * 64)
        later = acknowledge(connection, SYSTEM_ACTOR, subscription, epoch, 5, second.digest)
        healed = acknowledge(connection, SYSTEM_ACTOR, subscription, epoch, 3, first.digest)
        kept = run_sql(connection, "SELECT page_no, acknowledged_at IS NOT NULL FROM {d}.delivery ORDER BY page_no")
        with pytest.raises(BadRequest):
            acknowledge(connection, SYSTEM_ACTOR, subscription, epoch, 4, second.digest)
    assert (wrong.matches, wrong.deliveries) == (False, 0)
    assert (later.matches, later.deliveries) == (True, 1)  # the page that differed stays open, whatever came after it
    assert (healed.matches, healed.deliveries) == (True, 1)
    assert kept == [(1, True), (2, True)]
