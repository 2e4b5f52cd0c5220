"""What being accountable costs: an audited lookup against a plain one, and a long audit sealed, exported, verified."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection, text

from hub import audit
from hub.database import Database, driver, new_uuid, run_sql, utc_now
from hub.exchange import pipeline
from hub.exchange.change_list import find_change
from hub.exchange.unmasking import unmask_change
from hub.keyring import Keyring
from hub.operations.audit_keeping import export_audit
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import Scope, reach_of, scope_for
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.ground import Register, ground, libpq
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report

_TABLE = f"rec_{people_file.RECORD_TYPE}"
_LOADED, _LOOKUPS = 20_000, 300
_PLAIN = (
    "CREATE TABLE {d}.plain_note (note_id uuid PRIMARY KEY, at timestamptz, who text, object text);"
    " GRANT INSERT ON {d}.plain_note TO hub_worker"
)
_COLUMNS = "audit_id, at, actor, organisation, door, act, object, outcome, facts, address, mac"

Reading = Callable[[Connection, UUID], object]  # one record, or None
LookUp = Callable[[UUID], None]


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    with ground(catalogue) as laid:
        with laid.register() as register, marking(register) as (served, worker):
            _measure_lookups(report, register, served, worker, catalogue)
        with laid.register() as register, marking(register) as (_, worker):
            _measure_long_audit(report, register, worker)


@contextmanager
def marking(register: Register) -> Iterator[tuple[Database, Database]]:
    """The web door's database and the worker's, as the hub itself opens them: their audit lines carry its mark."""
    key = Keyring.load(register.settings.home).audit_key
    opened = [
        Database(url, register.settings.district, audit_key=key) for url in (register.urls.app, register.urls.worker)
    ]
    try:
        yield opened[0], opened[1]
    finally:
        for each in opened:
            each.close()


# ---- one lookup ----


def _measure_lookups(
    report: Report, register: Register, served: Database, worker: Database, catalogue: Catalogue
) -> None:
    """One record of a town's own area: by the hub, and by the same query beside a one-row insert."""
    path = people_file.file_of(min(report.rows, _LOADED), SEED)
    pipeline.run(register.worker, register.settings, register.send(path), catalogue)
    with psycopg.connect(libpq(register.urls.owner), autocommit=True) as owner:
        owner.execute(_PLAIN.format(d=register.settings.district).encode())
    with worker.begin() as connection:
        scope = _town(connection)
        query = f"SELECT record_id FROM {{d}}.{_TABLE} WHERE areas && CAST(:own AS integer[])"
        records = [UUID(str(row[0])) for row in run_sql(connection, query, own=list(scope.own_areas))]
    read = reading(scope, register.settings.district)
    trusted, plain = _alternate(records, _audited(served, scope.actor, read), _bare(worker, scope.actor, read))
    report.add(work="查一人 lookup", seconds=trusted, floor="same query, plain insert", floor_seconds=plain, goal=1.2)
    changes = [UUID(int=seq) for seq in range(1, min(report.rows, 4 * _LOOKUPS))]
    changes = [each for each in changes if _in_own_areas(worker, catalogue, scope, each)][:_LOOKUPS]
    ask = unmasking(served, catalogue, scope)
    trusted, plain = _alternate(changes, ask, _bare(worker, scope.actor, changing(catalogue, scope)))
    report.add(work="揭示一条 unmask", seconds=trusted, floor="same query, plain insert", floor_seconds=plain, goal=1.2)


def reading(scope: Scope, district: str) -> Reading:
    """One record of the actor's own area, by its id: the scope's predicate in the statement."""
    query = text(
        f'SELECT name, id_no, birth_date, move_date, live_div FROM "{district}".{_TABLE}'
        " WHERE record_id = :record AND areas && CAST(:own AS integer[])"
    )
    own = list(scope.own_areas)
    return lambda connection, record: connection.execute(query, {"record": record, "own": own}).one_or_none()


def changing(catalogue: Catalogue, scope: Scope) -> Reading:
    """One line of the town's change list by its number, which stands in for an id here."""
    return lambda connection, seq: find_change(connection, catalogue, scope, seq.int)


def unmasking(served: Database, catalogue: Catalogue, scope: Scope) -> LookUp:
    """The hub's own act: one line of the change list in clear, with a reason."""

    def look_up(seq: UUID) -> None:
        with served.begin(reach_of(scope.actor)) as connection:
            _require(unmask_change(connection, catalogue, scope, seq.int, "基准测试核对"))

    return look_up


def _in_own_areas(worker: Database, catalogue: Catalogue, scope: Scope, seq: UUID) -> bool:
    with worker.begin() as connection:
        return changing(catalogue, scope)(connection, seq) is not None


def _audited(served: Database, actor: Actor, read: Reading) -> LookUp:
    """Row security's settings, the read, its audit line, the commit."""

    def look_up(record: UUID) -> None:
        with served.begin(reach_of(actor)) as connection:
            _require(read(connection, record))
            audit.record(connection, actor, Right.UNMASK, f"record/{record}", purpose="benchmark")

    return look_up


