"""No reader of the feed misses a change, whatever sixteen writers do; and the harness would notice if one did."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.database import Database
from hub.embedded import Urls
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from mappings.catalogue import Catalogue
from tests.faults.feed_harness import Load, Seen, judge, numbers_taken_early, prepare

SECONDS = 10.0


@pytest.fixture
def many(urls: Urls, owner_database: Database, catalogue: Catalogue) -> Iterator[Database]:
    """Connections for all writers, their second ones, and the readers."""
    prepare(owner_database, catalogue)
    database = Database(urls.worker, owner_database.district, pool_size=45)
    yield database
    database.close()


@pytest.fixture
def context(catalogue: Catalogue, tmp_path: Path) -> FeedContext:
    return FeedContext(catalogue, Keyring.load(tmp_path))


@pytest.mark.slow
def test_sixteen_writers_and_the_reader_misses_nothing_while_a_serial_number_does(
    many: Database, context: FeedContext
) -> None:
    seen = Load(many, context, SECONDS, seed=1).run()
    verdict = judge(seen)
    print(verdict)
    assert verdict.is_clean, verdict
    assert verdict.changes > 100
    assert verdict.rolled_back > 0
    assert verdict.naive_missed > 0, "the control found nothing to miss: the load proves nothing"
    _assert_the_checker_sees(seen)


def _assert_the_checker_sees(seen: Seen) -> None:
    """One change lost, one doubled, two swapped: each alone is noticed."""
    for spoil in (_lose, _double, _swap):
        spoiled = copy.copy(seen)
        spoiled.changes = spoil(list(seen.changes))
        assert not judge(spoiled).is_clean


def _lose(changes: list[dict[str, object]]) -> list[dict[str, object]]:
    return changes[:-1]


def _double(changes: list[dict[str, object]]) -> list[dict[str, object]]:
    return [*changes, changes[0]]


def _swap(changes: list[dict[str, object]]) -> list[dict[str, object]]:
    return [changes[1], changes[0], *changes[2:]]


@pytest.mark.slow
def test_numbers_taken_in_a_transaction_of_their_own_are_caught(many: Database, context: FeedContext) -> None:
    with numbers_taken_early(many):
        verdict = judge(Load(many, context, 3.0, seed=2).run())
    assert verdict.missed > 0
    assert verdict.breaks > 0
    assert verdict.feed != []
