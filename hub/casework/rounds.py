"""Rounds are opened and closed: a month's piece of the change log, cut once for the whole district."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from hub import audit
from hub.casework.round_areas import follow_areas, follow_is_due
from hub.casework.round_items import Watermarks, ask_towns
from hub.database import Database, new_uuid, run_sql
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry import month_calendar
from hub.registry.areas import AreaIndex, load_area_index, lock_areas
from hub.registry.masking import mask_within
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from hub.tables import monthly_round
from mappings.catalogue import Catalogue

_ROUND = monthly_round.c
_MOST_MONTHS = 12


class MonthNotOver(BadRequest):
    """统计月尚未结束，不能开启该月核对。 The statistical month is not over yet: its round cannot be opened."""

    problem = "month-not-over"


class LaterRoundOpen(Conflict):
    """已开启之后月份的核对，不能再开更早的月份。 A later month's round was opened already: earlier ones cannot be any more."""

    problem = "later-round-open"


class RoundStillDue(BadRequest):
    """核对期限未到且尚有未核条目，提前结束请写明理由。 Lines are open and not due yet: say why the round is closed before."""

    problem = "round-still-due"


class OpenedRound(msgspec.Struct, frozen=True, kw_only=True):
    """One round as it was opened; ``repeated``: it had been before, and nothing was changed."""

    round_id: UUID
    month: str
    state: str
    after_seq: int  # exclusive
    up_to_seq: int  # inclusive
    due_on: date
    towns: int
    items: int
    changes: int
    again: int  # lines of earlier rounds that are asked again
    repeated: bool = False


# ---- opening ----


def open_round(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    month: str,
    now: datetime,
    *,
    reason: str = "",
) -> OpenedRound:
    """Ask every town about everything the log got since the round before; the round as it is, if it is there already.

    MonthNotOver, unless somebody who operates the hub gives a reason. What the log gets from now on is of the next round.
    """
    require(actor, Right.MANAGE_ROUND, Right.SYSTEM, Right.OPERATE)
    areas = _take_turn(connection)
    known, last = find_round(connection, month), _last_round(connection)
    if known is not None:
        return _as_opened(connection, known)
    _refuse_unfinished(settings, actor, month, now, reason)
    if last is not None and last.month > month:
        raise LaterRoundOpen(f"{last.month} > {month}")
    opened = _open(connection, settings, catalogue, areas, actor, month, now, last.up_to_seq if last else 0)
    audit.record(
        connection, actor, Right.MANAGE_ROUND, f"round/{month}", what="open", reason=mask_within(reason),
        after=opened.after_seq, up_to=opened.up_to_seq, towns=opened.towns, items=opened.items, changes=opened.changes,
    )  # fmt: skip
    return opened


def open_due_rounds(database: Database, settings: Settings, catalogue: Catalogue, now: datetime) -> list[OpenedRound]:
    """Once a day: the latest month whose day has come, if the district lets rounds open by themselves."""
    month = due_month(settings, now)
    with database.begin() as connection:
        last, ((log,),) = _last_round(connection), run_sql(connection, "SELECT last_seq FROM {d}.feed_head")
        if not settings.rounds.automatic or not log or (last is not None and last.month >= month):
            return []
        return [open_round(connection, settings, catalogue, SYSTEM_ACTOR, month, now)]


def refuse_opening(connection: Connection, settings: Settings, actor: Actor, month: str, now: datetime) -> None:
    """Why this month's round cannot be opened now: MonthNotOver, LaterRoundOpen, or Conflict where it was already."""
    require(actor, Right.MANAGE_ROUND)
    if find_round(connection, month) is not None:
        raise Conflict(f"{month} 的核对已经开启。 The round of {month} was opened already.")
    _refuse_unfinished(settings, actor, month, now, "")
    if (last := _last_round(connection)) is not None and last.month > month:
        raise LaterRoundOpen(f"{last.month} > {month}")


def months_to_open(connection: Connection, settings: Settings, now: datetime) -> list[str]:
    """Months that are over and later than every round there was, the latest first; of a new district, the last one."""
    today, policy, last = local_day(settings, now), settings.rounds, _last_round(connection)
    month = month_calendar.month_of(today, policy)
    while month_calendar.last_day(month, policy) >= today:
        month = month_calendar.month_after(month, -1)
    if last is None:
        return [month]
    found: list[str] = []
    while month > last.month and len(found) < _MOST_MONTHS:
        found.append(month)
        month = month_calendar.month_after(month, -1)
    return found


