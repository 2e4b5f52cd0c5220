"""One person's timeline and the search by name, through the serving role on a big register, beside the bare indexed SELECT.

A tenth as many people as rows, ten records of each, written straight into the record tables; the two are timed in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection

from hub.database import Database, run_sql
from hub.people.purposes import Purpose
from hub.people.search import MOST_ANSWERS, find_people
from hub.people.timeline import read_timeline
from hub.registry.areas import load_area_index
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import Register, ground
from tests.benchmarks.report import Report

RECORDS_EACH, READINGS, TOWN = 10, 200, "999001101"
_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟"
    "熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀兰霞平刚桂英华玉萍红玲芬燕彬辉宁琴云洁梅琳晶欣雪峰波鹏飞宇浩轩然博文思雨佳怡子涵梓晨"
    "一诺嘉豪俊熙睿哲天泽"
)
_PURPOSE = Purpose(code="verify")
Act = Callable[[object, object], int]

# A person is a number: their id, where they live and what they are called follow from it. Names are as uneven as names are.
_ID = "('00000000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"
_PEOPLE = f"""
CREATE UNLOGGED TABLE {{d}}.bench_person AS
SELECT n, {_ID.format(n="n")} AS person_id, v.areas[1 + n % 240] AS village, v.towns[1 + n % 240] AS town,
       '9990011990' || lpad(n::text, 8, '0') AS number,
       substr(:surnames, 1 + floor(length(:surnames) * power((n * 7919 % 10007) / 10007.0, 2))::int, 1)
       || substr(:given, 1 + floor(length(:given) * power((n * 104729 % 10009) / 10009.0, 2))::int, 1)
       || substr(:given, 1 + (n / 97 % length(:given))::int, 1) AS name
  FROM generate_series(1::bigint, :people) n, (
       SELECT array_agg(area_id ORDER BY area_id) AS areas, array_agg(parent_id ORDER BY area_id) AS towns
         FROM {{d}}.area WHERE kind = 'village') v
