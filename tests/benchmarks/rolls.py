"""A town's roll against the register: the hub's comparison beside polars, datacompy, duckdb and plain SQL, one input.

The peers are no dependency of the hub: they run when HUB_ROLLS_PYTHON names a Python that has them
(uv venv rolls && uv pip install --python rolls datacompy duckdb polars 'psycopg[binary]'); else this says so. They read
one table of the register; the hub joins persons, numbers and homes as well, and checks every cell that says anything new.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from hub.casework.roll_findings import Finding
from hub.casework.rolls import match
from hub.database import new_uuids, utc_now
from hub.decisions.roll_file import Reading, check_roll, read_sent
from hub.decisions.rolls import both_sides, find_all, scope_of
from hub.registry.areas import load_area_index
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.ground import Register, ground, libpq
from tests.benchmarks.report import Report

PEERS = ("polars", "datacompy", "duckdb", "sql")
_SCRIPT = Path(__file__).parent / "roll_peers.py"
_TOWN = people_file.areas()[1].code
_HEADERS = {
    "household_no": "户编码", "name": "姓名", "id_no": "身份证号", "sex": "性别", "birth_date": "出生日期", "ethnicity": "民族",
    "live_div": "现住村居", "live_addr": "现住地址", "hukou_addr": "户籍地址", "relation": "与户主关系", "education": "文化程度",
    "workplace": "工作单位",
}  # fmt: skip
_GOAL = 1.3


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """A hundredth missing on either side, two hundredths told differently: exactly those, and how long it takes."""
    with ground(catalogue) as laid, laid.register() as register:
        folder = laid.home
        folder_of_peers = folder / "peers"
        folder_of_peers.mkdir()
        actor = _town(register)
        last, roll, planted = _plant(report.rows, folder)
        _fill_register(register, _reading(register, catalogue, actor), last, actor)
        hub = min(_compare(register, catalogue, actor, roll, planted) for _ in range(repeats))
        peers = _time_peers(register, folder_of_peers, roll, planted, actor, repeats)
    if peers:
        best = min(peers, key=peers.__getitem__)
        work = f"名册比对 roll × register, {report.rows:,}"
        report.add(work=work, seconds=hub, floor=best, floor_seconds=peers[best], goal=_GOAL)
    for peer, seconds in sorted(peers.items(), key=lambda one: one[1]):
        print(f"rolls: {peer:10} {seconds:6.2f} s   hub / {peer} {hub / seconds:.2f}")


# ---- the input ----


def _plant(rows: int, folder: Path) -> tuple[Path, Path, dict[str, set[str]]]:
    """Last month's roll, this month's, and what is different between them; coded as the register codes."""
    missing, different = rows // 100, rows // 50
    everybody = _coded(people_file.people(0, rows, 1))
    last = everybody.rename(_HEADERS)
    strangers = _coded(people_file.people(rows, missing, 2))
    left, moved, same = (
        everybody.head(missing),
        everybody.slice(missing, different),
        everybody.slice(missing + different),
    )
    moved = moved.with_columns(live_addr=pl.lit("临时安置点3号"))
    roll = pl.concat([same, strangers, moved]).sample(fraction=1.0, shuffle=True, seed=3).rename(_HEADERS)
    paths = folder / "last.csv", folder / "roll.csv"
    last.write_csv(paths[0])
    roll.write_csv(paths[1])
    kinds = {"missing_here": strangers, "missing_there": left, "different": moved}
    return *paths, {kind: set(frame["id_no"]) for kind, frame in kinds.items()}


def _coded(people: pl.DataFrame) -> pl.DataFrame:
    villages = pl.Series([one.code for one in people_file.areas() if one.parent_code == _TOWN])
    at = pl.int_range(pl.len()) % len(villages)
    return people.with_columns(
        sex=pl.when(pl.col("sex") == "男").then(pl.lit("1")).otherwise(pl.lit("2")), ethnicity=pl.lit("01"),
        live_div=pl.lit(villages).gather(at), live_addr=pl.lit("幸福路") + (at + 1).cast(pl.String) + pl.lit("号"),
        relation=pl.lit("01"), education=pl.lit("70"), workplace=pl.lit("基准第") + (at % 7).cast(pl.String) + pl.lit("厂"),
    ).select(*_HEADERS)  # fmt: skip


def _town(register: Register) -> Actor:
    with register.app.begin() as connection:
        area = load_area_index(connection).codes[_TOWN]
        town = Organisation(
            code=_TOWN[:9], district=register.settings.district, name="基准镇", kind="town", area_id=area
        )
        save_organisation(connection, SYSTEM_ACTOR, town)
    return Actor(
        name="bench", organisation=town.code, kind="town", door="panel", rights=ROLES["town_officer"], area_id=area
    )


def _reading(register: Register, catalogue: Catalogue, actor: Actor) -> Reading:
    with register.app.begin() as connection:
        areas = load_area_index(connection)
    return Reading(
        settings=register.settings, catalogue=catalogue, areas=areas, choices={},
        own_areas=frozenset(scope_of(actor, areas).own_areas),
        mapping=catalogue.mapping_for(actor.organisation, actor.kind, "resident_roll"),
    )  # fmt: skip


def _fill_register(register: Register, reading: Reading, last: Path, actor: Actor) -> None:
    """Last month's roll as the line would have left it: persons, numbers, records, what is known of them."""
    rows, fields = check_roll(read_sent(last, reading), reading, None).rows, list(_HEADERS)
    now, ids = utc_now().isoformat(), pl.Series("person_id", new_uuids(rows.height))
    record = {
        "record_id": "person_id", "version": pl.lit(1), "source": pl.lit(actor.organisation), "record_key": "id_no",
        "voided": pl.lit("false"), "submission_id": pl.lit(ids[0]), "row_no": "row", "recorded_at": pl.lit(now),
        "content_digest": pl.lit("\\x00"), "areas": pl.format("{{{}}}", "area"), "person_ref": "person_id",
    }  # fmt: skip
    tables: dict[str, dict[str, Any]] = {
        "person": {"person_id": "person_id", "home_area": "area", "created_at": pl.lit(now)},
        "person_identifier": {"kind": pl.lit("id_no"), "value": "id_no", "person_id": "person_id"},
        "rec_resident_roll": record | {name: name for name in fields},
        "person_profile": {
            "person_id": "person_id", "attributes": _attributes(fields, actor), "disagreeing": pl.lit("{}"),
            "derived_at": pl.lit(now),
        },
    }  # fmt: skip
    people = rows.with_columns(ids)
    with psycopg.connect(libpq(register.urls.superuser)) as connection:
        for table, columns in tables.items():
            _copy(connection, f"{register.settings.district}.{table}", people, columns)
    with psycopg.connect(libpq(register.urls.superuser), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _attributes(fields: list[str], actor: Actor) -> pl.Expr:
    """Each as the line derives it: value, record type, record, source, since."""
    record = "0190b6c4-0000-7000-8000-000000000000"
    said = [
        pl.concat_str(
            pl.lit(f'"{name}":["'), name, pl.lit(f'","resident_roll","{record}","{actor.organisation}",null]')
        )
        for name in fields
    ]
    return pl.format("{{{}}}", pl.concat_str(said, separator=","))


def _copy(connection: psycopg.Connection[Any], table: str, people: pl.DataFrame, columns: dict[str, Any]) -> None:
    said = [(pl.col(value) if isinstance(value, str) else value).alias(name) for name, value in columns.items()]
    body = io.BytesIO()
    people.select(said).write_csv(body, include_header=False)
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv)"
    with connection.cursor().copy(statement.encode()) as copy:
        copy.write(body.getbuffer())


