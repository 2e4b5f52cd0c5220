"""Thirty readers draw the same log to its end over HTTP, prove every page and acknowledge it; then the gap must be 0.

The hub is really served, on a socket of this machine; one reader after the other, so that every second is somebody's.
The floor writes the same changes with the same JSON by one COPY a reader, without rights, pages, numbers or proof.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import uvicorn
from sqlalchemy import Connection

from hub import audit
from hub.app import create_app
from hub.database import Database, run_sql, utc_now
from hub.exchange import deliver, slices
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.api_keys import issue_key
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, SYSTEM_ACTOR
from hub.registry.scope import reach_of
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.sharing.certificates import issue_certificate
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.feed import FIELDS
from tests.benchmarks.floor import drain
from tests.benchmarks.ground import SUBSCRIBER, Register, ground
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report
from tests.benchmarks.stopwatch import Stopwatch
from tests.staged import stage

READERS, FEW, _SMALL = 30, 4, 10_000
PAGES = (1_000, 5_000)
_TOLD = ("reason", "live_div")
_MEN = (Condition("sex", "in", ("1",)),)
_GOAL = 4.0
_RECORDS = f"rec_{people_file.RECORD_TYPE}"
STAGES = (
    (slices, "open_subscription", "打开订阅 opened: rights, definition"),
    (slices, "page_digest", "摘要 digest"),
    (slices, "read_log", "读 read: one statement"),
    (slices, "keep_range", "编号留底 numbered, kept"),
    (slices, "note_fetched", "取回标记 noted as fetched"),
    (deliver, "acknowledge", "签收 acknowledged"),
    (audit, "record", "审计 audit lines"),
)


class Reader(msgspec.Struct):
    """A subscription, what its programme shows, and how many changes it has had."""

    code: str
    definition: SliceDefinition
    key: str = ""
    changes: int = 0


class Run(msgspec.Struct):
    """Everybody with one size of page."""

    limit: int
    readers: list[Reader]
    watch: Stopwatch
    seconds: float = 0.0


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """All of the log for everybody, with each size of page by readers of its own; each after its turn of the floor."""
    small = report.rows < _SMALL
    sizes, count = (PAGES[:1], FEW) if small else (PAGES, READERS)
    with ground(catalogue) as laid, laid.register() as register:
        _fill_log(register, catalogue, report.rows)
        runs = [Run(limit, _subscribe(register, catalogue, count, f"bench-{limit}"), Stopwatch()) for limit in sizes]
        with _served(register, catalogue) as address:
            floor = sum(_take_turn(register, address, runs, at) for at in range(count))
        for run in runs:
            _require_closed(register, catalogue, run.readers, report.rows)
            _tell(report, run, floor)


def _take_turn(register: Register, address: str, runs: list[Run], at: int) -> float:
    """The floor of one reader, then this reader with each size of page: what else the machine does meets them alike."""
    floor = drain(register, _bare(register.settings.district, runs[0].readers[at].definition))
    for run in runs:
        with _parts(register, run.watch):
            started = time.perf_counter()
            _draw(address, run.readers[at], run.limit, run.watch)
            run.seconds += time.perf_counter() - started
    return floor


def _tell(report: Report, run: Run, floor: float) -> None:
    readers, count = len(run.readers), sum(one.changes for one in run.readers)
    work = f"下发 {readers} readers of {report.rows:,}: {count:,} changes, pages of {run.limit:,}"
    goal = _GOAL if readers == READERS else None
    report.add(work=work, seconds=run.seconds, floor=f"{readers} COPY, same JSON join", floor_seconds=floor, goal=goal)
    report.stages[work] = dict(sorted(run.watch.seconds.items(), key=lambda one: -one[1]))


# ---- the log and its readers ----


def _fill_log(register: Register, catalogue: Catalogue, rows: int) -> None:
    """Seven in ten are new; of the rest one half is told otherwise, the other goes to another village."""
    known = rows * 7 // 10
    people = people_file.people(0, known, SEED).to_dicts()
    villages = [each.code for each in people_file.areas() if each.kind == "village"]
    told = [one | {"reason": "投靠"} for one in people[: (rows - known) // 2]]
    following = dict(zip(villages, villages[1:] + villages[:1], strict=True))
    gone = [one | {"live_div": following[one["live_div"]]} for one in people[len(told) : rows - known]]
    with register.worker.begin() as connection:
        _apply(connection, catalogue, people)
    with register.worker.begin() as connection:
        _apply(connection, catalogue, told + gone)
    owner = Database(register.urls.owner, register.settings.district)
    with owner.begin() as connection:
        run_sql(connection, "ANALYZE")
    owner.close()


def _apply(connection: Connection, catalogue: Catalogue, people: list[dict[str, Any]]) -> None:
    record_type, areas = catalogue.record_types[people_file.RECORD_TYPE], load_area_index(connection).codes
    placed = [
        one | {"sex": "1" if one["sex"] == "男" else "2", "person_area": areas[one["live_div"]]} for one in people
    ]
    submission_id = stage(connection, record_type, placed)
    apply_staged(connection, submission_id, people_file.SENDER, record_type, catalogue)
    number_changes(connection, submission_id)


def _subscribe(register: Register, catalogue: Catalogue, count: int, named: str) -> list[Reader]:
    with register.app.begin(reach_of(SYSTEM_ACTOR)) as connection:
        towns = [load_area_index(connection).codes[each.code] for each in people_file.areas() if each.kind == "town"]
        readers = [Reader(f"{named}-{at}", _definition(at, towns)) for at in range(count)]
        for one in readers:
            terms = Terms(purpose="基准测试 benchmark", legal_basis="基准测试 benchmark")
            create_subscription(
                connection, SYSTEM_ACTOR, catalogue, code=one.code, organisation=SUBSCRIBER, title=one.code,
                definition=one.definition, terms=terms,
            )  # fmt: skip
            one.key = issue_key(
                connection, SYSTEM_ACTOR, organisation=SUBSCRIBER, title=one.code, scopes=ROLES["integrator"]
            ).text
    return readers


def _definition(at: int, towns: list[int]) -> SliceDefinition:
    """By turns: the whole district with more or fewer fields, some towns, the men, a masked number."""
    fields = (*_TOLD, *[name for name in FIELDS if name not in _TOLD][: 2 + at % 5])
    kind, areas = at % 4, tuple(towns[at % 5 : at % 5 + 1 + at % 6])
    its = SliceType(people_file.RECORD_TYPE, fields, _MEN if kind == 2 else (), ("id_no",) if kind == 3 else ())
    return SliceDefinition((its,), areas if kind == 1 else None)


# ---- the readers' side ----


@contextmanager
def _served(register: Register, catalogue: Catalogue) -> Iterator[str]:
    """The web application on a free port of this machine."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio holds packets
    listening.bind(("127.0.0.1", 0))
    app = create_app(register.settings, register.app, catalogue, Keyring.load(register.settings.home))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def _parts(register: Register, watch: Stopwatch) -> Iterator[None]:
    """What each part of a page takes; only one reader asks at a time, so nothing is counted twice."""
    undo = [watch.watch(owner, name, part) for owner, name, part in STAGES]
    undo.append(watch.watch(register.app.engine.dialect, "do_commit", "提交 commits"))
    try:
        yield
    finally:
        for each in undo:
            each()


