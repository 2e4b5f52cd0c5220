"""One record of a department as the row it sends: canonical values by field, dates ISO, areas of twelve digits."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from tests.year.world import OUTSIDE, Person, World

if TYPE_CHECKING:
    from tests.year.departments import Report

# what names a record at its source, as the register has it
KEYS = {
    "newborn_hukou": ("child_id_no",), "birth_certificate": ("cert_no",), "marriage": ("cert_no",),
    "cremation": ("cremation_no",), "death_certificate": ("cert_no", "death_date"),
    "hukou_cancel": ("id_no", "cancel_date"), "hukou_move_in": ("id_no", "move_date"),
    "hukou_move_out": ("id_no", "move_date"), "residence_registration": ("id_no", "arrive_date"),
}  # fmt: skip
FACILITY = "云岭区妇幼保健院"


def values_of(world: World, report: Report) -> dict[str, str]:
    """The whole row; of a voided record what names it, and that it is void."""
    values = MADE_BY[report.record_type](world, report)
    return values | {"change_kind": "void"} if report.voided else values


def person_values(world: World, person: Person, village: int, prefix: str = "") -> dict[str, str]:
    """What every department has of somebody, and where it says they live."""
    values = {
        "name": person.name, "id_no": person.id_no, "sex": person.sex, "birth_date": str(person.born),
        "ethnicity": "01",
    }  # fmt: skip
    if village != OUTSIDE:
        values["live_div"] = village_code(world, village)
    return {f"{prefix}{name}": value for name, value in values.items()}


def village_code(world: World, village: int) -> str:
    return world.district.villages[village].code


def _birth_certificate(world: World, report: Report) -> dict[str, str]:
    child, mother = report.person, report.person.mother
    assert mother is not None
    own = {
        "cert_no": report.serial, "child_name": child.name, "child_sex": child.sex, "child_birth_date": str(report.day),
        "birth_time": f"{report.day} 08:30", "issued_on": str(report.day + timedelta(days=1)), "facility": FACILITY,
        "issuer": FACILITY, "issue_kind": "1",
    }  # fmt: skip
    return own | _only(person_values(world, mother, report.village, "mother_"), "sex")


def _newborn(world: World, report: Report) -> dict[str, str]:
    child, mother = report.person, report.person.mother
    assert mother is not None
    values = person_values(world, child, report.village, "child_") | {
        "child_birth_date": str(report.day), "registered_on": str(report.day + timedelta(days=1)),
        "cert_no": report.serial, "mother_name": mother.name, "mother_id_no": mother.id_no,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value}


def _move_in(world: World, report: Report) -> dict[str, str]:
    return person_values(world, report.person, report.village) | {"move_date": str(report.day), "reason": "01"}


def _move_out(world: World, report: Report) -> dict[str, str]:
    return person_values(world, report.person, report.village) | {"move_date": str(report.day), "reason": "01"}


def _residence(world: World, report: Report) -> dict[str, str]:
    values = person_values(world, report.person, report.village) | {"arrive_date": str(report.day), "reason": "01"}
    return values | ({"cancelled_on": str(report.left_on)} if report.left_on else {})


def _cancel(world: World, report: Report) -> dict[str, str]:
    values = _only(person_values(world, report.person, report.village), "live_div", "ethnicity")
    return values | {
        "hukou_div": village_code(world, report.village), "kind": "1", "happened_on": str(report.day),
        "cancel_date": report.serial,
    }  # fmt: skip


def _death(world: World, report: Report) -> dict[str, str]:
    return person_values(world, report.person, report.village) | {
        "cert_no": report.serial, "death_date": str(report.day), "issued_on": str(report.day), "place": "3",
    }  # fmt: skip


def _cremation(world: World, report: Report) -> dict[str, str]:
    person: dict[str, str] = _only(
        person_values(world, report.person, report.village), "live_div", "ethnicity", "birth_date"
    )
    return person | {
        "hukou_div": village_code(world, report.village), "cremation_no": report.serial, "home": "云岭区殡仪馆",
        "death_date": str(report.day), "cremated_on": str(report.day),
    }  # fmt: skip


def _marriage(world: World, report: Report) -> dict[str, str]:
    assert report.event is not None and report.event.spouse is not None
    husband, wife = report.person, report.event.spouse
    return {
        "cert_no": report.serial, "registered_on": str(report.day), "kind": "1",
    } | _only(person_values(world, husband, husband.village_on(report.day), "male_"), "sex") | _only(
        person_values(world, wife, wife.village_on(report.day), "female_"), "sex"
    )  # fmt: skip


def _only(values: dict[str, str], *without: str) -> dict[str, str]:
    """What a record type has no room for stays out."""
    return {name: value for name, value in values.items() if not name.endswith(without)}


def roll_row(world: World, person: Person, village: int) -> dict[str, str]:
    """A line of a town's roll on the first day."""
    return person_values(world, person, village) | {"residence_status": "1"}


MADE_BY = {
    "birth_certificate": _birth_certificate, "newborn_hukou": _newborn, "hukou_move_in": _move_in,
    "hukou_move_out": _move_out, "residence_registration": _residence, "hukou_cancel": _cancel,
    "death_certificate": _death, "cremation": _cremation, "marriage": _marriage,
}  # fmt: skip


def day_of(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
