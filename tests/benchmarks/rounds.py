"""Opening a month's round over a big register, beside a bare COPY of the same lines and one join of the same data, in turns.

As many people as rows, with a log of as many changes that earlier rounds had; a tenth as many changes are of this month.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from hub.casework.rounds import OpenedRound, open_round
from hub.database import Database, district_of, driver, new_uuid, run_sql, utc_now
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import Register, ground
from tests.benchmarks.report import Report

Done = TypeVar("Done")
MONTH, BEFORE = "2026-10", "2026-09"
_ID = "lpad(to_hex({i}), 32, '0')::uuid"
_RECORD = "md5('{code}' || i)::uuid"
# type -> (which people i have one, their columns, op, whether it begins in the month): moves and marriages are told one
# by one, employments only follow somebody who moved
_TYPES: dict[str, tuple[str, dict[str, str], str]] = {
    "hukou_move_in": ("true", {"move_date": "date '2026-10-05'", "person_ref": _ID, "person_area": "{village}"}, "new"),
    "marriage": (
        "i % 5 = 0",
        {"cert_no": "'J' || i", "registered_on": "date '2026-10-06'", "male_ref": _ID, "female_ref": _ID},
        "update",
    ),
    "employment": ("i % 4 = 0", {"employer": "'厂' || i % 500", "start_date": "date '2020-01-01'", "person_ref": _ID}, "reroute"),
}  # fmt: skip


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """Each opening is of the same changes: the round before it is taken back."""
    people, changes = max(1_000, report.rows), max(500, report.rows // 10)
    with ground(catalogue) as laid, laid.register() as register:
        owner = Database(register.urls.owner, register.settings.district)
        with owner.begin() as connection:
            _fill(connection, catalogue, people, changes)
        with owner.begin() as connection:
            run_sql(connection, "ANALYZE")
        _measure_openings(report, register, owner, catalogue, repeats, people)
        owner.close()


def _measure_openings(
    report: Report, register: Register, owner: Database, catalogue: Catalogue, repeats: int, people: int
) -> None:
    def open_it(connection: Connection) -> OpenedRound:
        return open_round(connection, register.settings, catalogue, SYSTEM_ACTOR, MONTH, utc_now())

    opening, bare = [], []
    for _ in range(repeats):
        _timed(owner, _take_back)
        seconds, opened = _timed(register.worker, open_it)
        opening.append(seconds)
        _, lines = _timed(owner, _lines)
        bare.append(_timed(owner, lambda connection, lines=lines: _copy_and_join(connection, lines))[0])  # type: ignore[misc]
    floor = {"floor": "裸 COPY + 一次连接 bare COPY, one join", "floor_seconds": min(bare)}
    log = opened.up_to_seq - opened.after_seq
    work = (
        f"开启核对 opening, {people:,} 人, {log:,} changes → {opened.changes:,} (change, town), {opened.items:,} lines"
    )
    report.add(work=work, seconds=min(opening), **floor)


def _timed(database: Database, act: Callable[[Connection], Done]) -> tuple[float, Done]:
    started = time.perf_counter()
    with database.begin() as connection:
        done = act(connection)
    return time.perf_counter() - started, done


def _take_back(connection: Connection) -> None:
    for table in ("round_change", "round_item", "round_town", "monthly_round"):
        its = f"SELECT round_id FROM {{d}}.monthly_round WHERE month = '{MONTH}'"
        run_sql(connection, f"DELETE FROM {{d}}.{table} WHERE round_id IN ({its})")


# ---- the floor ----


_KEPT = ("round_item", "round_change")


def _lines(connection: Connection) -> list[bytes]:
    """What the opening wrote, as COPY gives it."""
    its = f"SELECT round_id FROM {{d}}.monthly_round WHERE month = '{MONTH}'".replace("{d}", district_of(connection))
    written = []
    for table in _KEPT:
        chosen = f"COPY (SELECT * FROM {district_of(connection)}.{table} WHERE round_id IN ({its})) TO STDOUT"
        with driver(connection).cursor() as cursor, cursor.copy(chosen.encode()) as copy:
            written.append(b"".join(bytes(block) for block in copy))
    return written


def _copy_and_join(connection: Connection, lines: list[bytes]) -> None:
    """Into tables without an index, from memory; the changes joined with their records and who these are about, once."""
    for table, content in zip(_KEPT, lines, strict=True):
        run_sql(connection, f"CREATE TEMPORARY TABLE bare_{table} (LIKE {{d}}.{table}) ON COMMIT DROP")
        with driver(connection).cursor() as cursor, cursor.copy(f"COPY bare_{table} FROM STDIN".encode()) as copy:
            copy.write(content)
    for code in _TYPES:
        role = "male" if code == "marriage" else "person"
        run_sql(connection, _JOIN.format(code=code, role=role, d="{d}"), month=MONTH)


_JOIN = """
SELECT count(*), count(p.home_area), count(a.town_id) FROM {d}.monthly_round m
  JOIN {d}.change_log c ON c.seq > m.after_seq AND c.seq <= m.up_to_seq AND c.record_type = '{code}'
  JOIN {d}.ver_{code} v ON v.record_id = c.record_id AND v.version = c.version
  LEFT JOIN {d}.person p ON p.person_id = v.{role}_ref CROSS JOIN LATERAL unnest(c.areas_after) area
  LEFT JOIN {d}.area_place a ON a.area_id = area
 WHERE m.month = :month
