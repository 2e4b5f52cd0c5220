"""The way to PostgreSQL: one engine, one district schema, transactions, COPY, time-ordered keys."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from uuid import UUID

import psycopg
from sqlalchemy import Connection, TextClause, create_engine, text
from sqlalchemy.engine import URL, make_url

Reach = Mapping[str, str]  # what row security reads: setting below ``hub.`` -> value (hub.registry.scope)
NOTHING: Reach = {}
IsolationLevel = Literal["READ COMMITTED", "REPEATABLE READ"]
_SCHEMA_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")
_SETTING = re.compile(r"[A-Za-z0-9_{},.*-]*")


class Database:
    """An engine bound to one district's schema. The domain takes the Connection it hands out."""

    def __init__(
        self,
        url: str | URL,
        district: str,
        *,
        lock_timeout_ms: int = 30_000,
        pool_size: int = 10,
        audit_key: bytes | None = None,
    ) -> None:
        if not _SCHEMA_NAME.match(district):
            raise ValueError(f"not a schema name: {district!r}")
        self.district = district
        self.url = make_url(url).set(drivername="postgresql+psycopg")
        self._timeouts = (
            f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}; SET LOCAL idle_in_transaction_session_timeout = '10min'"
        )
        self.engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=10,
            pool_pre_ping=True,
            hide_parameters=True,  # a failing statement carries rows
            connect_args={"prepare_threshold": None},
            execution_options={"schema_translate_map": {"district": district}, "audit_key": audit_key},
        )

    @contextmanager
    def begin(self, reach: Reach = NOTHING, *, isolation: IsolationLevel = "READ COMMITTED") -> Iterator[Connection]:
        """One transaction; committed at the end, rolled back on any exception. Row security lets ``reach`` through."""
        with self.engine.connect().execution_options(isolation_level=isolation) as connection, connection.begin():
            connection.exec_driver_sql("; ".join((self._timeouts, *_local_settings(reach))))
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only snapshot: every statement sees the same state."""
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection
            connection.rollback()

    def close(self) -> None:
        self.engine.dispose()


def set_reach(connection: Connection, reach: Reach) -> None:
    """Widen or narrow what row security lets this transaction see."""
    connection.exec_driver_sql("; ".join(_local_settings(reach)))


def _local_settings(reach: Reach) -> list[str]:
    """SET LOCAL takes no bound value, and only SET LOCAL reaches the workers of a Citus cluster: so names and values
    are of one narrow alphabet."""
    for written in (*reach.keys(), *reach.values()):
        if not _SETTING.fullmatch(written):
            raise ValueError(f"not a value for a setting: {written!r}")
    return [f"SET LOCAL hub.{name} = '{value}'" for name, value in reach.items()]


def district_of(connection: Connection) -> str:
    """The quoted name of the district's schema, for raw SQL."""
    name: str = connection.get_execution_options()["schema_translate_map"]["district"]
    return f'"{name}"'


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """The psycopg connection beneath, in the same transaction: for COPY and for deferring jobs."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def run_sql(connection: Connection, statement: str, **values: object) -> list[tuple[object, ...]]:
    """One statement of prose SQL; ``{d}`` stands for the district's schema. Returns its rows, if it has any."""
    result = connection.execute(_prose(statement, district_of(connection)), values)
    return [tuple(row) for row in result] if result.returns_rows else []


@lru_cache(maxsize=512)
def _prose(statement: str, schema: str) -> TextClause:
    """Looked through for its binds once: most statements are asked again and again."""
    return text(statement.replace("{d}", schema))


_counter_lock = threading.Lock()
_last_tick = 0
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))


def _ticks(count: int) -> int:
    """Reserve ``count`` increasing ticks (60 bits: milliseconds, then a 12-bit counter); the first one."""
    global _last_tick
    with _counter_lock:
        first = max(_last_tick + 1, time.time_ns() // 1_000_000 << 12)
        _last_tick = first + count - 1
        return first


def new_uuids(count: int) -> list[str]:
    """``count`` UUIDv7 as 32 hex digits, strictly increasing within this process (RFC 9562, method 1)."""
    first = _ticks(count)
    heads = array("Q", [(tick >> 12) << 16 | 0x7000 | tick & 0xFFF for tick in range(first, first + count)])
    if sys.byteorder == "little":
        heads.byteswap()
    tails = bytearray(os.urandom(8 * count))
    tails[0::8] = tails[0::8].translate(_VARIANT)
    head, tail = heads.tobytes().hex(), tails.hex()
    return [head[at : at + 16] + tail[at : at + 16] for at in range(0, 16 * count, 16)]


def new_uuid() -> UUID:
    """One UUIDv7."""
    return UUID(new_uuids(1)[0])


def utc_now() -> datetime:
    """The instant, in UTC; bound into statements instead of now()."""
    return datetime.now(UTC)
