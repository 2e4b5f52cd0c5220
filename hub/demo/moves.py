"""How people leave and come: deaths, moves in, out and between towns, temporary residence, corrected identities."""

from __future__ import annotations

from datetime import date, timedelta

from hub.demo.names import make_name
from hub.demo.people import Resident, newcomer
from hub.demo.year import QUARTER_ENDS, Year, area_code, day_in, person

ELSEWHERE = ("990102", "990205", "990311", "990424")  # fictitious districts of fictitious provinces
ELSEWHERE_NAMES = ("海州省江北市南湖区", "海州省江北市东城区", "北原省平川市新丰县", "西林省云台市山口县")
DEATH_CAUSES = ("I63.9", "I21.9", "C34.9", "J44.9", "I61.9", "C16.9")


def deaths_of(year: Year, month: int) -> None:
    """Certified by health, cancelled by the police, cremated by civil affairs: three sources of one death."""
    for _ in range(year.often(8)):
        day = day_in(year.rng, month)
        somebody = year.pick(day, lambda one, day: year.rng.random() < (one.age(day) / 95) ** 4 * 3)
        if somebody is not None:
            _die(year, month, day, somebody)


def _die(year: Year, month: int, day: date, dead: Resident) -> None:
    where = person(year, dead)
    town = year.district.town_of(dead.village).name
    certificate = f"99900126{year.serial('death'):09d}"
    year.report("death_certificate", "health", month, where | {
        "cert_no": certificate, "death_date": str(day),
        "death_time": f"{day} {year.rng.randrange(24):02d}:{year.rng.randrange(60):02d}",
        "place": year.rng.choice("1133"), "underlying_icd10": year.rng.choice(DEATH_CAUSES), "pregnancy_related": "0",
        "marital": {"10": "1", "20": "2", "30": "3", "40": "4"}[dead.marital], "education": dead.education,
        "occupation": "80" if dead.age(day) > 60 else "27", "reporter": "高岚", "facility": f"{town}卫生院",
        "issued_on": str(day),
    })  # fmt: skip
    cancelled = min(month + year.rng.choice((0, 0, 1)), 11)
    later = day if cancelled == month else day_in(year.rng, cancelled)
    year.report("hukou_cancel", "public_security", cancelled, where | {
        "kind": "1", "happened_on": str(day), "cancel_date": str(later), "proof_no": certificate,
        "reporter": dead.spouse.name if dead.spouse else "", "station": f"{town}派出所",
    })  # fmt: skip
    if year.rng.random() < 0.85:
        year.report("cremation", "civil_affairs", month, where | {
            "cremation_no": f"HH{year.serial('cremation'):06d}", "cremated_on": str(day), "cert_no": certificate,
            "home": "云岭区殡仪馆", "handler": year.rng.choice(("周和", "孙平", "何田")), "death_date": str(day),
            "handler_phone": "19900001234",
        })  # fmt: skip
    dead.alive = False
    if dead.spouse is not None:
        dead.spouse.marital, dead.spouse.spouse = "30", None


def moves_of(year: Year, month: int) -> None:
    """Household registrations that come, go, and change their town."""
    for _ in range(year.often(9)):
        _arrive(year, month, day_in(year.rng, month))
    for _ in range(year.often(8)):
        _leave(year, month, day_in(year.rng, month))
    for _ in range(year.often(12)):
        _change_town(year, month, day_in(year.rng, month))


def _arrive(year: Year, month: int, day: date) -> None:
    sex, age = year.rng.choice("12"), year.rng.randrange(18, 60)
    somebody = newcomer(year.rng, year.population, day, sex, age)
    somebody.marital = "10" if age < 28 else year.rng.choice(("10", "40"))
    where = year.rng.randrange(len(ELSEWHERE))
    _settle(year, somebody, year.rng.randrange(len(year.district.villages)), day)
    year.population.residents.append(somebody)
    _report_move_in(year, month, day, somebody, ELSEWHERE[where], ELSEWHERE_NAMES[where])


