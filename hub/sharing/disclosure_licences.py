"""Under which licence a slice was given, and how much of it the reader of a disclosure ledger may know of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub.database import run_sql
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.sharing.disclosure_sql import Watched
from hub.tables import catalogue_entry
from mappings.catalogue import Catalogue, RecordType

Place = tuple[UUID, int]  # a subscription in one of its versions


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a subscription: who gets what, for what, on what basis."""

    place: Place
    code: str
    organisation: str
    title: str
    purpose: str
    legal_basis: str
    catalogue_no: str
    definition: SliceDefinition


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What of a ledger its reader is told: record types with the source they are limited to ("" is any source).

    Clinical fields and record types that are clinical by existing: care alone, of what it sent itself.
    """

    sources: dict[str, str]
    clinical: bool = False
    whole: bool = False  # looks of people at pages are told too

    def watched(self, one: SliceType, record_type: RecordType) -> SliceType | None:
        """The slice's record type without what the reader is not told; None where nothing is left of it."""
        if record_type.code not in self.sources:
            return None
        if self.clinical:
            return one
        plain = tuple(name for name in one.fields if name in record_type.by_name and not _clinical(record_type, name))
        return msgspec.structs.replace(one, fields=plain) if plain else None


def _clinical(record_type: RecordType, name: str) -> bool:
    return record_type.by_name[name].clinical


def sight_of(actor: Actor, catalogue: Catalogue) -> Sight:
    """Who oversees is told of everybody's records; a data officer of what came from the own organisation."""
    care, whole = actor.kind == "care", oversees_disclosures(actor)
    sources = {}
    for one in catalogue.record_types.values():
        if one.enabled and one.people and (care or not is_care_only(one)):
            limited = not whole or is_care_only(one) or (care and bool(one.clinical_fields))
            sources[one.code] = actor.organisation if limited else ""
    return Sight(sources=sources, clinical=care, whole=whole)


def oversees_disclosures(actor: Actor) -> bool:
    """The auditor, the bureau and the hub's own machine."""
    return actor.may(Right.READ_AUDIT) or actor.may(Right.OPERATE) or actor.kind == "bureau"


def load_licences(connection: Connection) -> dict[Place, Licence]:
    """Every version every subscription ever had."""
    rows = run_sql(
        connection,
        "SELECT s.subscription_id, v.version, s.code, s.organisation, s.title, v.purpose, v.legal_basis,"
        " v.catalogue_no, v.definition FROM {d}.subscription s JOIN {d}.subscription_version v USING (subscription_id)",
    )
    return {(one.place): one for one in map(_licence, rows)}


def _licence(row: tuple[object, ...]) -> Licence:
    subscription_id, version, *said, definition = row
    names = ("code", "organisation", "title", "purpose", "legal_basis", "catalogue_no")
    told = cast(dict[str, str], dict(zip(names, said, strict=True)))
    place = (cast(UUID, subscription_id), cast(int, version))
    return Licence(place=place, definition=msgspec.convert(definition, SliceDefinition), **told)


def load_catalogue_numbers(connection: Connection) -> dict[str, str]:
    """The data catalogue's number of each record type."""
    columns = catalogue_entry.c
    numbers = connection.execute(select(columns.record_type, columns.catalogue_no))
    return {row.record_type: row.catalogue_no for row in numbers}


class Share(msgspec.Struct, frozen=True):
    """One record type of one licence, and its place among the slices that one statement tests."""

    licence: Licence
    one: SliceType
    number: int


class Shares:
    """Per record type: the different slices to test, and which licences each of them stands for."""

    def __init__(self, licences: dict[Place, Licence], sight: Sight, catalogue: Catalogue) -> None:
        self.watched: dict[str, dict[Watched, int]] = {}
        self.by_number: dict[tuple[str, int], dict[Place, Share]] = {}
        for licence in licences.values():
            for one in _told(licence, sight, catalogue):
                self._enter(licence, one)

    def _enter(self, licence: Licence, one: SliceType) -> None:
        known = self.watched.setdefault(one.record_type, {})
        number = known.setdefault(Watched(one, licence.definition.areas), len(known))
        self.by_number.setdefault((one.record_type, number), {})[licence.place] = Share(licence, one, number)


def _told(licence: Licence, sight: Sight, catalogue: Catalogue) -> Iterator[SliceType]:
    for one in licence.definition.record_types:
        record_type = catalogue.record_types.get(one.record_type)
        told = sight.watched(one, record_type) if record_type else None
        if told:
            yield told
