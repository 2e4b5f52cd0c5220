"""The bureau's orders about a month: asked for on a page, judged at once, carried out by the worker in its name.

The web door may read rounds and not write them; so an order is a job, and what cannot be done is refused before there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from procrastinate import JobContext, SyncPsycopgConnector
from procrastinate.manager import JobManager
from sqlalchemy import Connection

from hub import audit
from hub.casework import balance, balance_excuses, rounds
from hub.casework.round_reminding import remind_towns, towns_to_remind
from hub.database import Database, driver, run_sql, utc_now
from hub.errors import BadRequest, NotAllowed
from hub.exchange.pipeline import catalogue_in_force
from hub.operations.job_errors import telling_no_values
from hub.registry.accounts import as_now
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import declares, require
from hub.settings import Settings
from hub.workers import queue, worker_is_alive

What = Literal["open", "close", "remind", "draw", "seal", "excuse", "take-back"]
OF_ROUNDS: tuple[What, ...] = ("open", "close", "remind")
OF_ACCOUNTS: tuple[What, ...] = ("draw", "seal", "excuse", "take-back")
_TASK = "carry_out_round_order"
_LONGEST_REASON = 200
_LOOK_AGAIN_SECONDS = 0.05
_on_the_callers_connection = JobManager(SyncPsycopgConnector())


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to which month, by whom, why; ``town``: whom it concerns, if not all."""

    what: What
    month: str
    reason: str = ""
    town: str = ""  # organisation to remind
    area: int | None = None  # town whose differences pass
    person: UUID | None = None  # or the one person whose differences pass, or pass no longer
    name: str = ""
    organisation: str = ""
    kind: str = ""
    address: str = ""

    @property
    def actor(self) -> Actor:
        """Whoever asked; what they may do is looked up when it is done."""
        return Actor(
            name=self.name, organisation=self.organisation, kind=self.kind, door="panel", address=self.address,
            rights=frozenset(),
        )  # fmt: skip

    @property
    def about(self) -> str:
        return f"{'round' if self.what in OF_ROUNDS else 'balance'}/{self.month}"


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the newest order about a month is: todo, doing, succeeded or failed."""

    what: str
    state: str
    at: datetime | None


def give_order(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> int:
    """Queue it in this transaction, the job's number; the domain's own errors where it cannot be done."""
    require(actor, Right.MANAGE_ROUND)
    if len(order.reason) > _LONGEST_REASON:
        raise BadRequest(
            f"理由不超过 {_LONGEST_REASON} 个字。 A reason has {_LONGEST_REASON} characters at most.", reason=""
        )
    _JUDGED[order.what](connection, settings, actor, order, now)
    asked = msgspec.structs.replace(
        order, name=actor.name, organisation=actor.organisation, kind=actor.kind, address=actor.address,
        reason=mask_within(" ".join(order.reason.split())),
    )  # fmt: skip
    whom = {"person": str(order.person)} if order.person else {}
    audit.record(
        connection, actor, Right.MANAGE_ROUND, asked.about, what=f"ask-{order.what}", reason=asked.reason, **whom
    )
    return _queue_order(connection, asked)


def wait_for_order(database: Database, job_id: int, seconds: float) -> bool:
    """Whether a living worker has carried it out by then; nobody waits for a worker that is not there."""
    until = time.monotonic() + seconds
    with database.begin() as connection:
        if not worker_is_alive(connection):
            return False
    while time.monotonic() < until:
        with database.begin() as connection:
            rows = run_sql(connection, "SELECT status::text FROM jobs.procrastinate_jobs WHERE id = :one", one=job_id)
        if not rows or rows[0][0] not in ("todo", "doing"):
            return True
        time.sleep(_LOOK_AGAIN_SECONDS)
    return False


def newest_order(connection: Connection, month: str, of: tuple[What, ...] = OF_ROUNDS) -> OrderState | None:
    """The last order of these kinds about this month that the queue still knows of."""
    rows = run_sql(connection, _NEWEST, task=_TASK, month=month, kinds=list(of))
    return OrderState(what=str(rows[0][0]), state=str(rows[0][1]), at=rows[0][2]) if rows else None  # type: ignore[arg-type]


_NEWEST = """
SELECT j.args -> 'order' ->> 'what', j.status::text,
       (SELECT max(e.at) FROM jobs.procrastinate_events e WHERE e.job_id = j.id)
  FROM jobs.procrastinate_jobs j
 WHERE j.task_name = :task AND j.args -> 'order' ->> 'month' = :month
   AND j.args -> 'order' ->> 'what' = ANY (CAST(:kinds AS text[])) ORDER BY j.id DESC LIMIT 1
