"""The timeline of one person (人口服务管理档案): what every source says of them, as far as the reader may see it.

Whoever may see none of a person's records learns nothing of them: not even that there is such a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub import audit
from hub.database import run_sql
from hub.errors import NotFound
from hub.people.known import ShownAttribute, attributes_shown
from hub.people.purposes import Purpose
from hub.people.relations import Relation, relations_of
from hub.people.seeing import Reader, SeenRecord, close, reader_of, see_records
from hub.people.telling import Said, Teller
from hub.registry.areas import AreaIndex
from hub.registry.masking import View, mask_field
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import open_persons
from hub.tables import submission
from mappings.catalogue import Catalogue
from mappings.timeline_shapes import EntryRule


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event: what a source says happened, and whether it still says so."""

    record_type: str
    record_id: UUID
    role: str
    section: str
    happened: str  # as the reader may read it; empty where the source gives no day
    recorded_at: datetime
    source: str  # organisation code
    says: str
    says_en: str
    standing: Literal["standing", "corrected", "voided"]
    version: int
    areas: tuple[str, ...]
    receipt_number: str  # of the submission that brought it, if it is the reader's own or the reader oversees


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from an event that still holds: something one is entitled or obliged to."""

    kind: Literal["entitlement", "obligation"]
    section: str
    says: str
    says_en: str
    record_type: str
    record_id: UUID


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one reader may read of one person."""

    person_id: UUID
    asked_for: UUID  # another id, if that person turned out to be this one
    view: View
    entries: tuple[Entry, ...]  # by the day it happened, then by the moment it was recorded
    relations: tuple[Relation, ...]
    claims: tuple[Claim, ...]
    attributes: tuple[ShownAttribute, ...]


def read_timeline(
    connection: Connection, actor: Actor, catalogue: Catalogue, areas: AreaIndex, person_id: UUID, purpose: Purpose
) -> Timeline:
    """The person's timeline; NotFound if the reader may see nothing of them. That it was read is noted."""
    require(actor, Right.READ_PERSON, Right.OPERATE)
    reader = reader_of(connection, actor, catalogue, areas)
    survivor, records = _records_of(connection, reader, person_id)
    teller = Teller(catalogue=catalogue, areas=areas, view=reader.view)
    told = Timeline(
        person_id=survivor,
        asked_for=person_id,
        view=reader.view,
        entries=tuple(_entries(connection, reader, teller, survivor, records)),
        relations=relations_of(connection, reader, catalogue, teller, survivor, records),
        claims=tuple(_claims(teller, survivor, records)),
        attributes=tuple(attributes_shown(connection, reader, teller, survivor, records)),
    )
    _note_reading(connection, actor, told, purpose)
    return told


def _records_of(connection: Connection, reader: Reader, person_id: UUID) -> tuple[UUID, list[SeenRecord]]:
    """The records in order, and whose they are: the person's, or those of whom they turned out to be."""
    survivor, found = person_id, see_records(connection, reader, [person_id])
    if not found:
        survivor = _survivor(connection, reader.actor, person_id)
        found = see_records(connection, reader, [survivor]) if survivor != person_id else []
    if not found:
        raise NotFound()
    return survivor, sorted(found, key=_order)


def _order(record: SeenRecord) -> tuple[date, datetime, UUID]:
    return record.happened or record.recorded_at.date(), record.recorded_at, record.record_id


def _survivor(connection: Connection, actor: Actor, person_id: UUID) -> UUID:
    """The person this one turned out to be. It is opened for that alone: a merged person has no records of its own."""
    for _ in range(_LONGEST_CHAIN):
        open_persons(connection, [person_id])
        rows = run_sql(connection, "SELECT merged_into FROM {d}.person WHERE person_id = :person", person=person_id)
        close(connection, actor)
        if not rows or rows[0][0] is None:
            break
        person_id = cast(UUID, rows[0][0])
    return person_id


_LONGEST_CHAIN = 20

# ---- what happened ----


def _entries(
    connection: Connection, reader: Reader, teller: Teller, person_id: UUID, records: Sequence[SeenRecord]
) -> Iterator[Entry]:
    receipts = _receipts(connection, reader, {record.submission_id for record in records})
    for record in records:
        for role, rule in _told(teller.catalogue, person_id, record):
            yield _entry(teller, record, role, rule, receipts.get(record.submission_id, ""))


def _told(catalogue: Catalogue, person_id: UUID, record: SeenRecord) -> Iterator[tuple[str, EntryRule]]:
    """The roles the person has in a record, each with how it is told."""
    for role, person in record.people.items():
        rule = catalogue.timeline.rule_of(record.record_type, role, record.values)
        if person == person_id and rule:
            yield role, rule


