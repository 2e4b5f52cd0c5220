"""The month's account: drawn, let pass, closed. start + opening + births - deaths + in - out and the rest = end.

A month is drawn from the books (who lived where when the last one was closed) and from all that is known now. Closing
takes what was counted into the books and locks the month; what comes later is an adjustment of the month then open.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import structlog
from sqlalchemy import Connection, insert, select

from hub import audit
from hub.casework import balance_sql as statements
from hub.casework.balance_explaining import Books, Cause, Mover, event_of, explain, movement_rows
from hub.database import Database, new_uuids, run_sql
from hub.errors import Conflict, NotFound
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.month_calendar import closes_on, last_day, month_after, month_of, read_month
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import require
from hub.settings import RoundPolicy, Settings
from hub.tables import balance_joined, balance_month, balance_movement
from mappings.catalogue import Catalogue

log = structlog.get_logger("hub.casework")
_TURN = "SELECT pg_try_advisory_xact_lock(hashtext('balance'))"


class BeingDrawn(Conflict):
    """本月平衡表正在生成，请稍后再试。 The month's account is being drawn right now: try again in a moment."""

    problem = "balance-being-drawn"


class NotItsTurn(Conflict):
    """上月平衡表尚未封账，请先封账。 The month before is not closed yet: close that one first."""

    problem = "balance-not-its-turn"


class NobodyJoined(Conflict):
    """还没有镇街入账，请先用 hub balance join 入账。 No town is in the books yet: let one join with hub balance join."""

    problem = "balance-nobody-joined"


class DoesNotClose(Conflict):
    """账不平，请先查清差异人员，或写明理由予以说明。 It does not balance: find out about these people, or say why it may pass."""

    problem = "balance-does-not-close"


class NotOverYet(Conflict):
    """统计月尚未结束，不能封账。 The statistical month is not over: it cannot be closed."""

    problem = "balance-not-over"


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What drawing a month came to."""

    month: str
    state: str  # drawn closed
    movements: int
    unexplained: int  # people


def join_books(connection: Connection, actor: Actor, town: int, month: str, now: datetime, index: AreaIndex) -> None:
    """From this month on the town's residents are in the books: those it begins with are the month's opening."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    read_month(month)
    if index.kind.get(town) != "town":
        raise NotFound("没有这个镇街。 There is no such town.")
    last = _last_closed(connection)
    if last is not None and month <= last.month:
        raise Conflict(
            f"{last.month} 已封账，只能从之后的月份入账。 {last.month} is closed: join from a later month on."
        )
    known = connection.execute(select(balance_joined.c.month).where(balance_joined.c.area == town)).scalar_one_or_none()
    if known is not None:
        raise Conflict(f"该镇街已自 {known} 起入账。 The town is in the books since {known}.")
    row = {"area": town, "month": month, "joined_at": now, "joined_by": actor.name}
    connection.execute(insert(balance_joined).values(row))
    audit.record(connection, actor, Right.MANAGE_ROUND, f"balance/{month}", "done", joined=town)


def open_month(connection: Connection) -> str:
    """The month after the last one that was closed; the first one there is, if none was."""
    last = _last_closed(connection)
    if last is not None:
        return month_after(last.month)
    first = run_sql(connection, "SELECT min(month) FROM {d}.balance_joined")[0][0]
    if first is None:
        raise NobodyJoined()
    return str(first)


def draw_month(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, month: str, now: datetime
) -> Drawn:
    """Draw the open month anew; a closed one stays what it was."""
    with database.begin(isolation="REPEATABLE READ") as connection:
        drawn = draw_account(connection, settings, catalogue, actor, month, now)
    log.info("balance drawn", month=month, movements=drawn.movements, unexplained=drawn.unexplained)
    return drawn


def draw_account(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str, now: datetime
) -> Drawn:
    """``draw_month`` in the caller's transaction, which sees one state of the register."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    if _state(connection, month) == "closed":
        return _result(connection, month)
    _draw(connection, settings.rounds, catalogue, month, now)
    drawn = _result(connection, month)
    facts = {"movements": drawn.movements, "unexplained": drawn.unexplained}
    audit.record(connection, actor, Right.MANAGE_ROUND, f"balance/{month}", "done", **facts)
    return drawn


def close_month(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, month: str, now: datetime
) -> Drawn:
    """Draw it a last time, take the count into the books and lock it; DoesNotClose while somebody is unexplained."""
    with database.begin(isolation="REPEATABLE READ") as connection:
        drawn = close_account(connection, settings, catalogue, actor, month, now)
    log.info("balance closed", month=month, movements=drawn.movements)
    return drawn


def close_account(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, month: str, now: datetime
) -> Drawn:
    """``close_month`` in the caller's transaction, which sees one state of the register."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    if _state(connection, month) == "closed":
        return _result(connection, month)
    if _today(settings, now) <= last_day(month, settings.rounds):
        raise NotOverYet(month)
    _draw(connection, settings.rounds, catalogue, month, now)
    drawn = _result(connection, month)
    if drawn.unexplained:
        raise DoesNotClose(f"{month}: {drawn.unexplained}", people=drawn.unexplained)
    residents = statements.take_over_stock(connection)
    _lock(connection, actor, month, now)
    audit.record(connection, actor, Right.MANAGE_ROUND, f"balance/{month}", "done", closed=month, residents=residents)
    return msgspec.structs.replace(drawn, state="closed")


