"""What each standing comparison must find and what it must leave alone, as a table: records of fictitious people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.district import GUANGMING, QINGXI_OFFICE
from tests.doors import identity_number

TODAY = date(2026, 11, 22)
LONG_AGO, LATELY = TODAY - timedelta(days=200), TODAY - timedelta(days=5)
POLICE, HEALTH, CIVIL, LABOUR, COMMERCE = "public_security", "health", "civil_affairs", "labour", "commerce"


@dataclass(frozen=True)
class Row:
    """One record as its source tells it."""

    record_type: str
    source: str
    fields: dict[str, Any]

    def voided(self) -> Row:
        return Row(self.record_type, self.source, self.fields | {"change_kind": "void"})


@dataclass
class Case:
    """Records of one person: the check finds something in them, or not."""

    check: str
    why: str
    found: bool
    number: str
    rows: list[Row] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.check}: {self.why}"

    def owns(self, record_type: str, record: dict[str, Any]) -> bool:
        keys = ("id_no", "male_id_no", "female_id_no", "operator_id_no", "child_id_no", "cert_no")
        mine = {self.number, f"{self.number}X", certificate(self.number), f"{certificate(self.number)}X"}
        return any(record.get(key) in mine for key in keys)


def certificate(number: str) -> str:
    return f"R{number[9:17]}9"


# ---- records of the person of a case ----


def died(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"cert_no": f"D{number}", "death_date": on, "id_no": number, "name": "甲", "person_area": GUANGMING}
    return Row("death_certificate", HEALTH, told | more)


def cremated(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"home": "殡仪馆", "cremation_no": f"C{number}", "cremated_on": on, "id_no": number, "name": "甲"}
    return Row("cremation", CIVIL, told | {"person_area": GUANGMING} | more)


def cancelled(number: str, on: date = LONG_AGO, kind: str = "1", **more: Any) -> Row:
    told = {"id_no": number, "cancel_date": on, "kind": kind, "name": "甲", "person_area": GUANGMING}
    return Row("hukou_cancel", POLICE, told | more)


def insured(number: str, month: str = "2020-01", kind: str = "1", scheme: str = "1") -> Row:
    return Row(
        "social_insurance", LABOUR, {"id_no": number, "name": "甲", "month": month, "kind": kind, "scheme": scheme}
    )


def employed(number: str, start: date = date(2020, 1, 1), employer: str = "一厂", **more: Any) -> Row:
    return Row("employment", LABOUR, {"id_no": number, "name": "甲", "start_date": start, "employer": employer} | more)


def licensed(number: str, on: date = LONG_AGO, kind: str = "1", **more: Any) -> Row:
    told = {"operator_id_no": number, "operator_name": "甲", "uscc": f"9{number[1:]}", "business_name": "店"}
    return Row("business_licence", COMMERCE, told | {"approved_on": on, "kind": kind, "status": "1"} | more)


def on_roll(number: str, source: str = POLICE, **more: Any) -> Row:
    return Row("resident_roll", source, {"id_no": number, "name": "甲", "person_area": GUANGMING} | more)


def born(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"cert_no": certificate(number), "birth_time": f"{on} 08:00", "issued_on": on, "mother_name": "乙"}
    return Row("birth_certificate", HEALTH, told | {"mother_area": GUANGMING} | more)


def registered(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"cert_no": certificate(number), "child_id_no": number, "child_name": "丙", "registered_on": on}
    return Row("newborn_hukou", POLICE, told | {"child_birth_date": LONG_AGO, "child_area": GUANGMING} | more)


def enrolled(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"cert_no": certificate(number), "card_no": f"K{number}", "enrolled_on": on, "child_name": "丙"}
    return Row("immunisation_enrol", HEALTH, told | {"child_birth_date": LONG_AGO, "child_area": GUANGMING} | more)


def married(number: str, on: date = LONG_AGO, no: str = "J", **more: Any) -> Row:
    told = {"cert_no": no + number, "registered_on": on, "male_id_no": number, "male_name": "甲", "kind": "1"}
    return Row("marriage", CIVIL, told | {"female_id_no": f"{number}X", "female_name": "乙"} | more)


def divorced(number: str, on: date = LONG_AGO) -> Row:
    told = {"cert_no": f"L{number}", "registered_on": on, "male_id_no": number, "male_name": "甲"}
    return Row("divorce", CIVIL, told | {"female_id_no": f"{number}X", "female_name": "乙"})


def moved(number: str, way: str, on: date = LONG_AGO) -> Row:
    return Row(f"hukou_move_{way}", POLICE, {"id_no": number, "name": "甲", "move_date": on, "person_area": GUANGMING})


def resident(number: str, on: date = LONG_AGO, **more: Any) -> Row:
    told = {"id_no": number, "name": "甲", "arrive_date": on, "person_area": GUANGMING}
    return Row("residence_registration", POLICE, told | more)


# ---- the table: check -> (why, found, records of the person) ----

FOUND, NOT = True, False
MERGED = "two children who turned out to be one"
_TABLE: dict[str, list[tuple[str, bool, Any]]] = {
    "death_not_cancelled": [
        ("a death long ago", FOUND, lambda n: [died(n)]),
        ("a cremation long ago", FOUND, lambda n: [cremated(n)]),
        ("cancelled for something else", FOUND, lambda n: [died(n), cancelled(n, kind="3")]),
        ("cancelled, but that was voided", FOUND, lambda n: [died(n), cancelled(n), cancelled(n).voided()]),
        ("cancelled", NOT, lambda n: [died(n), cancelled(n)]),
        ("within grace", NOT, lambda n: [died(n, LATELY)]),
        ("the death was voided", NOT, lambda n: [died(n), died(n).voided()]),
        ("outside the district", NOT, lambda n: [died(n, person_area=None)]),
    ],
    "cancelled_without_certificate": [
        ("no certificate", FOUND, lambda n: [cancelled(n)]),
        ("cremated", NOT, lambda n: [cancelled(n), cremated(n)]),
        ("left the area", NOT, lambda n: [cancelled(n, kind="3")]),
    ],
    "cremated_without_certificate": [
        ("no certificate", FOUND, lambda n: [cremated(n)]),
        ("certified", NOT, lambda n: [cremated(n), died(n)]),
    ],
    "death_not_cremated": [
        ("no cremation", FOUND, lambda n: [died(n)]),
        ("cremated", NOT, lambda n: [died(n), cremated(n)]),
    ],
    "death_insured": [
        ("still insured", FOUND, lambda n: [died(n), insured(n)]),
        ("one scheme stopped, another paid", FOUND, lambda n: [
            cancelled(n), insured(n), insured(n, "2026-06", "2"), insured(n, "2021-01", "4", "2")]),
        ("stopped", NOT, lambda n: [died(n), insured(n), insured(n, "2026-06", "2")]),
        ("within grace", NOT, lambda n: [died(n, LATELY), insured(n)]),
    ],
    "death_employed": [
        ("no end", FOUND, lambda n: [died(n), employed(n)]),
        ("ended", NOT, lambda n: [died(n), employed(n, ended_on=LONG_AGO)]),
    ],
    "death_licensed": [
        ("open", FOUND, lambda n: [died(n), licensed(n, date(2020, 1, 1))]),
        ("closed since", NOT, lambda n: [died(n), licensed(n, date(2020, 1, 1)), licensed(n, LATELY, "3")]),
        ("passed on", NOT, lambda n: [died(n), licensed(n, date(2020, 1, 1)), licensed(n, LATELY, "2", operator_id_no=f"{n}X")]),
    ],
    "death_on_roll": [
        ("on the roll", FOUND, lambda n: [died(n), on_roll(n)]),
        ("taken off", NOT, lambda n: [died(n), on_roll(n), on_roll(n).voided()]),
    ],
    "death_date_differs": [
        ("two days", FOUND, lambda n: [died(n), cremated(n, LATELY, death_date=LATELY)]),
        ("one day", NOT, lambda n: [died(n), cremated(n, LATELY, death_date=LONG_AGO)]),
        ("the cremation does not say", NOT, lambda n: [died(n), cremated(n, LATELY)]),
    ],
    "death_date_differs_police": [
        ("two days", FOUND, lambda n: [died(n), cancelled(n, LATELY, happened_on=LATELY)]),
        ("one day", NOT, lambda n: [died(n), cancelled(n, LATELY, happened_on=LONG_AGO)]),
    ],
    "after_death": [
        ("moved in after", FOUND, lambda n: [died(n), moved(n, "in", LATELY)]),
        ("married after", FOUND, lambda n: [died(n), married(n, LATELY)]),
        ("moved in before", NOT, lambda n: [died(n, LATELY), moved(n, "in")]),
    ],
    "cancelled_before_death": [
        ("before", FOUND, lambda n: [died(n, LATELY), cancelled(n)]),
        ("the same day", NOT, lambda n: [died(n), cancelled(n)]),
    ],
    "birth_not_registered": [
        ("not registered", FOUND, lambda n: [born(n)]),
        ("registered", NOT, lambda n: [born(n), registered(n)]),
        ("within grace", NOT, lambda n: [born(n, LATELY)]),
        ("the certificate was voided", NOT, lambda n: [born(n), Row(
            "birth_certificate_void", HEALTH, {"cert_no": certificate(n), "voided_on": LATELY, "child_name": "丙"})]),
    ],
    "registered_without_certificate": [
        ("no certificate", FOUND, lambda n: [registered(n)]),
        ("certified", NOT, lambda n: [registered(n), born(n)]),
    ],
    "birth_not_enrolled": [
        ("not enrolled", FOUND, lambda n: [born(n)]),
        ("enrolled", NOT, lambda n: [born(n), enrolled(n)]),
    ],
    "enrolled_not_registered": [
        ("not registered", FOUND, lambda n: [enrolled(n)]),
        ("registered", NOT, lambda n: [enrolled(n), registered(n)]),
    ],
    "registered_not_enrolled": [
        ("not enrolled", FOUND, lambda n: [registered(n)]),
        ("enrolled", NOT, lambda n: [registered(n), enrolled(n)]),
    ],
    "birth_date_differs": [
        ("another day", FOUND, lambda n: [born(n), registered(n, child_birth_date=LATELY)]),
        ("the same day, with its hour", NOT, lambda n: [born(n), registered(n)]),
    ],
    "before_birth": [
        ("registered before", FOUND, lambda n: [born(n, LATELY), registered(n)]),
        ("registered after", NOT, lambda n: [born(n), registered(n, LATELY)]),
    ],
    "married_not_on_file": [
        ("never married on the roll", FOUND, lambda n: [married(n), on_roll(n, marital="10")]),
        ("married on the roll", NOT, lambda n: [married(n), on_roll(n, marital="21")]),
        ("divorced since", NOT, lambda n: [married(n), divorced(n, LATELY), on_roll(n, marital="40")]),
    ],
    "divorced_not_on_file": [
        ("married on the roll", FOUND, lambda n: [divorced(n), on_roll(n, marital="21")]),
        ("divorced on the roll", NOT, lambda n: [divorced(n), on_roll(n, marital="40")]),
        ("married again", NOT, lambda n: [divorced(n), married(n, LATELY), on_roll(n, marital="22")]),
    ],
    "marital_differs": [
        ("widowed and married", FOUND, lambda n: [died(n, marital="3"), on_roll(n, marital="20")]),
        ("married in two code sets", NOT, lambda n: [died(n, marital="2"), on_roll(n, marital="22")]),
        ("not stated", NOT, lambda n: [died(n, marital="9"), on_roll(n, marital="22")]),
    ],
    "married_under_age": [
        ("nineteen", FOUND, lambda n: [married(n, male_birth_date=LONG_AGO - timedelta(days=19 * 365))]),
        ("thirty", NOT, lambda n: [married(n, male_birth_date=LONG_AGO - timedelta(days=30 * 365))]),
    ],
    "moved_out_on_roll": [
        ("on the roll", FOUND, lambda n: [moved(n, "out"), on_roll(n)]),
        ("back since", NOT, lambda n: [moved(n, "out"), moved(n, "in", LATELY), on_roll(n)]),
        ("lives here as a migrant", NOT, lambda n: [moved(n, "out"), on_roll(n, residence_status="3")]),
    ],
    "operator_not_registered": [
        ("nothing known", FOUND, lambda n: [licensed(n)]),
        ("residence ended", FOUND, lambda n: [licensed(n), resident(n, cancelled_on=LATELY)]),
        ("resident", NOT, lambda n: [licensed(n), resident(n)]),
        ("on the roll", NOT, lambda n: [licensed(n), on_roll(n)]),
    ],
    "rolls_differ": [
        ("another birth date", FOUND, lambda n: [
            on_roll(n, QINGXI_OFFICE, birth_date=LONG_AGO), on_roll(n, birth_date=LATELY)]),
        ("the same", NOT, lambda n: [on_roll(n, QINGXI_OFFICE, sex="1"), on_roll(n, sex="1", birth_date=LATELY)]),
    ],
    "death_twice": [
        ("two certificates", FOUND, lambda n: [died(n), died(n, LATELY, cert_no=f"E{n}")]),
        ("one was voided", NOT, lambda n: [died(n), died(n, LATELY, cert_no=f"E{n}"), died(n).voided()]),
    ],
    "cancelled_twice": [
        ("twice", FOUND, lambda n: [cancelled(n), cancelled(n, LATELY)]),
        ("once for leaving", NOT, lambda n: [cancelled(n), cancelled(n, LATELY, "3")]),
    ],
    "cremated_twice": [
        ("twice", FOUND, lambda n: [cremated(n), cremated(n, cremation_no=f"B{n}")]),
        ("once", NOT, lambda n: [cremated(n)]),
    ],
    "birth_twice": [
        (MERGED, FOUND, lambda n: [born(n), born(n, LATELY, cert_no=f"{certificate(n)}X")]),
        ("two children", NOT, lambda n: [born(n), born(n, LATELY, cert_no=f"{certificate(n)}X")]),
    ],
    "registered_twice": [
        (MERGED, FOUND, lambda n: [registered(n), registered(f"{n}X", cert_no=None)]),
        ("two children", NOT, lambda n: [registered(n), registered(f"{n}X", cert_no=None)]),
    ],
    "married_twice": [
        ("on one day", FOUND, lambda n: [married(n), married(n, no="K")]),
        ("on two days", NOT, lambda n: [married(n), married(n, LATELY, no="K")]),
        ("issued again", NOT, lambda n: [married(n), married(n, no="K", kind="4")]),
    ],
    "employed_twice": [
        ("twice", FOUND, lambda n: [employed(n), employed(n, LATELY)]),
        ("by two", NOT, lambda n: [employed(n), employed(n, LATELY, "二厂")]),
        ("one ended", NOT, lambda n: [employed(n, ended_on=LATELY), employed(n, LATELY)]),
    ],
    "business_opened_twice": [
        ("by two persons", FOUND, lambda n: [licensed(n), licensed(n, LATELY, operator_id_no=f"{n}X")]),
        ("changed", NOT, lambda n: [licensed(n), licensed(n, LATELY, "2")]),
    ],
}  # fmt: skip


def _cases() -> Iterator[Case]:
    for serial, (check, why, found, told) in enumerate(
        ((check, *line) for check, lines in _TABLE.items() for line in lines), 1
    ):
        number = identity_number(serial)
        yield Case(check, why, found, number, told(number))


CASES = list(_cases())
