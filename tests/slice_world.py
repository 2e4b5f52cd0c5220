"""A small district in which every field of every record says something that is said nowhere else, and who asks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from hub.database import run_sql
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.machine_identity import rights_a_key_may_have
from hub.registry.masking import kind_of
from hub.registry.organisations import Organisation, load_organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import create_subscription
from mappings.catalogue import Catalogue, Field, RecordType
from tests.doors import OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Hub
from tests.sliced import TERMS, sliced_hub
from tests.staged import stage

HERE, THERE = "here", "there"  # a record lies in the one town or in the other
SCOPES = ("own", "other", "whole")
KINDS = ("department", "care", "upper", "town", "village")
ROTATIONS = 3  # by turns a field is given, given under a mask, or not asked for
STRICT = {"antenatal_booking", "delivery_outcome", "postnatal_visit", "preconception_check", "family_planning_service"}
_MARKERS = re.compile(r"ZQ\d{6}KW|2[12]\d\d-\d\d-\d\d|23\d\d-\d\d(?!-)|(?:77|88)\d{8}")
_AT_HOME = frozenset({Right.READ_CHANGE_LIST})
_OFFICER = ROLES["integrator"] | ROLES["data_officer"] | {Right.READ_PERSON}


@dataclass(frozen=True)
class Place:
    """Where a marker was planted."""

    record_type: str
    field: str
    area: str
    clinical: bool
    open: bool  # public or internal: a mask leaves it as it is


@dataclass(frozen=True)
class Asker:
    """One organisation with one subscription, and what of it may come out, by the rules in plain words."""

    code: str
    kind: str
    scope: str
    rotation: int
    actor: Actor
    key: dict[str, str]
    definition: SliceDefinition
    allowed: frozenset[str]


@dataclass
class World:
    """``planted``: marker -> where; ``persons``: main person -> type and area of their record."""

    hub: Hub
    catalogue: Catalogue
    planted: dict[str, Place] = field(default_factory=dict)
    persons: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    askers: list[Asker] = field(default_factory=list)
    areas: dict[str, int] = field(default_factory=dict)

    def found_in(self, content: bytes | str) -> set[str]:
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        return {hit for hit in _MARKERS.findall(text) if hit in self.planted}

    def newest(self, allowed: frozenset[str]) -> set[str]:
        """Those that stand now: what was corrected is told of in changes alone."""
        return {one for one in allowed if one not in self.corrected}

    corrected: set[str] = field(default_factory=set)


@contextmanager
def planted_world(cluster: Cluster, catalogue: Catalogue, home: Path, name: str) -> Iterator[World]:
    with sliced_hub(cluster, catalogue, home, name) as hub:
        world = World(hub, catalogue)
        with hub.worker.begin() as connection:
            codes = load_area_index(connection).codes
        world.areas = {HERE: codes[VILLAGE], THERE: codes[OTHER_VILLAGE]}
        world.areas |= {"town here": codes[f"{TOWN}000"], "town there": codes[f"{OTHER_TOWN}000"]}
        for record_type in catalogue.record_types.values():
            if record_type.enabled:
                _plant(world, record_type, Keyring.load(hub.settings.home))
        with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
            world.askers = list(_askers(connection, world))
        yield world


# ---- planting ----


def _plant(world: World, record_type: RecordType, keyring: Keyring) -> None:
    """One record here and one there; then one value of each is corrected."""
    rows = [_row(world, record_type, area, keyring) for area in (HERE, THERE)]
    _put(world, record_type, rows)
    changing = next((one for one in record_type.plain_fields if _may_change(one, record_type)), None)
    if changing is not None:
        for row, area in zip(rows, (HERE, THERE), strict=True):
            world.corrected.add(str(row[changing.name]))
            row[changing.name] = _marker(world, record_type, changing, area)
        _put(world, record_type, rows)
    person = f"{record_type.people[0].role}_ref, {record_type.people[0].role}_area"
    with world.hub.worker.begin() as connection:
        for who, area in run_sql(connection, f"SELECT {person} FROM {{d}}.rec_{record_type.code}"):
            world.persons[UUID(str(who))] = (record_type.code, HERE if area == world.areas[HERE] else THERE)


def _may_change(one: Field, record_type: RecordType) -> bool:
    return one.type in ("text", "name") and one.name not in record_type.natural_key and not one.part


def _row(world: World, record_type: RecordType, area: str, keyring: Keyring) -> dict[str, Any]:
    row: dict[str, Any] = {one.name: _marker(world, record_type, one, area) for one in record_type.plain_fields}
    sealed = {one.name: _marker(world, record_type, one, area) for one in record_type.clinical_fields}
    row |= {f"{role.role}_area": world.areas[area] for role in record_type.people}
    return row | {"sealed": "\\x" + keyring.seal([json.dumps(sealed).encode()])[0].hex()}


def _marker(world: World, record_type: RecordType, one: Field, area: str) -> str:
    number = len(world.planted)
    if one.type == "boolean":
        return "true"
    written = {
        "date": str(date(2101, 1, 1) + timedelta(number)),
        "datetime": f"{date(2201, 1, 1) + timedelta(number)}T10:00:00",
        "month": f"{2300 + number // 12 % 100}-{number % 12 + 1:02d}",
        "integer": str(7_700_000_000 + number),
        "decimal": str(8_800_000_000 + number),
    }.get("text" if one.clinical else one.type, f"ZQ{number:06d}KW")
    its = Place(record_type.code, one.name, area, one.clinical, kind_of(one) == "open")
    world.planted[written[:10]] = its
    return written


def _put(world: World, record_type: RecordType, rows: list[dict[str, Any]]) -> None:
    with world.hub.worker.begin() as connection:
        submission_id = stage(connection, record_type, rows)
        apply_staged(connection, submission_id, "origin", record_type, world.catalogue)
        number_changes(connection, submission_id)
        told = run_sql(connection, "SELECT outcome FROM {d}.difference WHERE submission_id = :id", id=submission_id)
    assert {outcome for (outcome,) in told} <= {"new", "update"} and len(told) == 2, (record_type.code, told)


# ---- who asks ----


def _askers(connection: Any, world: World) -> Iterator[Asker]:
    """Every kind in every scope it may have; of one's own area in every rotation, else by turns."""
    for at, kind in enumerate(KINDS):
        for turn, scope in enumerate(SCOPES[:1] if kind in ("town", "village") else SCOPES):
            for rotation in range(ROTATIONS) if scope == "own" else [(at + turn) % ROTATIONS]:
                yield _asker(connection, world, kind, scope, rotation)


