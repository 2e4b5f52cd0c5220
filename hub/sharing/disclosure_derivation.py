"""Who received what of whom, worked out again from ranges, licences and versions: nothing is kept a person a delivery.

The persons' records are found by who their versions name, the records' changes by the log, what each change was to
each slice by the slices' own statement, and what it went out with by the ranges of deliveries and exports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.sharing import disclosure_sql
from hub.sharing.disclosure_licences import Place, Share, Shares, Sight, load_catalogue_numbers, load_licences
from mappings.catalogue import Catalogue

DisclosureKind = Literal["page", "snapshot", "export", "repair", "list", "look"]
Version = tuple[UUID, int]  # record, version
LIST_FIELDS = ("name", "id_no", "event_date", "village")  # what a line of a town's list tells
_FOR_EVER = 2**62


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a person in one delivery: to whom, under which licence, which fields, when. Never a value."""

    kind: DisclosureKind
    delivered_at: datetime
    receiver: str  # organisation
    subscription: str = ""
    title: str = ""
    licence_version: int = 0
    purpose: str = ""
    legal_basis: str = ""
    catalogue_no: str = ""
    number: str = ""  # epoch and page, number of the export, month of the list, line of the audit
    record_type: str = ""
    record_id: UUID | None = None
    version: int = 0
    roles: tuple[str, ...] = ()  # the person's in the record
    op: str = ""  # enter update leave
    fields: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    fetched_at: datetime | None = None
    acknowledged_at: datetime | None = None
    by: str = ""  # of a look: who


class Handed(msgspec.Struct, frozen=True):
    """Something that went out: a page, a snapshot, an exported file, a repair of a copy."""

    place: Place
    kind: DisclosureKind
    number: str
    at: datetime
    fetched_at: datetime | None
    acknowledged_at: datetime | None
    seq: int = 0  # of what is no page: as the slice stood here; areas, record types or records narrow it
    areas: frozenset[int] | None = None
    record_types: frozenset[str] | None = None
    records: frozenset[UUID] | None = None


