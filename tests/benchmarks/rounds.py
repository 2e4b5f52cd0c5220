"""A month's round over a big register, beside a bare COPY of the lines it writes and a join of the same data.

As many people as rows, with a log of as many changes that earlier rounds had; a tenth as many changes are of this month.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from hub.casework.rounds import OpenedRound, open_round
from hub.database import Database, district_of, driver, run_sql, utc_now
from hub.registry.permissions import SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import Register, ground
from tests.benchmarks.report import Report
from tests.benchmarks.rounds_register import MONTH, TOWNS, TYPES, fill_register
from tests.benchmarks.rounds_return import return_all

Done = TypeVar("Done")
_SMALL = 10_000  # people; below, two towns answer
_FLOOR = "裸 COPY + 连接 bare COPY, join"


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """Each opening is of the same changes: the round before it is taken back. The last one is taken to its end."""
    people, changes = max(1_000, report.rows), max(500, report.rows // 10)
    with ground(catalogue) as laid, laid.register() as register:
        owner = Database(register.urls.owner, register.settings.district)
        with owner.begin() as connection:
            fill_register(connection, people, changes)
        with owner.begin() as connection:
            run_sql(connection, "ANALYZE")
        opening = _measure_openings(report, register, owner, catalogue, repeats, people)
        _measure_return(report, register, owner, catalogue, opening)
        owner.close()


def _measure_openings(
    report: Report, register: Register, owner: Database, catalogue: Catalogue, repeats: int, people: int
) -> float:
    def open_it(connection: Connection) -> OpenedRound:
        return open_round(connection, register.settings, catalogue, SYSTEM_ACTOR, MONTH, utc_now())

    opening, bare = [], []
    for _ in range(repeats):
        _timed(owner, _take_back)
        seconds, opened = _timed(register.worker, open_it)
        opening.append(seconds)
        bare.append(_measure_floor(owner, _OPENED, _join_changes))
    log = opened.up_to_seq - opened.after_seq
    work = (
        f"开启核对 opening, {people:,} 人, {log:,} changes → {opened.changes:,} (change, town), {opened.items:,} lines"
    )
    report.add(work=work, seconds=min(opening), floor=_FLOOR, floor_seconds=min(bare))
    return opening[-1]


def _measure_return(report: Report, register: Register, owner: Database, catalogue: Catalogue, opening: float) -> None:
    """Once: what was answered stays answered."""
    towns = TOWNS if report.rows >= _SMALL else TOWNS[:2]
    done = return_all(register, catalogue, towns)
    steps = {"开启 opened": opening, **done.steps}
    work = f"一轮到底 a round end to end, {len(towns)} towns, {done.lines:,} lines"
    floor_seconds = _measure_floor(owner, _OPENED | _RETURNED, _join_answers)
    report.add(work=work, seconds=sum(steps.values()), floor=_FLOOR, floor_seconds=floor_seconds)
    report.stages[work] = steps
    report.stages[f"{work}: 入库 applied"] = done.stages


def _timed(database: Database, act: Callable[[Connection], Done]) -> tuple[float, Done]:
    started = time.perf_counter()
    with database.begin() as connection:
        done = act(connection)
    return time.perf_counter() - started, done


def _take_back(connection: Connection) -> None:
    for table in ("round_change", "round_item", "round_town", "monthly_round"):
        run_sql(connection, f"DELETE FROM {{d}}.{table} WHERE {_ITS}")


# ---- the floor ----


_ITS = f"round_id IN (SELECT round_id FROM {{d}}.monthly_round WHERE month = '{MONTH}')"
_OPENED = {"round_item": _ITS, "round_change": _ITS}  # table -> which rows of it were written
_RETURNED = {"rec_town_verification": "true", "challenge": "true", "change_log": "batch > 2"}


def _measure_floor(owner: Database, tables: dict[str, str], join: Callable[[Connection], None]) -> float:
    _, written = _timed(owner, lambda connection: _lines(connection, tables))

    def copy_and_join(connection: Connection) -> None:
        _copy(connection, written)
        join(connection)

    return _timed(owner, copy_and_join)[0]


def _lines(connection: Connection, tables: dict[str, str]) -> dict[str, bytes]:
    """What was written, as COPY gives it."""
    written = {}
    for table, chosen in tables.items():
        asked = f"COPY (SELECT * FROM {{d}}.{table} WHERE {chosen}) TO STDOUT".replace("{d}", district_of(connection))
        with driver(connection).cursor() as cursor, cursor.copy(asked.encode()) as copy:
            written[table] = b"".join(bytes(block) for block in copy)
    return written


def _copy(connection: Connection, written: dict[str, bytes]) -> None:
    """Into tables without an index, from memory."""
    for table, content in written.items():
        run_sql(connection, f"CREATE TEMPORARY TABLE bare_{table} (LIKE {{d}}.{table}) ON COMMIT DROP")
        with driver(connection).cursor() as cursor, cursor.copy(f"COPY bare_{table} FROM STDIN".encode()) as copy:
            copy.write(content)


def _join_changes(connection: Connection) -> None:
    """The changes with their records and who these are about, once."""
    for code in TYPES:
        role = "male" if code == "marriage" else "person"
        run_sql(connection, _JOIN.format(code=code, role=role, d="{d}"), month=MONTH)


def _join_answers(connection: Connection) -> None:
    """The changes as at the opening; the answers with their lines and the persons' numbers, once."""
    _join_changes(connection)
    run_sql(connection, _JOIN_ANSWERS)


_JOIN = """
SELECT count(*), count(p.home_area), count(a.town_id) FROM {d}.monthly_round m
  JOIN {d}.change_log c ON c.seq > m.after_seq AND c.seq <= m.up_to_seq AND c.record_type = '{code}'
  JOIN {d}.ver_{code} v ON v.record_id = c.record_id AND v.version = c.version
  LEFT JOIN {d}.person p ON p.person_id = v.{role}_ref CROSS JOIN LATERAL unnest(c.areas_after) area
  LEFT JOIN {d}.area_place a ON a.area_id = area
 WHERE m.month = :month
"""
_JOIN_ANSWERS = """
SELECT count(*), count(n.value), count(c.challenge_id) FROM bare_rec_town_verification r
  JOIN bare_round_item i ON i.record_id::text = r.source_record_id AND i.town = ANY (r.areas)
  LEFT JOIN {d}.person_identifier n ON n.kind = 'id_no' AND n.person_id = r.person_ref
  LEFT JOIN bare_challenge c ON c.item_id = i.item_id
"""