def _asker(connection: Any, world: World, kind: str, scope: str, rotation: int) -> Asker:
    code = f"{kind}-{scope}-{rotation}"
    area = {"town": world.areas["town here"], "village": world.areas[HERE]}.get(kind)
    its = Organisation(code=code, district=world.hub.settings.district, name=code, kind=kind, area_id=area)  # type: ignore[arg-type]
    save_organisation(connection, SYSTEM_ACTOR, its)
    definition = definition_for(world, kind, scope, rotation)
    create_subscription(
        connection, SYSTEM_ACTOR, world.catalogue, code=code, organisation=code, title=code, definition=definition,
        terms=TERMS,
    )  # fmt: skip
    scopes = sorted({*rights_a_key_may_have(load_organisation(connection, code))})
    key = issue_key(connection, SYSTEM_ACTOR, organisation=code, title="矩阵", scopes=scopes).text
    rights = _OFFICER | _AT_HOME if area else _OFFICER
    return Asker(
        code=code, kind=kind, scope=scope, rotation=rotation, key={"Authorization": f"Bearer {key}"},
        actor=officer(code, kind, area, rights), definition=definition,
        allowed=allowed_to(world, kind, scope, rotation),
    )  # fmt: skip


def officer(code: str, kind: str, area: int | None = None, rights: frozenset[Right] = _OFFICER) -> Actor:
    return Actor(name="officer", organisation=code, kind=kind, door="panel", rights=rights, area_id=area)


def definition_for(world: World, kind: str, scope: str, rotation: int) -> SliceDefinition:
    types = [_slice_type(one, kind, rotation) for one in world.catalogue.record_types.values() if may_have(one, kind)]
    inside = {"own": world.areas[HERE if kind == "village" else "town here"], "other": world.areas["town there"]}
    return SliceDefinition(tuple(one for one in types if one.fields), (inside[scope],) if scope in inside else None)


def everything(world: World) -> SliceDefinition:
    """All that is kept, everywhere: nobody's to have."""
    types = (one for one in world.catalogue.record_types.values() if one.enabled)
    return SliceDefinition(tuple(SliceType(one.code, tuple(each.name for each in one.fields)) for one in types))


def _slice_type(record_type: RecordType, kind: str, rotation: int) -> SliceType:
    turns = {one.name: turn_of(record_type, one.name, rotation) for one in record_type.fields}
    clinical = {one.name for one in record_type.clinical_fields}
    asked = [name for name, turn in turns.items() if turn != 2 and (kind == "care" or name not in clinical)]
    masked = [name for name in asked if turns[name] == 1 and name not in clinical]
    return SliceType(record_type.code, tuple(asked), (), tuple(masked))


def turn_of(record_type: RecordType, name: str, rotation: int) -> int:
    return ([one.name for one in record_type.fields].index(name) + rotation) % ROTATIONS


# ---- the rules again, in plain words ----


def may_have(record_type: RecordType, kind: str) -> bool:
    if not record_type.enabled or record_type.sharing == "none":
        return False
    return kind == "care" or not (record_type.restricted or record_type.code in STRICT)


def allowed_to(world: World, kind: str, scope: str, rotation: int) -> frozenset[str]:
    where = {"own": {HERE}, "other": {THERE}, "whole": {HERE, THERE}}[scope]
    return frozenset(
        marker
        for marker, place in world.planted.items()
        if place.area in where and _may_read(world.catalogue.record_types[place.record_type], place, kind, rotation)
    )


def _may_read(record_type: RecordType, place: Place, kind: str, rotation: int) -> bool:
    turn = turn_of(record_type, place.field, rotation)
    if place.clinical:
        return kind == "care" and turn != 2
    return may_have(record_type, kind) and (turn == 0 or (turn == 1 and place.open))


def written(answer: Any) -> bytes:
    """What a function says, as a door would write it."""
    return msgspec.json.encode(answer)