"""


# ---- the register ----


def _fill(connection: Connection, catalogue: Catalogue, people: int, changes: int) -> None:
    """People live in 240 villages; the log tells each move, and those of the month a second time."""
    run_sql(connection, _VILLAGES)
    for code in (f"999001{100 + town}" for town in range(1, 13)):
        area = run_sql(connection, "SELECT area_id FROM {d}.area_version WHERE code = :code", code=f"{code}000")[0][0]
        one = Organisation(code=code, district="d999001", name=code, kind="town", area_id=int(str(area)))
        save_organisation(connection, SYSTEM_ACTOR, one)
    run_sql(
        connection,
        f"INSERT INTO {{d}}.person (person_id, home_area, created_at) SELECT {_ID.format(i='i')}, b.village, :now"
        " FROM generate_series(1, :people) i JOIN bench_village b ON b.place = i % 240",
        people=people, now=utc_now(),
    )  # fmt: skip
    for code, (who, fields, _) in _TYPES.items():
        _fill_type(connection, catalogue, code, who, fields, people)
    _fill_log(connection, people, changes)


_VILLAGES = """
CREATE TEMPORARY TABLE bench_village AS
SELECT row_number() OVER (ORDER BY area_id) - 1 AS place, area_id AS village, parent_id AS town
  FROM {d}.area WHERE kind = 'village'
"""


def _fill_type(
    connection: Connection, catalogue: Catalogue, code: str, who: str, fields: dict[str, str], people: int
) -> None:
    own = {name: value.replace("{i}", "i").replace("{village}", "b.village") for name, value in fields.items()}
    values = {
        "record_id": _RECORD.format(code=code), "version": "2", "source": "'public_security'", "record_key": "i::text",
        "voided": "false", "submission_id": _ID.format(i="1"), "row_no": "1", "recorded_at": "now()",
        "content_digest": r"'\x00'::bytea", "areas": "ARRAY[b.town, b.village]", **own,
    }  # fmt: skip
    for table, version in ((f"rec_{code}", "2"), (f"rec_{code}_history", "1")):
        run_sql(
            connection,
            f"INSERT INTO {{d}}.{table} ({', '.join(values)}) SELECT {', '.join((values | {'version': version}).values())}"
            f" FROM generate_series(1, :people) i JOIN bench_village b ON b.place = i % 240 WHERE {who}",
            people=people,
        )


def _fill_log(connection: Connection, people: int, changes: int) -> None:
    """The month's: half moves, the rest marriages and employments that went from the village before to this one."""
    run_sql(connection, _SUBMISSION, id=_ONE, now=utc_now())
    run_sql(connection, _OLD, people=people, id=_ONE)
    place = people
    for code, share in (("hukou_move_in", 2), ("marriage", 4), ("employment", 4)):
        step = {"hukou_move_in": 1, "marriage": 5, "employment": 4}[code]
        op, many = _TYPES[code][2], changes // share
        run_sql(connection, _NEW.format(code=code, op=op, d="{d}"), before=place, many=many, step=step, id=_ONE)
        place += many
    run_sql(connection, "UPDATE {d}.feed_head SET last_seq = :last", last=place)
    run_sql(connection, _ROUND, id=new_uuid(), month=BEFORE, people=people, now=utc_now())


_ONE = "00000000-0000-0000-0000-000000000001"
_SUBMISSION = """
INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, kind, door, actor,
                            file_name, file_size, file_sha256, stored_as, state, received_at)
VALUES (:id, 'R-1', 'x', 'public_security', 'hukou_move_in', 'regular', 'api', 'x', 'x.csv', 1, 'x', 'x', 'received', :now)
"""
_OLD = """
INSERT INTO {d}.change_log (seq, batch, record_type, record_id, version, op, areas_after, submission_id, recorded_at)
SELECT i, 1, 'hukou_move_in', md5('hukou_move_in' || i)::uuid, 1, 'new', ARRAY[b.town, b.village], :id, now()
  FROM generate_series(1, :people) i JOIN bench_village b ON b.place = i % 240
"""
_NEW = """
INSERT INTO {d}.change_log (seq, batch, record_type, record_id, version, op, areas_before, areas_after, submission_id,
                            recorded_at)
SELECT :before + row_number() OVER (ORDER BY i), 2, '{code}', md5('{code}' || i)::uuid, 2, '{op}',
       CASE WHEN '{op}' <> 'new' THEN ARRAY[o.town, o.village] END, ARRAY[b.town, b.village], :id, now()
  FROM generate_series(CAST(:step AS integer), CAST(:step AS integer) * CAST(:many AS integer), CAST(:step AS integer)) i
  JOIN bench_village b ON b.place = i % 240 JOIN bench_village o ON o.place = (i + 20) % 240
"""
_ROUND = """
INSERT INTO {d}.monthly_round (round_id, month, epoch, after_seq, up_to_seq, opened_at, opened_by, due_on, state)
VALUES (:id, :month, 'x', 0, :people, :now, 'bench', date '2026-10-10', 'closed')
"""
