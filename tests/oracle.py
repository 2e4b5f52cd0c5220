"""A small, slow, obvious model of link, merge, persons, re-routing and slices: what the SQL must equal. Used by tests only.

Everything that can be said of a person (home, right number, which record is whose) is computed anew from all records
after every step, where the SQL touches only what may have changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.slice_masks import masked_value
from mappings.catalogue import Catalogue, RecordType
from tests.oracle_persons import Judgement, Persons

Row = dict[str, Any]  # field -> value; "<role>_area" -> own area or None; "change_kind"
Values = tuple[tuple[str, Any], ...]
Planned = tuple[Row, Values, tuple[int | None, ...], str]  # as read, as sent, people, key


@dataclass(frozen=True)
class Version:
    number: int
    voided: bool
    values: Values  # plain fields
    sent: Values  # the same as they were sent
    own_areas: tuple[int | None, ...]
    people: tuple[int | None, ...]
    areas: tuple[int, ...]
    disputed: bool = False

    def get(self, name: str) -> Any:
        return dict(self.values)[name]


@dataclass
class Record:
    record_type: str
    source: str
    key: str
    versions: list[Version]
    alive: bool = True  # its source has not voided it
    came: bool = False  # in this step it began to name another person
    gave_way: bool = False  # another record of its source stands for the same thing
    challenged: bool = False

    @property
    def now(self) -> Version:
        return self.versions[-1]


@dataclass
class Oracle:
    """The register in the order its records began, the persons, and what every slice holds."""

    catalogue: Catalogue
    parent: dict[int, int]  # village -> town
    successor: dict[int, int] = field(default_factory=dict)
    persons: Persons = field(default_factory=Persons)
    records: list[Record] = field(default_factory=list)

    def submit(self, source: str, record_type: RecordType, rows: list[Row]) -> list[str]:
        """What becomes of each row."""
        self.persons.steps += 1
        read = [self._with_right_numbers(record_type, row) for row in rows]
        for role in record_type.people:
            self.persons.link(role, read)
        self._correct_numbers(record_type, read)
        keyed: list[Planned] = [
            (row, self._values(record_type, sent), self._people(record_type, row), self._key(record_type, row))
            for row, sent in zip(read, rows, strict=True)
        ]
        planned = [self._verdict(source, record_type, row) for row in keyed]
        _settle_repeats(keyed, planned)
        self._take_back_numbers(record_type, read, planned)
        for row, verdict in zip(keyed, planned, strict=True):
            self._apply(source, record_type, row, verdict)
        self._settle()
        return planned

    def judge(self, judgement: Judgement) -> bool:
        """Carry out a decision about persons; False when it no longer can be."""
        self.persons.steps += 1
        done = self.persons.judge(judgement)
        self._settle()
        return done

    def change_areas(self) -> None:
        self._settle()

    def challenge(self, at: int, *, stands: bool) -> None:
        """Somebody challenges the record that began so late, or does no more; all marks are told."""
        self.records[at].challenged = stands
        for record in self.records:
            now = record.now
            if not now.voided and now.disputed != record.challenged:
                record.versions.append(replace(now, number=now.number + 1, disputed=record.challenged))

    def find(self, record_type: str, source: str, key: str) -> Record | None:
        same = (one for one in self.records if (one.record_type, one.source, one.key) == (record_type, source, key))
        return next((one for one in same if not one.gave_way), None)

    def _with_right_numbers(self, record_type: RecordType, row: Row) -> Row:
        return {**row, **{name: self.persons.right(row.get(name)) for name in _number_fields(record_type)}}

    def _correct_numbers(self, record_type: RecordType, rows: list[Row]) -> None:
        for row in rows if record_type.corrects_identity else []:
            person = self._people(record_type, row)[0]
            if row.get("new_id") and person is not None and row["change_kind"] != "void":
                self.persons.name("id_no", row["new_id"], person)

    def _take_back_numbers(self, record_type: RecordType, rows: list[Row], planned: list[str]) -> None:
        for row, verdict in zip(rows, planned, strict=True) if record_type.corrects_identity else []:
            if verdict in ("hold", "refuse") and row["new_id"] not in {one["id_no"] for one in rows}:
                taken = [one["new_id"] for one, its in zip(rows, planned, strict=True) if its not in ("hold", "refuse")]
                if row["new_id"] not in taken:
                    self.persons.forget_number(row["new_id"])

    def _people(self, record_type: RecordType, row: Row) -> tuple[int | None, ...]:
        return tuple(self.persons.find(role, row) for role in record_type.people)

    def _key(self, record_type: RecordType, row: Row) -> str:
        parts = []
        for name in record_type.natural_key:
            one = record_type.by_name[name]
            value = row.get(name)
            if one.part == "id_no":
                role = next(role for role in record_type.people if role.role == one.role)
                value = f"person {self.persons.find(role, row)}"
            parts.append(str(value))
        return "|".join(parts)

    def _disagree(self, record_type: RecordType, row: Row, people: tuple[int | None, ...]) -> bool:
        for role in record_type.people:
            unknown_number = any(
                one.kind == "id_no" and row.get(one.field) and ("id_no", row[one.field]) not in self.persons.identifiers
                for one in role.identifiers
            )
            if len(self.persons.named_by(role, row)) > 1 or (unknown_number and len(role.identifiers) > 1):
                return True
        if record_type.corrects_identity:
            taken = self.persons.identifiers.get(("id_no", row.get("new_id") or ""))
            return taken is not None and taken != people[0]
        return False

    def _values(self, record_type: RecordType, row: Row) -> Values:
        return tuple((one.name, row.get(one.name)) for one in record_type.plain_fields)

    def _verdict(self, source: str, record_type: RecordType, planned: Planned) -> str:
        row, sent, people, key = planned
        if self._disagree(record_type, row, people):
            return "hold"
        record, kind = self.find(record_type.code, source, key), row["change_kind"]
        if record is None:
            return "refuse" if kind == "void" else "new"
        now = record.now
        if kind == "void":
            return "unchanged" if now.voided else "void"
        if now.voided and kind == "correct":
            return "restore"
        if now.sent == sent or (kind == "new" and any(version.sent == sent for version in record.versions[:-1])):
            return "unchanged"
        if now.voided:
            return "restore"
        same = now.values == self._values(record_type, row) and now.people == people
        return "unchanged" if same else "update"

    def _apply(self, source: str, record_type: RecordType, planned: Planned, verdict: str) -> None:
        row, sent, people, key = planned
        if verdict in ("hold", "refuse", "unchanged"):
            return
        record = self.find(record_type.code, source, key)
        if verdict == "void":
            assert record is not None
            record.alive = False
            record.versions.append(replace(record.now, number=record.now.number + 1, voided=True))
            return
        own = tuple(row.get(f"{role.role}_area") for role in record_type.people)
        number = record.now.number + 1 if record else 1
        disputed = record is not None and record.now.disputed
        version = Version(number, False, self._values(record_type, row), sent, own, people, (), disputed)
        if record is None:
            self.records.append(Record(record_type.code, source, key, [version]))
        else:
            record.alive = True
            record.versions.append(version)

    # ---- what follows from all records ----

    def _settle(self) -> None:
        for record in self.records:
            was = record.now.people
            self._relink(record)
            record.came = record.now.people != was
        self._give_way()
        self.persons.choose_numbers(self._corrections())
        for record in self.records:
            self._relink(record)
        homes = self._homes()
        for record in self.records:
            now = record.now
            areas = now.areas if now.voided else self._areas(now.own_areas, now.people, homes)
            if areas != now.areas:
                record.versions.append(replace(now, number=now.number + 1, areas=areas))

    def _corrections(self) -> list[tuple[str, int, int, str]]:
        """(day, order, person, number) of every correction that stands."""
        return [
            (str(now.get("changed_on")), place, now.people[0], now.get("new_id"))
            for place, record in enumerate(self.records)
            for now in [record.now]
            if record.record_type == "identity_correction" and not now.voided and now.people[0] is not None
        ]

    def _relink(self, record: Record) -> None:
        """The people and numbers that follow from its identifiers."""
        record_type, now = self.catalogue.record_types[record.record_type], record.now
        sent = dict(now.sent)
        row = dict(now.values) | {name: sent[name] for name in _number_fields(record_type)}
        people = tuple(
            self.persons.find(role, row) if self.persons.named_by(role, row) else now.people[place]
            for place, role in enumerate(record_type.people)
        )
        values = self._values(record_type, self._with_right_numbers(record_type, row))
        if (people, values) != (now.people, now.values):
            record.versions.append(replace(now, number=now.number + 1, people=people, values=values))
        record.key = self._key(record_type, row)

    def _give_way(self) -> None:
        """Of several records that are the same thing the one that stood so far stands, else the kept person's."""
        groups: dict[tuple[str, str, str], list[Record]] = {}
        for record in self.records:
            groups.setdefault((record.record_type, record.source, record.key), []).append(record)
        for same in groups.values():
            *_, stands = max((not one.gave_way, one.alive, not one.came, at) for at, one in enumerate(same))
            for at, record in enumerate(same):
                record.gave_way = at != stands
                voided = record.gave_way or not record.alive
                if voided != record.now.voided:
                    record.versions.append(replace(record.now, number=record.now.number + 1, voided=voided))

    def _homes(self) -> dict[int, int]:
        said: dict[int, list[tuple[str, int, int]]] = {}
        for place, record in enumerate(self.records):
            record_type, now = self.catalogue.record_types[record.record_type], record.now
            for at, role in enumerate(record_type.people):
                person, area = now.people[at], now.own_areas[at]
                if role.sets_home and not now.voided and person is not None and area is not None:
                    since = str(now.get(record_type.event_date) or "") if record_type.event_date else ""
                    said.setdefault(person, []).append((since, place, area))
        return {person: max(places)[2] for person, places in said.items()}

    def _areas(
        self, own: tuple[int | None, ...], people: tuple[int | None, ...], homes: dict[int, int]
    ) -> tuple[int, ...]:
        places: set[int] = set()
        for area, person in zip(own, people, strict=True):
            leaf = area if area is not None else homes.get(person) if person is not None else None
            if leaf is not None:
                leaf = self.successor.get(leaf, leaf)
                places |= {leaf, self.parent.get(leaf, leaf)}
        return tuple(sorted(places))

    # ---- slices ----

    def slice(self, definition: SliceDefinition) -> list[dict[str, Any]]:
        """The subscribed fields of every record in the slice now, under their masks, and its mark."""
        wanted = {one.record_type: one for one in definition.record_types}
        return [
            self._given(record.now, wanted[record.record_type]) | {"disputed": record.now.disputed}
            for record in self.records
            if record.record_type in wanted and _within(record.now, wanted[record.record_type], definition)
        ]

    def _given(self, version: Version, one: SliceType) -> dict[str, Any]:
        fields = self.catalogue.record_types[one.record_type].by_name
        values = {name: version.get(name) for name in one.fields}
        return values | {name: masked_value(fields[name], values[name]) for name in one.masked}


