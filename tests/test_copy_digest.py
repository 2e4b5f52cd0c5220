"""PostgreSQL and the receiver's kit digest the same records to the same bytes, whatever is in them and happened to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from sqlalchemy import Connection

from adapters.copy_digest import Cells, canonical_text
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.embedded import Cluster
from hub.exchange.slices import FeedContext, open_subscription, query_slice, read_page
from hub.keyring import Keyring
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.sharing.copy_side import HubSide, buckets_for
from mappings.catalogue import Catalogue, Field, RecordType
from tests.conftest import clone_template, execute
from tests.oracle import Oracle
from tests.test_oracle import DEFINITIONS, VILLAGES, Happening, follow, prepare, serve, steps, stories_of_persons

EXAMPLES = int(os.environ.get("HUB_COPY_EXAMPLES", "10"))
TEXTS = (
    "欧阳\u20000\U00020000\U0002a6d6",
    '"\\/\b\f\n\r\t\x01\x1f\x7f',
    "\u2028\u2029\ufeff {} : , [",
    "",
    "12.50",
    "null",
    None,
)
VALUES: dict[str, tuple[Any, ...]] = {
    "integer": (0, -7, 999_999_999_999_999, 100, None),
    "decimal": tuple(map(Decimal, ("0", "12.50", "3.00", "100", "0.000001", "-0.5", "123456789012.125"))),
    "boolean": (True, False, None),
    "date": (date(1900, 1, 1), date(2026, 12, 31), None),
    "datetime": (datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 3, 4, 5, 120_000), None),
}


@pytest.fixture(scope="module")
def copies(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    name = f"copies_{os.getpid()}"
    clone_template(cluster, name)
    database = Database(cluster.urls(name).superuser, "d999001")
    with database.begin() as connection:
        prepare(connection, catalogue)
    yield database
    database.close()
    execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def context(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> FeedContext:
    return FeedContext(catalogue, Keyring.load(tmp_path_factory.mktemp("keys")))


def test_the_canonical_text_is_what_its_description_says() -> None:
    fields = {"b": None, "a": 'x"\\\n赵\x1f', "n": 12.50, "m": 3.0, "d": Decimal("0.000001"), "w": 7, "y": True}
    assert canonical_text("t", "i", None, False, fields) == (
        '["t", "i", null, false, {"a" : "x\\"\\\\\\n赵\\u001f", "b" : null, "d" : "0.000001", "m" : "3", "n" : "12.5",'
        ' "w" : "7", "y" : true}]'
    )


def test_every_field_of_every_record_type_is_digested_alike(
    copies: Database, context: FeedContext, catalogue: Catalogue
) -> None:
    kinds = set()
    for record_type in (one for one in catalogue.record_types.values() if one.enabled):
        with copies.engine.connect() as connection, connection.begin() as transaction:
            for turn in range(7):
                insert_record(connection, context, record_type, turn)
            require_alike(connection, context, record_type)
            transaction.rollback()
        kinds |= {field.type for field in record_type.plain_fields}
    assert {"text", "name", "code", *VALUES} <= kinds


def insert_record(connection: Connection, context: FeedContext, record_type: RecordType, turn: int) -> None:
    envelope = {
        "record_id": new_uuid(), "version": turn + 1, "source": "health", "record_key": str(turn), "voided": False,
        "submission_id": new_uuid(), "row_no": turn, "recorded_at": utc_now(), "content_digest": b"", "areas": [1],
        "disputed": turn == 2,
    }  # fmt: skip
    people = {f"{role.role}_ref": new_uuid() for role in record_type.people if turn % 2}
    row = envelope | people | {field.name: value_of(field, turn) for field in record_type.plain_fields}
    names, bound = ", ".join(row), ", ".join(f":{name}" for name in row)
    run_sql(connection, f"INSERT INTO {{d}}.rec_{record_type.code} ({names}) VALUES ({bound})", **row)
    if record_type.clinical_fields and turn:
        said = {field.name: value_of(field, turn) for field in record_type.clinical_fields}
        blob = context.keyring.seal([json.dumps(said, default=float).encode()])[0]
        statement = f"INSERT INTO {{d}}.rec_{record_type.code}_sealed VALUES (:record, :version, :blob)"
        run_sql(connection, statement, record=row["record_id"], version=turn + 1, blob=blob)


def value_of(field: Field, turn: int) -> Any:
    values = VALUES.get(field.type, TEXTS)
    if field.clinical and field.type in ("date", "datetime"):
        return None if turn % 2 else "2026-01-02"
    return values[turn % len(values)]


def require_alike(connection: Connection, context: FeedContext, record_type: RecordType) -> None:
    """The hub's cells against those of a receiver that got every record as JSON text."""
    one = SliceType(record_type.code, tuple(field.name for field in record_type.fields))
    side = side_of(connection, context, SliceDefinition((one,)), one, 0, 4)
    mine = cells_of(side, query_slice(connection, context, side.definition))
    assert sum(count for count, _ in mine.totals().values()) == 7
    assert side.totals() == mine.totals(), record_type.code
    towns = list(mine.totals())
    assert side.cells_of(towns) == {town: mine.cells_of(town) for town in towns}


