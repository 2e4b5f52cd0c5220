"""A receiver's copy of a whole slice with a few differences: what travels beside the copy's own JSON lines, and how long.

The hub is really served and the kit speaks HTTP to it; headers are counted. Planted: records lost, made up, changed, and
left behind when the feed went on. Told must be exactly those.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from adapters.client import HubClient
from adapters.copy_check import Differences, compare_copy, read_ndjson
from hub.app import create_app
from hub.database import new_uuid
from hub.exchange import pipeline
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext, snapshot
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.feed import FIELDS
from tests.benchmarks.floor import drain
from tests.benchmarks.ground import SUBSCRIBER, Register, ground, subscriber
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report
from tests.staged import stage

_CODE = "bench-copy"
_PLANTED = {"missing": 10, "surplus": 10, "changed": 9, "old": 8}
_SHARE = 0.02
_JSON = f"json_build_object({', '.join(f'{chr(39)}{name}{chr(39)}, r.{name}' for name in FIELDS)})"

Line = dict[str, Any]


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """One whole slice, one copy with 37 differences; then a faithful one."""
    with ground(catalogue) as laid, laid.register() as register:
        sent = people_file.file_of(report.rows, SEED)
        pipeline.run(register.worker, register.settings, register.send(sent), catalogue)
        _subscribe(register, catalogue)
        whole = laid.home / "whole.ndjson"
        _take_snapshot(register, catalogue, whole)
        copy, planted = _plant(whole, laid.home / "copy.ndjson")
        _go_on(register, catalogue, planted["old"])
        bare = min(drain(register, _bare(register)) for _ in range(repeats))
        with _served(register, catalogue) as hub:
            cursor = _cursor_at_head(hub, _closing(whole))
            travelled = _counted(hub)
            started = time.perf_counter()
            found = compare_copy(hub, _CODE, cursor, read_ndjson(copy))
            seconds = time.perf_counter() - started
        _require_planted(found, planted)
    _tell(report, found, sum(travelled.values()), copy.stat().st_size, seconds, bare)


def _tell(report: Report, found: Differences, travelled: int, size: int, seconds: float, bare: float) -> None:
    print(
        f"copy_check: {found.records:,} records, exactly {len(found)} differences; sent {found.sent_bytes:,} B, received"
        f" {found.received_bytes:,} B, with headers {travelled:,} B of {size:,} B NDJSON: {travelled / size:.3%}"
    )
    work = f"副本比对 {len(found)} differences"
    report.add(
        work=f"{work}, traffic",
        seconds=travelled / 1e6,
        floor="2 % of NDJSON",
        floor_seconds=_SHARE * size / 1e6,
        goal=1.0,
        unit="MB",
    )
    report.add(work=work, seconds=seconds, floor="json_build_object, COPY out", floor_seconds=bare)


# ---- the hub's side ----


def _subscribe(register: Register, catalogue: Catalogue) -> None:
    with register.app.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=_CODE, organisation=SUBSCRIBER, title="基准 benchmark",
            definition=SliceDefinition((SliceType(people_file.RECORD_TYPE, FIELDS),)),
            terms=Terms(purpose="基准测试 benchmark", legal_basis="基准测试 benchmark"),
        )  # fmt: skip


def _take_snapshot(register: Register, catalogue: Catalogue, file: Path) -> None:
    context = FeedContext(catalogue, Keyring.load(register.settings.home))
    with (
        register.app.begin(reach_of(subscriber()), isolation="REPEATABLE READ") as connection,
        file.open("w", encoding="utf-8") as lines,
    ):
        lines.writelines(snapshot(connection, subscriber(), context, _CODE))


def _bare(register: Register) -> str:
    """The slice, as a copy made anew would read it."""
    record = f"{register.settings.district}.rec_{people_file.RECORD_TYPE}"
    return (
        f"SELECT r.record_id, r.person_ref, r.version, r.source, r.disputed, {_JSON} FROM {record} r WHERE NOT r.voided"
    )


def _go_on(register: Register, catalogue: Catalogue, old: list[Line]) -> None:
    """The feed's next file: these people are told otherwise; the copy never hears of it."""
    record_type = catalogue.record_types[people_file.RECORD_TYPE]
    with register.worker.begin() as connection:
        areas = load_area_index(connection).codes
        rows = [{**one["after"], "reason": "投靠", "person_area": areas[one["after"]["live_div"]]} for one in old]
        submission_id = stage(connection, record_type, rows)
        apply_staged(connection, submission_id, people_file.SENDER, record_type, catalogue)
        number_changes(connection, submission_id)


