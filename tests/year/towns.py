"""Towns that know their people: what they answer to each line of their list, and what they report that nobody sent."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from zlib import crc32

from tests.year.departments import ARRIVALS, DEATHS, Report, is_ghost
from tests.year.rows import person_values, roll_row, village_code
from tests.year.world import FIRST_DAY, OUTSIDE, Event, Person, World, month_end

TRUE, NOT_TRUE, NOBODY, ELSEWHERE, LATER = "1", "2", "3", "4", "5"
NEVER_THERE_BY_THOUSAND, NOT_IN_ROLL_BY_THOUSAND = 8, 8  # of a base roll, two each at least


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list as the town reads it. ``village``: the place the list names, OUTSIDE where it names none."""

    town: int
    record_id: str
    change: str  # enter update leave void
    came: str  # change transfer again
    village: int
    report: Report


@dataclass(frozen=True, slots=True)
class Answer:
    """What a town says to a line."""

    result: str
    right_village: int = OUTSIDE
    right_day: date | None = None
    to_town: int | None = None
    text: str = ""


@dataclass(slots=True)
class Towns:
    """All town offices: the rolls they began with, and what they have been told or have reported since."""

    world: World
    rng: random.Random
    never_there: dict[Person, tuple[int, int]] = field(default_factory=dict)  # -> village, month it is found out
    not_in_roll: dict[Person, int] = field(default_factory=dict)  # -> month they are found
    told: set[tuple[int, Event]] = field(default_factory=set)  # town, what a line of its list told it
    reported: dict[tuple[str, str, str], Event] = field(default_factory=dict)  # record type, name, day
    deferred: set[tuple[int, str]] = field(default_factory=set)

    # ---- the first day ----

    def rolls(self) -> dict[int, list[dict[str, str]]]:
        """Each town's roll of the last day before the year: somebody too many, somebody forgotten."""
        self._err()
        rolls: defaultdict[int, list[dict[str, str]]] = defaultdict(list)
        listed = self.world.living_on(FIRST_DAY - timedelta(days=1)) | {
            person: village for person, (village, _) in self.never_there.items()
        }
        for person, village in listed.items():
            if person not in self.not_in_roll:
                rolls[self.world.town_of(village)].append(roll_row(self.world, person, village))
        return rolls

    def _err(self) -> None:
        living = list(self.world.living_on(FIRST_DAY))
        quiet = [one for one in living if one.born < FIRST_DAY and len(one.stays) == 1 and one.died is None]
        mothers = {one.mother for one in self.world.people}
        forgotten = [one for one in quiet if one not in mothers]
        for person in self.rng.sample(forgotten, max(2, len(living) * NOT_IN_ROLL_BY_THOUSAND // 1000)):
            self.not_in_roll[person] = self.rng.randrange(3)
        for _ in range(max(2, len(living) * NEVER_THERE_BY_THOUSAND // 1000)):
            born = FIRST_DAY - timedelta(days=self.rng.randrange(7000, 25000))
            village = self.rng.randrange(len(self.world.district.villages))
            person = self.world.invent(born, self.rng.choice("12"), [])
            self.never_there[person] = (village, self.rng.randrange(3))

    # ---- the list ----

    def answer(self, line: Line, month: int, *, last: bool) -> Answer:
        """The truth about one line, or, now and then, that it cannot be told yet."""
        again = (line.town, line.record_id)
        if not last and again not in self.deferred and chance_of(line) < 4:
            self.deferred.add(again)
            return Answer(LATER, text="外出未遇")
        answer = self._judge(line, month)
        if answer.result in (TRUE, NOT_TRUE):
            self.take_note(line)
        return answer

    def take_note(self, line: Line) -> None:
        """What a line tells the town need not be reported; a birth certificate alone makes nobody a resident."""
        event = line.report.event
        if event is not None and line.change != "void" and line.report.record_type != "birth_certificate":
            self.told.add((line.town, event))

    def follow(self, absorbed: int, into: int) -> None:
        """One office knows what two knew."""
        self.told = {(into if town == absorbed else town, event) for town, event in self.told}
        self.deferred = {(into if town == absorbed else town, record) for town, record in self.deferred}

    def _judge(self, line: Line, month: int) -> Answer:
        report = line.report
        if line.change == "void":
            return Answer(TRUE)
        if line.change == "leave":
            return self._has_left(line, month_end(month))
        if is_ghost(report.person):
            return Answer(NOBODY, text="走访无此人")
        if report.record_type in DEATHS or report.record_type == "hukou_move_out" or report.left_on:
            return self._is_gone(report)
        if report.record_type in ARRIVALS:
            return self._has_come(line)
        return Answer(TRUE)

    def _has_left(self, line: Line, day: date) -> Answer:
        """The record went to another town: true, unless somebody of it lives here after all."""
        village = line.report.person.village_on(day)
        here = village != OUTSIDE and self.world.town_of(village) == line.town
        return Answer(NOT_TRUE, text="仍住本地") if here and line.report.record_type != "marriage" else Answer(TRUE)

    def _is_gone(self, report: Report) -> Answer:
        if report.event is None:
            return Answer(NOT_TRUE, text="本人健在，仍住本地")
        said = report.left_on or report.day
        if said != report.event.day:
            return Answer(NOT_TRUE, right_day=report.event.day, text="日期有误")
        return Answer(TRUE)

    def _has_come(self, line: Line) -> Answer:
        event = line.report.event
        assert event is not None
        town = self.world.town_of(event.village)
        if town != line.town:
            return Answer(ELSEWHERE, to_town=town, text="住在别处")
        shown = line.village if line.village != OUTSIDE else line.report.village
        if shown != event.village:
            return Answer(NOT_TRUE, right_village=event.village, text="住在本镇另一村居")
        if line.report.day != event.day:
            return Answer(NOT_TRUE, right_day=event.day, text="日期有误")
        return Answer(TRUE)

    # ---- what nobody sent ----

    def find(self, town: int, month: int) -> dict[str, list[dict[str, str]]]:
        """Rows of arrivals and departures nobody told the town of, by record type; from now on they are reported."""
        found: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for event in self.world.events_until(month):
            if self.world.town_of(event.village) == town and (town, event) not in self.told and event.kind != "married":
                self.told.add((town, event))
                record_type, values = self._reported(event, month)
                self.reported[record_type, event.person.name, str(event.day)] = event
                found[record_type].append(values)
        for record_type, values in self._mistakes_of(town, month):
            found[record_type].append(values)
        return found

    def _reported(self, event: Event, month: int) -> tuple[str, dict[str, str]]:
        values = _found(self.world, event.person, event.village, event.day, month)
        match event.kind:
            case "birth":
                mother = event.person.mother
                assert mother is not None
                del values["id_no"]  # nobody has given it a number yet
                return "town_arrival", values | {
                    "kind": "1", "mother_name": mother.name, "mother_id_no": mother.id_no,
                }  # fmt: skip
            case "came" | "moved":
                return "town_arrival", values | {"kind": "2"}
            case _:
                return "town_departure", _departing(values) | {"kind": "1" if event.kind == "death" else "2"}

    def _mistakes_of(self, town: int, month: int) -> Iterator[tuple[str, dict[str, str]]]:
        """Its own roll had somebody who was never there, or lacked somebody."""
        day = month_end(month).replace(day=1)
        for person, (village, found_in) in self.never_there.items():
            if found_in == month and self.world.town_of(village) == town:
                yield "town_departure", _departing(_found(self.world, person, village, day, month)) | {"kind": "4"}
        for person, found_in in self.not_in_roll.items():
            village = person.village_on(day)
            if found_in == month and self.world.town_of(village) == town:
                yield "town_arrival", _found(self.world, person, village, day, month) | {"kind": "4"}


def answer_row(world: World, answer: Answer, month: int) -> dict[str, str]:
    """The columns the town fills in."""
    said = {
        "result": answer.result,
        "actual": answer.text,
        "right_village": "" if answer.right_village == OUTSIDE else village_code(world, answer.right_village),
        "right_date": str(answer.right_day or ""),
        "to_town": "" if answer.to_town is None else world.district.towns[answer.to_town].code,
        "verified_on": str(month_end(month) + timedelta(days=5)),
        "verifier": "万和",
        "method": "1",
    }
    return {name: value for name, value in said.items() if value}


def chance_of(line: Line) -> int:
    """0 to 99, the same for the same record whatever the order of the list."""
    return crc32(repr((line.town, line.report.key)).encode()) % 100


def left_unanswered(lines: Collection[Line], share: float) -> set[str]:
    """The records a lazy town does not come to."""
    return {line.record_id for line in lines if chance_of(line) >= 100 * share}


def _found(world: World, person: Person, village: int, day: date, month: int) -> dict[str, str]:
    values = person_values(world, person, village) | {
        "changed_on": str(day), "found_on": str(month_end(month) + timedelta(days=4)), "verifier": "万和",
    }  # fmt: skip
    return {name: value for name, value in values.items() if name != "ethnicity"}


def _departing(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in ("sex", "birth_date")}
