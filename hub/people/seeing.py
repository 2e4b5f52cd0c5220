"""Which records of which people a reader may see, and of each record which fields: own ones, one's area's, one's slices'.

A look is one statement over the record types of one entitlement, in a transaction that row security lets see exactly
that. What stays in care is never looked for here, not even by care.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, literal_column
from sqlalchemy.dialects import postgresql

from hub.database import Reach, run_sql, set_reach
from hub.errors import HubError
from hub.people.purposes import oversees
from hub.registry.areas import AreaIndex
from hub.registry.masking import View
from hub.registry.organisations import AREA_KINDS
from hub.registry.permissions import Actor, Right
from hub.registry.scope import Scope, is_care_only, open_persons, open_slice, reach_of, scope_for, types_by_area
from hub.registry.slice_conditions import Values, condition_sql
from hub.registry.slice_definition import SliceDefinition, SliceType, check_definition
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.tables import subscription
from hub.tables.version_sql import event_day
from mappings.catalogue import Catalogue, RecordType
from mappings.timeline_shapes import Household

_CLOSED: Reach = {"types": "", "areas": "", "care": "", "persons": "", "identifier": ""}
_AREAS: ColumnElement[Any] = literal_column("v.areas")
_SOURCE: ColumnElement[Any] = literal_column("v.source")


class SeenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as its reader may read it: roles and fields beyond that are not in it."""

    record_type: str
    record_id: UUID
    version: int
    source: str
    voided: bool
    submission_id: UUID
    recorded_at: datetime
    happened: date | None
    areas: list[int]
    values: dict[str, Any]
    people: dict[str, UUID]  # role -> person


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One record type in a look: the fields and roles that may be read, and which of its records."""

    record_type: RecordType
    fields: tuple[str, ...]
    roles: tuple[str, ...]
    rows: str
    values: Values = {}
    is_whole: bool = False  # every plain field and every role: read as it lies, which is quicker to plan


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One entitlement: record types, and the slice that has to be opened for them (None: what the actor has anyway)."""

    parts: tuple[Part, ...]
    opens: SliceDefinition | None = None
    persons: bool = False  # the persons themselves are opened


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever asks, with everything they are entitled to look at."""

    actor: Actor
    scope: Scope
    view: View
    looks: tuple[Look, ...]


def reader_of(connection: Connection, actor: Actor, catalogue: Catalogue, areas: AreaIndex) -> Reader:
    """The reader's looks, as areas and subscriptions are now."""
    scope = scope_for(actor, areas)
    return Reader(
        actor=actor, scope=scope, view=_view_of(actor), looks=tuple(_looks(connection, scope, catalogue, areas))
    )


def told_types(catalogue: Catalogue) -> list[RecordType]:
    """Record types that speak of people and may leave care."""
    known = catalogue.record_types.values()
    return [one for one in known if one.enabled and one.people and not is_care_only(one)]


def see_records(
    connection: Connection, reader: Reader, person_ids: Sequence[UUID], only: Sequence[str] = ()
) -> list[SeenRecord]:
    """Every record of these people that the reader may see (of these types, if any are named), each once.

    A record seen through several entitlements is read with the fields of all of them.
    """
    seen: dict[UUID, SeenRecord] = {}
    for look in reader.looks:
        parts = [part for part in look.parts if not only or part.record_type.code in only]
        for row in _run(connection, reader, look, parts, {"people": list(person_ids)}):
            known = seen.get(row.record_id)
            seen[row.record_id] = _joined(known, row) if known else row
    return list(seen.values())