@contextmanager
def _served(register: Register, catalogue: Catalogue) -> Iterator[HubClient]:
    """The web application on a free port, and the receiver's kit."""
    with register.app.begin(reach_of(SYSTEM_ACTOR)) as connection:
        scopes = ROLES["integrator"]
        key = issue_key(connection, SYSTEM_ACTOR, organisation=SUBSCRIBER, title="基准", scopes=scopes).text
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(register.settings, register.app, catalogue, Keyring.load(register.settings.home))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    client = HubClient(f"http://127.0.0.1:{listening.getsockname()[1]}", key, timeout=600)
    try:
        yield client
    finally:
        client.close()
        server.should_exit = True
        thread.join(20)


# ---- the receiver's side ----


def _plant(whole: Path, file: Path) -> tuple[Path, dict[str, list[Line]]]:
    """The copy, and what is wrong with it."""
    with whole.open(encoding="utf-8") as lines:
        count = sum(1 for _ in lines) - 1
    chosen = iter(random.Random(SEED).sample(range(count), sum(_PLANTED.values())))
    kinds = {next(chosen): kind for kind, wanted in _PLANTED.items() for _ in range(wanted)}
    planted: dict[str, list[Line]] = {kind: [] for kind in _PLANTED}
    with whole.open(encoding="utf-8") as lines, file.open("w", encoding="utf-8") as copy:
        for number, line in enumerate(lines):
            copy.writelines(
                _kept(line, kinds[number], planted) if number in kinds else [line] if number < count else []
            )
    return file, planted


def _kept(line: str, kind: str, planted: dict[str, list[Line]]) -> list[str]:
    record: Line = json.loads(line)
    held = [record]
    match kind:
        case "missing":
            held = []
        case "surplus":
            record = {**record, "record_id": str(new_uuid())}
            held.append(record)
        case "changed":
            held = [{**record, "after": {**record["after"], "hukou_addr": "别处"}}]
    planted[kind].append(record)
    return [json.dumps(each, ensure_ascii=False) + "\n" for each in held]


def _closing(whole: Path) -> str:
    with whole.open("rb") as file:
        file.seek(-2_048, 2)
        return str(json.loads(file.read().rstrip(b"\n").rpartition(b"\n")[2])["snapshot"]["next"])


class _Place:
    def __init__(self, cursor: str) -> None:
        self.cursor = cursor

    def load(self) -> str:
        return self.cursor

    def save(self, cursor: str) -> None:
        self.cursor = cursor


def _cursor_at_head(hub: HubClient, cursor: str) -> str:
    """It read on, and lost what it read."""
    place = _Place(cursor)
    for _ in hub.changes(_CODE, place):
        pass
    return place.cursor


def _counted(hub: HubClient) -> dict[str, int]:
    """Bytes both ways from here on, heads and bodies."""
    travelled = {"sent": 0, "received": 0}

    def sent(request: httpx.Request) -> None:
        travelled["sent"] += _head(request.headers) + int(request.headers.get("content-length", 0))

    def received(response: httpx.Response) -> None:
        travelled["received"] += _head(response.headers) + len(response.read())

    hub._http.event_hooks = {"request": [sent], "response": [received]}
    return travelled


def _head(headers: httpx.Headers) -> int:
    return 64 + sum(len(name) + len(value) + 4 for name, value in headers.raw)


def _require_planted(found: Differences, planted: dict[str, list[Line]]) -> None:
    told = {
        "missing": {one.record_id for one in found.missing},
        "surplus": {record_id for _, record_id in found.surplus},
        "different": {one.record.record_id for one in found.different},
    }
    wanted = {kind: {one["record_id"] for one in lines} for kind, lines in planted.items()}
    wanted["different"] = wanted.pop("changed") | wanted.pop("old")
    if told != wanted:
        raise SystemExit(f"not what was planted: { {kind: len(ids) for kind, ids in told.items()} }")
