"""A year of twelve towns that tell the truth: the register comes to say what is so, and every month balances."""

from __future__ import annotations

import msgspec
import pytest

from hub.database import Database
from hub.settings import RoundPolicy, Settings
from mappings.catalogue import Catalogue
from tests.year import proofs
from tests.year.loop import Year, begin_year
from tests.year.register import Register
from tests.year.world import MONTHS, live

SEED, PEOPLE = 20261122, 200


@pytest.fixture
def register(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Register:
    """Rounds open and close when the year says so, not by the clock of the day the test runs."""
    by_hand = msgspec.structs.replace(settings, rounds=RoundPolicy(automatic=False))
    return Register(database, app_database, by_hand, catalogue, live(PEOPLE, SEED), queue=False)


def nothing_is_lost(year: Year) -> None:
    """Whatever was sent was taken, is told, and adds up; whoever was asked has answered."""
    assert year.register.errors() == []
    assert year.register.waiting() == []
    assert proofs.lost_changes(year) == []
    assert proofs.unsettled(year) == []
    assert proofs.out_of_balance(year) == []
    assert year.excuses == {}


def test_after_a_year_of_true_answers_the_register_says_where_everybody_lives(register: Register) -> None:
    year = begin_year(register, seed=SEED)
    year.on_paper = {(0, 0)}
    year.live_through()
    assert proofs.differences(year) == []
    assert proofs.wrong_counts(year) == []
    assert proofs.open_lines(year) == set()
    assert [told.month for told in year.told if told.unexplained == 0] == list(MONTHS)
    assert set(year.verdicts) == {"1", "2", "3", "4", "5"}
    nothing_is_lost(year)


def test_what_a_lazy_town_leaves_is_open_and_two_towns_that_merge_lose_nothing(register: Register) -> None:
    year = begin_year(register, seed=SEED, share=0.8, months=4)
    year.midway[1] = lambda: year.merge_towns(5, 4)
    year.live_through()
    assert proofs.open_lines(year) == year.unanswered
    assert year.unanswered
    nothing_is_lost(year)