"""


# ---- what can be refused at once ----


def _judge_opening(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    rounds.refuse_opening(connection, settings, actor, order.month, now)


def _judge_closing(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    rounds.refuse_closing(connection, actor, order.month, now, order.reason)


def _judge_reminding(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    towns_to_remind(connection, settings, order.month, now, order.town)


def _judge_drawing(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    balance.refuse_drawing(connection, order.month)


def _judge_sealing(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    balance.refuse_sealing(connection, settings, order.month, now)


def _judge_excuse(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    balance.refuse_unless_drawn(connection, order.month)
    balance_excuses.said_reason(order.reason)
    if order.person is not None:
        balance_excuses.refuse_unless_there(connection, order.month, order.person, "unexplained")


def _judge_taking_back(connection: Connection, settings: Settings, actor: Actor, order: Order, now: datetime) -> None:
    balance.refuse_unless_drawn(connection, order.month)
    balance_excuses.said_reason(order.reason)
    balance_excuses.refuse_unless_there(connection, order.month, order.person, "excused")


_JUDGED: dict[What, Callable[[Connection, Settings, Actor, Order, datetime], None]] = {
    "open": _judge_opening,
    "close": _judge_closing,
    "remind": _judge_reminding,
    "draw": _judge_drawing,
    "seal": _judge_sealing,
    "excuse": _judge_excuse,
    "take-back": _judge_taking_back,
}


# ---- the job ----


def _queue_order(connection: Connection, order: Order) -> int:
    """In the caller's transaction; orders are carried out one after the other."""
    raw = driver(connection)
    job = carry_out_round_order.configure(lock="rounds").job
    raw.execute("SET LOCAL search_path = jobs")
    deferred = _on_the_callers_connection.defer_job(
        job.evolve(task_kwargs={"order": msgspec.to_builtins(order)}), connection=raw
    )
    raw.execute("SET LOCAL search_path TO DEFAULT")
    return int(deferred.id or 0)


@declares(Right.SYSTEM)
@queue.task(name=_TASK, pass_context=True)
def carry_out_round_order(context: JobContext, order: dict[str, Any]) -> None:
    """Do to the month what the bureau asked for, in its name."""
    tools: dict[str, Any] = context.additional_context
    with telling_no_values():
        carry_out(tools["database"], tools["settings"], msgspec.convert(order, Order))


def still_in_charge(database: Database, settings: Settings, asked: Actor, about: str) -> Actor:
    """Whoever gave an order, as they are now; an order outlives neither their account nor their right: NotAllowed."""
    try:
        with database.begin() as connection:
            actor = as_now(connection, asked, settings.accounts)
            require(actor, Right.MANAGE_ROUND)
    except NotAllowed:
        with database.begin() as connection:
            audit.record(connection, asked, Right.MANAGE_ROUND, about, "refused", why="no-longer-in-charge")
        raise
    return actor


def carry_out(database: Database, settings: Settings, order: Order) -> None:
    """The act itself, which judges once more and writes its own audit line."""
    now, month, catalogue = utc_now(), order.month, catalogue_in_force()
    actor = still_in_charge(database, settings, order.actor, order.about)
    if order.what == "draw":
        balance.draw_month(database, settings, catalogue, actor, month, now)
        return
    if order.what == "seal":
        balance.close_month(database, settings, catalogue, actor, month, now)
        return
    with database.begin() as connection:
        if order.what == "open":
            rounds.open_round(connection, settings, catalogue, actor, month, now)
        elif order.what == "close":
            rounds.close_round(connection, actor, month, now, order.reason)
        elif order.what == "remind":
            remind_towns(connection, settings, actor, month, now, order.town)
        elif order.what == "take-back":
            balance_excuses.take_back_excuse(connection, actor, month, order.reason, order.person)
        else:
            balance_excuses.excuse(connection, actor, month, order.reason, now, person_id=order.person, town=order.area)