def count_new_changes(connection: Connection) -> int:
    """What the log got since the round before: of these, those that concern a town will be asked about."""
    last, ((head,),) = _last_round(connection), run_sql(connection, "SELECT last_seq FROM {d}.feed_head")
    return int(str(head)) - (int(last.up_to_seq) if last is not None else 0)


def refuse_closing(connection: Connection, actor: Actor, month: str, now: datetime, reason: str) -> None:
    """Why it cannot be closed now: NotFound, RoundStillDue, or Conflict where it is closed already."""
    require(actor, Right.MANAGE_ROUND)
    known = load_round(connection, month)
    if known.state != "open":
        raise Conflict(f"{month} 的核对已经结束。 The round of {month} is closed already.")
    _refuse_early(connection, known, now, reason)


def due_month(settings: Settings, now: datetime) -> str:
    """The latest month whose round has its day today or had it before."""
    today, policy = local_day(settings, now), settings.rounds
    month = month_calendar.month_of(today, policy)
    while month_calendar.opens_on(month, policy) > today:
        month = month_calendar.month_after(month, -1)
    return month


def local_day(settings: Settings, now: datetime) -> date:
    """The district's own day."""
    return now.astimezone(ZoneInfo(settings.time_zone)).date()


def find_round(connection: Connection, month: str) -> Row[Any] | None:
    """The month's row of monthly_round, if it was opened."""
    month_calendar.read_month(month)
    return connection.execute(select(monthly_round).where(_ROUND.month == month)).one_or_none()


def load_round(connection: Connection, month: str) -> Row[Any]:
    """The month's row of monthly_round; NotFound if it was not opened."""
    found = find_round(connection, month)
    if found is None:
        raise NotFound(f"{month} 的核对尚未开启。 The round of {month} was not opened.", month=month)
    return found


def list_rounds(connection: Connection) -> list[Row[Any]]:
    """Every round there was, the newest first."""
    return list(connection.execute(select(monthly_round).order_by(_ROUND.month.desc())))


def _refuse_unfinished(settings: Settings, actor: Actor, month: str, now: datetime, reason: str) -> None:
    over = month_calendar.last_day(month, settings.rounds) < local_day(settings, now)
    if not over and not (actor.may(Right.OPERATE) and reason.strip()):
        raise MonthNotOver(month)


def _take_turn(connection: Connection) -> AreaIndex:
    """One opening at a time, on areas that stay as they are. The order is that of a change of areas: nobody waits in a ring."""
    if follow_is_due(connection):
        run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('homes'))")
    lock_areas(connection)
    follow_areas(connection)
    run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('rounds'))")
    return load_area_index(connection)


def _last_round(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(monthly_round).order_by(_ROUND.month.desc()).limit(1)).one_or_none()


def _open(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    areas: AreaIndex,
    actor: Actor,
    month: str,
    now: datetime,
    after: int,
) -> OpenedRound:
    """The head is read once: numbers are given without gaps, so what has one by now is committed."""
    epoch, up_to = run_sql(connection, "SELECT epoch, last_seq FROM {d}.feed_head")[0]
    row: dict[str, Any] = {
        "round_id": new_uuid(), "month": month, "epoch": epoch, "after_seq": after, "up_to_seq": up_to,
        "opened_at": now, "opened_by": actor.name, "due_on": month_calendar.due_on(month, settings.rounds),
    }  # fmt: skip
    connection.execute(insert(monthly_round).values(row))
    log = Watermarks(after=after, up_to=row["up_to_seq"])
    asked = ask_towns(connection, catalogue, areas, row["round_id"], log, row["due_on"], now)
    towns = _enter_towns(connection, areas, row["round_id"], now)
    return OpenedRound(
        round_id=row["round_id"], month=month, state="open", after_seq=after, up_to_seq=row["up_to_seq"],
        due_on=row["due_on"], towns=towns, items=asked.items, changes=asked.changes, again=asked.again,
    )  # fmt: skip