def _number_fields(record_type: RecordType) -> list[str]:
    if record_type.corrects_identity:
        return []
    return [one.field for role in record_type.people for one in role.identifiers if one.kind == "id_no"]


def _settle_repeats(keyed: list[Planned], planned: list[str]) -> None:
    groups: dict[str, list[int]] = {}
    for number, (_, _, _, key) in enumerate(keyed):
        if planned[number] not in ("hold", "refuse"):
            groups.setdefault(key, []).append(number)
    for numbers in groups.values():
        contents = {
            (planned[number] == "void", None if planned[number] == "void" else keyed[number][1]) for number in numbers
        }
        for number in numbers[1:]:
            planned[number] = "unchanged"
        if len(contents) > 1:
            for number in numbers:
                planned[number] = "hold"


def _within(version: Version, one: SliceType, definition: SliceDefinition) -> bool:
    if version.voided or (definition.areas is not None and not set(definition.areas) & set(version.areas)):
        return False
    return all(_meets(version.get(condition.field), condition) for condition in one.conditions)


def _meets(value: Any, condition: Condition) -> bool:
    """Days are compared as they are written, YYYY-MM-DD."""
    if value is None:
        return condition.op in ("empty", "not_in")
    written, chosen = str(value), condition.values
    return {
        "in": written in chosen, "not_in": written not in chosen, "empty": False, "not_empty": True,
        "from": written >= min(chosen, default=""), "to": written <= max(chosen, default=""),
    }[condition.op]  # fmt: skip
