"""Who answers a request: each record type's provider and how it is shared, by the data catalogue or else by its mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from hub.casework.reminders import bureaus
from hub.registry.slice_definition import SliceDefinition
from hub.sharing.entry_content import EntryContent
from hub.tables import catalogue_entry, catalogue_version
from hub.tables import organisation as organisation_table
from mappings.catalogue import Catalogue


class EntryShared(NamedTuple):
    """How one record type is shared; ``providers`` are organisations that can answer."""

    providers: tuple[str, ...]
    sharing: str  # unconditional conditional none
    catalogue_no: str = ""
    published: bool = True
    fields: tuple[str, ...] | None = None  # items that are shared; None: no entry says
    modes: tuple[str, ...] | None = None


class Concerned(NamedTuple):
    """One provider of a request: what it answers for, and how strictly that is shared."""

    provider: str
    record_types: tuple[str, ...]
    sharing: str


def load_shared(connection: Connection, catalogue: Catalogue, definition: SliceDefinition) -> dict[str, EntryShared]:
    """How the record types a definition names are shared; those that do not exist are left out."""
    named = sorted({one.record_type for one in definition.record_types} & catalogue.record_types.keys())
    kept = _entries_of(connection, named)
    answering = _answering(connection)
    shared = {}
    for code in named:
        its = catalogue.record_types[code]
        entry = kept.get(code) or EntryShared(its.sources, its.sharing)
        shared[code] = entry._replace(providers=answering(entry.providers))
    return shared


def _entries_of(connection: Connection, named: list[str]) -> dict[str, EntryShared]:
    """The published entries; one that is there but not published is shared on no terms yet."""
    entry, version = catalogue_entry.c, catalogue_version.c
    same = (version.record_type == entry.record_type) & (version.version == entry.version)
    query = (
        select(entry.record_type, entry.provider, version.state, version.content)
        .select_from(catalogue_entry.outerjoin(catalogue_version, same))
        .where(entry.record_type.in_(named))
    )
    return {code: _entry(provider, state, content) for code, provider, state, content in connection.execute(query)}


def _entry(provider: str, state: str | None, content: object) -> EntryShared:
    if state != "published":
        return EntryShared((provider,), "conditional", published=False)
    its = msgspec.convert(content, EntryContent)
    return EntryShared((its.provider,), its.sharing, its.catalogue_no, True, its.shared_fields, its.modes)


def _answering(connection: Connection) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    """Organisations behind what is named as a source: for a kind, such as every town, the bureau answers."""
    its = organisation_table.c
    taking_part = set(connection.execute(select(its.code).where(its.enabled)).scalars())
    bureau = bureaus(connection)[:1]

    def find(named: tuple[str, ...]) -> tuple[str, ...]:
        found = {one for one in named if one in taking_part}
        return tuple(sorted(found if found == {*named} else {*found, *bureau}))

    return find


def concerned_by(entries: dict[str, EntryShared]) -> list[Concerned]:
    """Every provider with what it answers for; the strictest of its record types says how long it has."""
    theirs: dict[str, list[str]] = {}
    for code, entry in entries.items():
        for provider in entry.providers:
            theirs.setdefault(provider, []).append(code)
    return [Concerned(one, tuple(sorted(codes)), _strictest(codes, entries)) for one, codes in sorted(theirs.items())]


def _strictest(codes: Iterable[str], entries: dict[str, EntryShared]) -> str:
    free = all(entries[code].sharing == "unconditional" for code in codes)
    return "unconditional" if free else "conditional"
