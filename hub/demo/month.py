"""The month with the towns: a round every month, towns that answer, and an account that balances."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from hub import jobs
from hub.casework import balance, balance_excuses
from hub.casework.item_list import ListedItem, read_list
from hub.casework.rounds import open_round
from hub.database import Database, run_sql, utc_now
from hub.demo.areas import District
from hub.registry.areas import load_area_index
from hub.registry.month_calendar import last_day, opens_on
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

LEFT_TO_TRY = "999001001"  # answers nothing of the last month: whoever tries the demo does
_FOUR_OF_FIVE = "999001100"
_TRUE = "1"
_REASON = "演示数据中有意安排的差异"


class MonthsTold(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the rounds and of the account."""

    rounds: int
    lines: int
    answered: int
    late: int  # lines nobody has answered
    challenges: int
    closed: int  # months whose account is closed
    residents: int  # at the end of the last one
    excused: int  # people who made a difference, let pass with a reason
    balanced: bool  # every closed month adds up in every village, town and the district


def open_month_of(database: Database, settings: Settings, catalogue: Catalogue, month: str) -> None:
    """On its day by the district's calendar, as the worker's timetable does it."""
    day = opens_on(month, settings.rounds)
    now = datetime(day.year, day.month, day.day, 9, tzinfo=ZoneInfo(settings.time_zone))
    with database.begin() as connection:
        open_round(connection, settings, catalogue, SYSTEM_ACTOR, month, now)


def answer_and_balance(
    database: Database, settings: Settings, catalogue: Catalogue, district: District, months: list[str]
) -> MonthsTold:
    """Every town answers its lists, but for one that leaves the last month to whoever tries it; then the books."""
    for month in months:
        for town in district.towns:
            _answer(database, settings, catalogue, town.organisation, month, last=month == months[-1])
    jobs.work(database, settings, wait=False)
    excused = _balance(database, settings, catalogue, months)
    return _told(database, excused)


def _answer(database: Database, settings: Settings, catalogue: Catalogue, town: str, month: str, *, last: bool) -> None:
    with database.begin() as connection:
        areas = load_area_index(connection)
        officer = _officer(town, areas.codes[f"{town}000"])
        listed = read_list(connection, catalogue, scope_for(officer, areas), areas, month, purpose="monthly-check/demo")
    lines = [line for line in listed.items if not _leaves_open(town, line) or not last]
    if lines:
        day = last_day(month, settings.rounds) + timedelta(days=5)
        content = b"".join(msgspec.json.encode(_row(line, month, str(day))) + b"\n" for line in lines)
        jobs.accept(
            database, settings, officer, stream=io.BytesIO(content), file_name="核对结果.jsonl", organisation=town,
            record_type="town_verification", period=month, door="command", catalogue=catalogue,
        )  # fmt: skip


def _officer(town: str, area_id: int) -> Actor:
    return Actor(
        name="command:demo", organisation=town, kind="town", door="command", rights=ROLES["town_officer"], area_id=area_id
    )  # fmt: skip


def _leaves_open(town: str, line: ListedItem) -> bool:
    return town == LEFT_TO_TRY or (town == _FOUR_OF_FIVE and line.number % 5 == 0)


def _row(line: ListedItem, month: str, day: str) -> dict[str, Any]:
    said = {"result": _TRUE, "verifier": "万和", "method": "1", "verified_on": day}
    return {"source_record_id": str(line.record_id), "round": month, "name": line.name} | said


def _balance(database: Database, settings: Settings, catalogue: Catalogue, months: list[str]) -> int:
    """Every town joins with its roll; month after month is drawn, let pass where the demo planted differences, closed."""
    excused = 0
    with database.begin() as connection:
        areas = load_area_index(connection)
        towns = [area for area, kind in areas.kind.items() if kind == "town"]
        for town in towns:
            balance.join_books(connection, SYSTEM_ACTOR, town, months[0], utc_now(), areas)
    for month in months[:-1]:
        drawn = balance.draw_month(database, settings, catalogue, SYSTEM_ACTOR, month, utc_now())
        if drawn.unexplained:
            excused += _let_pass(database, month, towns)
        balance.close_month(database, settings, catalogue, SYSTEM_ACTOR, month, utc_now())
    balance.draw_month(database, settings, catalogue, SYSTEM_ACTOR, months[-1], utc_now())
    return excused


def _let_pass(database: Database, month: str, towns: list[int]) -> int:
    with database.begin() as connection:
        people = run_sql(connection, _UNEXPLAINED, month=month)
        for (person,) in people:
            balance_excuses.excuse(
                connection,
                SYSTEM_ACTOR,
                month,
                _REASON,
                utc_now(),
                person_id=person,  # type: ignore[arg-type]
            )
    return len(people)


_UNEXPLAINED = "SELECT DISTINCT person_id FROM {d}.balance_movement WHERE month = :month AND kind = 'unexplained'"


def _told(database: Database, excused: int) -> MonthsTold:
    with database.read() as connection:
        ((rounds, lines, answered, late, challenges, closed, residents, wrong),) = run_sql(connection, _COUNTED)
    return MonthsTold(
        rounds=_number(rounds), lines=_number(lines), answered=_number(answered), late=_number(late),
        challenges=_number(challenges), closed=_number(closed), residents=_number(residents), excused=excused,
        balanced=_number(wrong) == 0,
    )  # fmt: skip


_COUNTED = """
SELECT (SELECT count(*) FROM {d}.monthly_round), (SELECT count(*) FROM {d}.round_item),
       (SELECT count(*) FROM {d}.round_item WHERE state <> 'open'), (SELECT count(*) FROM {d}.round_item WHERE state = 'open'),
       (SELECT count(*) FROM {d}.challenge), (SELECT count(*) FROM {d}.balance_month WHERE state = 'closed'),
       (SELECT count(*) FROM {d}.resident_stock),
       (SELECT count(*) FROM {d}.balance b JOIN {d}.balance_month m USING (month) WHERE m.state = 'closed'
         AND b.start + b.opening + b.births - b.deaths + b.moved_in - b.moved_out + b.corrected_in - b.corrected_out
             + b.adjusted_in - b.adjusted_out + b.excused <> b."end")
"""


def _number(value: object) -> int:
    return int(str(value))
