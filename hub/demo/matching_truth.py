"""Rows about people whose identity is known beforehand: what departments send, and whom every row really means.

Among them everything that makes people hard to recognise: mistyped and corrected numbers, names written otherwise,
days and months exchanged, twins, newborns with and without a certificate number, deaths without a number, namesakes
born on one day.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from hub.demo.areas import District, make_district
from hub.demo.names import PREFIX, check_digit, make_name
from hub.demo.people import FIRST_DAY, Population, Resident, settle

ROWS_A_FILE = 400
TRADITIONAL = str.maketrans(
    "张刘陈杨赵黄吴孙马罗谢韩冯程邓许萧贾叶阎谭陆顾龙万钱汤贺赖龚",
    "張劉陳楊趙黃吳孫馬羅謝韓馮程鄧許蕭賈葉閻譚陸顧龍萬錢湯賀賴龔",
)
BY_EAR = {
    "伟": "玮",
    "芳": "方",
    "静": "婧",
    "丽": "莉",
    "强": "蔷",
    "磊": "垒",
    "洋": "阳",
    "艳": "燕",
    "娟": "鹃",
    "涛": "韬",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is staged (field -> value) and, by role, the person it really means."""

    values: dict[str, object]
    means: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """One file of one organisation."""

    record_type: str
    source: str
    rows: list[Row]


@dataclass(slots=True)
class Newborn:
    """A child and what its papers say."""

    identity: int
    child: Resident
    mother: Resident
    certificate: str
    born_at: str


@dataclass(slots=True)
class Truth:
    """The people, and the files in the order in which they come."""

    rng: random.Random
    district: District
    population: Population
    area_ids: dict[int, int]  # place of a village in the district -> its area
    files: list[Sent] = field(default_factory=list)
    identities: dict[int, int] = field(default_factory=dict)  # id() of a resident -> identity

    def identity(self, person: Resident) -> int:
        return self.identities.setdefault(id(person), len(self.identities) + 1)

    def send(self, record_type: str, source: str, rows: list[Row]) -> None:
        for start in range(0, len(rows), ROWS_A_FILE):
            self.files.append(Sent(record_type, source, rows[start : start + ROWS_A_FILE]))

    def often(self, share: float) -> bool:
        return self.rng.random() < share

    def take(self, share: float) -> list[Resident]:
        residents = self.population.residents
        return self.rng.sample(residents, max(1, round(share * len(residents))))


def make_truth(seed: int, people: int, area_ids: dict[str, int]) -> Truth:
    """``people`` inhabitants and what is sent about them; ``area_ids``: 12-digit code -> area."""
    rng = random.Random(seed)
    district = make_district()
    villages = {place: area_ids[village.code] for place, village in enumerate(district.villages)}
    truth = Truth(rng, district, settle(rng, district, people), villages)
    _make_namesakes(truth)
    _first_roll(truth)
    _second_roll(truth)
    _corrections(truth)
    _employment(truth)
    _insurance(truth)
    _births(truth)
    _deaths(truth)
    return truth


# ---- what goes wrong when somebody writes ----


def mistype(rng: random.Random, number: str) -> str:
    """One digit of the sequence or the year wrong, or the county's: valid, because the check digit was worked out anew."""
    place = rng.choice((5, 8, 9, 15, 16))
    digit = str((int(number[place]) + rng.choice((2, 4, 6, 8))) % 10)
    body = number[:place] + digit + number[place + 1 : 17]
    return body + check_digit(body)


def miswrite(rng: random.Random, name: str) -> str:
    """Traditional characters, another dot, or written by ear."""
    ways = [name.translate(TRADITIONAL), name.replace("·", ""), "".join(BY_EAR.get(one, one) for one in name)]
    written = [one for one in ways if one != name]
    return rng.choice(written) if written else name


def exchange(day: date) -> date:
    """Day and month exchanged, where that is a date."""
    return day.replace(month=day.day, day=day.month) if day.day <= 12 else day


# ---- who sends what ----


def _make_namesakes(truth: Truth) -> None:
    """Two people of one name born on one day, numbered by different offices: one in two hundred."""
    for no, one in enumerate(truth.take(0.005)):
        other = truth.rng.choice(truth.population.residents)
        if other is not one and other.sex == one.sex and other.relation != "12" and one.relation != "12":
            body = f"{PREFIX}{one.born:%Y%m%d}{900 + 2 * (no % 45) + (1 if one.sex == '1' else 0):03d}"
            other.name, other.born, other.id_no = one.name, one.born, body + check_digit(body)


