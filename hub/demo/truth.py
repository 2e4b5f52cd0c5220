"""What must become of every row the demo sends, known before the hub sees any; and the register at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from hub.demo.areas import District
from hub.demo.names import PREFIX
from mappings.catalogue import Catalogue, RecordType, Role

Outcome = Literal["accepted", "unchanged", "held", "refused"]
ChangeKind = Literal["new", "correct", "void"]


class ExpectedRow(msgspec.Struct, frozen=True):
    """One row that is not simply clean: what kind of dirt it carries and what must come of it."""

    file: str
    sheet_row: int
    case: str  # number in the list of dirty-input cases, or the act it is part of
    outcome: Outcome
    codes: tuple[str, ...] = ()  # row errors that must be there; others may be


class ExpectedFile(msgspec.Struct, frozen=True):
    """What the receipt of one file must say."""

    file: str
    sender: str
    record_type: str
    received: int
    accepted: int = 0
    unchanged: int = 0
    held: int = 0
    refused: int = 0
    refusal: str = ""  # the file-level error, when the whole file is refused


@dataclass(slots=True)
class _Known:
    """One record of the expected register."""

    people: tuple[tuple[int | None, str], ...]  # person and own area in the row, by role
    voided: bool = False


@dataclass(slots=True)
class ExpectedRegister:
    """A plain reading of the rules for accepted rows: identifiers, records by key, homes by date."""

    catalogue: Catalogue
    district: District
    _identifiers: dict[tuple[str, str], int] = field(default_factory=dict)
    _homes: dict[int, tuple[str, date | None]] = field(default_factory=dict)
    _records: dict[tuple[str, ...], _Known] = field(default_factory=dict)
    _people: int = 0

    def land(self, record_type: RecordType, sender: str, values: dict[str, str], kind: ChangeKind = "new") -> None:
        """One accepted row takes effect."""
        people = {role.role: self._person(role, values) for role in record_type.people}
        parts = [self._key_part(record_type, name, values, people) for name in record_type.natural_key]
        key = (record_type.code, sender, *parts)
        if kind == "void":
            self._records[key].voided = True
            return
        places = tuple((people[role.role], own_area(role, values)) for role in record_type.people)
        self._records[key] = _Known(places)
        if record_type.corrects_identity and values.get("new_id"):
            main = people[record_type.people[0].role]
            assert main is not None
            self._identifiers.setdefault(("id_no", values["new_id"]), main)
        for role, (person, area) in zip(record_type.people, places, strict=True):
            if role.sets_home and person is not None and area:
                self._move_home(person, area, _event_day(record_type, values))

    def _person(self, role: Role, values: dict[str, str]) -> int | None:
        given = [(one.kind, values[one.field]) for one in role.identifiers if values.get(one.field)]
        if not given:
            return None
        person = next((self._identifiers[one] for one in given if one in self._identifiers), None)
        if person is None:
            self._people += 1
            person = self._people
        for one in given:
            self._identifiers.setdefault(one, person)
        return person

    def _key_part(
        self, record_type: RecordType, name: str, values: dict[str, str], people: dict[str, int | None]
    ) -> str:
        part = record_type.by_name[name]
        person = people[part.role] if part.part == "id_no" else None
        return values.get(name, "") if person is None else f"person {person}"

    def _move_home(self, person: int, area: str, since: date | None) -> None:
        _, before = self._homes.get(person, ("", None))
        if before is None or (since is not None and since >= before):
            self._homes[person] = (area, since)

    @property
    def people(self) -> int:
        return self._people

    def current(self) -> dict[str, int]:
        """Records per type that are in force."""
        return dict(Counter(key[0] for key, known in self._records.items() if not known.voided))

    def current_per_town(self) -> dict[str, dict[str, int]]:
        """Records per town (nine digits) and type; a record of two towns counts in both."""
        towns: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for key, known in self._records.items():
            if known.voided:
                continue
            places = {area or self._homes.get(person or 0, ("", None))[0] for person, area in known.people}
            for town in {place[:9] for place in places if place.startswith(PREFIX)}:
                towns[town][key[0]] += 1
        return {town: dict(sorted(counts.items())) for town, counts in sorted(towns.items())}


def own_area(role: Role, values: dict[str, str]) -> str:
    """The first of the role's areas that lies in the district; "" leaves the record to the person's home."""
    areas = (values.get(name, "") for name in role.area_fields)
    return next((area for area in areas if area.startswith(PREFIX)), "")


def _event_day(record_type: RecordType, values: dict[str, str]) -> date | None:
    value = values.get(record_type.event_date, "")
    return date.fromisoformat(value[:10]) if value else None


class Truth(msgspec.Struct, frozen=True):
    """Everything the summary compares the hub with."""

    files: list[ExpectedFile]
    rows: list[ExpectedRow]
    current: dict[str, int]
    per_town: dict[str, dict[str, int]]


def write_truth(truth: Truth, folder: Path) -> None:
    """truth.jsonl: one line a row that is not clean; expected.json: totals per file and the register at the end."""
    lines = [msgspec.json.encode(row) for row in truth.rows]
    (folder / "truth.jsonl").write_bytes(b"\n".join([*lines, b""]))
    rest = {"files": truth.files, "current": truth.current, "per_town": truth.per_town}
    (folder / "expected.json").write_bytes(msgspec.json.format(msgspec.json.encode(rest)))


def read_truth(folder: Path) -> Truth:
    """What ``write_truth`` wrote."""
    rest = msgspec.json.decode((folder / "expected.json").read_bytes())
    lines = (folder / "truth.jsonl").read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=ExpectedRow) for line in lines]
    return Truth(msgspec.convert(rest["files"], list[ExpectedFile]), rows, rest["current"], rest["per_town"])
