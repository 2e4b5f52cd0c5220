"""Every change is on the list of exactly the towns it touches, in exactly one round, and on no list twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.oracle_rounds import Line, RoundOracle
from tests.round_stories import Story, found_towns

STORIES = int(os.environ.get("HUB_ROUND_STORIES", "2"))
Begin = Callable[[int], Story]
_ROUNDS, _A_MONTH = 4, 14


@pytest.fixture
def begin(database: Database, settings: Settings, catalogue: Catalogue) -> Begin:
    def begun(seed: int) -> Story:
        with database.begin() as connection:
            found_towns(connection)
        return Story(database, settings, catalogue, seed)

    return begun


@pytest.mark.parametrize("seed", range(1, STORIES + 1))
def test_every_change_is_asked_of_exactly_its_towns(begin: Begin, seed: int) -> None:
    assert live_and_compare(begin(seed)) > 25


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("unnest(areas_before)", "unnest('{}'::integer[])"),
        ("c.op NOT IN ('reroute', 'relink') OR p.was_in <> p.is_in", "true"),
        ("k.kind IS DISTINCT FROM 'backfill'", "true"),
    ],
)
def test_the_model_catches_a_round_that_asks_too_little_or_too_much(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str
) -> None:
    broken_once = []

    def broken(connection: Connection, statement: str, **values: object) -> list[tuple[object, ...]]:
        broken_once.extend([right] * (right in statement))
        return run_sql(connection, statement.replace(right, wrong), **values)

    monkeypatch.setattr("hub.casework.round_items.run_sql", broken)
    with pytest.raises(AssertionError):
        live_and_compare(begin(1))
    assert broken_once


def live_and_compare(story: Story) -> int:
    """Months go by, areas merge between them; how many changes were asked about."""
    oracle = RoundOracle(story.catalogue)
    for month in range(_ROUNDS):
        story.live(_A_MONTH)
        if month:
            story.merge()
        with story.database.begin() as connection:
            lines = oracle.open(connection, story.month)
        opened = story.open()
        with story.database.begin() as connection:
            assert opened.up_to_seq == oracle.upto
            compare_lines(connection, opened.month, lines)
    with story.database.begin() as connection:
        return compare_all(connection, oracle)


def compare_lines(connection: Connection, month: str, lines: dict[tuple[int, str], Line]) -> None:
    """Each line says what happened to its record there; what has no line of its own only followed somebody who moved."""
    rows: list[tuple[Any, ...]] = run_sql(connection, _LINES, month=month)
    given = {(town, record): (change, version, seq) for town, record, change, version, seq, _ in rows}
    expected = {place: (line.change, line.version, line.seq) for place, line in lines.items()}
    assert given.items() <= expected.items()
    assert all(lines[place].moved_only for place in expected.keys() - given.keys())
    numbers = Counter(town for town, *_ in rows)
    assert {(town, number) for town, *_, number in rows} == {
        (town, number) for town, many in numbers.items() for number in range(1, many + 1)
    }


def compare_all(connection: Connection, oracle: RoundOracle) -> int:
    told: dict[str, set[tuple[int, int]]] = {month: set() for month in oracle.asked}
    rows: list[tuple[Any, ...]] = run_sql(connection, _TOLD)
    for month, seq, town, in_place, same_record, followed in rows:
        told[month].add((seq, town))
        assert in_place and (same_record or followed)
    assert told == oracle.expected(connection)
    assert run_sql(connection, _TWICE) == []
    return sum(map(len, told.values()))


_LINES = """
SELECT town, record_id::text, change, i.version, seq, number FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)
 WHERE month = :month
"""
_TOLD = """
SELECT m.month, c.seq, c.town, i.town = c.town AND i.round_id = c.round_id, i.record_id = l.record_id, l.op = 'reroute'
  FROM {d}.round_change c JOIN {d}.monthly_round m USING (round_id) JOIN {d}.change_log l USING (seq)
  LEFT JOIN {d}.round_item i ON i.item_id = c.item_id
"""
_TWICE = "SELECT town, record_id FROM {d}.round_item GROUP BY round_id, town, record_id HAVING count(*) > 1"
