"""How people marry and part: one record about two persons, often of two towns."""

from __future__ import annotations

from datetime import date, timedelta

from hub.demo.people import Resident
from hub.demo.year import Year, day_in, person

OFFICE = "云岭区民政局婚姻登记处"


def marriages_of(year: Year, month: int) -> None:
    """Two unmarried people of legal age who are not of one household."""
    for _ in range(year.often(6)):
        day = day_in(year.rng, month)
        man = year.pick(day, lambda one, day: one.sex == "1" and 22 <= one.age(day) <= 60 and _free(one))
        woman = year.pick(day, lambda one, day: one.sex == "2" and 20 <= one.age(day) <= 58 and _free(one))
        if man is not None and woman is not None and man.household_no != woman.household_no:
            _marry(year, month, day, man, woman)


def _free(one: Resident) -> bool:
    return one.spouse is None and one.marital in ("10", "30", "40")


def _marry(year: Year, month: int, day: date, man: Resident, woman: Resident) -> None:
    first = man.marital == woman.marital == "10"
    values = person(year, man, "male_") | person(year, woman, "female_") | {
        "cert_no": f"J999001-{day:%Y}-{year.serial('marriage'):06d}", "registered_on": str(day),
        "office": OFFICE, "kind": "1" if first else "2",
    }  # fmt: skip
    for prefix, one in (("male_", man), ("female_", woman)):
        values |= {
            f"{prefix}prior_marital": one.marital,
            f"{prefix}education": one.education,
            f"{prefix}occupation": "务农" if one.age(day) > 40 else "工人",
        }
    year.report("marriage", "civil_affairs", month, values)
    man.spouse, woman.spouse = woman, man
    man.marital = woman.marital = "20"
    man.busy_until = woman.busy_until = day + timedelta(days=30)


def divorces_of(year: Year, month: int) -> None:
    """Couples who part; both may marry again."""
    for _ in range(year.often(2.4)):
        day = day_in(year.rng, month)
        man = year.pick(day, _may_part)
        if man is None or man.spouse is None:
            continue
        woman = man.spouse
        values = person(year, man, "male_") | person(year, woman, "female_") | {
            "cert_no": f"L999001-{day:%Y}-{year.serial('divorce'):06d}", "registered_on": str(day),
            "mode": "1", "children_n": str(year.rng.randrange(3)), "office": OFFICE,
        }  # fmt: skip
        year.report("divorce", "civil_affairs", month, values)
        man.spouse = woman.spouse = None
        man.marital = woman.marital = "40"
        man.busy_until = woman.busy_until = day + timedelta(days=30)


def _may_part(one: Resident, day: date) -> bool:
    return one.sex == "1" and one.spouse is not None and one.spouse.busy_until <= day