def close_due(database: Database, settings: Settings, catalogue: Catalogue, now: datetime) -> list[Drawn]:
    """Months that are over are drawn; from their closing day on, closed if everything is explained. For the daily job."""
    done: list[Drawn] = []
    policy, today = settings.rounds, _today(settings, now)
    while policy.automatic and (month := _due(database, policy, today)) is not None:
        drawn = draw_month(database, settings, catalogue, SYSTEM_ACTOR, month, now)
        if drawn.unexplained or today < closes_on(month, policy):
            return [*done, drawn]
        done.append(close_month(database, settings, catalogue, SYSTEM_ACTOR, month, now))
    return done


def refuse_unless_drawn(connection: Connection, month: str) -> None:
    """Only what is drawn and not closed can be explained or closed."""
    if _state(connection, month) != "drawn":
        raise Conflict(f"{month} 尚未生成或已封账。 {month} is not drawn, or closed.")


def refuse_sealing(connection: Connection, settings: Settings, month: str, now: datetime) -> None:
    """Why a month cannot be closed now, as far as its drawn account tells: Conflict, NotOverYet, DoesNotClose."""
    refuse_unless_drawn(connection, month)
    if _today(settings, now) <= last_day(month, settings.rounds):
        raise NotOverYet(month)
    if unexplained := _result(connection, month).unexplained:
        raise DoesNotClose(f"{month}: {unexplained}", people=unexplained)


def refuse_drawing(connection: Connection, month: str) -> None:
    """Only the open month is drawn: NobodyJoined, Conflict where it is closed, NotItsTurn before that."""
    if _state(connection, month) == "closed":
        raise Conflict(f"{month} 已封账。 {month} is closed.")
    if month != open_month(connection):
        raise NotItsTurn(month)


def district_area(index: AreaIndex) -> int:
    """The area the whole account is of."""
    found = next((area_id for area_id, kind in index.kind.items() if kind == "district"), None)
    if found is None:
        raise NotFound("还没有导入区划。 No areas were imported yet.")
    return found


# ---- drawing ----


def _draw(connection: Connection, policy: RoundPolicy, catalogue: Catalogue, month: str, now: datetime) -> None:
    """Everything of the month anew, in the caller's snapshot; what was let pass stays let pass."""
    if not run_sql(connection, _TURN)[0][0]:
        raise BeingDrawn()
    if month != open_month(connection):
        raise NotItsTurn(month)
    index, last = load_area_index(connection), _last_closed(connection)
    books = _books(connection, index, month, last.month if last else "")
    eve = last.as_of if last else last_day(month_after(month, -1), policy)
    as_of, after_seq = last_day(month, policy), last.up_to_seq if last else 0
    passed = _take_out(connection, month)
    statements.count_stock(connection, catalogue, as_of, sorted(books.joined))
    events = statements.events_between(connection, catalogue, eve + timedelta(days=1), as_of)
    movers = _movers(connection, catalogue, books, policy, (eve, after_seq), events)
    _add_movements(connection, books, movers, passed)
    statements.open_towns(connection, month, sorted(books.opening), _persons(events))
    statements.write_month(connection, month, as_of, statements.head_of_log(connection), now)
    statements.write_figures(connection, month, books.district)


def _books(connection: Connection, index: AreaIndex, month: str, last: str) -> Books:
    """A town that another was merged into is in the books if either was, and as long as the one that was there first."""
    since: dict[int, str] = {}
    for area, joined in connection.execute(select(balance_joined.c.area, balance_joined.c.month)):
        town = index.current(area)
        since[town] = min(joined, since.get(town, joined))
    return Books(
        month=month,
        district=district_area(index),
        town_of=index.town_of,
        joined=frozenset(town for town, joined in since.items() if joined <= month),
        opening=frozenset(town for town, joined in since.items() if last < joined <= month),
    )


def _take_out(connection: Connection, month: str) -> dict[tuple[object, ...], Any]:
    """The lines of the last drawing go; those that were let pass are handed back, by what they were about."""
    its = balance_movement.c
    passed = connection.execute(select(balance_movement).where(its.month == month, its.kind == "excused")).all()
    connection.execute(balance_movement.delete().where(its.month == month))
    return {_about(row._asdict()): row for row in passed}


def _about(row: dict[str, Any]) -> tuple[object, ...]:
    """What an unexplained line is about; its code is the first word of the reason."""
    wrong = row["reason"].partition(" ")[0]
    return row["person_id"], row["from_area"], row["to_area"], row["record_id"], wrong