# ---- the runs ----


def _compare(register: Register, catalogue: Catalogue, actor: Actor, roll: Path, planted: dict[str, set[str]]) -> float:
    """As the panel does it, through the web door's role, up to the finished list."""
    reading = _reading(register, catalogue, actor)
    started = time.perf_counter()
    read, known = both_sides(register.app, actor, reading, roll)
    sides = time.perf_counter()
    scope = scope_of(actor, reading.areas)
    with register.app.begin(reach_of(actor)) as connection:
        matched = match(read.rows, known, scope.own_areas, read.numbers, read.standing["its"])
        at = time.perf_counter()
        found = find_all(connection, catalogue, reading.areas, matched)
    seconds = time.perf_counter() - started
    stages = {"both sides read": sides - started, "matched": at - sides, "told": seconds - (at - started)}
    print(f"rolls: hub {seconds:.2f} s,", ", ".join(f"{stage} {took:.2f}" for stage, took in stages.items()))
    _require_exactly(found, planted)
    return seconds


def _require_exactly(found: list[Finding], planted: dict[str, set[str]]) -> None:
    kinds = {kind: {one.number for one in found if one.kind == kind} for kind in {one.kind for one in found}}
    if kinds != planted:
        raise SystemExit(f"not what was planted: { {kind: len(numbers) for kind, numbers in kinds.items()} }")


def _time_peers(
    register: Register, folder: Path, roll: Path, planted: dict[str, set[str]], actor: Actor, repeats: int
) -> dict[str, float]:
    python = os.environ.get("HUB_ROLLS_PYTHON")
    if not python:
        print("rolls: the peers are not measured, HUB_ROLLS_PYTHON names no Python that has them")
        return {}
    columns = ", ".join(f"{name}::text AS {name}" for name in _HEADERS)
    source = f"{register.settings.district}.rec_resident_roll WHERE source = '{actor.organisation}' AND NOT voided"
    asked = {
        "roll": str(roll), "url": libpq(register.urls.superuser), "query": f"SELECT {columns} FROM {source}",
        "columns": list(_HEADERS), "headers": list(_HEADERS.values()),
    }  # fmt: skip
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
    wanted = [len(planted[kind]) for kind in ("missing_here", "missing_there", "different")]
    return {peer: min(_peer(python, peer, folder, wanted) for _ in range(repeats)) for peer in PEERS}


def _peer(python: str, peer: str, folder: Path, wanted: list[int]) -> float:
    command = [python, str(_SCRIPT), peer, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise SystemExit(f"{peer} failed: {done.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if told["found"] != wanted:
        raise SystemExit(f"{peer} found {told['found']}, planted {wanted}")
    return float(told["seconds"])
