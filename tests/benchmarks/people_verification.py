"""Names and numbers verified in bulk through the web door's role, beside a bare join of the same tables, in turns."""

from __future__ import annotations

import time
from datetime import date, timedelta

import polars as pl

from hub.database import run_sql, utc_now
from hub.people.verification import Pairs, verify
from hub.registry.permissions import ROLES, Actor
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import Register, ground
from tests.benchmarks.report import Report
from tests.factories import identity_number

_A_DAY = 400  # sequence numbers used of each day of birth
_MOST = 100_000
_ASKER = Actor(name="bench", organisation="labour", kind="department", door="api", rights=ROLES["integrator"])
_PERSON = "lpad(to_hex(n.i), 32, '0')::uuid"


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """As many pairs as one request may hold; every tenth name is another one's."""
    people = max(1_000, min(_MOST, report.rows // 10))
    numbers = [identity_number(date(1950, 1, 1) + timedelta(i // _A_DAY), sequence=i % _A_DAY) for i in range(people)]
    with ground(catalogue) as laid, laid.register() as register:
        _fill_people(register, numbers)
        asked = Pairs(
            names=pl.Series([f"王小{i % 997}" if i % 10 else "李不同" for i in range(people)]),
            numbers=pl.Series(numbers), kinds=None,
        )  # fmt: skip
        best, bare = min(_turn(register, asked) for _ in range(repeats))
    report.add(
        work=f"批量核验 verification, {people:,} 对 pairs", seconds=best,
        floor="裸连接 bare join", floor_seconds=bare,
    )  # fmt: skip


def _turn(register: Register, asked: Pairs) -> tuple[float, float]:
    """Seconds of one verification, and of the bare join right after it."""
    with register.worker.begin() as connection:
        run_sql(connection, "DELETE FROM {d}.verification")
    started = time.perf_counter()
    verify(register.app, register.settings, _ASKER, asked, "办理社保核对")
    verified = time.perf_counter()
    with register.worker.begin() as connection:
        run_sql(
            connection,
            "SELECT count(*) FROM unnest(CAST(:numbers AS text[])) n (value) JOIN {d}.person_identifier i"
            " ON i.kind = 'id_no' AND i.value = n.value JOIN {d}.rec_resident_roll r ON r.person_ref = i.person_id",
            numbers=asked.numbers.to_list(),
        )
    return verified - started, time.perf_counter() - verified


def _fill_people(register: Register, numbers: list[str]) -> None:
    told = "unnest(CAST(:numbers AS text[])) WITH ORDINALITY n (value, i)"
    with register.worker.begin() as connection:
        run_sql(connection, f"INSERT INTO {{d}}.person (person_id, created_at) SELECT {_PERSON}, :now FROM {told}",
                numbers=numbers, now=utc_now())  # fmt: skip
        run_sql(connection, f"INSERT INTO {{d}}.person_identifier (kind, value, person_id) SELECT 'id_no', value, {_PERSON}"
                f" FROM {told}", numbers=numbers)  # fmt: skip
        run_sql(
            connection,
            "INSERT INTO {d}.rec_resident_roll (record_id, version, source, record_key, voided, submission_id, row_no,"
            " recorded_at, content_digest, areas, person_ref, name, id_no) SELECT " + _PERSON + ", 1, 'police', i::text,"
            " false, " + _PERSON + r", 1, :now, '\x00'::bytea, '{}', " + _PERSON + ", '王小' || (i - 1) % 997, value"
            f" FROM {told}",
            numbers=numbers, now=utc_now(),
        )  # fmt: skip
        for table in ("person", "person_identifier", "rec_resident_roll"):
            run_sql(connection, "SELECT {d}.refresh_statistics(:table)", table=table)
