"""Who lives in the fictitious district on the first day: households, their people, who is married to whom."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from hub.demo.areas import District
from hub.demo.names import SURNAMES, IdentityNumbers, make_dotted_name, make_name, make_phone

FIRST_DAY = date(2025, 11, 1)
ETHNICITIES = ("01",) * 46 + ("15", "06", "12", "13")


@dataclass(slots=True, eq=False)
class Resident:
    """One person as the departments' own systems know them."""

    id_no: str
    name: str
    sex: str
    born: date
    ethnicity: str
    village: int  # place of their village in District.villages; -1: outside the district
    hukou: int  # the same, of their household registration
    household_no: str
    relation: str  # GB/T 4761
    education: str  # GB/T 4658
    marital: str  # GB/T 2261.2
    phone: str
    spouse: Resident | None = None
    alive: bool = True
    busy_until: date = FIRST_DAY  # no second event of the same life before this day
    employer: int = -1

    def age(self, day: date) -> int:
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))

    @property
    def here(self) -> bool:
        return self.alive and self.village >= 0


@dataclass(slots=True)
class Population:
    """Everybody, by household and in the order they came."""

    district: District
    residents: list[Resident]
    numbers: IdentityNumbers
    households: int = 0

    def household_number(self, village: int) -> str:
        self.households += 1
        return f"{self.district.villages[village].code[3:]}{self.households:06d}"


def settle(rng: random.Random, district: District, people: int) -> Population:
    """People the district until it has ``people`` inhabitants."""
    population = Population(district, [], IdentityNumbers())
    weights = [rng.uniform(0.6, 1.6) for _ in district.villages]
    homes = rng.choices(range(len(district.villages)), weights, k=people)
    for village in homes:
        if len(population.residents) >= people:
            break
        population.residents += _household(rng, population, village)
    del population.residents[people:]
    _separate_the_cut_off(population.residents)
    return population


def _household(rng: random.Random, population: Population, village: int) -> list[Resident]:
    number = population.household_number(village)
    age = rng.randrange(20, 86)
    if rng.random() < (0.5 if age < 26 else 0.12):
        return [_single(rng, population, village, number, age)]
    head, wife = _couple(rng, population, village, number, max(age, 24))
    members = [head, wife]
    for order in range(rng.choice((0, 1, 1, 2, 2, 3))):
        child_age = age - rng.randrange(24, 34) - 2 * order
        if 0 <= child_age < 24:
            members.append(_child(rng, population, head, child_age))
    return members


def _single(rng: random.Random, population: Population, village: int, number: str, age: int) -> Resident:
    marital = "10" if age < 40 else rng.choice(("10", "30", "40"))
    return _resident(rng, population, age, rng.choice("12"), village, number, "02", marital)


def _couple(
    rng: random.Random, population: Population, village: int, number: str, age: int
) -> tuple[Resident, Resident]:
    head = _resident(rng, population, age, "1", village, number, "02", "20")
    wife = _resident(rng, population, max(22, age - rng.randrange(-1, 5)), "2", village, number, "12", "20")
    head.spouse, wife.spouse = wife, head
    return head, wife


def _child(rng: random.Random, population: Population, head: Resident, age: int) -> Resident:
    sex = rng.choice("12")
    relation = "20" if sex == "1" else "30"
    child = _resident(rng, population, age, sex, head.village, head.household_no, relation, "10", head.name[0])
    child.ethnicity = head.ethnicity
    return child


def _resident(
    rng: random.Random, population: Population, age: int, sex: str, village: int, number: str,
    relation: str, marital: str, surname: str = "",
) -> Resident:  # fmt: skip
    born = FIRST_DAY - timedelta(days=365 * age + age // 4 + rng.randrange(1, 364))
    dotted = not surname and marital == "10" and rng.random() < 0.1
    return Resident(
        id_no=population.numbers.give(born, sex),
        name=make_dotted_name(rng) if dotted else make_name(rng, sex, surname or rng.choice(SURNAMES)),
        sex=sex,
        born=born,
        ethnicity="05" if dotted else rng.choice(ETHNICITIES),
        village=village,
        hukou=village,
        household_no=number,
        relation=relation,
        education=schooling(rng, age),
        marital=marital,
        phone=make_phone(rng) if age >= 14 else "",
    )


def schooling(rng: random.Random, age: int) -> str:
    """The highest education somebody of ``age`` has by GB/T 4658; the young ones are still at it."""
    if age < 6:
        return "90"
    if age < 13:
        return "80"
    if age < 16:
        return "70"
    return rng.choice(("20", "30", "40", "60", "60", "70")) if age < 45 else rng.choice(("60", "70", "70", "80", "90"))


def _separate_the_cut_off(residents: list[Resident]) -> None:
    """The last household may have lost members to the target count: nobody is married to a stranger."""
    last = residents[-1]
    if last.spouse is not None and last.spouse is not residents[-2]:
        last.marital, last.spouse = "10", None


def newcomer(rng: random.Random, population: Population, day: date, sex: str, age: int) -> Resident:
    """Somebody from outside the district, not yet living here."""
    born = day - timedelta(days=365 * age + age // 4 + rng.randrange(1, 364))
    return Resident(
        id_no=population.numbers.give(born, sex), name=make_name(rng, sex), sex=sex, born=born,
        ethnicity=rng.choice(ETHNICITIES), village=-1, hukou=-1, household_no="", relation="02",
        education=schooling(rng, age), marital="10", phone=make_phone(rng), busy_until=day,
    )  # fmt: skip