def _change_town(year: Year, month: int, day: date) -> None:
    somebody = year.pick(day, lambda one, day: one.age(day) >= 18 and one.spouse is None)
    if somebody is None:
        return
    came_from = somebody.hukou if somebody.hukou >= 0 else somebody.village
    _settle(year, somebody, year.rng.randrange(len(year.district.villages)), day)
    _report_move_in(year, month, day, somebody, "999001", year.district.full_name(came_from))


def _settle(year: Year, somebody: Resident, village: int, day: date) -> None:
    somebody.village = somebody.hukou = village
    somebody.household_no = year.population.household_number(village)
    somebody.relation = "02"
    somebody.busy_until = day + timedelta(days=60)


def _report_move_in(year: Year, month: int, day: date, somebody: Resident, division: str, place: str) -> None:
    year.report("hukou_move_in", "public_security", month, person(year, somebody) | {
        "move_date": str(day), "from_div": division, "from_addr": place,
        "reason": year.rng.choice(("01", "02", "06", "07", "09")), "permit_no": f"{year.serial('permit'):08d}",
        "migration_cert_no": f"{year.serial('migration'):08d}", "household_no": somebody.household_no, "relation": "02",
        "education": somebody.education, "marital": somebody.marital,
        "station": f"{year.district.town_of(somebody.village).name}派出所",
    })  # fmt: skip


def _leave(year: Year, month: int, day: date) -> None:
    somebody = year.pick(day, lambda one, day: 18 <= one.age(day) <= 60 and one.spouse is None)
    if somebody is None:
        return
    where = year.rng.randrange(len(ELSEWHERE))
    year.report("hukou_move_out", "public_security", month, person(year, somebody) | {
        "move_date": str(day), "to_div": ELSEWHERE[where], "to_addr": ELSEWHERE_NAMES[where],
        "reason": year.rng.choice(("01", "02", "06", "07", "09")),
        "migration_cert_no": f"{year.serial('migration'):08d}",
        "station": f"{year.district.town_of(somebody.hukou if somebody.hukou >= 0 else somebody.village).name}派出所",
    })  # fmt: skip
    somebody.village = somebody.hukou = -1


def residences_of(year: Year, month: int) -> None:
    """People from elsewhere who register where they stay."""
    for _ in range(year.often(10)):
        day = day_in(year.rng, month)
        sex, age = year.rng.choice("12"), year.rng.randrange(18, 55)
        guest = newcomer(year.rng, year.population, day, sex, age)
        guest.village = year.rng.randrange(len(year.district.villages))
        guest.household_no = year.population.household_number(guest.village)
        guest.busy_until = date(2027, 1, 1)
        year.population.residents.append(guest)
        year.report("residence_registration", "public_security", month, person(year, guest) | {
            "arrive_date": str(day), "reason": "01", "dwelling": year.rng.choice(("02", "05", "06")),
            "landlord": make_name(year.rng, "1"), "workplace": "",
            "permit_no": f"J999001{year.serial('residence'):08d}", "issued_on": str(day),
            "valid_to": str(day + timedelta(days=365)),
        })  # fmt: skip


def corrections_of(year: Year, month: int) -> None:
    """The police correct a wrong birth date: the number changes, the person does not."""
    if month not in QUARTER_ENDS:
        return
    for _ in range(year.often(2)):
        day = day_in(year.rng, month)
        somebody = year.pick(day, lambda one, day: 18 <= one.age(day) <= 70)
        if somebody is None:
            continue
        old, born = somebody.id_no, somebody.born
        somebody.born = born + timedelta(days=year.rng.choice((-2, -1, 1, 2)))
        somebody.id_no = year.population.numbers.give(somebody.born, somebody.sex)
        somebody.busy_until = day + timedelta(days=30)
        year.report("identity_correction", "public_security", month, {
            "name": somebody.name, "id_no": old, "hukou_div": area_code(year.district, somebody.hukou),
            "new_id": somebody.id_no, "item": "12", "old_value": str(born), "new_value": str(somebody.born),
            "changed_on": str(day), "station": "云岭区公安分局",
        })  # fmt: skip