def _enter_towns(connection: Connection, areas: AreaIndex, round_id: UUID, now: datetime) -> int:
    """Every town of the district; one that is asked nothing is done."""
    towns = [area for area, kind in areas.kind.items() if kind == "town"]
    entered = run_sql(
        connection,
        """
        INSERT INTO {d}.round_town (round_id, town, organisation, completed_at)
        SELECT :round, t.town, coalesce(o.code, t.code),
               CASE WHEN NOT EXISTS (SELECT 1 FROM {d}.round_item i WHERE i.round_id = :round AND i.town = t.town)
                    THEN CAST(:now AS timestamptz) END
          FROM unnest(CAST(:towns AS integer[]), CAST(:codes AS text[])) t(town, code)
          LEFT JOIN LATERAL (SELECT code FROM shared.organisation
                              WHERE kind = 'town' AND area_id = t.town AND district = :district
                              ORDER BY enabled DESC, code LIMIT 1) o ON true
        RETURNING town
        """,
        round=round_id,
        now=now,
        towns=towns,
        codes=[areas.code_of[town][:9] for town in towns],
        district=connection.get_execution_options()["schema_translate_map"]["district"],
    )
    return len(entered)


def _as_opened(connection: Connection, known: Row[Any]) -> OpenedRound:
    """What was answered when it was opened: lines that came by transfer since are not of it."""
    counted = run_sql(
        connection,
        """
        SELECT (SELECT count(*) FROM {d}.round_town WHERE round_id = :round),
               (SELECT count(*) FROM {d}.round_change WHERE round_id = :round), count(*),
               count(*) FILTER (WHERE came = 'again')
          FROM {d}.round_item WHERE round_id = :round AND came <> 'transfer'
        """,
        round=known.round_id,
    )
    towns, changes, items, again = (int(str(each)) for each in counted[0])
    return OpenedRound(
        round_id=known.round_id, month=known.month, state=known.state, after_seq=known.after_seq,
        up_to_seq=known.up_to_seq, due_on=known.due_on, towns=towns, items=items, changes=changes, again=again,
        repeated=True,
    )  # fmt: skip


# ---- closing ----


def close_round(connection: Connection, actor: Actor, month: str, now: datetime, reason: str = "") -> bool:
    """No reminders from here on; late answers are still taken. False if it was closed already."""
    require(actor, Right.MANAGE_ROUND, Right.SYSTEM, Right.OPERATE)
    known = load_round(connection, month)
    _refuse_early(connection, known, now, reason)
    closing = update(monthly_round).where(_ROUND.round_id == known.round_id, _ROUND.state == "open")
    values = {"state": "closed", "closed_at": now, "closed_by": actor.name}
    closed = connection.execute(closing.values(values).returning(_ROUND.round_id)).one_or_none() is not None
    if closed:
        still_open = count_open(connection, known.round_id)
        said = mask_within(reason)
        audit.record(
            connection, actor, Right.MANAGE_ROUND, f"round/{month}", what="close", open=still_open, reason=said
        )
    return closed


def close_due_rounds(database: Database, settings: Settings, now: datetime) -> list[str]:
    """Once a day: the months whose day to close has come, if the district lets rounds close by themselves."""
    if not settings.rounds.automatic:
        return []
    with database.begin() as connection:
        standing = [one.month for one in list_rounds(connection) if one.state == "open"]
        today, policy = local_day(settings, now), settings.rounds
        due = [month for month in standing if month_calendar.closes_on(month, policy) <= today]
        return [month for month in due if close_round(connection, SYSTEM_ACTOR, month, now, "automatic")]


def count_open(connection: Connection, round_id: UUID) -> int:
    """Lines of the round that nobody answered yet."""
    counting = "SELECT count(*) FROM {d}.round_item WHERE round_id = :round AND state = 'open'"
    return int(str(run_sql(connection, counting, round=round_id)[0][0]))


def _refuse_early(connection: Connection, known: Row[Any], now: datetime, reason: str) -> None:
    before_time = known.state == "open" and now.date() <= known.due_on
    if before_time and not reason.strip() and count_open(connection, known.round_id):
        raise RoundStillDue(f"{known.due_on}")
