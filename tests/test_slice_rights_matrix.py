"""Every kind of organisation × record type × field × area × door: what may not be had comes out nowhere, what may does.

Generated: every field of every record of a small district says something of its own, so that any byte that comes out
of any door tells where it is from.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from adapters.channels import webhook
from hub.channels.declarations import load_channels
from hub.channels.loop import Channels
from hub.channels.run import Tools
from hub.database import utc_now
from hub.embedded import Cluster
from hub.errors import BadRequest, HubError
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.people.purposes import checked_purpose
from hub.people.seeing import reader_of, see_records
from hub.people.timeline import read_timeline
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, Actor
from hub.registry.scope import open_slice, reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType, check_definition
from hub.sharing.certificates import issue_certificate
from hub.sharing.corrections_reading import read_corrections
from hub.sharing.disclosures import read_ledger
from hub.sharing.exports import Wish, make_export
from hub.sharing.preview import preview
from mappings.catalogue import Catalogue
from tests.slice_world import (
    HERE,
    Asker,
    World,
    everything,
    may_have,
    officer,
    planted_world,
    turn_of,
    written,
)
from tests.test_refusals import force

Door = Callable[[World, Asker, Path], "bytes | str"]
BUREAU = Actor(name="quju", organisation="bureau", kind="bureau", door="panel", rights=ROLES["bureau_operator"])
FORMS = ("ndjson", "csv", "xlsx")


@pytest.fixture(scope="module")
def world(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with planted_world(cluster, catalogue, tmp_path_factory.mktemp("slices"), "slice_matrix") as planted:
        yield planted


# ---- the doors ----


def changes(world: World, asker: Asker, folder: Path) -> str:
    with TestClient(world.hub.app) as client:
        return client.get(f"/v1/subscriptions/{asker.code}/changes?limit=5000", headers=asker.key).text


def snapshot(world: World, asker: Asker, folder: Path) -> str:
    with TestClient(world.hub.app) as client:
        return client.get(f"/v1/subscriptions/{asker.code}/snapshot", headers=asker.key).text


def export(world: World, asker: Asker, folder: Path) -> bytes:
    """The forms by turns; a workbook's cells as they are packed."""
    path = folder / f"{asker.code}.export"
    wish = Wish(form=FORMS[asker.rotation])  # type: ignore[arg-type]
    hub = world.hub
    make_export(hub.served, hub.settings, world.catalogue, keyring(world), asker.actor, asker.code, wish, path)
    content = path.read_bytes()
    if content[:2] != b"PK":
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as workbook:
        return b"".join(workbook.read(name) for name in workbook.namelist())


def out_folder(world: World, asker: Asker, folder: Path) -> bytes:
    """The files of the channel that an SFTP server hands out, and their names."""
    settings = world.hub.settings
    settings.channels.mkdir(parents=True, exist_ok=True)
    form = ("ndjson", "csv")[asker.rotation % 2]
    whose = f'organisation = "{asker.code}"\nsubscription = "{asker.code}"\n'
    lines = f'kind = "out_folder"\n{whose}format = "{form}"\nat = ["03:00"]\n'
    (settings.channels / f"{asker.code}.toml").write_text(lines, "utf-8")
    tools = Tools(database=world.hub.worker, settings=settings, catalogue=world.catalogue, keyring=keyring(world))
    channels = Channels(tools, load_channels(settings, world.catalogue))
    channels.run_once(asker.code)
    laid_down = sorted((settings.drops / asker.code / "out").glob("*"))
    return b"".join(path.name.encode() + path.read_bytes() for path in laid_down)


def announcement(world: World, asker: Asker, folder: Path) -> bytes:
    return webhook.reached("msg_1", asker.code, 4711, utc_now()).body


def certificate(world: World, asker: Asker, folder: Path) -> bytes:
    context = FeedContext(world.catalogue, keyring(world))
    with world.hub.served.begin(reach_of(asker.actor)) as connection:
        month = date.today().strftime("%Y-%m")
        return written(issue_certificate(connection, asker.actor, context, asker.code, month, "Asia/Shanghai"))


def copy_comparison(world: World, asker: Asker, folder: Path) -> str:
    """A copy that holds nothing is told every record of a few record types, in full."""
    told = []
    with TestClient(world.hub.app) as client:
        client.headers.update(asker.key)
        place = f"/v1/subscriptions/{asker.code}/copy-checks"
        cursor = client.get(f"/v1/subscriptions/{asker.code}/changes?limit=5000").json()["next"]
        begun = client.post(place, json={"cursor": cursor})
        check = begun.json()["check_id"]
        towns = client.post(f"{place}/{check}/totals", json={"record_types": {}})
        told += [begun.text, towns.text]
        for part, (code, differing) in enumerate(list(towns.json()["record_types"].items())[asker.rotation :: 6], 1):
            asked = {"part": part, "record_type": code, "buckets": 1, "cells": {"0": differing}, "rows": []}
            told.append(client.post(f"{place}/{check}/rows", json=asked).text)
    assert '"missing":[{' in "".join(told).replace(" ", "")
    return "".join(told)