def see_household(
    connection: Connection, reader: Reader, rule: Household, numbers: Sequence[tuple[str, str]]
) -> list[SeenRecord]:
    """Current roll records under these (source, household number), as far as the reader may see them.

    Whoever opened one person only is not shown who lives with them: the others were not asked for.
    """
    named = [f"(v.source = :source_{at} AND v.{rule.field} = :number_{at})" for at in range(len(numbers))]
    theirs = f"NOT v.voided AND ({' OR '.join(named)})"
    values: Values = {f"source_{at}": source for at, (source, _) in enumerate(numbers)}
    values |= {f"number_{at}": number for at, (_, number) in enumerate(numbers)}
    seen: dict[UUID, SeenRecord] = {}
    for look in reader.looks if numbers else ():
        parts = [one for one in look.parts if one.record_type.code == rule.record_type and rule.field in one.fields]
        if not look.persons:
            for row in _run(connection, reader, look, parts, values, theirs):
                seen.setdefault(row.record_id, row)
    return list(seen.values())


def _view_of(actor: Actor) -> View:
    if oversees(actor):
        return "oversight"
    return "town" if actor.kind in AREA_KINDS else "own"


# ---- what somebody is entitled to ----


def _looks(connection: Connection, scope: Scope, catalogue: Catalogue, areas: AreaIndex) -> Iterator[Look]:
    if oversees(scope.actor):
        yield Look(parts=tuple(_whole(one, "true") for one in told_types(catalogue)), persons=True)
    elif scope.actor.kind in AREA_KINDS:
        yield Look(parts=tuple(_area_parts(scope, catalogue)))
    else:
        yield Look(parts=tuple(_own_parts(scope, catalogue)))
        for one in _subscriptions_of(connection, scope):
            if _still_allowed(one, catalogue, areas):
                yield Look(parts=tuple(_slice_parts(one.definition, catalogue)), opens=one.definition)


def _area_parts(scope: Scope, catalogue: Catalogue) -> Iterator[Part]:
    """Types whose records a town knows of without a subscription, in its area or sent by it; of the others its own."""
    by_area = types_by_area(catalogue)
    everywhere, own = _written(scope.records(_AREAS, _SOURCE)), _written(scope.records_sent(_SOURCE))
    for one in told_types(catalogue):
        yield _whole(one, everywhere if one.code in by_area else own)


def _own_parts(scope: Scope, catalogue: Catalogue) -> Iterator[Part]:
    own, actor = _written(scope.records_sent(_SOURCE)), scope.actor
    for one in told_types(catalogue):
        if {actor.organisation, actor.kind} & {*one.sources}:
            yield _whole(one, own)


def _written(predicate: ColumnElement[bool]) -> str:
    return str(predicate.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]


def _whole(record_type: RecordType, rows: str) -> Part:
    fields = tuple(field.name for field in record_type.plain_fields)
    roles = tuple(role.role for role in record_type.people)
    return Part(record_type=record_type, fields=fields, roles=roles, rows=rows, is_whole=True)


def _subscriptions_of(connection: Connection, scope: Scope) -> Iterator[Subscription]:
    """Those in force today; a definition somebody keeps for others is none of one's own."""
    if not scope.actor.may(Right.PULL_SLICE):
        return
    for one in list_subscriptions(connection, scope.own_subscriptions(subscription)):
        in_force = one.state == "active" and one.organisation_enabled and not one.expired(date.today())
        if in_force and one.organisation == scope.actor.organisation:
            yield one


def _still_allowed(one: Subscription, catalogue: Catalogue, areas: AreaIndex) -> bool:
    """The definition as on the day of subscribing: since then the catalogue may class a field as clinical."""
    try:
        check_definition(one.definition, catalogue, one.organisation_kind, None)
    except HubError:
        return False
    return True


def _slice_parts(definition: SliceDefinition, catalogue: Catalogue) -> Iterator[Part]:
    told = {one.code: one for one in told_types(catalogue)}
    for number, one in enumerate(definition.record_types):
        if one.record_type in told:
            yield _slice_part(one, told[one.record_type], definition, number)


