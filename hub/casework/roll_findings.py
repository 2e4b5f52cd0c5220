"""What a comparison found becomes a list to work off: one line a person and kind, with all three sides of the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
import polars as pl

from hub.casework.rolls import LAST, PLACE, ROLL, Matched, attributes_of, differing, sides
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
    fields: tuple[tuple[str, str], ...] = ()  # of the roll, each with its name in the last one
    attributes: Mapping[str, str] = {}  # field -> attribute


def comparing_with(
    catalogue: Catalogue,
    areas: AreaIndex,
    believed: Mapping[str, Mapping[str, str]],
    registered: Mapping[str, Registered],
) -> Comparing:
    """What is the same for every line is looked up once."""
    fields = tuple((field.name, LAST + field.name) for field in catalogue.record_types[ROLL].plain_fields)
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
    for row in _rows(matched.missing_here.sort("row")):
        yield _missing_here(row, comparing)
    comparing = _of_what_is_told(comparing, matched)
    for row in _rows(matched.missing_there.sort("home", "id_no")):
        yield _missing_there(row, comparing)
    for row in _rows(matched.unsure.sort("row")):
        yield from _different(row, comparing)
    for row in _rows(matched.duplicated.sort("row")):
        yield Finding(
            kind="duplicated", told=_row_alone(row, comparing), village=row["area"], sheet_row=row["sheet_row"]
        )


def _of_what_is_told(comparing: Comparing, matched: Matched) -> Comparing:
    """Without the fields of which no side of any line says anything."""
    told = {name for said in comparing.believed.values() for name in said}
    for frame in (matched.missing_there, matched.unsure, matched.duplicated):
        told |= {one.name.removeprefix(LAST) for one in frame if one.null_count() < frame.height}
    return msgspec.structs.replace(comparing, fields=tuple(pair for pair in comparing.fields if pair[0] in told))


_ALWAYS = {"area", "home", "gone", "person_id", "sheet_row", "number"}  # what a line is told with, though it be empty


def _rows(frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Without the fields that nobody fills in."""
    filled = [one.name for one in frame if one.name in _ALWAYS or one.null_count() < frame.height]
    return frame.select(filled).iter_rows(named=True)


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
    told: dict[str, list[Any]] = {name: [row[name], "", ""] for name, _ in comparing.fields if row.get(name)}
    told["id_no"] = [row["number"], "", ""]
    return told