def corrections(world: World, asker: Asker, folder: Path) -> bytes:
    with world.hub.served.begin(reach_of(asker.actor)) as connection:
        told = read_corrections(connection, asker.actor, world.catalogue, purpose="核对", everything=True)
    return written(told)


def people(world: World, asker: Asker, folder: Path) -> bytes:
    """Everybody's person page in one look, and the first two as the page itself."""
    with world.hub.served.begin(reach_of(asker.actor)) as connection:
        areas = load_area_index(connection)
        reader = reader_of(connection, asker.actor, world.catalogue, areas)
        seen = see_records(connection, reader, list(world.persons))
        told = [written([msgspec.structs.replace(one, areas=[]) for one in seen])]
        for person in list({person for one in seen for person in one.people.values()} & world.persons.keys())[:2]:
            purpose = checked_purpose(asker.actor, "verify", "核对人员信息")
            told.append(written(read_timeline(connection, asker.actor, world.catalogue, areas, person, purpose)))
    return b"".join(told)


def asked_preview(world: World, asker: Asker, folder: Path) -> bytes:
    with world.hub.served.begin(reach_of(asker.actor)) as connection:
        return written(preview(connection, world.catalogue, asker.definition, asker.code, asker.actor))


def keyring(world: World) -> Keyring:
    return Keyring.load(world.hub.settings.home)


# ---- what must come out, and what may ----


def all_of_it(world: World, asker: Asker) -> set[str]:
    return set(asker.allowed)


def as_it_stands(world: World, asker: Asker) -> set[str]:
    return world.newest(asker.allowed)


def nothing(world: World, asker: Asker) -> set[str]:
    return set()


def on_person_pages(world: World, asker: Asker) -> set[str]:
    """Unmasked fields that may leave care; a town or a village sees its own area's without a subscription."""
    known = world.catalogue.record_types
    if asker.kind in ("town", "village"):
        return {
            marker
            for marker, place in world.planted.items()
            if place.area == HERE and not place.clinical and may_have(known[place.record_type], "town")
            and known[place.record_type].people and marker not in world.corrected
        }  # fmt: skip
    return {
        marker
        for marker in world.newest(asker.allowed)
        for place in [world.planted[marker]]
        if turn_of(known[place.record_type], place.field, asker.rotation) == 0
        and not place.clinical and may_have(known[place.record_type], "department")
    }  # fmt: skip


DOORS: dict[str, tuple[Door, Callable[[World, Asker], set[str]], bool]] = {
    # what it says, what of it may come out, whether all of that must
    "changes": (changes, all_of_it, True),
    "snapshot": (snapshot, as_it_stands, True),
    "export": (export, as_it_stands, True),
    "out folder": (out_folder, all_of_it, True),
    "announcement": (announcement, nothing, True),
    "certificate": (certificate, nothing, True),
    "copy comparison": (copy_comparison, as_it_stands, False),
    "corrections": (corrections, nothing, True),
    "people": (people, on_person_pages, True),
    "preview": (asked_preview, nothing, True),
}
EVERY_TURN = {"changes", "snapshot", "announcement"}  # of the others: once in each kind and scope
ONCE_A_KIND = {"copy comparison", "corrections"}


def goes_through(asker: Asker, door: str) -> bool:
    """The slow doors are tried once by every kind, in its widest scope."""
    first = asker.scope != "own" or asker.rotation == 0
    widest = asker.scope == "whole" or asker.kind in ("town", "village")
    return door in EVERY_TURN or (first and (widest or door not in ONCE_A_KIND))


def examine(
    world: World, folder: Path, askers: list[Asker], doors: dict[str, Any] = DOORS
) -> tuple[int, list[str], list[str]]:
    """How many (organisation, record type, field, area, door) were looked at; leaks; what should be there and is not."""
    looked, leaks, missing = 0, [], []
    for asker in askers:
        for name, (door, allowed, whole) in doors.items():
            if not goes_through(asker, name):
                continue
            found, may = world.found_in(door(world, asker, folder)), allowed(world, asker)
            looked += len(world.planted)
            leaks += [f"{name} to {asker.code}: {world.planted[one]}" for one in sorted(found - may)]
            missing += [f"{name} to {asker.code}: {world.planted[one]}" for one in sorted(may - found) if whole]
            assert not may or found, (name, asker.code)
    return looked, leaks, missing


