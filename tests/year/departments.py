"""What departments say of what happened: most of it, some of it late, some wrong, some that never happened, some not."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from tests.year.rows import values_of
from tests.year.world import FIRST_DAY, OUTSIDE, Event, Person, World, month_end

Fault = Literal["", "late", "wrong village", "wrong town", "wrong day", "nobody", "never happened"]
ARRIVALS = ("newborn_hukou", "hukou_move_in", "residence_registration")
DEATHS = ("death_certificate", "hukou_cancel", "cremation")
SENDERS = {
    "birth_certificate": "health", "death_certificate": "health", "marriage": "civil_affairs",
    "cremation": "civil_affairs",
}  # fmt: skip
# chances in a hundred; the rest is right and in time
FAULTS: dict[str, tuple[tuple[Fault | Literal["never"], int], ...]] = {
    "arrival": (("never", 10), ("late", 10), ("wrong village", 8), ("wrong town", 10), ("wrong day", 6)),
    "other": (("never", 14), ("late", 12), ("wrong day", 8)),
}
FALSE_A_YEAR = 12  # in a thousand inhabitants, three a year at least, of each kind


@dataclass(slots=True, eq=False)
class Report:
    """One record of a department, as it stands there. ``event`` None: it never happened."""

    record_type: str
    person: Person
    day: date
    village: int
    event: Event | None
    fault: Fault = ""
    serial: str = ""
    left_on: date | None = None  # of a temporary resident whose registration was cancelled
    voided: bool = False

    @property
    def sender(self) -> str:
        return SENDERS.get(self.record_type, "public_security")

    @property
    def key(self) -> tuple[str, ...]:
        """What names the record at its source: with its type, the same as the hub's natural key."""
        match self.record_type:
            case "newborn_hukou":
                return (self.record_type, self.person.id_no)
            case "birth_certificate" | "marriage" | "cremation":
                return (self.record_type, self.serial)
            case "death_certificate":
                return (self.record_type, self.serial, str(self.day))
            case "hukou_cancel":
                return (self.record_type, self.person.id_no, self.serial)
            case _:
                return (self.record_type, self.person.id_no, str(self.day))

    @property
    def is_right(self) -> bool:
        """Whether it says what happened."""
        event = self.event
        if event is None:
            return False
        where = self.record_type not in ARRIVALS or self.left_on is not None or self.village == event.village
        return where and (self.left_on or self.day) == event.day


