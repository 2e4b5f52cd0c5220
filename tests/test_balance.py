"""The month's account: it balances at every level, and where it does not, it says by whom."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from hub.casework import balance_sql
from hub.casework.balance import DoesNotClose
from hub.casework.balance_explaining import Event, _Walk
from hub.embedded import Cluster
from hub.registry.month_calendar import month_after
from mappings.catalogue import Catalogue
from tests.balance_oracle import BalanceOracle, Line, Said
from tests.balance_stories import FIRST, TOWN_A, TOWN_B, TOWN_C, VILLAGES, Books, Story, balance_books

STORIES = int(os.environ.get("HUB_BALANCE_STORIES", "3"))
MONTHS = 4
PEOPLE = 8
PLACES = [5, 5, 6, 7, 8, TOWN_B]


@pytest.fixture(scope="module")
def books(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    with balance_books(cluster, catalogue, tmp_path_factory.mktemp("home"), "stories") as books:
        yield books


# ---- any story ----


class Told:
    """A random story, told to the hub and to the oracle alike."""

    def __init__(self, story: Story, seed: int) -> None:
        self.story, self.rng = story, random.Random(seed)
        self.oracle = BalanceOracle(dict(VILLAGES) | {town: town for town in (TOWN_A, TOWN_B, TOWN_C)})
        self.used: set[tuple[object, ...]] = set()
        self.rows: dict[Said, dict[str, object]] = {}
        self.alone = 100  # numbers of children nobody knows anything else of
        self.merged: set[int] = set()

    def live(self, months: int) -> None:
        self._join(TOWN_A, TOWN_B)
        self._begin()
        month = FIRST
        for at in range(months):
            if at == 2:
                self._join(TOWN_C, month=month)
            if at == 3 and self.rng.random() < 0.5:
                self.story.merge_towns(TOWN_B, TOWN_A, "2026-04-01")
                self.oracle.merge_towns(TOWN_B, TOWN_A)
            self._happen(month)
            self._account(month)
            month = month_after(month)

    def _join(self, *towns: int, month: str = FIRST) -> None:
        self.story.join(*towns, month=month)
        self.oracle.joined |= dict.fromkeys(towns, month)

    def _begin(self) -> None:
        for who in range(1, PEOPLE + 1):
            if self.rng.random() < 0.7:
                self._say("resident_roll", who, self.rng.choice(PLACES), None, FIRST)

    def _happen(self, month: str) -> None:
        for _ in range(self.rng.randint(5, 9)):
            roll = self.rng.random()
            if roll < 0.72:
                self._record(month)
            elif roll < 0.82:
                self._take_back()
            elif roll < 0.88:
                self._correct_a_roll()
            elif roll < 0.92:
                self._find_one_person()
            elif roll < 0.95:
                self._change_in_secret()
            else:
                self.alone += 1
                self._say("newborn_hukou", self.alone, None, f"{month}-05", month)

    def _record(self, month: str) -> None:
        record_type = self.rng.choice(["hukou_move_in", "hukou_move_in", "hukou_move_out", "newborn_hukou",
                                       "death_certificate", "cremation", "resident_roll"])  # fmt: skip
        of_month = month if self.rng.random() < 0.7 else month_after(month, -self.rng.randint(1, 3))
        day = None if record_type == "resident_roll" else f"{of_month}-{self.rng.choice(['03', '03', '11', '20'])}"
        who = self.rng.randint(1, PEOPLE + 2)
        if record_type in ("death_certificate", "cremation") and self.rng.random() < 0.5:
            return
        self._say(record_type, who, self.rng.choice(PLACES), day, month)

    def _say(self, record_type: str, who: int, area: int | None, day: str | None, month: str) -> None:
        """A record of a key that was never used: what the same key again does is told elsewhere."""
        once = record_type in ("resident_roll", "newborn_hukou")
        key = (record_type, who) if once else (record_type, who, day)
        if key in self.used or who in self.merged:
            return
        self.used.add(key)
        area = self.oracle.current(area)
        row = self.story.row(record_type, who, area, day)
        self.story.put(record_type, row)
        self.rows[self.oracle.say(record_type, who, area, day, month)] = row

    def _take_back(self) -> None:
        standing = [said for said in self.rows if not said.voided and said.who not in self.merged]
        if standing:
            said = self.rng.choice(standing)
            self.story.put(said.record_type, self.rows[said] | {"change_kind": "void"})
            self.oracle.void(said)

    def _correct_a_roll(self) -> None:
        rolls = [one for one in self.rows if one.record_type == "resident_roll" and one.who not in self.merged]
        standing = [one for one in rolls if not one.voided]
        if standing:
            said = self.rng.choice(standing)
            area = self.oracle.current(self.rng.choice([place for place in (5, 6, 7, 8) if place != said.area]))
            self.rows[said] |= {"person_area": area, "household_no": f"H{len(self.used)}-{area}"}
            self.story.put(said.record_type, self.rows[said])
            self.oracle.moves_elsewhere(said, area or 0)

    def _find_one_person(self) -> None:
        known = sorted({said.who for said in self.rows if said.who < 100} - self.merged)
        if len(known) > 3:
            kept, other = self.rng.sample(known, 2)
            self.story.are_one(kept, other)
            self.oracle.merge_people(kept, other)
            self.merged |= {kept, other}

    def _change_in_secret(self) -> None:
        """Somebody writes into a record's table: the log says nothing of it."""
        standing = [one for one in self.rows if not one.voided and one.record_type == "hukou_move_in"]
        if standing:
            said = self.rng.choice(standing)
            said.area = self.oracle.current(self.rng.choice(PLACES))
            self.story.write_area(str(self.rows[said]["id_no"]), said.day or "", said.area or 0)

    def _account(self, month: str) -> None:
        """Drawn, compared with the oracle, let pass, closed, and never changed again."""
        drawn = self.story.draw(month)
        expected = self.oracle.lines(month)
        assert self._lines(month) == expected
        listed = {line[0] for line in expected if line[1] == "unexplained"}
        assert drawn.unexplained == len(listed)
        self._check_figures(month, dict.fromkeys(listed))
        if listed:
            with pytest.raises(DoesNotClose):
                self.story.close(month)
        for who in listed:
            self.story.let_pass(month, who)
        self.story.close(month)
        self._check_figures(month, {})
        assert self.story.books() == self.oracle.stock(month)
        self.oracle.close(month)

    def _lines(self, month: str) -> Counter[Line]:
        return Counter(self.story.told(month))

    def _check_figures(self, month: str, unexplained: dict[int, None]) -> None:
        """start + flows = end at every level, but for the people listed; heads as the oracle counts them."""
        figures, stock = self.story.figures(month), self.oracle.stock(month)
        before = Counter(place for area in self.oracle.books.values() for place in self._levels(area))
        after = Counter(place for area in stock.values() for place in self._levels(area))
        open_lines = [(one[2], one[3]) for one in self.oracle.lines(month) if unexplained and one[1] == "unexplained"]
        for area in set(figures) | set(before) | set(after):
            line = Counter(figures.get(area, {}))
            assert (line["start"], line["end"]) == (before[area], after[area])
            missing = sum((area in self._levels(to)) - (area in self._levels(origin)) for origin, to in open_lines)
            assert end_by_the_figures(line) == line["end"] - missing, (month, area, dict(line))

    def _levels(self, area: int | None) -> set[int]:
        here = self.oracle.current(area)
        return set() if here is None else {here, self.oracle.towns.get(here, 1), 1}


def end_by_the_figures(line: Counter[str]) -> int:
    comes = ("start", "opening", "births", "moved_in", "corrected_in", "adjusted_in", "excused")
    goes = ("deaths", "moved_out", "corrected_out", "adjusted_out")
    return sum(line[name] for name in comes) - sum(line[name] for name in goes)


@pytest.mark.parametrize("seed", range(STORIES))
def test_every_month_of_any_story_balances_or_says_by_whom_it_does_not(books: Books, seed: int) -> None:
    with books.story() as story:
        Told(story, seed).live(MONTHS)


def test_deaths_that_count_twice_are_noticed(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    def die_again(walk: _Walk, event: Event) -> None:
        walk._go(event.counts_as, None, event)

    monkeypatch.setattr(_Walk, "_die", die_again)
    notices_within_a_few_stories(books)


def test_a_column_that_counts_wrongly_is_noticed(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(balance_sql._SUMS, "outs", "count(*)")
    notices_within_a_few_stories(books)


def notices_within_a_few_stories(books: Books) -> None:
    with pytest.raises(AssertionError):
        for seed in range(4):
            with books.story() as story:
                Told(story, seed).live(2)
