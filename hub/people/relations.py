"""Who is whose, told by the records a person shares with others: parents, children, husband and wife, one's household."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.people.seeing import Reader, SeenRecord, see_household
from hub.people.telling import Teller
from mappings.catalogue import Catalogue, RecordType

RelationKind = Literal["mother", "father", "child", "spouse", "former_spouse", "household"]
_FIRST = date.min


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody one is related to. Without an id they are only named: the reader may not look them up."""

    kind: RelationKind
    name: str
    person_id: UUID | None
    record_type: str


def relations_of(
    connection: Connection, reader: Reader, catalogue: Catalogue, teller: Teller, person_id: UUID,
    records: Sequence[SeenRecord],
) -> tuple[Relation, ...]:  # fmt: skip
    """Of the records that stand, in their order; each relative once."""
    standing = [record for record in records if not record.voided]
    found = [*_parents_and_children(catalogue, teller, person_id, standing)]
    found += _spouses(catalogue, teller, person_id, standing)
    found += _household(connection, reader, catalogue, teller, person_id, standing)
    return tuple(_once(found))


def _once(found: Sequence[Relation]) -> Iterator[Relation]:
    """A relative known by id is named once; one who is only named is left out where an id is known for that kind."""
    best: dict[tuple[str, object], Relation] = {}
    for each in found:
        best.setdefault((each.kind, each.person_id or each.name), each)
    known = {(each.kind, each.name) for each in best.values() if each.person_id}
    related = {each.person_id for each in best.values() if each.kind != "household"}
    for each in best.values():
        is_double = each.person_id is None and (each.kind, each.name) in known
        if not is_double and not (each.kind == "household" and each.person_id in related):
            yield each


def _parents_and_children(
    catalogue: Catalogue, teller: Teller, person_id: UUID, records: Sequence[SeenRecord]
) -> Iterator[Relation]:
    families = {family.record_type: family for family in catalogue.timeline.families}
    for record in records:
        family = families.get(record.record_type)
        if family is None:
            continue
        if record.people.get(family.child) == person_id:
            yield from _named(catalogue, teller, record, family.mother, "mother")
            yield from _named(catalogue, teller, record, family.father, "father")
        elif person_id in (record.people.get(family.mother), record.people.get(family.father)):
            yield from _named(catalogue, teller, record, family.child, "child")


def _spouses(
    catalogue: Catalogue, teller: Teller, person_id: UUID, records: Sequence[SeenRecord]
) -> Iterator[Relation]:
    """Whoever one was last joined with or parted from; the newest record about the two decides."""
    rules = {rule.record_type: rule for rule in catalogue.timeline.entries if rule.couple}
    newest: dict[object, Relation] = {}
    for record in sorted(records, key=lambda one: (one.happened or _FIRST, one.recorded_at)):
        rule = rules.get(record.record_type)
        mine = [role for role in rule.couple if record.people.get(role) == person_id] if rule else []
        if rule and mine:
            kind: RelationKind = "former_spouse" if rule.parts_couple else "spouse"
            other = next(role for role in rule.couple if role != mine[0])
            for relation in _named(catalogue, teller, record, other, kind):
                newest[relation.person_id or relation.name] = relation
    yield from newest.values()


def _household(
    connection: Connection, reader: Reader, catalogue: Catalogue, teller: Teller, person_id: UUID,
    records: Sequence[SeenRecord],
) -> Iterator[Relation]:  # fmt: skip
    """Those on the same source's current roll under the same number."""
    rule = catalogue.timeline.household
    if rule is None:
        return
    rolls = [each for each in records if each.record_type == rule.record_type and each.values.get(rule.field)]
    numbers = sorted({(each.source, str(each.values[rule.field])) for each in rolls})
    role = catalogue.record_types[rule.record_type].people[0].role
    for roll in see_household(connection, reader, rule, numbers):
        if roll.people.get(role) != person_id:
            yield from _named(catalogue, teller, roll, role, "household")


def _named(
    catalogue: Catalogue, teller: Teller, record: SeenRecord, role: str, kind: RelationKind
) -> Iterator[Relation]:
    """The person in this role, if the reader may know of them at all."""
    person, name = record.people.get(role), name_in(catalogue.record_types[record.record_type], teller, record, role)
    if person or name:
        yield Relation(kind=kind, name=name, person_id=person, record_type=record.record_type)


def name_in(record_type: RecordType, teller: Teller, record: SeenRecord, role: str) -> str:
    """The name a record gives somebody, as the reader may read it; empty if it gives none."""
    return part_in(record_type, teller, record, role, "name")


def part_in(record_type: RecordType, teller: Teller, record: SeenRecord, role: str, part: str) -> str:
    """One part of a person (name, id_no, birth_date, ...) as a record gives it and the reader may read it."""
    field = next((one for one in record_type.plain_fields if one.role == role and one.part == part), None)
    value = record.values.get(field.name) if field else None
    return teller.words(field, value).title if field and value is not None else ""