"""
_PERSON = (
    "INSERT INTO {d}.person (person_id, home_area, created_at) SELECT person_id, village, now() FROM {d}.bench_person"
)
_IDENTIFIER = (
    "INSERT INTO {d}.person_identifier (kind, value, person_id) SELECT 'id_no', number, person_id FROM {d}.bench_person"
)
_PROFILE = (
    "INSERT INTO {d}.person_profile (person_id, name, name_key, birth_date, id_no, home_area, attributes, disagreeing,"
    " derived_at) SELECT person_id, name, name, date '1940-01-01' + (n % 24000)::int, number, village, '{}', '{}', now()"
    " FROM {d}.bench_person"
)
# record type -> source, how many of each person, and the type's own columns with their values
_TYPES: dict[str, tuple[str, int, str, str]] = {
    "resident_roll": (TOWN, 1, "household_no", "'9990' || (n / 3)"),
    "hukou_move_in": ("public_security", 1, "move_date, reason", "date '2010-01-01' + (n % 5000)::int, '1'"),
    "residence_registration": ("public_security", 1, "arrive_date", "date '2012-01-01' + (n % 4000)::int"),
    "employment": ("labour", 2, "employer, start_date", "'云岭' || (n % 900) || '厂', date '2015-01-01' + (k * 700)::int"),
    "unemployment": ("labour", 1, "reg_date", "date '2019-01-01' + (n % 900)::int"),
    "social_insurance": ("labour", 3, "scheme, kind, month", "(k * 100 + 10)::text, '1', '2015-0' || (k + 1)"),
}  # fmt: skip


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    people = max(report.rows // RECORDS_EACH, 100)
    with ground(catalogue) as laid, laid.register() as register, _owner(register) as owner:
        began = time.perf_counter()
        _fill(owner, people)
        laid.execute("CHECKPOINT")
        report.stages[f"{people:,} 人 × {RECORDS_EACH}"] = {"fill": time.perf_counter() - began}
        _measure_readings(report, catalogue, register, owner, READINGS if repeats > 1 else 20)


@contextmanager
def _owner(register: Register) -> Iterator[Database]:
    database = Database(register.settings.owner_url or "", register.settings.district)
    yield database
    database.close()


# ---- the register ----


def _fill(owner: Database, people: int) -> None:
    with owner.begin() as connection:
        one = Organisation(code=TOWN, district="d999001", name="第1镇", kind="town", area_id=_town_id(connection))
        save_organisation(connection, SYSTEM_ACTOR, one)
        run_sql(connection, _PEOPLE, people=people, surnames=_SURNAMES, given=_GIVEN)
    for statement in (_PERSON, _IDENTIFIER, _PROFILE):
        with owner.begin() as connection:
            run_sql(connection, statement)
    for record_type, (source, each, columns, values) in _TYPES.items():
        with owner.begin() as connection:
            run_sql(connection, _records(record_type, columns, values), source=source, each=each)
    with owner.begin() as connection:
        run_sql(connection, _MARRIAGES)
        for table in (
            *(f"rec_{one}" for one in (*_TYPES, "marriage")),
            "person",
            "person_identifier",
            "person_profile",
        ):
            run_sql(connection, f"ANALYZE {{d}}.{table}")


def _town_id(connection: Connection) -> int:
    return load_area_index(connection).codes[f"{TOWN}000"]


_ENVELOPE = "record_id, version, source, record_key, voided, submission_id, row_no, recorded_at, content_digest, areas"
_MADE = "gen_random_uuid(), 1, {source}, {key}, false, " + _ID.format(n="0") + ", 1, now(), '', ARRAY[village, town]"


def _records(record_type: str, columns: str, values: str) -> str:
    made = _MADE.format(source="CAST(:source AS text)", key="n || '|' || k")
    return (
        f"INSERT INTO {{d}}.rec_{record_type} ({_ENVELOPE}, person_ref, person_area, name, id_no, {columns})"
        f" SELECT {made}, person_id, village, name, number, {values}"
        " FROM {d}.bench_person, generate_series(1, :each) k"
    )


_MARRIAGES = (
    f"INSERT INTO {{d}}.rec_marriage ({_ENVELOPE}, male_ref, female_ref, male_name, female_name, cert_no, registered_on)"
    f" SELECT {_MADE.format(source=chr(39) + 'civil_affairs' + chr(39), key='n::text')}, person_id,"
    f" {_ID.format(n='n + 240')}, name, name, 'J' || n, date '2018-01-01' + (n % 900)::int"
    " FROM {d}.bench_person WHERE n % 480 < 240"
)

# ---- reading ----


def _measure_readings(report: Report, catalogue: Catalogue, register: Register, owner: Database, readings: int) -> None:
    with owner.begin() as connection:
        areas, town = load_area_index(connection), _town_id(connection)
        chosen = run_sql(connection, _CHOSEN, town=town, readings=readings)
    rights = ROLES["town_officer"]
    reader = Actor(name="bench", organisation=TOWN, kind="town", door="panel", rights=rights, area_id=town)

    def timeline(person: object, _: object) -> int:
        with register.app.begin(reach_of(reader)) as connection:
            told = read_timeline(connection, reader, catalogue, areas, cast(UUID, person), _PURPOSE)
        return len(told.entries)

    def search(_: object, name: object) -> int:
        asked: dict[str, Any] = {"name": name, "area": town, "a_day": 10**9, "purpose": _PURPOSE}
        with register.app.begin(reach_of(reader)) as connection:
            return len(find_people(connection, reader, catalogue, areas, **asked).people)

    def bare_timeline(person: object, _: object) -> int:
        with owner.begin() as connection:
            return len(run_sql(connection, _BARE_TIMELINE, person=person))

    def bare_search(_: object, name: object) -> int:
        homes = list(areas.expand(town))
        with owner.begin() as connection:
            return len(run_sql(connection, _BARE_SEARCH, name=name, beyond=_beyond(str(name)), homes=homes))

    _compare(report, "时间线 timeline", chosen, timeline, bare_timeline)
    _compare(report, "按姓名 name + area", chosen, search, bare_search)


_CHOSEN = """
SELECT person_id, left(name, 2) FROM {d}.bench_person WHERE town = :town ORDER BY md5(n::text) LIMIT :readings
"""
_BARE_TIMELINE = " UNION ALL ".join(
    [
        *(f"SELECT row_to_json(v)::text FROM {{d}}.rec_{one} v WHERE person_ref = :person" for one in _TYPES),
        "SELECT row_to_json(v)::text FROM {d}.rec_marriage v WHERE male_ref = :person OR female_ref = :person",
    ]
)
_BARE_SEARCH = """
SELECT person_id, name, id_no, birth_date, home_area FROM {d}.person_profile
 WHERE name_key >= :name AND name_key < :beyond AND home_area = ANY (CAST(:homes AS integer[]))
 ORDER BY name_key, birth_date, person_id LIMIT 51
"""


def _beyond(name: str) -> str:
    return name[:-1] + chr(ord(name[-1]) + 1)


def _compare(report: Report, work: str, chosen: Sequence[tuple[object, ...]], ours: Act, bare: Act) -> None:
    """In turn, so that both meet the same machine; each finds as much as the other. The first few only warm up."""
    spent: dict[Act, list[float]] = {ours: [], bare: []}
    for asked in (*chosen[:10], *chosen):
        found = [_timed(act, asked, spent[act]) for act in (bare, ours)]
        if min(found) < 1 or min(found[0], MOST_ANSWERS) != found[1]:
            raise SystemExit(f"{work}: {found}")
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        floor, measured = (_quantile(spent[act][10:], share) for act in (bare, ours))
        report.add(work=f"{work} {name}", seconds=measured, floor="bare SELECT", floor_seconds=floor)


def _timed(act: Act, asked: tuple[object, ...], spent: list[float]) -> int:
    began = time.perf_counter()
    found = act(*asked)
    spent.append(time.perf_counter() - began)
    return found


def _quantile(spent: list[float], share: float) -> float:
    return sorted(spent)[min(int(len(spent) * share), len(spent) - 1)]
