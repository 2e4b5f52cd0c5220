"""What really happens in the district: who is born, dies, comes, goes, moves and marries, day by day, from one seed.

Nothing here knows the hub: it is the truth the register is measured by.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from hub.demo.areas import District, make_district
from hub.demo.names import PREFIX, check_digit
from hub.demo.year import MONTHS

__all__ = ["MONTHS", "Event", "Person", "World", "live", "month_end"]

FIRST_DAY = date(2025, 11, 1)
OUTSIDE = -1
# forty sounds each; the third character follows from the first two, so that two names differ in two places at least
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董程曹袁邓傅沈曾彭吕苏卢"
_GIVEN = "伟强磊军洋勇杰涛明超平刚辉鹏华飞鑫波斌宇浩凯健帆帅旭宁龙林国文武志东海云峰岩松柏"
_QUIET = timedelta(days=75)  # between two events of one life: what is told late is told before the next

Kind = Literal["birth", "death", "came", "went", "moved", "married"]
# kind -> how many of a thousand inhabitants a month, and how many at least
RATES: dict[Kind, tuple[float, int]] = {
    "birth": (1.0, 2), "death": (0.8, 1), "came": (1.5, 2), "went": (1.2, 2), "moved": (2.5, 4), "married": (0.6, 0),
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Person:
    """Somebody who exists. ``stays``: since which day in which village, the oldest first."""

    number: int
    name: str
    id_no: str
    sex: str
    born: date
    stays: list[tuple[date, int]]
    mother: Person | None = None
    died: date | None = None
    busy_until: date = FIRST_DAY
    guest: bool = False  # of the temporary residents: came without a household registration

    def village_on(self, day: date) -> int:
        """Where they lived at the end of that day; OUTSIDE for who is dead, unborn or elsewhere."""
        if self.died is not None and self.died <= day:
            return OUTSIDE
        return next((village for since, village in reversed(self.stays) if since <= day), OUTSIDE)

    def age(self, day: date) -> int:
        return (day - self.born).days // 365


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Something that happened. ``village``: where to, or where somebody lived who is gone; ``from_village``: before."""

    kind: Kind
    day: date
    person: Person
    village: int
    from_village: int = OUTSIDE
    spouse: Person | None = None


@dataclass(slots=True)
class World:
    """Everybody who ever lived here in the year, and everything that happened, month by month."""

    district: District
    rng: random.Random
    people: list[Person] = field(default_factory=list)
    events: dict[int, list[Event]] = field(default_factory=dict)
    numbers: Counter[tuple[date, str]] = field(default_factory=Counter)
    named: int = 0
    absorbed: dict[int, int] = field(default_factory=dict)  # town -> the town it was merged into

    def add(self, born: date, sex: str, stays: list[tuple[date, int]], **facts: object) -> Person:
        """One more who lives or lived here."""
        person = self.invent(born, sex, stays, **facts)
        self.people.append(person)
        return person

    def invent(self, born: date, sex: str, stays: list[tuple[date, int]], **facts: object) -> Person:
        """Somebody with a name and a number; without a place among the people there is nobody of that name."""
        self.named += 1
        return Person(self.named, _name(self.named), self._identity(born, sex), sex, born, stays, **facts)  # type: ignore[arg-type]

    def _identity(self, born: date, sex: str) -> str:
        self.numbers[born, sex] += 1
        first = f"{PREFIX}{born:%Y%m%d}{2 * self.numbers[born, sex] + (sex == '1'):03d}"
        return first + check_digit(first)

    def living_on(self, day: date) -> dict[Person, int]:
        """Everybody who lives in the district at the end of that day, and in which village."""
        homes = ((person, person.village_on(day)) for person in self.people)
        return {person: village for person, village in homes if village != OUTSIDE}

    def town_of(self, village: int) -> int:
        """The town it lies in by now."""
        town = self.district.villages[village].town
        return self.absorbed.get(town, town)

    def is_quiet(self, person: Person, day: date) -> bool:
        """Whether nothing happens to somebody within some weeks before and after."""
        days = [since for since, _ in person.stays] + ([person.died] if person.died else [])
        return all(abs(day - each) > 2 * _QUIET for each in days) and person.village_on(day) != OUTSIDE

    def events_until(self, month: int) -> Iterator[Event]:
        for earlier in range(month + 1):
            yield from self.events[earlier]


def month_end(month: int) -> date:
    """The last day of the ``month``-th month."""
    year, number = (int(part) for part in MONTHS[month].split("-"))
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)


