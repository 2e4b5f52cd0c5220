"""A receiver compares its copy with its slice: it is told exactly what differs, of its own slice alone, and cheaply."""

from __future__ import annotations

import json
import random
import runpy
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from adapters import copy_digest
from adapters.client import Change, HubClient, HubProblem
from adapters.copy_check import Differences, HeldRecord, compare_copy
from hub.__main__ import app
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.settings import load_settings
from hub.sharing import copy_check, copy_check_sql
from hub.sharing.copy_check_notices import make_copy_check_notices
from mappings.catalogue import Catalogue
from tests.conftest import clone_template
from tests.doors import OTHER_VILLAGE, TOWN, VILLAGE, Hub, founded_hub, identity_number
from tests.staged import stage

FIELDS = ("name", "id_no", "sex", "live_div", "move_date", "reason")
NAMES = ("王小明", "欧阳\u20000\U00020000\U0002a6d6", '李"引\\号', "赵\t隔\x1f开", "")
EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "compare_a_copy.py"
PEOPLE, TOWN_ID = 200, 2
VILLAGES, AREA_IDS = (VILLAGE, OTHER_VILLAGE), (3, 6)


class Copy(dict[str, HeldRecord]):
    """A receiver's copy: record id to what it holds; ``apply`` is how it follows the feed."""

    cursor: str | None = None

    def load(self) -> str | None:
        return self.cursor

    def save(self, cursor: str) -> None:
        self.cursor = cursor

    def apply(self, change: Change) -> None:
        if change.op == "leave":
            self.pop(change.record_id, None)
            return
        self[change.record_id] = HeldRecord(
            record_type=change.record_type, record_id=change.record_id, version=change.version, fields=change.after or {},
            person_id=change.person_id, disputed=change.disputed,
        )  # fmt: skip


@dataclass
class Ground:
    hub: Hub
    catalogue: Catalogue
    client: TestClient[Any]
    first: Copy  # what a receiver held before the second file

    def receiver(self, organisation: str) -> HubClient:
        """The kit, speaking to the application itself."""
        client = HubClient("http://hub", self.hub.keys[organisation])
        client.close()
        client._http = self.client
        return client

    def subscribe(self, code: str, *types: SliceType, organisation: str = "labour", areas: Any = None) -> None:
        with self.hub.worker.begin() as connection:
            create_subscription(
                connection, SYSTEM_ACTOR, self.catalogue, code=code, organisation=organisation, title=code,
                definition=SliceDefinition(types, areas), terms=Terms(purpose="核对", legal_basis="条例"),
            )  # fmt: skip

    def send(
        self, rows: list[dict[str, Any]], record_type: str = "hukou_move_in", source: str = "public_security"
    ) -> None:
        its = self.catalogue.record_types[record_type]
        with self.hub.worker.begin() as connection:
            submission_id = stage(connection, its, rows)
            apply_staged(connection, submission_id, source, its, self.catalogue)
            number_changes(connection, submission_id)

    def followed(self, code: str, organisation: str = "labour") -> Copy:
        """A faithful copy: every page of the feed, applied."""
        copy = Copy()
        for page in self.receiver(organisation).changes(code, copy):
            for change in page.changes:
                copy.apply(change)
        return copy

    def compare(self, code: str, copy: Copy, organisation: str = "labour") -> Differences:
        return compare_copy(self.receiver(organisation), code, copy.cursor, list(copy.values()))


