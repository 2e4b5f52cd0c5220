"""The floors: what PostgreSQL itself needs to take or give the same rows."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg

from tests.benchmarks.ground import Register, libpq

_COLUMNS = (
    "name text, id_no text, sex text, birth_date date, ethnicity text, household_no text, relation text,"
    " from_addr text, reason text, hukou_addr text, live_div text, move_date date, PRIMARY KEY (id_no, move_date)"
)
_CHUNK = 1 << 20


def copy_in(register: Register, path: Path) -> float:
    """Seconds to COPY the file into an empty, logged, typed table with a primary key, commit included."""
    with psycopg.connect(libpq(register.urls.owner), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {register.settings.district}.floor ({_COLUMNS})")
        started = time.perf_counter()
        statement = f"COPY {register.settings.district}.floor FROM STDIN (FORMAT csv, HEADER)"
        with path.open("rb") as file, connection.cursor().copy(statement.encode()) as copy:
            while chunk := file.read(_CHUNK):
                copy.write(chunk)
        return time.perf_counter() - started


def drain(register: Register, query: str) -> float:
    """Seconds to read everything a query gives, by COPY."""
    with psycopg.connect(libpq(register.urls.owner)) as connection:
        started = time.perf_counter()
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv)".encode()) as copy:
            for _ in copy:
                pass
        return time.perf_counter() - started
