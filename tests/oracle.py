"""A small, slow, obvious model of link, merge, re-routing and slices: what the SQL must equal. Used by tests only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import Catalogue, RecordType, Role

Row = dict[str, Any]  # field -> value; "<role>_area" -> own area or None; "change_kind"


@dataclass(frozen=True)
class Version:
    number: int
    voided: bool
    values: tuple[tuple[str, Any], ...]  # plain fields
    own_areas: tuple[int | None, ...]
    people: tuple[int | None, ...]
    areas: tuple[int, ...]

    def get(self, name: str) -> Any:
        return dict(self.values)[name]


@dataclass
class Record:
    record_type: str
    source: str
    key: str
    versions: list[Version]

    @property
    def now(self) -> Version:
        return self.versions[-1]


@dataclass
class Person:
    home: int | None = None
    since: str | None = None


@dataclass
class Oracle:
    """The register, the persons, and every change in order as (record, version before, version after)."""

    catalogue: Catalogue
    parent: dict[int, int]  # village -> town
    successor: dict[int, int] = field(default_factory=dict)
    identifiers: dict[tuple[str, str], int] = field(default_factory=dict)
    persons: list[Person] = field(default_factory=list)
    records: dict[tuple[str, str, str], Record] = field(default_factory=dict)
    outcomes: list[str] = field(default_factory=list)

    def submit(self, source: str, record_type: RecordType, rows: list[Row]) -> list[str]:
        """What becomes of each row."""
        for role in record_type.people:
            self._link(role, rows)
        self._correct_numbers(record_type, rows)
        keyed = [(row, self._people(record_type, row), self._key(record_type, row)) for row in rows]
        planned = [self._verdict(source, record_type, row, people, key) for row, people, key in keyed]
        self._settle_repeats(record_type, keyed, planned)
        homes = [person.home for person in self.persons]
        for (row, people, key), verdict in zip(keyed, planned, strict=True):
            self._apply(source, record_type, row, people, key, verdict, homes)
        self._move_homes(record_type, keyed, planned)
        return planned

    def change_areas(self) -> None:
        self._reroute_all()

    def _link(self, role: Role, rows: list[Row]) -> None:
        """All rows at once: whoever nobody knows begins to exist by the first identifier, then takes the others."""
        unknown = [row for row in rows if self._person(role, row) is None]
        for row in unknown:
            first = next(((one.kind, row[one.field]) for one in role.identifiers if row.get(one.field)), None)
            if first is not None and first not in self.identifiers:
                self.identifiers[first] = self._new_person()
        if len(role.identifiers) == 1:
            return
        for one in role.identifiers:
            for row in rows:
                person = self._person(role, row)
                if row.get(one.field) and person is not None:
                    self.identifiers.setdefault((one.kind, row[one.field]), person)

    def _correct_numbers(self, record_type: RecordType, rows: list[Row]) -> None:
        for row in rows if record_type.corrects_identity else []:
            person = self._people(record_type, row)[0]
            if row.get("new_id") and person is not None:
                self.identifiers.setdefault(("id_no", row["new_id"]), person)

    def _new_person(self) -> int:
        self.persons.append(Person())
        return len(self.persons) - 1

    def _person(self, role: Role, row: Row) -> int | None:
        found = [self.identifiers.get((one.kind, row.get(one.field) or "")) for one in role.identifiers]
        return next((person for person in found if person is not None), None)

    def _people(self, record_type: RecordType, row: Row) -> tuple[int | None, ...]:
        return tuple(self._person(role, row) for role in record_type.people)

    def _key(self, record_type: RecordType, row: Row) -> str:
        parts = []
        for name in record_type.natural_key:
            one = record_type.by_name[name]
            value = row.get(name)
            if one.part == "id_no":
                role = next(role for role in record_type.people if role.role == one.role)
                value = f"person {self._person(role, row)}"
            parts.append(str(value))
        return "|".join(parts)

    def _disagree(self, record_type: RecordType, row: Row) -> bool:
        for role in record_type.people:
            found = {self.identifiers.get((one.kind, row.get(one.field) or "")) for one in role.identifiers} - {None}
            if len(found) > 1:
                return True
        if record_type.corrects_identity:
            taken = self.identifiers.get(("id_no", row.get("new_id") or ""))
            return taken is not None and taken != self._people(record_type, row)[0]
        return False

    def _values(self, record_type: RecordType, row: Row) -> tuple[tuple[str, Any], ...]:
        return tuple((one.name, row.get(one.name)) for one in record_type.plain_fields)

    def _verdict(self, source: str, record_type: RecordType, row: Row, people: tuple[int | None, ...], key: str) -> str:
        if self._disagree(record_type, row):
            return "hold"
        record = self.records.get((record_type.code, source, key))
        kind = row["change_kind"]
        if record is None:
            return "refuse" if kind == "void" else "new"
        values, now = self._values(record_type, row), record.now
        if kind == "void":
            return "unchanged" if now.voided else "void"
        if now.voided and kind == "correct":
            return "restore"
        if now.values == values:
            return "unchanged"
        if kind == "new" and any(version.values == values for version in record.versions[:-1]):
            return "unchanged"
        return "restore" if now.voided else "update"

    def _settle_repeats(
        self, record_type: RecordType, keyed: list[tuple[Row, tuple[int | None, ...], str]], planned: list[str]
    ) -> None:
        groups: dict[str, list[int]] = {}
        for number, (_, _, key) in enumerate(keyed):
            if planned[number] not in ("hold", "refuse"):
                groups.setdefault(key, []).append(number)
        for numbers in groups.values():
            contents = {
                (
                    planned[number] == "void",
                    None if planned[number] == "void" else self._values(record_type, keyed[number][0]),
                )
                for number in numbers
            }
            for number in numbers[1:]:
                planned[number] = "unchanged"
            if len(contents) > 1:
                for number in numbers:
                    planned[number] = "hold"

    def _apply(
        self, source: str, record_type: RecordType, row: Row, people: tuple[int | None, ...], key: str, verdict: str,
        homes: list[int | None],
    ) -> None:  # fmt: skip
        if verdict in ("hold", "refuse", "unchanged"):
            return
        record = self.records.get((record_type.code, source, key))
        if verdict == "void":
            assert record is not None
            record.versions.append(replace(record.now, number=record.now.number + 1, voided=True))
            return
        own = tuple(row.get(f"{role.role}_area") for role in record_type.people)
        number = record.now.number + 1 if record else 1
        version = Version(number, False, self._values(record_type, row), own, people, self._areas(own, people, homes))
        if record is None:
            self.records[(record_type.code, source, key)] = Record(record_type.code, source, key, [version])
        else:
            record.versions.append(version)

    def _areas(
        self, own: tuple[int | None, ...], people: tuple[int | None, ...], homes: list[int | None]
    ) -> tuple[int, ...]:
        places: set[int] = set()
        for area, person in zip(own, people, strict=True):
            leaf = area if area is not None else homes[person] if person is not None else None
            if leaf is not None:
                leaf = self.successor.get(leaf, leaf)
                places |= {leaf, self.parent.get(leaf, leaf)}
        return tuple(sorted(places))

    def _move_homes(
        self, record_type: RecordType, keyed: list[tuple[Row, tuple[int | None, ...], str]], planned: list[str]
    ) -> None:
        for place, role in enumerate(record_type.people):
            if not role.sets_home:
                continue
            told: dict[int, list[tuple[str, int, int]]] = {}
            for number, (row, people, _) in enumerate(keyed):
                area, person = row.get(f"{role.role}_area"), people[place]
                if planned[number] in ("new", "update", "restore") and area is not None and person is not None:
                    since = str(row.get(record_type.event_date) or "") if record_type.event_date else ""
                    told.setdefault(person, []).append((since, number, area))
            for person, said in told.items():
                since, _, area = max(said)
                one = self.persons[person]
                if one.since is None or (since and since >= one.since):
                    self.persons[person] = Person(area, since or None)
        self._reroute_all()

    def _reroute_all(self) -> None:
        homes = [person.home for person in self.persons]
        for record in self.records.values():
            now = record.now
            areas = self._areas(now.own_areas, now.people, homes)
            if not now.voided and areas != now.areas:
                record.versions.append(replace(now, number=now.number + 1, areas=areas))

    def slice(self, definition: SliceDefinition) -> dict[tuple[str, str, str], dict[str, Any]]:
        """The records in the slice now, by (type, source, key), with the subscribed fields."""
        found = {}
        for place, record in self.records.items():
            one = next((one for one in definition.record_types if one.record_type == record.record_type), None)
            if one is not None and self._within(record.now, one, definition):
                found[place] = {name: record.now.get(name) for name in one.fields}
        return found

    def _within(self, version: Version, one: SliceType, definition: SliceDefinition) -> bool:
        if version.voided or (definition.areas is not None and not set(definition.areas) & set(version.areas)):
            return False
        for condition in one.conditions:
            value = version.get(condition.field)
            if value is None or (condition.op == "in" and str(value) not in condition.values):
                return False
        return True
