"""All standing comparisons over a whole register in one pass, beside the bare joins of the same tables, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import TypeVar

from sqlalchemy import Connection

from hub.database import Database, run_sql, utc_now
from hub.people.comparison import compare, standing
from mappings.catalogue import Catalogue
from mappings.comparisons import Comparison, Side
from tests.benchmarks.ground import Register, ground
from tests.benchmarks.report import Report

Done = TypeVar("Done")
TODAY = date(2026, 11, 22)
_PERSON = "lpad(to_hex({i}), 32, '0')::uuid"
# type -> (which people i have one, fields as SQL of i); a few in a hundred are left for the checks to find
_FILLED: dict[str, tuple[str, dict[str, str]]] = {
    "resident_roll": (
        "i % 50 > 0",
        {"sex": "'1'", "birth_date": "date '1980-01-01'", "marital": "CASE WHEN i % 40 = 1 THEN '21' ELSE '30' END"},
    ),
    "social_insurance": (
        "true",
        {"month": "'2021-03'", "scheme": "'1'",
         "kind": "CASE WHEN i % 50 = 0 AND i % 500 > 0 THEN '2' ELSE '1' END"},
    ),
    "employment": (
        "i % 2 = 0",
        {"start_date": "date '2020-01-01'",
         "employer": "'厂' || i % 500", "ended_on": "CASE WHEN i % 50 = 0 AND i % 450 > 0 THEN date '2026-01-01' END"},
    ),
    "residence_registration": (
        "i % 10 = 3",
        {"arrive_date": "date '2025-01-01'"},
    ),
    "hukou_move_in": (
        "i % 20 = 3",
        {"move_date": "date '2024-05-01'"},
    ),
    "hukou_move_out": (
        "i % 100 = 3",
        {"move_date": "date '2024-04-01'"},
    ),
    "business_licence": (
        "i % 20 = 7",
        {"uscc": "'9' || i", "approved_on": "date '2024-01-01'", "kind": "'1'", "status": "'1'"},
    ),
    "marriage": (
        "i % 40 = 1",
        {"registered_on": "date '2023-01-01'", "kind": "'1'"},
    ),
    "divorce": (
        "i % 800 = 1",
        {"registered_on": "date '2024-01-01'"},
    ),
    "death_certificate": (
        "i % 50 = 0",
        {"death_date": "date '2026-06-01'", "marital": "'1'"},
    ),
    "cremation": (
        "i % 50 = 0 AND i % 350 > 0",
        {"cremated_on": "date '2026-06-03'", "death_date": "date '2026-06-01'"},
    ),
    "hukou_cancel": (
        "i % 50 = 0 AND i % 400 > 0",
        {"cancel_date": "date '2026-06-20'", "happened_on": "date '2026-06-01'", "kind": "'1'"},
    ),
    "birth_certificate": (
        "i % 50 = 25",
        {"birth_time": "timestamp '2026-03-01 08:00'"},
    ),
    "newborn_hukou": (
        "i % 50 = 25 AND i % 1000 > 25",
        {"registered_on": "date '2026-04-01'", "child_birth_date": "date '2026-03-01'"},
    ),
    "immunisation_enrol": (
        "i % 50 = 25 AND i % 800 > 25",
        {"enrolled_on": "date '2026-03-20'", "child_birth_date": "date '2026-03-01'"},
    ),
}  # fmt: skip


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """A tenth of the usual rows as people; the first night finds everything, the nights after it nothing new."""
    people = max(1_000, report.rows // 10)
    with ground(catalogue) as laid, laid.register() as register:
        with register.worker.begin() as connection:
            _fill(connection, catalogue, people)
        owner = Database(register.urls.owner, register.settings.district)
        with owner.begin() as connection:
            run_sql(connection, "ANALYZE")
        owner.close()
        _measure_nights(report, register, catalogue, repeats, people)


def _measure_nights(report: Report, register: Register, catalogue: Catalogue, repeats: int, people: int) -> None:
    first, again, bare, found = [], [], [], 0
    for _ in range(repeats):
        _timed(register, lambda connection: run_sql(connection, "DELETE FROM {d}.comparison_item"))
        seconds, counts = _timed(register, lambda connection: compare(connection, catalogue, utc_now(), today=TODAY))
        first.append(seconds)
        found = sum(one.opened for one in counts.values())
        bare.append(_timed(register, lambda connection: _join_barely(connection, catalogue))[0])
        again.append(_timed(register, lambda connection: compare(connection, catalogue, utc_now(), today=TODAY))[0])
    checks, floor = len(standing(catalogue)), {"floor": "裸连接 bare joins, count(*)", "floor_seconds": min(bare)}
    report.add(work=f"首次比对 first pass, {people:,} 人, {checks} 项, {found:,} finds", seconds=min(first), **floor)
    report.add(work=f"再次比对 next pass, {people:,} 人", seconds=min(again), **floor)


def _timed(register: Register, act: Callable[[Connection], Done]) -> tuple[float, Done]:
    started = time.perf_counter()
    with register.worker.begin() as connection:
        done = act(connection)
    return time.perf_counter() - started, done


def _join_barely(connection: Connection, catalogue: Catalogue) -> None:
    run_sql(connection, "SET LOCAL work_mem = '32MB'")
    for check in standing(catalogue):
        for statement in _bare_joins(check):
            run_sql(connection, statement)


def _bare_joins(check: Comparison) -> Iterator[str]:
    """The same tables joined by person, without a condition, a grace or a worked list."""
    for left in check.left:
        for right in check.right or check.left:
            how = "LEFT JOIN" if check.kind == "missing" else "JOIN"
            yield (
                f"SELECT count(*) FROM {{d}}.rec_{left.type} l {how} {{d}}.rec_{right.type} r"
                f" ON r.{_ref(right)} = l.{_ref(left)}"
            )


def _ref(side: Side) -> str:
    return f"{side.role}_ref"


# ---- the register ----


def _fill(connection: Connection, catalogue: Catalogue, people: int) -> None:
    run_sql(
        connection,
        "INSERT INTO {d}.person (person_id, created_at) SELECT "
        + _PERSON.format(i="i")
        + ", :now FROM generate_series(1, :people) i",
        now=utc_now(), people=people,
    )  # fmt: skip
    for code, (who, fields) in _FILLED.items():
        _fill_type(connection, catalogue, code, people, who, fields)


def _fill_type(
    connection: Connection, catalogue: Catalogue, code: str, people: int, who: str, fields: dict[str, str]
) -> None:
    role = next(
        (one.role for one in catalogue.record_types[code].people if one.role in ("child", "operator", "male")), "person"
    )
    values = {
        "record_id": f"md5('{code}' || i)::uuid", "version": "1", "source": "'public_security'", "record_key": "i::text",
        "voided": "false", "submission_id": _PERSON.format(i="1"), "row_no": "1", "recorded_at": "now()",
        "content_digest": r"'\x00'::bytea", "areas": "ARRAY[1 + i % 5]", f"{role}_ref": _PERSON.format(i="i"), **fields,
    }  # fmt: skip
    run_sql(
        connection,
        f"INSERT INTO {{d}}.rec_{code} ({', '.join(values)}) SELECT {', '.join(values.values())}"
        f" FROM generate_series(1, :people) i WHERE {who}",
        people=people,
    )