def _entry(teller: Teller, record: SeenRecord, role: str, rule: EntryRule, receipt: str) -> Entry:
    record_type = teller.catalogue.record_types[record.record_type]
    said = teller.tell(rule.says, rule.says_en, record_type, record.values)
    return Entry(
        record_type=record.record_type,
        record_id=record.record_id,
        role=role,
        section=rule.section,
        happened=_day(teller, record),
        recorded_at=record.recorded_at,
        source=record.source,
        says=said.title,
        says_en=said.title_en,
        standing=_standing(record),
        version=record.version,
        areas=tuple(_places(teller.areas, record.areas)),
        receipt_number=receipt,
    )


def _standing(record: SeenRecord) -> Literal["standing", "corrected", "voided"]:
    if record.voided:
        return "voided"
    return "corrected" if record.version > 1 else "standing"


def _day(teller: Teller, record: SeenRecord) -> str:
    record_type = teller.catalogue.record_types[record.record_type]
    if record.happened is None:
        return ""
    written = record.happened.isoformat()[: 7 if record_type.date_precision == "month" else 10]
    return mask_field(written, record_type.by_name[record_type.event_date], teller.view)


def _places(areas: AreaIndex, touched: Iterable[int]) -> Iterator[str]:
    """Villages with their town; a town alone where no village is known."""
    current = {areas.current(each) for each in touched}
    within = {areas.town_of.get(each) for each in current if areas.kind.get(each) == "village"}
    for each in sorted(current - within):
        town = areas.town_of.get(each)
        names = dict.fromkeys(areas.name_of.get(one, "") for one in (town, each) if one is not None)
        yield "".join(names)


def _receipts(connection: Connection, reader: Reader, submissions: set[UUID]) -> dict[UUID, str]:
    """Receipt numbers of those the reader may know of: its own, or all if it oversees."""
    its = submission.c
    wanted = select(its.submission_id, its.receipt_number).where(
        its.submission_id.in_(submissions), reader.scope.submissions(submission)
    )
    return {row.submission_id: row.receipt_number for row in connection.execute(wanted)}


# ---- what follows from it ----


def _claims(teller: Teller, person_id: UUID, records: Sequence[SeenRecord]) -> Iterator[Claim]:
    """Of each record type (and of each value it counts by) the newest standing event decides."""
    newest: dict[object, tuple[SeenRecord, EntryRule]] = {}
    for record in records:
        for _, rule in _told(teller.catalogue, person_id, record):
            if (rule.entitlement or rule.obligation) and not record.voided and _can_tell(record, rule):
                counted = tuple(record.values.get(field) for field in rule.per)
                newest[(record.record_type, counted)] = record, rule
    for record, rule in newest.values():
        if not _is_over(record, rule):
            yield from _claims_of(teller, record, rule)


def _can_tell(record: SeenRecord, rule: EntryRule) -> bool:
    """The fields that decide are among those the reader may see."""
    return all(field in record.values for field in rule.deciding)


def _is_over(record: SeenRecord, rule: EntryRule) -> bool:
    ended = any(record.values.get(field) for field in rule.over_when_set)
    return ended or any(record.values.get(field) in values for field, values in rule.over_when.items())


def _claims_of(teller: Teller, record: SeenRecord, rule: EntryRule) -> Iterator[Claim]:
    record_type = teller.catalogue.record_types[record.record_type]
    kinds: tuple[Literal["entitlement", "obligation"], ...] = ("entitlement", "obligation")
    for kind in kinds:
        said: Said = teller.tell(getattr(rule, kind), getattr(rule, f"{kind}_en"), record_type, record.values)
        if said.title:
            named = {"record_type": record.record_type, "record_id": record.record_id, "section": rule.section}
            yield Claim(kind=kind, says=said.title, says_en=said.title_en, **named)  # type: ignore[arg-type]


def _note_reading(connection: Connection, actor: Actor, told: Timeline, purpose: Purpose) -> None:
    records = {str(entry.record_id) for entry in told.entries}
    audit.record(
        connection, actor, Right.READ_PERSON, f"person/{told.person_id}",
        purpose=purpose.code, reason=purpose.text, view=told.view, records=len(records),
        record_types=dict(sorted(Counter(entry.record_type for entry in told.entries).items())),
        related=len(told.relations), attributes=len(told.attributes), digest=audit.digest_of(records),
    )  # fmt: skip