def _persons(rows: statements.Rows) -> list[UUID]:
    return list(dict.fromkeys(cast(UUID, row[0]) for row in rows))


def _movers(
    connection: Connection,
    catalogue: Catalogue,
    books: Books,
    policy: RoundPolicy,
    eve: tuple[date, int],
    events: statements.Rows,
) -> dict[UUID, Mover]:
    """Everybody whose place changed or who had events in the month, with all that may explain it."""
    heard: dict[UUID, list[Any]] = {}
    for person, *event in events:
        heard.setdefault(cast(UUID, person), []).append(event_of(event))
    found = statements.movers(connection, sorted(books.opening), list(heard))
    told = {row[0]: event_of(row[1:]) for row in statements.told_before(connection, catalogue, eve[0], _persons(found))}
    records = [one.record_id for one in told.values()]
    came = {row[0]: row[1] for row in statements.come_since(connection, eve[1], records)}
    movers = {}
    for person, was, now in found:
        deciding = told.get(person)
        movers[cast(UUID, person)] = Mover(
            was=cast("int | None", was), now=cast("int | None", now), told=deciding,
            told_in=month_of(deciding.day, policy) if deciding and deciding.day else "",
            told_by=str(came.get(deciding.record_id, "")) if deciding else "",
            events=tuple(heard.get(cast(UUID, person), ())),
        )  # fmt: skip
    return _with_causes(connection, catalogue, movers, eve[1])


def _with_causes(
    connection: Connection, catalogue: Catalogue, movers: dict[UUID, Mover], after_seq: int
) -> dict[UUID, Mover]:
    """What the log says of those whom nothing new brought where they are."""
    asked = [person for person, mover in movers.items() if mover.was is not None or not mover.told_by]
    if not asked:
        return movers
    causes = {person: Cause(why=str(why)) for person, why in statements.gone_persons(connection, asked)}
    for person, why, record_type, record_id in statements.causes_since(connection, catalogue, after_seq, asked):
        found = Cause(why=str(why), record_type=str(record_type), record_id=cast(UUID, record_id))
        causes[person] = found
    return {
        person: msgspec.structs.replace(mover, cause=causes.get(person)) if person in causes else mover
        for person, mover in movers.items()
    }


def _add_movements(
    connection: Connection, books: Books, movers: dict[UUID, Mover], passed: dict[tuple[object, ...], Any]
) -> None:
    rows = [
        _let_pass_again(row, passed)
        for person, mover in movers.items()
        for row in movement_rows(books.month, person, explain(books, mover))
    ]
    if rows:
        ids = new_uuids(len(rows))
        named = [{"movement_id": UUID(one)} | row for one, row in zip(ids, rows, strict=True)]
        connection.execute(insert(balance_movement), named)


def _let_pass_again(row: dict[str, Any], passed: dict[tuple[object, ...], Any]) -> dict[str, Any]:
    known = passed.get(_about(row)) if row["kind"] == "unexplained" else None
    said: dict[str, Any] = {"excused_by": None, "excused_at": None}
    if known is not None:
        said = {
            "kind": "excused",
            "reason": known.reason,
            "excused_by": known.excused_by,
            "excused_at": known.excused_at,
        }
    return row | said


# ---- what is kept ----


def _last_closed(connection: Connection) -> Any | None:
    its = balance_month.c
    asked = select(balance_month).where(its.state == "closed").order_by(its.month.desc()).limit(1)
    return connection.execute(asked).one_or_none()


def _state(connection: Connection, month: str) -> str:
    """drawn or closed; empty if it was never drawn."""
    read_month(month)
    found = connection.execute(select(balance_month.c.state).where(balance_month.c.month == month)).scalar_one_or_none()
    return str(found or "")


def _result(connection: Connection, month: str) -> Drawn:
    ((movements, unexplained),) = run_sql(
        connection,
        "SELECT count(*), count(DISTINCT person_id) FILTER (WHERE kind = 'unexplained')"
        " FROM {d}.balance_movement WHERE month = :month",
        month=month,
    )
    state = _state(connection, month)
    return Drawn(month=month, state=state, movements=cast(int, movements), unexplained=cast(int, unexplained))


def _lock(connection: Connection, actor: Actor, month: str, now: datetime) -> None:
    mine = balance_month.c.month == month
    connection.execute(balance_month.update().where(mine).values(state="closed", closed_at=now, closed_by=actor.name))


def _today(settings: Settings, now: datetime) -> date:
    return now.astimezone(ZoneInfo(settings.time_zone)).date()


def _due(database: Database, policy: RoundPolicy, today: date) -> str | None:
    """The open month if it is over; None before, and while no town is in the books."""
    with database.begin() as connection:
        try:
            month = open_month(connection)
        except NobodyJoined:
            return None
    return month if last_day(month, policy) < today else None
