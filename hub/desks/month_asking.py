"""The bureau asks a unit for its month on a page; the worker makes the notice in its name: the web door writes none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from procrastinate import JobContext, SyncPsycopgConnector
from procrastinate.manager import JobManager
from sqlalchemy import Connection

from hub import audit
from hub.database import driver, utc_now
from hub.decisions.round_orders import still_in_charge
from hub.desks.month_reminding import remind_unit, wanted_reminder
from hub.exchange.pipeline import catalogue_in_force
from hub.operations.job_errors import telling_no_values
from hub.registry.permissions import Actor, Right
from hub.registry.rights import declares, require
from hub.settings import Settings
from hub.workers import queue
from mappings.catalogue import Catalogue

_on_the_callers_connection = JobManager(SyncPsycopgConnector())


class MonthAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which unit is asked for which month, and by whom."""

    organisation: str
    month: str
    name: str
    bureau: str
    kind: str
    address: str = ""

    @property
    def actor(self) -> Actor:
        """Whoever asked; what they may do is looked up when it is done."""
        return Actor(
            name=self.name, organisation=self.bureau, kind=self.kind, door="panel", address=self.address,
            rights=frozenset(),
        )  # fmt: skip


def ask_for_month(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, organisation: str, month: str,
    now: datetime,
) -> int:  # fmt: skip
    """Queue it in this transaction, the job's number; NothingOpen and RemindedToday at once."""
    require(actor, Right.MANAGE_ROUND)
    wanted_reminder(connection, settings, catalogue, actor, organisation, month, now)
    audit.record(connection, actor, Right.MANAGE_ROUND, f"board/{month}/{organisation}", what="ask")
    asked = MonthAsked(
        organisation=organisation, month=month, name=actor.name, bureau=actor.organisation, kind=actor.kind,
        address=actor.address,
    )  # fmt: skip
    return _queue_asking(connection, asked)


def _queue_asking(connection: Connection, asked: MonthAsked) -> int:
    raw = driver(connection)
    job = carry_out_month_asking.configure(lock="month_asking").job
    raw.execute("SET LOCAL search_path = jobs")
    given = job.evolve(task_kwargs={"asked": msgspec.to_builtins(asked)})
    deferred = _on_the_callers_connection.defer_job(given, connection=raw)
    raw.execute("SET LOCAL search_path TO DEFAULT")
    return int(deferred.id or 0)


@declares(Right.SYSTEM)
@queue.task(name="carry_out_month_asking", pass_context=True)
def carry_out_month_asking(context: JobContext, asked: dict[str, Any]) -> None:
    """Make the notice, judged once more."""
    tools: dict[str, Any] = context.additional_context
    one = msgspec.convert(asked, MonthAsked)
    database, settings, about = tools["database"], tools["settings"], f"board/{one.month}/{one.organisation}"
    with telling_no_values():
        actor = still_in_charge(database, settings, one.actor, about)
        with database.begin() as connection:
            remind_unit(connection, settings, catalogue_in_force(), actor, one.organisation, one.month, utc_now())