class Change(msgspec.Struct, frozen=True):
    """One change of one record, until the next one of it; and what it was to each slice it concerns."""

    record_type: str
    record_id: UUID
    version: int
    seq: int
    next_seq: int
    areas: frozenset[int]  # after it
    sent_row: tuple[UUID, int]  # submission and row number
    verdicts: dict[int, tuple[bool, str]]  # by the slice's number: in it now, what the change was to it


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is of these persons, before it is told person by person."""

    named: dict[UUID, dict[Version, tuple[str, ...]]]  # person -> versions that name them, in which roles
    changes: dict[UUID, list[Change]]  # by record
    shares: Shares
    pages: dict[int, list[Handed]]  # by the change's number in the log
    standing: list[Handed]  # snapshots, exports, repairs
    lists: dict[UUID, list[tuple[Any, ...]]]  # by record
    catalogue_numbers: dict[str, str]


def gather(
    connection: Connection, catalogue: Catalogue, sight: Sight, persons: Sequence[UUID], since: datetime | None
) -> Traces:
    """All traces of these persons in a handful of statements, however many persons they are."""
    named, types = _find_mentions(connection, catalogue, sight, persons)
    shares = Shares(load_licences(connection), sight, catalogue)
    changes: dict[UUID, list[Change]] = {}
    for code, records in types.items():
        changes |= _find_changes(connection, catalogue, sight, shares, code, records)
    told = [one for each in changes.values() for one in each if any(op for _, op in one.verdicts.values())]
    return Traces(
        named=named,
        changes=changes,
        shares=shares,
        pages=_find_pages(connection, {one.seq: one.record_type for one in told}, since),
        standing=_find_standing(connection, since),
        lists=_find_lists(connection, list(changes), since),
        catalogue_numbers=load_catalogue_numbers(connection),
    )


# ---- whose records ----


def _find_mentions(
    connection: Connection, catalogue: Catalogue, sight: Sight, persons: Sequence[UUID]
) -> tuple[dict[UUID, dict[Version, tuple[str, ...]]], dict[str, set[UUID]]]:
    """Which versions name each person, by whatever id they had then; and the records of each type."""
    own = everybody_they_were(connection, persons)
    taken_for = _taken_for(connection, own)
    wanted = {each for ids in (*own.values(), *taken_for.values()) for each in ids}
    told = [catalogue.record_types[code] for code in sight.sources]
    rows = run_sql(connection, disclosure_sql.mentions_statement(told), persons=list(wanted))
    rows += _named_before_erasure(connection, sight, wanted)
    by_id: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    types: dict[str, set[UUID]] = defaultdict(set)
    for code, record_id, version, role, person_id in cast(list[tuple[Any, ...]], rows):
        by_id[person_id].append((record_id, version, role))
        types[code].add(record_id)
    return {one: _named(by_id, own[one], taken_for[one]) for one in persons}, types


def everybody_they_were(connection: Connection, persons: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """Each person with everybody who turned out to be them."""
    kin: dict[UUID, set[UUID]] = defaultdict(set)
    for asked, person in run_sql(connection, disclosure_sql.KIN, persons=list(persons)):
        kin[cast(UUID, asked)].add(cast(UUID, person))
    return kin


def _taken_for(connection: Connection, own: Mapping[UUID, set[UUID]]) -> dict[UUID, set[UUID]]:
    """Whom each was taken for before they were told apart."""
    whose: dict[UUID, list[UUID]] = defaultdict(list)
    for asked, ids in own.items():
        for each in ids:
            whose[each].append(asked)
    rows = cast(list[tuple[UUID, UUID]], run_sql(connection, disclosure_sql.TAKEN_FOR, persons=list(whose)))
    before = everybody_they_were(connection, {person for _, person in rows})
    found: dict[UUID, set[UUID]] = {asked: set() for asked in own}
    for other, person in rows:
        for asked in whose[other]:
            found[asked] |= before[person] - own[asked]
    return found


def _named_before_erasure(connection: Connection, sight: Sight, persons: set[UUID]) -> list[tuple[object, ...]]:
    rows = run_sql(
        connection, disclosure_sql.NAMED_BEFORE_ERASURE, persons=list(persons), types=list(sight.sources)
    )  # fmt: skip
    return [(code, record_id, version, "", person) for person, code, record_id, version in rows]


def _named(
    by_id: Mapping[UUID, list[tuple[Any, ...]]], own: set[UUID], taken_for: set[UUID]
) -> dict[Version, tuple[str, ...]]:
    """Versions under the person's own ids; and of the same record and role those under whom they were taken for."""
    theirs = {mention for each in own for mention in by_id.get(each, ())}
    records = {(record_id, role) for record_id, _, role in theirs}
    theirs |= {one for each in taken_for for one in by_id.get(each, ()) if (one[0], one[2]) in records}
    roles: dict[Version, set[str]] = defaultdict(set)
    for record_id, version, role in theirs:
        roles[record_id, version].add(role)
    return {version: tuple(sorted(each - {""} or each)) for version, each in roles.items()}


# ---- what happened to them ----


def _find_changes(
    connection: Connection, catalogue: Catalogue, sight: Sight, shares: Shares, code: str, records: set[UUID]
) -> dict[UUID, list[Change]]:
    watched = list(shares.watched.get(code, ()))
    statement, values = disclosure_sql.changes_statement(catalogue.record_types[code], watched)
    rows = run_sql(connection, statement, **values, records=list(records), source=sight.sources[code] or None)
    found: dict[UUID, dict[int, Change]] = defaultdict(dict)
    for record_id, version, seq, following, areas, submission_id, row_no, number, is_in, op in cast(Any, rows):
        change = found[record_id].get(seq)
        if change is None:
            until, sent_row = following or _FOR_EVER, (submission_id, row_no)
            change = Change(code, record_id, version, seq, until, frozenset(areas or ()), sent_row, {})
            found[record_id][seq] = change
        if number is not None:
            change.verdicts[number] = (is_in, op or "")
    return {record_id: list(each.values()) for record_id, each in found.items()}