def _person(truth: Truth, one: Resident, number: str, prefix: str = "", role: str = "person") -> dict[str, object]:
    return {
        f"{prefix}name": one.name, f"{prefix}id_no": number, f"{prefix}sex": one.sex,
        f"{prefix}birth_date": _birth_date(number, one), f"{role}_area": truth.area_ids.get(one.village),
    }  # fmt: skip


def _birth_date(number: str, one: Resident) -> date:
    """What a form says follows the number on it, where that is a date."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return one.born


def _roll_row(truth: Truth, one: Resident, number: str) -> Row:
    values = _person(truth, one, number) | {"household_no": one.household_no, "phone": one.phone or None}
    if truth.often(0.03):
        values["name"] = miswrite(truth.rng, one.name)
    return Row(values, {"person": truth.identity(one)})


def _first_roll(truth: Truth) -> None:
    """The towns' roll: nine in ten are on it."""
    rows = [_roll_row(truth, one, one.id_no) for one in truth.population.residents if truth.often(0.9)]
    truth.send("resident_roll", "999001001", rows)


def _second_roll(truth: Truth) -> None:
    """The police's roll: everybody; one in fifty under a mistyped number."""
    wrong = {id(one) for one in truth.take(0.02)}
    residents = truth.population.residents
    numbers = [mistype(truth.rng, one.id_no) if id(one) in wrong else one.id_no for one in residents]
    rows = [_roll_row(truth, one, number) for one, number in zip(residents, numbers, strict=True)]
    truth.send("resident_roll", "public_security", rows)


def _corrections(truth: Truth) -> None:
    """One in a hundred gets another number; from then on everybody writes that one."""
    rows = []
    for one in truth.take(0.01):
        before, body = one.id_no, f"{one.id_no[:14]}{800 + truth.rng.randrange(99):03d}"
        one.id_no = body + check_digit(body)
        values = {"id_no": before, "new_id": one.id_no, "name": one.name, "item": "12", "changed_on": FIRST_DAY}
        rows.append(Row(values, {"person": truth.identity(one)}))
    truth.send("identity_correction", "public_security", rows)


def _employment(truth: Truth) -> None:
    """Half of those of age have a job; what is sent says name and number."""
    rows = []
    for one in truth.population.residents:
        if 18 <= one.age(FIRST_DAY) < 60 and truth.often(0.6):
            values = {"name": one.name, "id_no": one.id_no, "employer": "云岭机械厂", "start_date": FIRST_DAY}
            rows.append(Row(values, {"person": truth.identity(one)}))
    truth.send("employment", "labour", rows)


def _insurance(truth: Truth) -> None:
    """Everybody is insured; what is sent says name and number."""
    rows = [
        Row(
            {"name": one.name, "id_no": one.id_no, "scheme": "390", "month": "2025-11"},
            {"person": truth.identity(one)},
        )
        for one in truth.population.residents
    ]
    truth.send("social_insurance", "labour", rows)


