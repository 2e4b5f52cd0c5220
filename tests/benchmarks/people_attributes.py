"""Everybody's attributes derived anew, against gathering the same records as JSON, one row a person."""

from __future__ import annotations

import time

import psycopg

from hub.database import Database
from hub.exchange import pipeline
from hub.people.profile_check import check
from hub.people.profiles import derive_all
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.ground import Register, ground, libpq
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report

MOST_PERSONS = 100_000
_TYPES = ("hukou_move_in", "resident_roll", "employment")
# The same people once more, as their town and the labour bureau know them.
_OTHER_SOURCES = """
INSERT INTO {d}.rec_resident_roll (record_id, version, source, record_key, voided, submission_id, row_no, recorded_at,
    content_digest, areas, person_ref, person_area, name, id_no, sex, live_div, education, workplace, household_no)
SELECT gen_random_uuid(), 1, 'town', person_ref::text, false, submission_id, row_no, recorded_at, content_digest, areas,
    person_ref, person_area, name, id_no, sex, live_div, '60', '基准厂', household_no
FROM {d}.rec_hukou_move_in;
INSERT INTO {d}.rec_employment (record_id, version, source, record_key, voided, submission_id, row_no, recorded_at,
    content_digest, areas, person_ref, person_area, name, id_no, sex, start_date, employer)
SELECT gen_random_uuid(), 1, 'labour', person_ref::text, false, submission_id, row_no, recorded_at, content_digest, areas,
    person_ref, person_area, name, id_no, sex, move_date, '基准有限公司'
FROM {d}.rec_hukou_move_in;
ANALYZE
"""


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """The first derivation writes everything, the next nothing; the check reads both sides."""
    persons = min(report.rows, MOST_PERSONS)
    with ground(catalogue) as laid, laid.register() as register:
        submission_id = register.send(people_file.file_of(persons, SEED))
        pipeline.run(register.worker, register.settings, submission_id, catalogue)
        _execute(register, _OTHER_SOURCES)
        for number in range(repeats):
            floor = _gathered(register)
            _note(
                report, f"推算属性 derive {persons:,}" + (" again" if number else ""), register.worker, catalogue, floor
            )
        started = time.perf_counter()
        if check(register.worker, catalogue):
            raise SystemExit("the profiles are not what the records say")
        report.add(
            work=f"核对属性 check {persons:,}", seconds=time.perf_counter() - started,
            floor="JSON, one row a person", floor_seconds=_gathered(register),
        )  # fmt: skip


def _note(report: Report, work: str, worker: Database, catalogue: Catalogue, floor: float) -> None:
    started = time.perf_counter()
    derive_all(worker, catalogue)
    spent = time.perf_counter() - started
    report.add(work=work, seconds=spent, floor="JSON, one row a person", floor_seconds=floor)


def _gathered(register: Register) -> float:
    """Seconds to write each person's records as one JSON value."""
    records = " UNION ALL ".join(f"SELECT person_ref, to_jsonb(r) AS record FROM {{d}}.rec_{code} r" for code in _TYPES)
    _execute(register, "DROP TABLE IF EXISTS {d}.gathered")
    started = time.perf_counter()
    _execute(
        register,
        f"CREATE TABLE {{d}}.gathered AS SELECT person_ref, jsonb_agg(record) AS records FROM ({records}) r GROUP BY 1",
    )
    return time.perf_counter() - started


def _execute(register: Register, statements: str) -> None:
    with psycopg.connect(libpq(register.urls.superuser), autocommit=True) as connection:
        connection.execute(statements.replace("{d}", register.settings.district).encode())
