"""Databases whose statements are planned once: thousands of stories ask the same few hundred of them.

Planning is two thirds of what PostgreSQL does for a story of ten rows. The driver forgets its prepared statements at
every rollback, and every story ends with one: so the server is told to roll back without asking the driver.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event

from hub.database import Database, driver

_MORE_THAN_THERE_ARE = 5_000


def planned_once(database: Database) -> Database:
    """The same database; its connections keep their plans, through rollbacks too."""
    event.listen(database.engine, "connect", _prepare_soon)
    event.listen(database.engine, "rollback", _roll_back)
    return database


def _prepare_soon(raw: Any, _: object) -> None:
    raw.prepare_threshold, raw.prepared_max = 2, _MORE_THAN_THERE_ARE


def _roll_back(connection: Connection) -> None:
    driver(connection).pgconn.exec_(b"ROLLBACK")
