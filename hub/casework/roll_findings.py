"""What a comparison found becomes a list to work off: one line a person and kind, with all three sides of the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from hub.casework.rolls import PLACE, ROLL, Matched, attributes_of, differing, sides
from hub.registry.areas import AreaIndex
from mappings.catalogue import Catalogue

Kind = Literal["missing_here", "missing_there", "different", "duplicated", "unreadable"]
KINDS: tuple[Kind, ...] = ("missing_here", "missing_there", "different", "duplicated", "unreadable")
Registered = Literal["elsewhere", "gone", "nobody"]  # of who is missing here; never where, nor anything more
REGISTERED, FIELDS, ERRORS, LEFT_AS = "*registered", "*fields", "*errors", "*departure"  # beside the fields of a row


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``told``: field -> [roll, register, last roll]; what begins with ``*`` is about the line."""

    kind: Kind
    told: dict[str, list[Any]]
    village: int | None = None
    person_id: str | None = None
    sheet_row: int | None = None

    @property
    def number(self) -> str:
        return number_of(self.told)


def number_of(told: Mapping[str, Sequence[Any]]) -> str:
    """The identity number, as the roll has it or else the register."""
    roll, register, *_ = told.get("id_no", ("", ""))
    return str(roll or register)


class Comparing(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines are made with."""

    catalogue: Catalogue
    areas: AreaIndex
    believed: Mapping[str, Mapping[str, str]]  # person -> field -> value
    registered: Mapping[str, Registered]  # by number
    fields: tuple[str, ...] = ()  # of the roll
    attributes: Mapping[str, str] = {}  # field -> attribute


def comparing_with(
    catalogue: Catalogue,
    areas: AreaIndex,
    believed: Mapping[str, Mapping[str, str]],
    registered: Mapping[str, Registered],
) -> Comparing:
    """What is the same for every line is looked up once."""
    fields = tuple(field.name for field in catalogue.record_types[ROLL].plain_fields)
    return Comparing(
        catalogue=catalogue,
        areas=areas,
        believed=believed,
        registered=registered,
        fields=fields,
        attributes=attributes_of(catalogue),
    )


def findings(matched: Matched, comparing: Comparing) -> Iterator[Finding]:
    """In the order of the kinds, each in the order of the roll."""
    for row in matched.missing_here.sort("row").iter_rows(named=True):
        yield _missing_here(row, comparing)
    for row in matched.missing_there.sort("home", "id_no").iter_rows(named=True):
        yield _missing_there(row, comparing)
    for row in matched.unsure.sort("row").iter_rows(named=True):
        yield from _different(row, comparing)
    for row in matched.duplicated.sort("row").iter_rows(named=True):
        yield Finding(
            kind="duplicated", told=_row_alone(row, comparing), village=row["area"], sheet_row=row["sheet_row"]
        )


def _missing_here(row: Mapping[str, Any], comparing: Comparing) -> Finding:
    known = "gone" if row["gone"] else comparing.registered.get(row["number"], "nobody")
    told = {**_row_alone(row, comparing), REGISTERED: [known]}
    return Finding(kind="missing_here", told=told, village=row["area"], sheet_row=row["sheet_row"])


def _missing_there(row: Mapping[str, Any], comparing: Comparing) -> Finding:
    three = sides({}, row, comparing.believed.get(row["person_id"], {}), comparing.fields)
    three[PLACE] = ["", comparing.areas.code_of.get(row["home"], ""), three.get(PLACE, ["", "", ""])[2]]
    three["id_no"] = ["", row["id_no"], ""]
    return Finding(kind="missing_there", told=three, village=row["home"], person_id=row["person_id"])


def _different(row: Mapping[str, Any], comparing: Comparing) -> Iterator[Finding]:
    """Nothing, where the rows only look different."""
    three = sides(row, row, comparing.believed.get(row["person_id"], {}), comparing.fields)
    three["id_no"] = [row["number"]] * 2 + three["id_no"][2:]
    named = differing(three, comparing.attributes, comparing.catalogue.attributes)
    if row["area"] is not None and row["area"] != row["home"]:
        here, there = (comparing.areas.code_of.get(row[side], "") for side in ("area", "home"))
        three[PLACE] = [here, there, three.get(PLACE, ["", "", ""])[2]]
        named.append(PLACE)
    if named:
        yield Finding(
            kind="different", told={**three, FIELDS: named}, village=row["home"], person_id=row["person_id"],
            sheet_row=row["sheet_row"],
        )  # fmt: skip


def _row_alone(row: Mapping[str, Any], comparing: Comparing) -> dict[str, list[Any]]:
    told: dict[str, list[Any]] = {name: [row[name], "", ""] for name in comparing.fields if row[name]}
    told["id_no"] = [row["number"], "", ""]
    return told