def _births(truth: Truth) -> None:
    """Certificate, registration and vaccination card; one delivery in twelve is of twins."""
    mothers = [one for one in truth.population.residents if one.relation == "12" and 21 <= one.age(FIRST_DAY) <= 42]
    born: list[Newborn] = []
    for mother in mothers[: max(12, len(truth.population.residents) // 25)]:
        day = FIRST_DAY + timedelta(days=truth.rng.randrange(300))
        for order in range(2 if truth.often(1 / 12) else 1):
            born.append(_newborn(truth, mother, day, order, len(born)))
    truth.send("birth_certificate", "mch_station", [_certificate_row(truth, one) for one in born])
    truth.send("newborn_hukou", "public_security", [_registration_row(truth, one) for one in born if truth.often(0.9)])
    truth.send("immunisation_enrol", "health", [_card_row(truth, one, no) for no, one in enumerate(born)])


def _newborn(truth: Truth, mother: Resident, day: date, order: int, no: int) -> Newborn:
    sex = truth.rng.choice("12")
    child = Resident(
        id_no=truth.population.numbers.give(day, sex), name=make_name(truth.rng, sex, mother.name[0]), sex=sex, born=day,
        ethnicity="01", village=mother.village, hukou=mother.hukou, household_no=mother.household_no, relation="20",
        education="90", marital="10", phone=mother.phone,
    )  # fmt: skip
    truth.population.residents.append(child)
    at = f"{day} {8 + order:02d}:{truth.rng.randrange(60):02d}"
    return Newborn(truth.identity(child), child, mother, f"Z99{no:07d}", at)


def _mother(truth: Truth, newborn: Newborn) -> dict[str, object]:
    return {"mother_name": newborn.mother.name, "mother_id_no": newborn.mother.id_no}


def _certificate_row(truth: Truth, newborn: Newborn) -> Row:
    """One child in ten has no name yet."""
    values = _mother(truth, newborn) | {
        "cert_no": newborn.certificate, "birth_time": newborn.born_at, "child_sex": newborn.child.sex,
        "child_name": None if truth.often(0.1) else newborn.child.name, "issued_on": newborn.child.born,
    }  # fmt: skip
    return Row(values, _family(truth, newborn))


def _registration_row(truth: Truth, newborn: Newborn) -> Row:
    child = newborn.child
    values = _mother(truth, newborn) | {
        "child_name": child.name, "child_id_no": child.id_no, "child_sex": child.sex, "child_birth_date": child.born,
        "cert_no": _certificate_as_written(truth, newborn), "registered_on": child.born + timedelta(days=30),
        "household_no": child.household_no, "child_area": truth.area_ids.get(child.village),
    }  # fmt: skip
    return Row(values, _family(truth, newborn))


def _card_row(truth: Truth, newborn: Newborn, no: int) -> Row:
    child = newborn.child
    name = miswrite(truth.rng, child.name) if truth.often(0.05) else child.name
    values = _mother(truth, newborn) | {
        "card_no": f"9990{no:014d}", "child_name": name, "child_sex": child.sex, "child_birth_date": child.born,
        "cert_no": _certificate_as_written(truth, newborn), "enrolled_on": child.born + timedelta(days=45),
        "child_area": truth.area_ids.get(child.village), "child_phone": child.phone,
    }  # fmt: skip
    return Row(values, _family(truth, newborn))


def _certificate_as_written(truth: Truth, newborn: Newborn) -> str | None:
    """Left out in a fifth of the rows, mistyped in one of twenty."""
    if truth.often(0.2):
        return None
    wrong = f"{newborn.certificate[:4]}{truth.rng.randrange(5, 10)}{newborn.certificate[5:]}"
    return wrong if truth.often(0.05) else newborn.certificate


def _family(truth: Truth, newborn: Newborn) -> dict[str, int]:
    return {"child": newborn.identity, "mother": truth.identity(newborn.mother)}


def _deaths(truth: Truth) -> None:
    """Three in a hundred, the old ones; a third of the certificates have no number, some another date of birth."""
    old = [one for one in truth.population.residents if one.age(FIRST_DAY) > 60]
    count = min(len(old), max(1, len(truth.population.residents) * 3 // 100))
    rows = []
    for no, one in enumerate(truth.rng.sample(old, count)):
        values = _person(truth, one, one.id_no) | {
            "cert_no": f"D99{no:06d}",
            "death_date": FIRST_DAY + timedelta(days=90),
        }
        if truth.often(1 / 3):
            values |= {"id_no": None, "birth_date": exchange(one.born) if truth.often(0.1) else one.born}
        rows.append(Row(values, {"person": truth.identity(one)}))
    rows += [_stranger_row(truth, one, no) for no, one in enumerate(truth.take(0.005))]
    truth.send("death_certificate", "health", rows)


def _stranger_row(truth: Truth, namesake: Resident, no: int) -> Row:
    """Somebody from elsewhere dies here without a number: by chance of one name and one day with a resident."""
    elsewhere = (namesake.village + len(truth.district.villages) // 2) % len(truth.district.villages)
    values = {
        "cert_no": f"D98{no:06d}", "death_date": FIRST_DAY + timedelta(days=120), "name": namesake.name,
        "sex": namesake.sex, "birth_date": namesake.born, "person_area": truth.area_ids[elsewhere],
    }  # fmt: skip
    return Row(values, {"person": -1 - no})
