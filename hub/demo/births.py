"""How people come into the district: pregnancies, births, the newborn's registration, first vaccination, adoption."""

from __future__ import annotations

from datetime import date, timedelta

from hub.demo.names import make_name, make_uscc
from hub.demo.people import Resident
from hub.demo.year import MONTHS, QUARTER_ENDS, Year, day_in, person

FACILITY = "云岭区妇幼保健院"
FACILITY_CODE = make_uscc(7, "12")


def births_of(year: Year, month: int) -> None:
    """This month's deliveries, and the bookings of those expected in six months."""
    for _ in range(year.often(9.5)):
        day = day_in(year.rng, month)
        mother = year.pick(day, _may_become_mother)
        if mother is not None:
            _deliver(year, month, day, mother)
    for _ in range(year.often(8.5)):
        _book(year, month)


def _may_become_mother(woman: Resident, day: date) -> bool:
    return woman.sex == "2" and 21 <= woman.age(day) <= 42 and woman.spouse is not None and woman.spouse.here


def _book(year: Year, month: int) -> None:
    day = day_in(year.rng, month)
    woman = year.pick(day, _may_become_mother)
    if woman is None or woman.spouse is None:
        return
    woman.busy_until = day + timedelta(days=240)
    last_period = day - timedelta(days=year.rng.randrange(45, 90))
    values = person(year, woman, "woman_") | person(year, woman.spouse, "husband_")
    values |= {
        "handbook_no": f"YLFY{day:%y}{year.serial('handbook'):06d}",
        "lmp": str(last_period),
        "edd": str(last_period + timedelta(days=280)),
        "gravida": str(year.rng.randrange(1, 4)),
        "para": str(year.rng.randrange(0, 2)),
        "booking_week": str((day - last_period).days // 7),
        "risk_level": year.rng.choice(("1", "1", "1", "2", "3")),
        "facility": FACILITY,
        "booked_on": str(day),
    }
    year.report("antenatal_booking", "mch_station", month, values)


def _deliver(year: Year, month: int, day: date, mother: Resident) -> None:
    father = mother.spouse
    assert father is not None
    mother.busy_until = father.busy_until = day + timedelta(days=120)
    sex = year.rng.choice("12")
    name = make_name(year.rng, sex, father.name[0])
    certificate = f"Z99{year.serial('birth certificate'):07d}"
    born = f"{day} {year.rng.randrange(24):02d}:{year.rng.randrange(60):02d}"
    issued = min(day + timedelta(days=year.rng.randrange(1, 6)), date.fromisoformat(f"{MONTHS[month]}-28"))
    child = {"child_name": name, "child_sex": sex, "child_birth_date": str(day), "child_ethnicity": father.ethnicity}
    values = child | person(year, mother, "mother_") | person(year, father, "father_") | {
        "cert_no": certificate, "issue_kind": "1", "birth_time": born, "gest_weeks": str(year.rng.randrange(36, 42)),
        "weight_g": str(year.rng.randrange(2500, 4200)), "length_cm": str(year.rng.randrange(46, 54)), "health": "1",
        "parity": str(year.rng.choice((1, 1, 2, 3))), "plurality": "1", "birth_place_class": "1", "facility": FACILITY,
        "facility_uscc": FACILITY_CODE, "issued_on": str(issued), "issuer": FACILITY,
    }  # fmt: skip
    year.report("birth_certificate", "mch_station", month, values)
    if year.rng.random() < 0.8:
        _visit(year, month, day, mother)
    wait = year.rng.choice((1, 1, 2))
    year.later(month + wait, lambda then: _register(year, then, child, mother, father, certificate, day))


def _visit(year: Year, month: int, day: date, mother: Resident) -> None:
    visited = day + timedelta(days=year.rng.randrange(5, 28))
    then = month if f"{visited:%Y-%m}" == MONTHS[month] else month + 1
    if then >= len(MONTHS):
        return
    values = person(year, mother, "woman_") | {
        "kind": "1", "visit_date": str(visited), "delivered_on": str(day),
        "findings": year.rng.choice(("恢复良好", "切口愈合好", "轻度贫血")),
        "advice": year.rng.choice(("母乳喂养指导", "补铁，两周后复查", "按时做42天检查")), "visitor": "沈护士",
    }  # fmt: skip
    year.report("postnatal_visit", "mch_station", then, values)


def _register(
    year: Year, month: int, child: dict[str, str], mother: Resident, father: Resident, certificate: str, born: date
) -> None:
    """The police give the newborn a number; from now on it is a resident like any other."""
    day = day_in(year.rng, month)
    newborn = Resident(
        id_no=year.population.numbers.give(born, child["child_sex"]), name=child["child_name"], sex=child["child_sex"],
        born=born, ethnicity=father.ethnicity, village=father.village, hukou=father.hukou,
        household_no=father.household_no, relation="20" if child["child_sex"] == "1" else "30", education="90",
        marital="10", phone="", busy_until=day + timedelta(days=90),
    )  # fmt: skip
    year.population.residents.append(newborn)
    values = person(year, newborn, "child_") | {
        "cert_no": certificate, "registered_on": str(day), "household_no": father.household_no,
        "head_name": father.name, "relation": newborn.relation, "follow": "1",
        "mother_id_no": mother.id_no, "mother_name": mother.name, "father_id_no": father.id_no,
        "father_name": father.name, "station": f"{year.district.town_of(father.village).name}派出所",
    }  # fmt: skip
    year.report("newborn_hukou", "public_security", month, values)
    year.later(month + 1, lambda then: _enrol(year, then, newborn, mother, certificate))


def _enrol(year: Year, month: int, child: Resident, mother: Resident, certificate: str) -> None:
    card = f"9990{year.serial('vaccination card'):014d}"
    father = mother.spouse
    values = person(year, child, "child_") | {
        "cert_no": certificate, "card_no": card, "first_dose_date": str(child.born), "vaccine": "乙肝疫苗",
        "clinic": f"{year.district.town_of(child.village).name}卫生院", "mother_name": mother.name,
        "mother_id_no": mother.id_no, "father_name": father.name if father else "",
        "father_id_no": father.id_no if father else "", "enrolled_on": str(day_in(year.rng, month)),
        "child_phone": mother.phone, "roll_status": "在册",
    }  # fmt: skip
    year.report("immunisation_enrol", "health", month, values)


def adoptions_of(year: Year, month: int) -> None:
    """A couple without a small child of its own takes one in."""
    if month not in QUARTER_ENDS:
        return
    for _ in range(year.often(0.9)):
        day = day_in(year.rng, month)
        child = year.pick(day, lambda one, day: 1 <= one.age(day) <= 12)
        adopter = year.pick(day, _may_adopt)
        if child is None or adopter is None or adopter.spouse is None or adopter.spouse.busy_until > day:
            continue
        child.busy_until = adopter.busy_until = adopter.spouse.busy_until = day + timedelta(days=60)
        values = person(year, adopter, "adopter_male_") | person(year, adopter.spouse, "adopter_female_")
        values |= person(year, child, "child_") | {
            "reg_no": f"SY999001-{day:%Y}-{year.serial('adoption'):06d}", "registered_on": str(day), "kind": "1",
            "birth_parent": make_name(year.rng, "2"), "office": "云岭区民政局",
        }  # fmt: skip
        year.report("adoption", "civil_affairs", month, values)


def _may_adopt(one: Resident, day: date) -> bool:
    return one.sex == "1" and 32 <= one.age(day) <= 55 and one.spouse is not None
