"""The twelve months the demo tells, and the rows each department writes down while they pass."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from hub.demo.areas import District
from hub.demo.people import Population, Resident

MONTHS = ("2025-11", "2025-12", *(f"2026-{month:02d}" for month in range(1, 11)))
ROLL_MONTH = "2025-10"
QUARTER_ENDS = (2, 5, 8, 11)  # places in MONTHS: when rare things are reported


@dataclass(slots=True)
class Row:
    """One row of one department's file: canonical values by field name (dates ISO, codes, 12-digit areas)."""

    record_type: str
    sender: str
    month: str
    values: dict[str, str]


def day_in(rng: random.Random, month: int) -> date:
    """A day of the ``month``-th month, never after its 28th: month ends are for dirty rows."""
    return date.fromisoformat(f"{MONTHS[month]}-01") + timedelta(days=rng.randrange(28))


@dataclass(slots=True)
class Year:
    """What has happened so far, what is still to come, and the serial numbers given out."""

    rng: random.Random
    population: Population
    rows: list[Row] = field(default_factory=list)
    due: defaultdict[int, list[Callable[[int], None]]] = field(default_factory=lambda: defaultdict(list))
    serials: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def district(self) -> District:
        return self.population.district

    def report(self, record_type: str, sender: str, month: int, values: dict[str, str]) -> None:
        """A department writes a row into this month's file."""
        self.rows.append(Row(record_type, sender, MONTHS[month], values))

    def later(self, month: int, act: Callable[[int], None]) -> None:
        """Something that follows from today's event; what falls after the year is never told."""
        if month < len(MONTHS):
            self.due[month].append(act)

    def serial(self, kind: str) -> int:
        self.serials[kind] += 1
        return self.serials[kind]

    def often(self, per_thousand_a_year: float) -> int:
        """How many times this month, for a rate per thousand inhabitants and year."""
        expected = per_thousand_a_year * len(self.population.residents) / 12_000
        return int(expected) + (self.rng.random() < expected % 1)

    def pick(self, day: date, fits: Callable[[Resident, date], bool]) -> Resident | None:
        """Somebody living here, not busy with another event, who fits; None after many misses."""
        residents = self.population.residents
        for _ in range(400):
            resident = self.rng.choice(residents)
            if resident.here and resident.busy_until <= day and fits(resident, day):
                return resident
        return None


def person(year: Year, resident: Resident, prefix: str = "") -> dict[str, str]:
    """All parts of a PersonRef; a mapping takes those it has columns for."""
    return {
        f"{prefix}name": resident.name,
        f"{prefix}id_type": "111",
        f"{prefix}id_no": resident.id_no,
        f"{prefix}sex": resident.sex,
        f"{prefix}birth_date": resident.born.isoformat(),
        f"{prefix}ethnicity": resident.ethnicity,
        f"{prefix}hukou_div": area_code(year.district, resident.hukou),
        f"{prefix}hukou_addr": address(year.district, resident.hukou, resident),
        f"{prefix}live_div": area_code(year.district, resident.village),
        f"{prefix}live_addr": address(year.district, resident.village, resident),
        f"{prefix}phone": resident.phone,
    }


def area_code(district: District, village: int) -> str:
    return district.villages[village].code if village >= 0 else ""


def address(district: District, village: int, resident: Resident) -> str:
    """Town, village, group and door: the door is the household's."""
    if village < 0:
        return ""
    door = int(resident.household_no[-6:] or "1")
    return f"{district.full_name(village)}{door % 12 + 1}组{door % 400 + 1}号"
