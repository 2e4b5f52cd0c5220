"""Who works the queue: a worker in its process, whether one lives, dead ones' jobs, waiting for a submission's end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any
from uuid import UUID

import psycopg
from procrastinate import App, JobContext, PsycopgConnector, SyncPsycopgConnector
from procrastinate.periodic import PeriodicRegistry
from sqlalchemy import Connection, select

from hub.database import NOTHING, Database, Reach, run_sql, utc_now
from hub.exchange import receipts
from hub.operations.failed_jobs import keep_failure
from hub.settings import Settings
from hub.tables import submission

HEARTBEAT_SECONDS = 10.0
STALLED_AFTER_SECONDS = 30.0
CONCURRENCY = 2
_LOOK_AGAIN_SECONDS = 0.05
_NEXT_SECONDS = 0.005
_DEAD_AFTER_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_PRESENCE = (7_215, 2)  # advisory lock every living worker holds, shared

_TASKS = ["hub.jobs", "hub.decisions.round_orders", "hub.desks.month_asking"]  # rooms above, read when a worker starts
queue = App(connector=SyncPsycopgConnector(), import_paths=_TASKS)  # never opened: a worker has its own pool


def work(database: Database, settings: Settings, *, wait: bool = True, concurrency: int = CONCURRENCY) -> None:
    """Run jobs until told to stop (SIGTERM, SIGINT); without ``wait`` until none is left, and none by the clock."""
    with present(database) as alone:
        asyncio.run(_work(database, settings, wait=wait, concurrency=concurrency, alone=alone))


@contextmanager
def present(database: Database) -> Iterator[bool]:
    """Hold the workers' shared lock; True when no other worker was there, so that every running job is a dead one's."""
    with psycopg.connect(_conninfo(database), autocommit=True) as connection:
        alone = _is_first(connection)
        connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", _PRESENCE)
        if alone:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", _PRESENCE)
        yield alone


def worker_is_alive(connection: Connection) -> bool:
    """Whether some process is working the queue: the lock goes with its connection, however it died."""
    held = (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :a AND objid = :b"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
    )
    return bool(run_sql(connection, held, a=_PRESENCE[0], b=_PRESENCE[1]))


async def retry_stalled_jobs(app: App, seconds: float = STALLED_AFTER_SECONDS) -> None:
    """Give the jobs of dead workers to a living one."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds):
        await app.job_manager.retry_job(job, retry_at=utc_now())


def wait_until_final(database: Database, submission_id: UUID, seconds: float, reach: Reach = NOTHING) -> bool:
    """Look at the ledger until the submission is final or waits for a person; False when the time is over first."""
    until = time.monotonic() + seconds
    while not _is_settled(database, submission_id, reach):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


def run_now(database: Database, settings: Settings, submission_id: UUID, seconds: float) -> bool:
    """Wait for a living worker, or do the queued work here while there is none; whether it is final or waits for a person."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not _is_worked_on(database):
            work(database, settings, wait=False)
        if wait_until_final(database, submission_id, _RETRY_SECONDS):
            return True
    return False


# ---- beneath ----


async def _work(database: Database, settings: Settings, *, wait: bool, concurrency: int, alone: bool) -> None:
    with queue.replace_connector(_pool(database)) as shared:
        app = shared if wait else _nothing_by_the_clock(shared)
        async with app.open_async():
            await _run_worker(app, database, settings, wait=wait, concurrency=concurrency, alone=alone)
            while not wait and await asyncio.to_thread(_is_left, database):  # a job that waited for another's lock
                await asyncio.sleep(_NEXT_SECONDS)
                await _run_worker(app, database, settings, wait=False, concurrency=concurrency, alone=False)


def _nothing_by_the_clock(app: App) -> App:
    """Who works off what is queued and goes does not also begin what happens to be due by the clock.

    What is declared stays as it is: others in this process, a worker or the page of what runs, read it meanwhile.
    """
    app.perform_import_paths()  # type: ignore[no-untyped-call]
    own = copy(app)
    own.periodic_registry = PeriodicRegistry()  # type: ignore[no-untyped-call]
    return own


async def _run_worker(
    app: App, database: Database, settings: Settings, *, wait: bool, concurrency: int, alone: bool
) -> None:
    await retry_stalled_jobs(app, 0.0 if alone else STALLED_AFTER_SECONDS)
    await app.run_worker_async(
        wait=wait,
        concurrency=concurrency,
        listen_notify=wait,
        install_signal_handlers=wait,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_AFTER_SECONDS,
        fetch_job_polling_interval=2.0,
        additional_context={"database": database, "settings": settings},
        worker_middleware=[_keeping_failures],
    )


async def _keeping_failures(run: Callable[[], Awaitable[Any]], context: JobContext, worker: object) -> Any:
    """Every job's error is named where the page of what runs finds it."""
    try:
        return await run()
    except Exception as wrong:
        settings: Settings = context.additional_context["settings"]
        await asyncio.to_thread(keep_failure, settings, int(context.job.id or 0), wrong)
        raise


def _pool(database: Database) -> PsycopgConnector:
    return PsycopgConnector(conninfo=_conninfo(database), kwargs={"options": "-csearch_path=jobs"}, max_size=6)


def _is_first(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """No other worker holds the lock. A killed one's connection may take PostgreSQL a moment to give up."""
    until = time.monotonic() + _DEAD_AFTER_SECONDS
    while connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _PRESENCE).fetchone() != (True,):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
    return True


def _is_left(database: Database) -> bool:
    """Whether a submission's job could be run now."""
    with database.begin() as connection:
        waiting = (
            "SELECT 1 FROM jobs.procrastinate_jobs WHERE status = 'todo' AND task_name IN ('run_submission', 'carry_out_decision')"
            " AND (scheduled_at IS NULL OR scheduled_at <= now()) LIMIT 1"
        )
        return bool(run_sql(connection, waiting))


def _conninfo(database: Database) -> str:
    return database.url.set(drivername="postgresql").render_as_string(hide_password=False)


def _is_worked_on(database: Database) -> bool:
    with database.begin() as connection:
        return worker_is_alive(connection)


def _is_settled(database: Database, submission_id: UUID, reach: Reach) -> bool:
    with database.begin(reach) as connection:
        row = connection.execute(select(submission).where(submission.c.submission_id == submission_id)).one()
    return receipts.is_settled(row)