def _slice_part(one: SliceType, record_type: RecordType, definition: SliceDefinition, number: int) -> Part:
    """Masked fields are not among them: a page that puts values into words has no use for half of one."""
    values: Values = {}
    tests = ["NOT v.voided"]
    for at, each in enumerate(one.conditions):
        field, bind = record_type.by_name[each.field], f"chosen_{number}_{at}"
        tests.append(condition_sql(field, each.op, each.values, "v", bind, values))
    if definition.areas is not None:
        tests.append(f"v.areas && CAST(:areas_{number} AS integer[])")
        values[f"areas_{number}"] = list(definition.areas)
    closed = {field.name for field in record_type.clinical_fields} | {*one.masked}
    fields = tuple(name for name in one.fields if name not in closed)
    roles = tuple(_roles_told(record_type, fields))
    return Part(record_type=record_type, fields=fields, roles=roles, rows=" AND ".join(tests), values=values)


def _roles_told(record_type: RecordType, fields: Iterable[str]) -> Iterator[str]:
    """A slice says whose record it is, the first role; of the others only who is named by a subscribed number."""
    for place, role in enumerate(record_type.people):
        numbers = {each.field for each in role.identifiers if record_type.by_name[each.field].role == role.role}
        if place == 0 or numbers & {*fields}:
            yield role.role


# ---- looking ----


def _run(
    connection: Connection, reader: Reader, look: Look, parts: Sequence[Part], asked: Values, theirs: str = ""
) -> Iterator[SeenRecord]:
    """One statement over all of the look's types; row security is open for it and for nothing after it."""
    if not parts:
        return
    _open(connection, look, asked)
    values = {name: value for part in parts for name, value in part.values.items()}
    statement = " UNION ALL ".join(_branch(part, theirs or _theirs(part)) for part in parts)
    rows = run_sql(connection, statement, **values, **asked)
    if look.persons or look.opens:
        close(connection, reader.actor)
    whole = {part.record_type.code: part for part in parts if part.is_whole}
    yield from (_seen(row, whole.get(str(row[0]))) for row in rows)


def _open(connection: Connection, look: Look, asked: Values) -> None:
    if look.persons:
        open_persons(connection, cast(list[UUID], asked["people"]))
    elif look.opens:
        open_slice(connection, look.opens, "department")  # never as care: what is clinical stays shut


def close(connection: Connection, actor: Actor) -> None:
    """Back to what the actor's transaction sees of itself."""
    set_reach(connection, {**_CLOSED, **reach_of(actor)})


def _theirs(part: Part) -> str:
    return " OR ".join(f"v.{role}_ref = ANY (CAST(:people AS uuid[]))" for role in part.roles)


def _branch(part: Part, theirs: str) -> str:
    its = part.record_type
    said = "row_to_json(v), NULL::json" if part.is_whole else _cut(part)
    happened = event_day(its, "v") if its.event_date in part.fields else "NULL::date"
    return (
        f"SELECT '{its.code}', v.record_id, v.version, v.source, v.voided, v.submission_id, v.recorded_at, {happened},"
        f" v.areas, {said}"
        f" FROM {{d}}.rec_{its.code} v WHERE ({theirs}) AND ({part.rows})"
    )


def _cut(part: Part) -> str:
    """What may not be read does not leave the database."""
    said = ", ".join(f"'{name}', v.{name}" for name in part.fields)
    roles = ", ".join(f"'{role}', v.{role}_ref" for role in part.roles)
    return f"json_build_object({said}), json_build_object({roles})"


def _seen(row: tuple[Any, ...], whole: Part | None) -> SeenRecord:
    *envelope, values, people = row
    if whole:
        people = {role: values[f"{role}_ref"] for role in whole.roles}
        values = {name: values[name] for name in whole.fields}
    known = {role: UUID(person) for role, person in people.items() if person}
    return SeenRecord(**dict(zip(_ENVELOPE, envelope, strict=True)), values=values, people=known)


_ENVELOPE = SeenRecord.__struct_fields__[:-2]


def _joined(known: SeenRecord, row: SeenRecord) -> SeenRecord:
    return msgspec.structs.replace(
        known,
        happened=known.happened or row.happened,
        values=row.values | known.values,
        people=row.people | known.people,
    )
