"""A small district with a round, its lines and challenges, and units that are told of them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import Connection, insert

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.database import Database, new_uuid, run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import challenge, monthly_round, round_item, round_town
from tests.district import BAILU, QINGXI, QINGXI_OFFICE, actor, enter, found

DUE = date(2026, 12, 10)
BAILU_TOWN = "999001100"
PHONE, MAIL = "10000000001", "jingban@qingxi.test"
TOWN, LEADER = actor(QINGXI_OFFICE, "town_officer"), actor("bureau", "bureau_leader")
BUREAU = actor("bureau", "bureau_operator")


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


OPENED = noon(date(2026, 12, 1))
LONG_AGO = noon(date(2026, 1, 1))  # for senders in other processes, by the clock on the wall


def found_towns(database: Database) -> Database:
    with database.begin() as connection:
        found(connection)
        enter(connection, BAILU_TOWN, "town", BAILU)
    return database


def open_round(connection: Connection, lines: int = 2, month: str = "2026-11", due_on: date = DUE) -> None:
    one = {"round_id": new_uuid(), "month": month, "epoch": "1", "after_seq": 0, "up_to_seq": 9, "due_on": due_on}
    connection.execute(insert(monthly_round), [one | {"opened_at": OPENED, "opened_by": "job"}])
    towns = ((QINGXI, QINGXI_OFFICE), (BAILU, BAILU_TOWN))
    rows = [{"round_id": one["round_id"], "town": town, "organisation": code} for town, code in towns]
    connection.execute(insert(round_town), rows)
    for number in range(1, lines + 1):
        enter_line(connection, number=number, due_on=due_on)


def enter_line(connection: Connection, **facts: object) -> None:
    round_id = run_sql(connection, "SELECT round_id FROM {d}.monthly_round")[0][0]
    line = {
        "item_id": new_uuid(), "round_id": round_id, "town": QINGXI, "number": 1, "record_type": "hukou_move_in",
        "record_id": new_uuid(), "version": 1, "seq": 1, "change": "enter", "source": "public_security", "due_on": DUE,
    }  # fmt: skip
    connection.execute(insert(round_item), [line | facts])


def raise_one(connection: Connection, **facts: object) -> None:
    one = {
        "challenge_id": new_uuid(), "kind": "untrue", "record_type": "hukou_move_in", "record_id": new_uuid(),
        "raised_by": QINGXI_OFFICE, "raised_by_name": "qingxi", "raised_at": OPENED, "against": "public_security",
        "due_on": DUE,
    }  # fmt: skip
    connection.execute(insert(challenge), [one | facts])


def tell(
    connection: Connection,
    settings: Settings,
    organisation: str = QINGXI_OFFICE,
    at: datetime = OPENED,
    about: str = "round/2026-11",
) -> None:
    facts = Facts(month="2026-11", items=25, due_on=DUE)
    one = Wanted(organisation=organisation, kind="due_soon", about=about, level=1, facts=facts)
    make_notices(connection, settings, SYSTEM_ACTOR, [one], at)