def test_no_definition_opens_what_is_closed_field_by_field(world: World) -> None:
    """Every kind × record type × field × own area, another, the whole district: allowed exactly by the rules."""
    asked = wrong = 0
    own = world.areas["town here"], world.areas[HERE]
    for kind in ("department", "care", "town", "village", "upper", "bureau", "information_centre"):
        mine = own if kind in ("town", "village") else None
        for record_type in world.catalogue.record_types.values():
            for field in record_type.fields:
                for scope in ((own[1],), (world.areas["town there"],), None):
                    definition = SliceDefinition((SliceType(record_type.code, (field.name,)),), scope)
                    expected = may_have(record_type, kind) and kind not in ("bureau", "information_centre")
                    expected = expected and (kind == "care" or not field.clinical) and (not mine or scope == (own[1],))
                    wrong += _is_allowed(definition, world.catalogue, kind, mine) != expected
                    asked += 1
    assert asked > 5_000
    assert wrong == 0


def _is_allowed(definition: SliceDefinition, catalogue: Catalogue, kind: str, own: tuple[int, ...] | None) -> bool:
    try:
        check_definition(definition, catalogue, kind, own)
    except BadRequest:
        raise
    except HubError:
        return False
    return True


def test_nothing_anybody_may_not_have_comes_out_of_any_door(world: World, tmp_path: Path) -> None:
    looked, leaks, missing = examine(world, tmp_path, world.askers)
    print(f"\nslice rights matrix: {looked} combinations")
    assert leaks == []
    assert missing == []
    assert looked > 50_000


def test_who_oversees_sees_no_clinical_value_and_no_record_of_care(world: World) -> None:
    with world.hub.served.begin(reach_of(BUREAU)) as connection:
        told = [
            written(preview(connection, world.catalogue, asker.definition, asker.code, BUREAU))
            for asker in world.askers
            if asker.scope == "whole" and asker.kind in ("department", "care")
        ]
        purpose = checked_purpose(BUREAU, "inquiry", "核对信息去向")
        told += [
            written(read_ledger(connection, BUREAU, world.catalogue, person, purpose))
            for person in list(world.persons)[::10]
        ]
    found = [world.planted[one] for content in told for one in world.found_in(content)]
    assert any(place.open for place in found)  # five records of each type are shown, veiled
    known = world.catalogue.record_types
    assert not [one for one in found if one.clinical or not may_have(known[one.record_type], "department")]
    assert not [one for one in found if not one.open]


def test_error_messages_say_nothing_that_is_kept(world: World, tmp_path: Path) -> None:
    """Another's subscription, a cursor of another's, and a definition written past every check."""
    department, other = world.askers[0], next(one for one in world.askers if one.kind == "town")
    with TestClient(world.hub.app) as client:
        wrong = [f"{other.code}/{place}" for place in ("changes", "snapshot", "changes?cursor=AAAA", "changes?limit=0")]
        cursor = client.get(f"/v1/subscriptions/{other.code}/changes", headers=other.key).json()["next"]
        wrong.append(f"{department.code}/changes?cursor={cursor}")
        told = [client.get(f"/v1/subscriptions/{place}", headers=department.key) for place in wrong]
    assert all(answer.status_code >= 400 for answer in told)
    assert not [answer for answer in told if world.found_in(answer.content)]
    assert forced(world, tmp_path, department) == forced(world, tmp_path, other) == set()


def forced(world: World, folder: Path, asker: Asker) -> set[str]:
    """What comes out where everything is in the definition, whatever refused it."""
    force(world.hub.worker, asker.code, everything(world))
    found: set[str] = set()
    try:
        for name in ("changes", "snapshot", "export", "certificate", "corrections", "preview"):
            try:
                found |= world.found_in(DOORS[name][0](world, asker, folder))
            except HubError as refused:
                found |= world.found_in(str(refused) + repr(refused.facts))
    finally:
        force(world.hub.worker, asker.code, asker.definition)
    return found


def test_with_the_floor_switched_off_the_matrix_finds_the_leaks(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rule in ("refuse_clinical", "refuse_closed_types", "refuse_foreign_areas"):
        monkeypatch.setattr(f"hub.registry.slice_definition.{rule}", lambda *given: None)
    monkeypatch.setattr(
        "hub.registry.subscriptions.open_slice",
        lambda connection, definition, kind: open_slice(connection, definition, "care"),
    )
    department, town = world.askers[0], next(one for one in world.askers if one.kind == "town")
    leaked = {world.planted[one] for one in forced(world, tmp_path, department) - department.allowed}
    assert {True, False} == {place.clinical for place in leaked} and len({place.record_type for place in leaked}) > 20
    assert {place.area for place in leaked} == {"here", "there"}
    assert any(world.planted[one].area != HERE for one in forced(world, tmp_path, town) - town.allowed)


def test_with_the_masks_off_the_matrix_finds_what_they_hid(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.exchange.slice_sql.masked_sql", lambda field, column: column)
    doors = {"snapshot": DOORS["snapshot"]}
    looked, leaks, missing = examine(world, tmp_path, world.askers[:3], doors)
    assert looked and len(leaks) > 300 and missing == []


def test_officers_of_the_matrix_hold_no_more_than_their_roles() -> None:
    rights = ROLES["integrator"] | ROLES["data_officer"] | ROLES["department_clerk"]
    assert officer("x", "department").rights <= rights