def _find_pages(
    connection: Connection, types_by_seq: dict[int, str], since: datetime | None
) -> dict[int, list[Handed]]:
    pages: dict[int, list[Handed]] = defaultdict(list)
    asked = {"seqs": list(types_by_seq), "types": list(types_by_seq.values()), "since": since}
    for seq, subscription_id, version, *said in run_sql(connection, disclosure_sql.PAGES, **asked):
        pages[cast(int, seq)].append(Handed(cast(Place, (subscription_id, version)), *cast(Any, said)))
    return pages


def _find_standing(connection: Connection, since: datetime | None) -> list[Handed]:
    handed = []
    for subscription_id, version, *said, areas, types, records in cast(
        Any, run_sql(connection, disclosure_sql.STANDING, since=since)
    ):
        narrowed = [None if each is None else frozenset(each) for each in (areas, types, records)]
        handed.append(Handed((subscription_id, version), *said, *narrowed))
    return handed


def _find_lists(connection: Connection, records: list[UUID], since: datetime | None) -> dict[UUID, list[Any]]:
    lists: dict[UUID, list[Any]] = defaultdict(list)
    for row in run_sql(connection, disclosure_sql.TAKEN_LISTS, records=records, since=since):
        lists[cast(UUID, row[1])].append(row)
    return lists


# ---- what was told of one ----


def told_of(traces: Traces, person_id: UUID) -> Iterator[Disclosure]:
    """Every delivery that spoke of this person, each once: a page that was sent again is the same disclosure."""
    named = traces.named[person_id]
    for record_id in {record for record, _ in named}:
        for change in traces.changes.get(record_id, ()):
            yield from _told_by_change(traces, named, change)
        yield from _told_by_lists(traces, named, record_id)


def _told_by_change(traces: Traces, named: Mapping[Version, tuple[str, ...]], change: Change) -> Iterator[Disclosure]:
    now = named.get((change.record_id, change.version), ())
    before = named.get((change.record_id, change.version - 1), ())
    concerned = {"enter": now, "leave": before, "update": (*now, *before), "": ()}
    for number, (is_in, op) in change.verdicts.items():
        places = traces.shares.by_number[change.record_type, number]
        roles = tuple(dict.fromkeys(concerned[op]))
        for handed in traces.pages.get(change.seq, ()) if roles else ():
            if handed.place in places:
                yield _disclosure(traces, places[handed.place], handed, change, roles, op)
        for handed in traces.standing if is_in and now else ():
            if handed.place in places and _stood_in(handed, change):
                yield _disclosure(traces, places[handed.place], handed, change, now, "enter")


def _stood_in(handed: Handed, change: Change) -> bool:
    """Whether the change made the version that stood when this was handed over, and it was not left out."""
    return (
        change.seq <= handed.seq < change.next_seq
        and (handed.record_types is None or change.record_type in handed.record_types)
        and (handed.areas is None or bool(handed.areas & change.areas))
        and (handed.records is None or change.record_id in handed.records)
    )


def _disclosure(
    traces: Traces, share: Share, handed: Handed, change: Change, roles: tuple[str, ...], op: str
) -> Disclosure:
    licence = share.licence
    return Disclosure(
        kind=handed.kind, delivered_at=handed.at, receiver=licence.organisation, subscription=licence.code,
        title=licence.title, licence_version=licence.place[1], purpose=licence.purpose, legal_basis=licence.legal_basis,
        catalogue_no=licence.catalogue_no or traces.catalogue_numbers.get(change.record_type, ""),
        number=handed.number, record_type=change.record_type, record_id=change.record_id, version=change.version,
        roles=roles, op=op, fields=share.one.fields, masked=share.one.masked,
        fetched_at=handed.fetched_at, acknowledged_at=handed.acknowledged_at,
    )  # fmt: skip


def _told_by_lists(traces: Traces, named: Mapping[Version, tuple[str, ...]], record_id: UUID) -> Iterator[Disclosure]:
    for record_type, _, version, change, month, organisation, at in traces.lists.get(record_id, ()):
        roles = named.get((record_id, version)) or named.get((record_id, version - 1))
        if roles:
            yield Disclosure(
                kind="list", delivered_at=at, receiver=organisation, number=month, record_type=record_type,
                record_id=record_id, version=version, roles=roles, op=change, fields=LIST_FIELDS, fetched_at=at,
            )  # fmt: skip