def live(people: int, seed: int, months: int = len(MONTHS), villages_per_town: int = 3) -> World:
    """Settle ``people`` in twelve towns and let so many months pass."""
    world = World(_small(villages_per_town), random.Random(seed))
    for _ in range(people):
        _settle(world)
    for month in range(months):
        world.events[month] = []
        for kind, (per_thousand, at_least) in RATES.items():
            expected = people * per_thousand / 1000
            for _ in range(max(at_least, int(expected) + (world.rng.random() < expected % 1))):
                event = HAPPENINGS[kind](world, _day_in(world.rng, month))
                if event is not None:
                    world.events[month].append(event)
        world.events[month].sort(key=lambda event: (event.day, event.person.number))
    return world


def _small(villages_per_town: int) -> District:
    whole = make_district()
    first = dict.fromkeys(range(len(whole.towns)), 0)
    villages = []
    for village in whole.villages:
        first[village.town] += 1
        if first[village.town] <= villages_per_town:
            villages.append(village)
    return District(whole.towns, tuple(villages))


def _name(number: int) -> str:
    size = len(_GIVEN)
    first, second = number % size, number // size % size
    return _SURNAMES[first] + _GIVEN[second] + _GIVEN[(first + second) % size]


def _day_in(rng: random.Random, month: int) -> date:
    return date.fromisoformat(f"{MONTHS[month]}-01") + timedelta(days=rng.randrange(month_end(month).day))


def _settle(world: World) -> None:
    born = FIRST_DAY - timedelta(days=world.rng.randrange(60, 85 * 365))
    village = world.rng.randrange(len(world.district.villages))
    world.add(born, world.rng.choice("12"), [(born, village)])


def _pick(world: World, day: date, fits: Callable[[Person], bool]) -> Person | None:
    """Somebody who lives here on that day, is not busy with another event, and fits; None after many misses."""
    for _ in range(500):
        person = world.rng.choice(world.people)
        if person.busy_until <= day and person.village_on(day) != OUTSIDE and fits(person):
            person.busy_until = day + _QUIET
            return person
    return None


def _birth(world: World, day: date) -> Event | None:
    mother = _pick(world, day, lambda one: one.sex == "2" and 20 <= one.age(day) <= 44)
    if mother is None:
        return None
    village = mother.village_on(day)
    mother.busy_until = day + 3 * _QUIET
    child = world.add(day, world.rng.choice("12"), [(day, village)], mother=mother, busy_until=date(2027, 1, 1))
    return Event("birth", day, child, village)


def _death(world: World, day: date) -> Event | None:
    person = _pick(world, day, lambda one: one.age(day) >= 50)
    if person is None:
        return None
    village = person.village_on(day)
    person.died, person.busy_until = day, date(2027, 1, 1)
    return Event("death", day, person, village)


def _came(world: World, day: date) -> Event:
    born = day - timedelta(days=world.rng.randrange(18 * 365, 60 * 365))
    village = world.rng.randrange(len(world.district.villages))
    person = world.add(born, world.rng.choice("12"), [(day, village)], busy_until=day + _QUIET)
    person.guest = world.rng.random() < 0.5
    return Event("came", day, person, village)


def _went(world: World, day: date) -> Event | None:
    person = _pick(world, day, lambda one: 18 <= one.age(day) <= 60)
    if person is None:
        return None
    village = person.village_on(day)
    person.stays.append((day, OUTSIDE))
    return Event("went", day, person, village)


def _moved(world: World, day: date) -> Event | None:
    person = _pick(world, day, lambda one: 18 <= one.age(day) <= 70)
    if person is None:
        return None
    before = person.village_on(day)
    village = (before + world.rng.randrange(1, len(world.district.villages))) % len(world.district.villages)
    person.stays.append((day, village))
    return Event("moved", day, person, village, from_village=before)


def _married(world: World, day: date) -> Event | None:
    """They register; who moves to whom is an event of its own."""
    husband = _pick(world, day, lambda one: one.sex == "1" and 22 <= one.age(day) <= 50)
    wife = _pick(world, day, lambda one: one.sex == "2" and 20 <= one.age(day) <= 50)
    if husband is None or wife is None:
        return None
    return Event("married", day, husband, husband.village_on(day), spouse=wife)


HAPPENINGS: dict[Kind, Callable[[World, date], Event | None]] = {
    "birth": _birth, "death": _death, "came": _came, "went": _went, "moved": _moved, "married": _married,
}  # fmt: skip
