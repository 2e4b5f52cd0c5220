"""Records told to the line one by one, in a transaction that is rolled back, and the profiles that come of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, text

from hub.database import Database, run_sql
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from mappings.catalogue import Catalogue
from tests.district import QINGXI_OFFICE
from tests.staged import stage

ANN, BEN, CLEM = "999001199001010010", "999001198502020031", "999001197703030055"
BAILU_OFFICE = "999001100"
Row = dict[str, Any]


@contextmanager
def story(district: Database) -> Iterator[Connection]:
    with district.engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def send(connection: Connection, catalogue: Catalogue, code: str, source: str, *rows: Row) -> None:
    record_type = catalogue.record_types[code]
    submission_id = stage(connection, record_type, list(rows))
    apply_staged(connection, submission_id, source, record_type, catalogue)
    number_changes(connection, submission_id)


def person_of(connection: Connection, number: str) -> UUID:
    found = run_sql(connection, "SELECT person_id FROM {d}.person_identifier WHERE value = :number", number=number)
    return cast(UUID, found[0][0])


def profile_of(connection: Connection, number: str) -> dict[str, Any] | None:
    rows = connection.execute(
        text('SELECT * FROM "d999001".person_profile WHERE person_id = :person'),
        {"person": person_of(connection, number)},
    ).mappings()
    return next((dict(row) for row in rows), None)


def is_known(connection: Connection, number: str) -> bool:
    return bool(run_sql(connection, "SELECT 1 FROM {d}.person_identifier WHERE value = :number", number=number))


def roll_of(number: str) -> tuple[str, str, Row]:
    return "resident_roll", QINGXI_OFFICE, {"id_no": number, "name": "安"}