@dataclass(slots=True)
class Departments:
    """All departments together: what is still to be sent, and what each has on record."""

    world: World
    rng: random.Random
    due: defaultdict[int, list[Report]] = field(default_factory=lambda: defaultdict(list))
    on_record: dict[tuple[str, ...], Report] = field(default_factory=dict)
    told_of: set[Person] = field(default_factory=set)
    serials: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def hear_of(self, month: int) -> None:
        """What happens in a month reaches the departments, or does not, or later."""
        for event in self.world.events[month]:
            for report in self._reports_of(event):
                self._let_in(month, report)
        for _ in range(max(1, round(FALSE_A_YEAR * len(self.world.people) / 12_000))):
            self._invent_one(month)

    def send(self, month: int) -> dict[tuple[str, str], list[dict[str, str]]]:
        """The rows of this month's files by sender and record type; from now on they are on record."""
        return self.rows_of(self.due.pop(month, []))

    def rows_of(self, reports: list[Report]) -> dict[tuple[str, str], list[dict[str, str]]]:
        files: defaultdict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        for report in reports:
            self.on_record[report.key] = report
            self.told_of.add(report.person)
            files[report.sender, report.record_type].append(values_of(self.world, report))
        return files

    def set_right(self, report: Report) -> list[Report]:
        """What the source sends once it has looked again: nothing if it was right, a void, or a void and the truth."""
        if report.is_right or report.voided:
            return []
        if report.event is None:
            report.voided = True
            return [report]
        right = self._true(report)
        if right.key == report.key:
            return [right]
        report.voided = True
        return [report, right]

    def type_of(self, event: Event, department: str) -> str:
        """What a department has to register of an event; "" where it has nothing to do with it."""
        whole = {one.record_type for one in self._reports_of(event)} - {"birth_certificate", "cremation"}
        return next((code for code in sorted(whole) if SENDERS.get(code, "public_security") == department), "")

    def register(self, event: Event, record_type: str) -> list[Report]:
        """What was never sent, or is still on its way, is sent now; nothing if it is on record and right."""
        known = [one for one in self.on_record.values() if one.event is event and one.record_type == record_type]
        if known:
            return [each for one in known for each in self.set_right(one)]
        waiting = [one for reports in self.due.values() for one in reports if one.event is event]
        serial = next((one.serial for one in waiting if one.record_type == record_type), "")
        made = self._report(record_type, event)
        made.serial = serial or made.serial
        return [made]

    def _true(self, report: Report) -> Report:
        """The same record as it should be."""
        assert report.event is not None
        right = self._report(report.record_type, report.event)
        right.serial = report.serial
        return right

    def _reports_of(self, event: Event) -> Iterator[Report]:
        """What would be sent of it if nothing went wrong."""
        match event.kind:
            case "birth":
                if event.person.number % 5:  # every fifth is born at home
                    yield self._report("birth_certificate", event)
                yield self._report("newborn_hukou", event)
            case "death":
                yield self._report("death_certificate", event)
                yield self._report("hukou_cancel", event)
                if event.person.number % 2:
                    yield self._report("cremation", event)
            case "went":
                yield self._departure(event)
            case "married":
                yield self._report("marriage", event)
            case _:
                yield self._report("residence_registration" if event.person.guest else "hukou_move_in", event)

    def _report(self, record_type: str, event: Event) -> Report:
        if record_type == "residence_registration" and event.kind == "went":
            return self._departure(event)
        self.serials[record_type] += 1
        number = self.serials[record_type]
        serial = {
            "birth_certificate": f"Z99{number:07d}", "newborn_hukou": self._certificate_of(event),
            "hukou_cancel": str(event.day + timedelta(days=1)),
        }.get(record_type, f"{record_type[:2].upper()}{number:07d}")  # fmt: skip
        return Report(record_type, event.person, event.day, event.village, event, serial=serial)

    def _certificate_of(self, event: Event) -> str:
        known = [*self.on_record.values(), *(one for reports in self.due.values() for one in reports)]
        return next((one.serial for one in known if one.event is event and one.record_type == "birth_certificate"), "")

    def _departure(self, event: Event) -> Report:
        """Temporary residents have their registration cancelled, if there is one; all others move out."""
        for one in reversed(self.on_record.values()) if event.person.guest else ():
            if one.person is event.person and one.record_type == "residence_registration" and not one.voided:
                return Report(
                    one.record_type, one.person, one.day, one.village, event, serial=one.serial, left_on=event.day
                )
        return self._report("hukou_move_out", event)

    # ---- what goes wrong ----

    def _let_in(self, month: int, report: Report) -> None:
        fault = self._fault(report)
        if fault == "never":
            self.faults[f"{report.record_type} {fault}"] += 1
            return
        report.fault = fault
        self._spoil(report)
        when = month + (self.rng.choice((1, 2)) if fault == "late" else 0)
        self.due[when].append(report)
        if fault:
            self.faults[f"{report.record_type} {fault}"] += 1

    def _fault(self, report: Report) -> Fault | Literal["never"]:
        if report.record_type in ("marriage", "birth_certificate") or report.left_on:
            return ""  # the towns know no better, or the register has the day of the arrival in its key
        chance = self.rng.randrange(100)
        for fault, share in FAULTS["arrival" if report.record_type in ARRIVALS else "other"]:
            if chance < share:
                return "late" if fault == "wrong day" and report.record_type == "newborn_hukou" else fault
            chance -= share
        return ""

    def _spoil(self, report: Report) -> None:
        if report.fault in ("wrong village", "wrong town"):
            report.village = self._elsewhere(report.village, same_town=report.fault == "wrong village")
        if report.fault == "wrong day":
            first = report.day.replace(day=1)
            report.day = report.day - timedelta(days=2) if report.day - first > timedelta(days=2) else report.day
        if report.fault == "wrong day" and report.event is not None and report.day == report.event.day:
            report.fault = ""

    def _elsewhere(self, village: int, *, same_town: bool) -> int:
        towns = self.world.district.villages
        near = [place for place, one in enumerate(towns) if (one.town == towns[village].town) == same_town]
        return self.rng.choice([place for place in near if place != village])

    def _invent_one(self, month: int) -> None:
        """Nobody of that name ever came; or somebody is said to have died, or gone, who lives where he lived."""
        day = max(month_end(month) - timedelta(days=self.rng.randrange(1, 25)), FIRST_DAY)
        kind = self.rng.choice(("hukou_move_in", "residence_registration", "hukou_cancel", "hukou_move_out"))
        if kind in ARRIVALS:
            person = self.world.invent(day - timedelta(days=self.rng.randrange(7000, 20000)), self.rng.choice("12"), [])
            village, fault = self.rng.randrange(len(self.world.district.villages)), "nobody"
        else:
            quiet = [one for one in self.world.people if self.world.is_quiet(one, day) and self._is_new(one)]
            if not quiet:
                return
            person = self.rng.choice(quiet)
            village, fault = person.village_on(day), "never happened"
        self.serials[kind] += 1
        serial = str(day + timedelta(days=1)) if kind == "hukou_cancel" else f"F{self.serials[kind]:07d}"
        self.due[month].append(Report(kind, person, day, village, None, fault, serial))  # type: ignore[arg-type]
        self.faults[f"{kind} {fault}"] += 1

    def _is_new(self, person: Person) -> bool:
        return person.born < FIRST_DAY and person not in self.told_of


def is_ghost(person: Person) -> bool:
    """Whether nobody of that name ever lived here."""
    return all(village == OUTSIDE for _, village in person.stays)
