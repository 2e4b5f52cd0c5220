"""Twelve months of the district's life, month by month, from one seed."""

from __future__ import annotations

import random

from hub.demo.areas import make_district
from hub.demo.births import adoptions_of, births_of
from hub.demo.moves import corrections_of, deaths_of, moves_of, residences_of
from hub.demo.people import Resident, settle
from hub.demo.unions import divorces_of, marriages_of
from hub.demo.work import work_of
from hub.demo.year import MONTHS, ROLL_MONTH, Row, Year, person

EVENTS = (
    births_of, deaths_of, moves_of, residences_of, marriages_of, divorces_of, adoptions_of, corrections_of, work_of,
)  # fmt: skip


def live(people: int, seed: int) -> Year:
    """Settle the district, take its roll, and let twelve months pass."""
    rng = random.Random(seed)
    year = Year(rng, settle(rng, make_district(), people))
    for resident in year.population.residents:
        _enter_in_roll(year, resident)
    for month in range(len(MONTHS)):
        for act in year.due.pop(month, []):
            act(month)
        for events in EVENTS:
            events(year, month)
    return year


def _enter_in_roll(year: Year, one: Resident) -> None:
    values = person(year, one) | {
        "birthplace": "云岭区", "door_no": one.household_no[-4:], "education": one.education, "hukou_kind": "3",
        "workplace": "", "health_condition": "1", "marital": one.marital, "marital_changed_on": "", "moved_on": "",
        "relation": one.relation, "household_no": one.household_no, "residence_status": "1",
    }  # fmt: skip
    town = year.district.town_of(one.village).organisation
    year.rows.append(Row("resident_roll", town, ROLL_MONTH, values))