def _draw(address: str, reader: Reader, limit: int, watch: Stopwatch) -> None:
    """Every page to the log's end, each proved by its own bytes, then acknowledged."""
    headers = {"Authorization": f"Bearer {reader.key}"}
    asked, more = {"limit": str(limit)}, True
    with httpx.Client(base_url=f"{address}/v1/subscriptions/{reader.code}", headers=headers, timeout=600) as hub:
        while more:
            with watch.span("HTTP"):
                body = hub.get("/changes", params=asked).raise_for_status().content
            with watch.span("读者验证 the reader's proof"):
                meta, following = _prove(body)
            asked, more, reader.changes = {**asked, "cursor": following}, meta["more"], reader.changes + meta["count"]
            if meta["count"]:
                said = {"to_delivery_no": meta["first_delivery_no"] + meta["count"] - 1, "digest": meta["digest"]}
                with watch.span("HTTP (签收 acks)"):
                    told = hub.post("/acks", json=said).raise_for_status().json()
                if not told["matches"]:
                    raise SystemExit(f"{reader.code}: {said} was not taken")


def _prove(body: bytes) -> tuple[dict[str, Any], str]:
    """The envelope, once the digest it names is that of the changes as they came."""
    changes, _, rest = body.removeprefix(b'{"data":[').rpartition(b'],"next":')
    closing = msgspec.json.decode(b'{"next":' + rest)
    if closing["meta"]["digest"] != hashlib.sha256(changes).hexdigest():
        raise SystemExit("a page is not what its digest says")
    return closing["meta"], closing["next"]


def _require_closed(register: Register, catalogue: Catalogue, readers: list[Reader], rows: int) -> None:
    context = FeedContext(catalogue, Keyring.load(register.settings.home))
    month, zone = utc_now().strftime("%Y-%m"), "UTC"
    with register.worker.begin() as connection:
        head = run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0]
        issued = [issue_certificate(connection, SYSTEM_ACTOR, context, one.code, month, zone) for one in readers]
    kept = [(one.gap, one.acknowledged) for one in issued]
    if head != rows or kept != [(0, one.changes) for one in readers]:
        raise SystemExit(f"head {head}; gaps and acknowledged: {kept}, drawn: {[one.changes for one in readers]}")


# ---- the floor ----


def _bare(district: str, definition: SliceDefinition) -> str:
    """One pass over the log with the version before and the one after, as JSON."""
    one = definition.record_types[0]
    versions = f"(SELECT * FROM {district}.{_RECORDS} UNION ALL SELECT * FROM {district}.{_RECORDS}_history)"
    sides = {
        side: f"json_build_object({', '.join(f'{chr(39)}{name}{chr(39)}, {side}.{name}' for name in one.fields)})"
        for side in "ab"
    }
    areas = list(definition.areas or ())
    routed = f"(l.areas_before && ARRAY{areas} OR l.areas_after && ARRAY{areas})" if areas else "true"
    men = "(a.sex = '1' OR b.sex = '1')" if one.conditions else "true"
    return (
        "SELECT json_build_object('seq', l.seq, 'delivery_no', l.seq, 'op', l.op, 'record_type', l.record_type,"
        " 'record_id', l.record_id, 'person_id', a.person_ref, 'version', l.version, 'recorded_at', l.recorded_at,"
        f" 'before', CASE WHEN b.record_id IS NOT NULL THEN {sides['b']} END, 'after', {sides['a']},"
        f" 'source', a.source, 'disputed', a.disputed) FROM {district}.change_log l"
        f" JOIN {versions} a ON a.record_id = l.record_id AND a.version = l.version"
        f" LEFT JOIN {versions} b ON b.record_id = l.record_id AND b.version = l.version - 1"
        f" WHERE {routed} AND {men} ORDER BY l.seq"
    )