def side_of(
    connection: Connection, context: FeedContext, definition: SliceDefinition, one: SliceType, seq: int, buckets: int
) -> HubSide:
    return HubSide(connection=connection, context=context, definition=definition, one=one, seq=seq, buckets=buckets)


def cells_of(side: HubSide, records: Any) -> Cells:
    cells = Cells(side.one.record_type, side.buckets, side.town_field)
    for told in records:
        said = json.loads(json.dumps(told, default=str))  # over the wire
        if said["record_type"] == side.one.record_type:
            cells.add(said["record_id"], said["version"], said["person_id"], said["disputed"], said["after"])
    return cells


# ---- whatever happened ----


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
@seed(31)
@given(happenings=steps | stories_of_persons)
def test_whoever_followed_the_feed_holds_the_slice_as_it_stood_there(
    copies: Database, context: FeedContext, happenings: Sequence[Happening]
) -> None:
    """Copies taken half-way and at the end; both are compared at the end, when half of the log lies behind the first."""
    with copies.engine.connect() as connection, connection.begin() as transaction:
        oracle = Oracle(context.catalogue, dict(VILLAGES))
        half = len(happenings) // 2
        taken = []
        for part in (happenings[:half], happenings[half:]):
            for happening in part:
                follow(connection, oracle, context.catalogue, happening)
            taken += [follow_feed(connection, context, code) for code in DEFINITIONS]
        for code, seq, held in taken:
            require_same(connection, context, code, seq, held)
        transaction.rollback()


Held = dict[str, dict[str, Any]]


def follow_feed(connection: Connection, context: FeedContext, code: str) -> tuple[str, int, Held]:
    """Every page from the beginning, applied: what a subscriber holds, and where it stands."""
    serve(connection)
    held: Held = {}
    cursor, more, seq = None, True, 0
    while more:
        page = read_page(connection, SYSTEM_ACTOR, context, code, cursor, limit=50)
        for change in json.loads(f"[{page.changes}]"):
            held.pop(change["record_id"], None)
            if change["op"] != "leave":
                held[change["record_id"]] = change
        cursor, more, seq = page.next, page.more, page.to_seq
    connection.exec_driver_sql("RESET ROLE")
    return code, seq, held


def require_same(connection: Connection, context: FeedContext, code: str, seq: int, held: Held) -> None:
    serve(connection)
    definition = open_subscription(connection, SYSTEM_ACTOR, context, code).definition
    for one in definition.record_types:
        side = side_of(connection, context, definition, one, seq, 2)
        mine = cells_of(side, held.values())
        assert side.totals() == mine.totals(), (code, one.record_type, seq)
    connection.exec_driver_sql("RESET ROLE")


def test_buckets_hold_about_as_many_rows_as_travel_cheaply() -> None:
    assert [buckets_for(towns) for towns in ({}, {"": 64}, {"": 65}, {"a": 50_000, "b": 9}, {"": 10**8})] == [
        1, 1, 2, 1024, 16_384,
    ]  # fmt: skip