def _bare(worker: Database, actor: Actor, read: Reading) -> LookUp:
    """The same statement by a role that row security lets through, and one row into a plain table."""
    insert = text(f'INSERT INTO "{worker.district}".plain_note VALUES (:id, :at, :who, :object)')

    def look_up(record: UUID) -> None:
        with worker.begin() as connection:
            _require(read(connection, record))
            row = {"id": new_uuid(), "at": utc_now(), "who": actor.name, "object": f"record/{record}"}
            connection.execute(insert, row)

    return look_up


def _require(row: object) -> None:
    if row is None:
        raise SystemExit("a lookup found nothing")


def _alternate(records: list[UUID], *acts: LookUp) -> list[float]:
    """Medians of the acts, done in turns, so that the machine's moods are shared."""
    spent: list[list[float]] = [[] for _ in acts]
    for turn in range(_LOOKUPS):
        for act, times in zip(acts, spent, strict=True):
            started = time.perf_counter()
            act(records[turn % len(records)])
            times.append(time.perf_counter() - started)
    return [statistics.median(times[10:]) for times in spent]


def _town(connection: Connection) -> Scope:
    areas = load_area_index(connection)
    code = people_file.areas()[1].code
    town = Actor(
        name="bench", organisation=code, kind="town", door="panel", rights=ROLES["town_officer"],
        area_id=areas.codes[code], address="10.0.0.1",
    )  # fmt: skip
    return scope_for(town, areas)


# ---- a long audit ----


def _measure_long_audit(report: Report, register: Register, worker: Database) -> None:
    keyring = Keyring.load(register.settings.home)
    path = register.settings.home / "audit.ndjson"
    path.unlink(missing_ok=True)
    _seal(worker)  # what founding the hub wrote, without a mark
    with worker.begin() as connection:
        _copy_in(connection, keyring.audit_key, report.rows)
    floor = {"floor": "COPY out", "floor_seconds": _timed(lambda: _copy_out(worker))}
    _add(report, "审计存证 audit sealed", _timed(lambda: _seal(worker)), **floor)
    spent = _timed(lambda: export_audit(worker, keyring, SYSTEM_ACTOR, path, utc_now()))
    _add(report, "审计导出 audit exported", spent, **floor)
    spent = _timed(lambda: _expect_whole(_verify(worker, keyring.audit_key)))
    _add(report, "审计在线校验 audit verified on line", spent, **floor)
    digest = {"floor": "sha256 of the file", "floor_seconds": _timed(lambda: _digest(path))}
    spent = _timed(lambda: _expect_whole(_verify_file(path, keyring)))
    _add(report, "审计离线校验 audit verified off line", spent, **digest)


def _add(report: Report, work: str, seconds: float, **floor: object) -> None:
    report.add(work=f"{work}, {report.rows / seconds:,.0f} rows/s", seconds=seconds, **floor)


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _copy_in(connection: Connection, key: bytes, rows: int) -> None:
    """Lines as ``audit.record`` writes them, an hour's worth."""
    statement = (
        f'COPY "{connection.get_execution_options()["schema_translate_map"]["district"]}".audit ({_COLUMNS}) FROM STDIN'
    )
    with driver(connection).cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for line in _lines(rows):
            mac = audit.mac_of(key, line)
            facts = msgspec.json.encode(line.facts).decode()
            copy.write_row((*(getattr(line, name) for name in _COLUMNS.split(", ")[:8]), facts, line.address, mac))


def _lines(rows: int) -> Iterator[audit.AuditLine]:
    begun = datetime.now(UTC) - timedelta(minutes=50)
    for number in range(rows):
        yield audit.AuditLine(
            audit_id=new_uuid(), at=begun + timedelta(microseconds=number), actor=f"key-{number % 40}",
            organisation="labour", door="api", act="pull-slice", object=f"subscription/{number % 90}", outcome="done",
            facts={"from_seq": number, "to_seq": number + 1_000, "count": 1_000, "digest": f"{number:064x}"},
            address=f"10.0.{number % 200}.{number % 250}",
        )  # fmt: skip


def _copy_out(database: Database) -> None:
    statement = f'COPY "{database.district}".audit TO STDOUT'.encode()
    with database.begin() as connection, driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for _ in copy:
            pass


def _seal(database: Database) -> None:
    with database.begin() as connection:
        audit.seal(connection, utc_now())


def _verify(database: Database, key: bytes) -> list[str]:
    with database.read() as connection:
        return audit.verify(connection, key=key)


def _verify_file(path: Path, keyring: Keyring) -> list[str]:
    with path.open("rb") as file:
        return audit.verify_export(file, public_keys=keyring.public_keys)


def _expect_whole(found: list[str]) -> None:
    if found:
        raise SystemExit("\n".join(found[:5]))


def _digest(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
