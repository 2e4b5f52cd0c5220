"""What is known of a person by the declared precedence, cut to what one reader may read: value by value, by its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.people.seeing import Reader, SeenRecord, close
from hub.people.telling import Teller
from hub.registry.masking import mask_field
from hub.registry.scope import open_persons
from mappings.catalogue import Attribute, AttributeSource, Catalogue, Field


class ShownAttribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute as the reader may read it, with the record it was taken from."""

    name: str
    title: str
    title_en: str
    value: str
    value_en: str
    source: str  # organisation code
    record_type: str
    record_id: UUID
    since: str
    disagreeing: bool  # standing sources say different things; only towns and the bureau are told


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An attribute as the profile keeps it."""

    value: str
    record_type: str
    record_id: UUID
    source: str
    since: date | None


def attributes_shown(
    connection: Connection, reader: Reader, teller: Teller, person_id: UUID, records: Sequence[SeenRecord]
) -> Iterator[ShownAttribute]:
    """Attributes that a record the reader sees says, in fields the reader sees. In the catalogue's order.

    The person is opened only to read the profile: which records count was settled before, behind both walls.
    """
    kept, disagreeing = _profile(connection, reader, person_id)
    seen = {record.record_id: record for record in records if not record.voided}
    for attribute in _told(teller.catalogue):
        known = kept.get(attribute.name)
        record = seen.get(known.record_id) if known else None
        source = _source(attribute, known, record, person_id) if known and record else None
        if known and record and source:
            disputed = attribute.name in disagreeing and reader.view != "own"
            yield _shown(teller, attribute, known, record, source, disputed)


def _profile(connection: Connection, reader: Reader, person_id: UUID) -> tuple[Mapping[str, _Kept], Sequence[str]]:
    open_persons(connection, [person_id])
    rows = run_sql(
        connection, "SELECT attributes, disagreeing FROM {d}.person_profile WHERE person_id = :person", person=person_id
    )
    close(connection, reader.actor)
    if not rows:
        return {}, ()
    return msgspec.convert(rows[0][0], dict[str, _Kept]), cast(list[str], rows[0][1])


def _told(catalogue: Catalogue) -> list[Attribute]:
    """Attributes that name another person are left out: who is whose is told by the relations."""
    return [one for one in catalogue.attributes.values() if one.type != "person"]


def _source(attribute: Attribute, known: _Kept, record: SeenRecord, person_id: UUID) -> AttributeSource | None:
    """Where in the record, as the reader reads it, this value stands; None if what it rests on is not theirs to read."""
    for source in attribute.sources:
        if source.record_type == record.record_type and record.people.get(source.role) == person_id:
            rests_on = {*source.only, *filter(None, (source.field, source.unless))}
            if rests_on <= record.values.keys() and _says(source, record.values, known.value):
                return source
    return None


def _says(source: AttributeSource, values: Mapping[str, Any], value: str) -> bool:
    """A day may stand in the record as a moment."""
    said = source.value or str(values.get(source.field))
    return said.casefold().startswith(value.casefold()) and bool(value)


def _shown(
    teller: Teller,
    attribute: Attribute,
    known: _Kept,
    record: SeenRecord,
    source: AttributeSource,
    disputed: bool,
) -> ShownAttribute:
    said = teller.words(_as_field(attribute), known.value)
    return ShownAttribute(
        name=attribute.name,
        title=attribute.title,
        title_en=attribute.title_en,
        value=said.title,
        value_en=said.title_en,
        source=known.source,
        record_type=record.record_type,
        record_id=record.record_id,
        since=_since(teller, known, record, source),
        disagreeing=disputed,
    )


def _since(teller: Teller, known: _Kept, record: SeenRecord, source: AttributeSource) -> str:
    """Since when, if the day stands in a field the reader may read."""
    record_type = teller.catalogue.record_types[record.record_type]
    dated_by = source.date or record_type.event_date
    if not known.since or not record.values.get(dated_by):
        return ""
    return mask_field(known.since.isoformat(), record_type.by_name[dated_by], teller.view)


def _as_field(attribute: Attribute) -> Field:
    named: dict[str, Any] = {name: getattr(attribute, name) for name in ("name", "title", "type", "sensitivity")}
    return Field(**named, code_set=attribute.code_set)