@pytest.fixture(scope="module")
def ground(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    clone_template(cluster, "copies")
    urls = cluster.urls("copies")
    settings = load_settings(
        tmp_path_factory.mktemp("copies"), database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker,
        fictitious_prefixes=("999001",), demo=True, requests_per_minute=100_000,
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub, TestClient(hub.app) as client:
        ground = Ground(hub, catalogue, client, Copy())
        ground.subscribe("moves", SliceType("hukou_move_in", FIELDS))
        ground.subscribe("town", SliceType("hukou_move_in", FIELDS), areas=(TOWN_ID,))
        ground.subscribe(
            "masked",
            SliceType("hukou_move_in", FIELDS, (Condition("sex", "in", ("1",)),), masked=("name", "id_no", "live_div")),
        )
        ground.send([moved(number) for number in range(PEOPLE)])
        ground.first = ground.followed("moves")
        ground.send([moved(number, reason="投靠") for number in range(0, PEOPLE, 5)])
        yield ground
    worker.close()
    served.close()


def moved(number: int, **changes: Any) -> dict[str, Any]:
    """Somebody who moved in: names and places take turns."""
    row = {
        "name": NAMES[number % 5] or None, "id_no": identity_number(number), "sex": "12"[number % 2],
        "live_div": VILLAGES[number % 2], "move_date": "2026-11-01", "reason": None if number % 3 else "",
        "person_area": AREA_IDS[number % 2],
    }  # fmt: skip
    return row | changes


# ---- exactly what differs ----


def test_a_faithful_copy_is_the_slice(ground: Ground) -> None:
    for code, records in (("moves", PEOPLE), ("town", PEOPLE // 2), ("masked", PEOPLE // 2)):
        copy = ground.followed(code)
        found = ground.compare(code, copy)
        assert (len(copy), found.records, len(found), found.moved) == (records, records, 0, 0)


def plant(rng: random.Random, ground: Ground, faithful: Copy, fields: tuple[str, ...] = FIELDS) -> Copy:
    """The copy after an accident: records lost, made up, changed, moved to another town, left behind."""
    copy = Copy(faithful)
    copy.cursor = faithful.cursor
    for record_id in rng.sample(sorted(copy), rng.randrange(0, min(12, len(copy)))):
        match rng.choice(("missing", "surplus", "changed", "moved", "old", "person", "mark")):
            case "missing":
                del copy[record_id]
            case "surplus":
                made_up = str(new_uuid())
                copy[made_up] = msgspec.structs.replace(copy[record_id], record_id=made_up)
            case "changed":
                copy[record_id] = changed(copy[record_id], rng.choice(fields), rng.choice((None, "", "别的\U00020000")))
            case "moved":
                copy[record_id] = changed(copy[record_id], "live_div", rng.choice((*VILLAGES, "999001999999", None)))
            case "old":
                copy[record_id] = ground.first.get(record_id, copy[record_id])
            case "person":
                copy[record_id] = msgspec.structs.replace(copy[record_id], person_id=str(new_uuid()))
            case "mark":
                copy[record_id] = msgspec.structs.replace(copy[record_id], disputed=True)
    return copy


def changed(held: HeldRecord, field: str, value: str | None) -> HeldRecord:
    return msgspec.structs.replace(held, fields={**held.fields, field: value})


def said(held: HeldRecord) -> tuple[Any, ...]:
    """What counts of a record: all but version and source, in which a faithful copy may lag."""
    return held.record_type, held.person_id, held.disputed, dict(held.fields)


def require_exactly(found: Differences, copy: Copy, faithful: Copy) -> None:
    """By brute force."""
    both = copy.keys() & faithful.keys()
    assert {one.record_id for one in found.missing} == faithful.keys() - copy.keys()
    assert {record_id for _, record_id in found.surplus} == copy.keys() - faithful.keys()
    different = {record_id for record_id in both if said(copy[record_id]) != said(faithful[record_id])}
    assert {one.record.record_id: one.held_version for one in found.different} == {
        record_id: copy[record_id].version for record_id in different
    }


@pytest.mark.parametrize("seed", range(12))
def test_exactly_what_was_planted_is_told_and_repaired(ground: Ground, seed: int) -> None:
    code = ("moves", "moves", "town", "masked")[seed % 4]
    faithful = ground.followed(code)
    copy = plant(random.Random(seed), ground, faithful)
    found = ground.compare(code, copy)
    require_exactly(found, copy, faithful)
    for _ in range(2):  # twice does no harm
        found.repair(copy.apply)
        assert {name: said(one) for name, one in copy.items()} == {name: said(one) for name, one in faithful.items()}


def test_a_digest_that_leaves_a_field_out_is_found_out(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides, so that they agree: what was changed in that field is not told, and the brute force says so."""
    real = copy_digest.canonical_text
    monkeypatch.setattr(copy_check_sql, "plain_names", lambda one, its: [name for name in one.fields if name != "sex"])
    monkeypatch.setattr(
        copy_digest, "canonical_text",
        lambda *row: real(row[0], row[1], row[2], row[3], {k: v for k, v in row[4].items() if k != "sex"}),
    )  # fmt: skip
    faithful = ground.followed("moves")
    copy = Copy(faithful)
    copy.cursor = faithful.cursor
    record_id = min(copy)
    copy[record_id] = changed(copy[record_id], "sex", "9")
    found = ground.compare("moves", copy)
    assert len(found) == 0
    with pytest.raises(AssertionError):
        require_exactly(found, copy, faithful)


def test_an_empty_copy_and_one_of_nothing_but_strangers(ground: Ground) -> None:
    empty = Copy()
    empty.cursor = ground.followed("town").cursor
    found = ground.compare("town", empty)
    assert (len(found.missing), len(found)) == (PEOPLE // 2, PEOPLE // 2)
    strangers = Copy({(name := str(new_uuid())): HeldRecord(
        record_type="hukou_move_in", record_id=name, version=1, fields=dict.fromkeys(FIELDS, "x")
    ) for _ in range(30)})  # fmt: skip
    strangers.cursor = empty.cursor
    assert len(ground.compare("town", strangers)) == PEOPLE // 2 + 30


# ---- a feed that goes on ----


class Busy(HubClient):
    """Between any two steps of the comparison the hub takes another file."""

    act: Any = None

    def post(self, path: str, body: bytes) -> bytes:
        told = super().post(path, body)
        self.act()
        return told


def test_a_receiver_of_a_busy_feed_finishes_and_is_told_what_it_lacked(ground: Ground) -> None:
    faithful = ground.followed("moves")
    copy = Copy(faithful)
    copy.cursor = faithful.cursor
    lost, overtaken = sorted(copy)[:2]
    del copy[lost], copy[overtaken]
    busy, numbers = ground.receiver("labour"), iter(range(300, 900))
    busy.__class__ = Busy
    serial = int(str(faithful[overtaken].fields["id_no"])[14:17])

    def act() -> None:
        number = next(numbers)
        ground.send([moved(number), moved(serial, reason=f"第{number}次")])

    busy.act = act  # type: ignore[attr-defined]
    found = compare_copy(busy, "moves", copy.cursor, list(copy.values()))
    assert ([one.record_id for one in found.missing], len(found), found.moved) == ([lost], 1, 1)


def test_what_a_receiver_took_in_behind_its_cursor_is_not_held_against_it(ground: Ground) -> None:
    before = ground.followed("moves")
    ground.send([moved(910), moved(1, reason="后来"), moved(3, live_div=VILLAGES[0], person_area=AREA_IDS[0])])
    after = ground.followed("moves")
    after.cursor = before.cursor
    found = ground.compare("moves", after)
    assert (len(found), found.moved) == (0, 3)


# ---- whose slice ----


def problem_of(act: Any) -> str:
    with pytest.raises(HubProblem) as refused:
        act()
    return refused.value.type.rpartition(":")[2]


def test_anothers_subscription_or_comparison_does_not_exist(ground: Ground) -> None:
    police, labour = ground.receiver("public_security"), ground.receiver("labour")
    assert problem_of(lambda: compare_copy(police, "moves", None, [])) == "not-found"
    begun = json.loads(labour.post("/v1/subscriptions/moves/copy-checks", b"{}"))
    path = f"/v1/subscriptions/{{}}/copy-checks/{begun['check_id']}/end"
    assert problem_of(lambda: police.post(path.format("moves"), b"{}")) == "not-found"
    assert problem_of(lambda: labour.post(path.format("town"), b"{}")) == "not-found"
    labour.post(path.format("moves"), b"{}")
    assert problem_of(lambda: labour.post(path.format("moves"), b"{}")) == "copy-check-stale"


def test_a_copy_that_differs_in_too_much_is_taken_anew(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_check, "MOST_REPAIRED", 30)
    faithful = ground.followed("moves")
    empty, strangers = Copy(), Copy(faithful)
    for record_id in sorted(faithful)[:31]:
        strangers[record_id] = changed(faithful[record_id], "name", "别人")
    for copy in (empty, strangers):
        copy.cursor = faithful.cursor
        assert problem_of(lambda copy=copy: ground.compare("moves", copy)) == "copy-too-different"


def ask(ground: Ground, code: str, step: str, **said: Any) -> Any:
    """One step of a comparison of its own, by hand."""
    labour = ground.receiver("labour")
    base = f"/v1/subscriptions/{code}/copy-checks"
    begun = json.loads(labour.post(base, json.dumps({"cursor": ground.followed(code).cursor}).encode()))
    return json.loads(labour.post(f"{base}/{begun['check_id']}/{step}", json.dumps(said).encode()))


def test_a_receiver_that_lies_learns_nothing_from_outside_its_slice(ground: Ground) -> None:
    """Ids of another town's records are answered as ids nobody has: surplus, and not one value of them."""
    own, everybody = ground.followed("town"), ground.followed("moves")
    foreign = sorted(everybody.keys() - own.keys())[:20]
    names = [*foreign, *(str(new_uuid()) for _ in range(20))]
    rows = [[name, 1, "A" * 22] for name in names]
    towns = [TOWN, everybody[foreign[0]].fields["live_div"][:9], ""]
    found = ask(ground, "town", "rows", part=1, record_type="hukou_move_in", buckets=1, cells={"0": towns}, rows=rows)
    assert sorted(found["surplus"]) == sorted(names)
    assert {one["record_id"] for one in found["missing"]} == own.keys()
    assert found["different"] == []


def test_a_part_sent_again_is_told_again_but_nothing_else_under_its_number(ground: Ground) -> None:
    labour, base = ground.receiver("labour"), "/v1/subscriptions/moves/copy-checks"
    cursor = ground.followed("moves").cursor
    check = json.loads(labour.post(base, json.dumps({"cursor": cursor}).encode()))["check_id"]
    shape = {"part": 1, "record_type": "hukou_move_in", "buckets": 8, "rows": []}
    first = json.dumps({**shape, "cells": {"1": [TOWN]}}).encode()
    told = labour.post(f"{base}/{check}/rows", first)
    assert labour.post(f"{base}/{check}/rows", first) == told
    other = json.dumps({**shape, "cells": {"2": [TOWN]}}).encode()
    assert problem_of(lambda: labour.post(f"{base}/{check}/rows", other)) == "copy-check-stale"
    with ground.hub.worker.begin() as connection:
        kept = run_sql(connection, "SELECT missing, repaired FROM {d}.copy_check WHERE check_id = :id", id=check)[0]
    missing = {one["record_id"] for one in json.loads(told)["missing"]}
    assert missing and (kept[0], set(map(str, kept[1]))) == (len(missing), missing)  # type: ignore[call-overload]


def test_a_care_copy_is_compared_with_its_clinical_fields(ground: Ground) -> None:
    """Sealed anew each time, and opened for the comparison: by the door that care comes through."""
    with ground.hub.served.begin() as connection:
        key = issue_key(connection, SYSTEM_ACTOR, organisation="mch_station", title="接口", scopes=ROLES["integrator"])
    ground.hub.keys["mch_station"] = key.text
    seal = Keyring.load(ground.hub.settings.home).seal
    visits = [
        {"woman_id_no": identity_number(number), "visit_date": "2026-10-01", "kind": "1", "woman_area": AREA_IDS[0],
         "sealed": "\\x" + seal([json.dumps({"findings": f"所见{number}", "advice": None}).encode()])[0].hex()}
        for number in range(1, 9)
    ]  # fmt: skip
    ground.send(visits, "postnatal_visit", "mch_station")
    fields = ("woman_id_no", "findings", "advice")
    ground.subscribe("visits", SliceType("postnatal_visit", fields), organisation="mch_station")
    faithful = ground.followed("visits", "mch_station")
    copy = plant(random.Random(1), ground, faithful, ("findings", "advice"))
    require_exactly(ground.compare("visits", copy, "mch_station"), copy, faithful)
    assert (
        len(ground.compare("visits", faithful, "mch_station")) == 0 < len(ground.compare("visits", copy, "mch_station"))
    )
    assert {one.fields["findings"] for one in faithful.values()} == {f"所见{number}" for number in range(1, 9)}


# ---- who is told ----


def test_receiver_and_bureau_are_told_once_that_a_copy_differs(ground: Ground) -> None:
    faithful = ground.followed("town")
    copy = Copy(faithful)
    copy.cursor = faithful.cursor
    del copy[min(copy)]
    with ground.hub.worker.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.copy_check")
    ground.compare("town", faithful)
    ground.compare("town", copy)
    with ground.hub.worker.begin() as connection:
        made = [make_copy_check_notices(connection, ground.hub.settings, SYSTEM_ACTOR, utc_now()) for _ in range(2)]
        told = run_sql(connection, "SELECT organisation, kind, facts FROM {d}.notice WHERE about LIKE 'copy-check/%'")
        kept = run_sql(connection, "SELECT missing, surplus, different, finished FROM {d}.copy_check ORDER BY begun_at")
        noted = run_sql(
            connection, "SELECT facts->>'repaired' FROM {d}.audit WHERE facts ? 'repaired' ORDER BY at DESC"
        )
    assert made == [2, 0]
    facts = {"items": 1, "number": "town"}
    assert sorted(told) == [("bureau", "copies_differ", facts), ("labour", "copy_differs", facts)]
    assert (kept, noted[0]) == ([(0, 0, 0, True), (1, 0, 0, True)], ("1",))


# ---- the kit ----


def test_the_example_keeps_a_copy_and_repairs_it(ground: Ground, tmp_path: Path) -> None:
    example = runpy.run_path(str(EXAMPLE))
    file, hub = tmp_path / "copy.db", ground.receiver("labour")
    assert example["main"](hub, "moves", str(file)) == 0
    with sqlite3.connect(file) as kept:
        kept.execute("DELETE FROM record WHERE id IN (SELECT id FROM record LIMIT 3)")
    kept.close()
    assert [example["main"](hub, "moves", str(file)) for _ in range(2)] == [3, 0]


def test_the_command_compares_a_snapshot_in_a_file(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.subscribe("filed", SliceType("hukou_move_in", FIELDS))
    hub, file, repair = ground.receiver("labour"), tmp_path / "copy.ndjson", tmp_path / "repair.ndjson"
    file.write_text(ground.client.get("/v1/subscriptions/filed/snapshot", headers=ground.hub.key_of("labour")).text)
    monkeypatch.setattr("adapters.client.HubClient", lambda *given, **named: hub)
    monkeypatch.setattr(hub, "close", lambda: None)
    asked = ["copy-check", "filed", "--copy", str(file), "--url", "http://hub", "--key", "x", "--json"]
    same = CliRunner().invoke(app, asked)
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[1:]))
    differs = CliRunner().invoke(app, [*asked, "-o", str(repair)])
    assert (same.exit_code, differs.exit_code, json.loads(differs.stdout)["missing"]) == (0, 1, 1), same.output
    assert json.loads(repair.read_text())["record_id"] == json.loads(lines[0])["record_id"]


MALFORMED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("totals", {"record_types": {"hukou_move_in": [8, {TOWN: [1, "short"]}]}}),
    ("totals", {"record_types": {"hukou_move_in": {"buckets": 0, "towns": {}}}}),
    ("cells", {"record_type": "hukou_move_in", "buckets": 8, "towns": {"a\u0000b": {}}}),
    ("totals", {"record_types": {"marriage": [8, {}]}}),
    ("cells", {"record_type": "marriage", "buckets": 8, "towns": {}}),
    ("rows", {"part": 1, "record_type": "hukou_move_in", "buckets": 8, "cells": {}, "rows": [["x", 1, "A" * 22]]}),
    ("rows", {"part": 1, "record_type": "hukou_move_in", "buckets": 8, "cells": {},
              "rows": [[str(new_uuid()), 1, "A" * 22]]}),
)  # fmt: skip


def test_what_is_malformed_is_refused_with_a_sentence(ground: Ground) -> None:
    for step, sent in MALFORMED:
        assert problem_of(lambda step=step, sent=sent: ask(ground, "moves", step, **sent)) == "bad-request", (
            step,
            sent,
        )
