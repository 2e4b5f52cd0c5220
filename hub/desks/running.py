"""How the hub runs, in counts and instants: the queue and its jobs, the doors' folders, what is stored, what is not well.

Never what a job is about or a file holds. It works where the asker sees no ledger: what leaves here are counts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from hub.database import Database, run_sql, set_reach, utc_now
from hub.operations.backup import last_backup
from hub.operations.doctor import Finding, examine_quickly
from hub.operations.failed_jobs import Failure, read_failure
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

_HEARTBEAT_LATE = timedelta(seconds=60)
_LATELY = timedelta(hours=24)
_MOST_FAILED = 50
Shape = TypeVar("Shape", bound=msgspec.Struct)
_MOST_ENTRIES = 2_000  # of one folder: beyond that it is "so many and more"


class TaskStanding(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs of one kind: waiting and under way, failed since the queue was last tidied, when one last ended."""

    task: str
    waiting: int
    oldest_at: datetime | None
    doing: int
    failed: int
    last_ended_at: datetime | None
    last_deferred_at: datetime | None  # of what comes by the clock


class FailedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was given up: which kind, after how many attempts, when; its error by class and sentence, no values."""

    job_id: int
    task: str
    attempts: int
    at: datetime | None
    why: Failure | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The work for later."""

    workers: int
    heartbeat_at: datetime | None
    alive: bool
    tasks: list[TaskStanding]
    failed: list[FailedJob]

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self.tasks)

    @property
    def doing(self) -> int:
        return sum(each.doing for each in self.tasks)

    @property
    def oldest_at(self) -> datetime | None:
        return min((each.oldest_at for each in self.tasks if each.oldest_at), default=None)


class SftpVisits(msgspec.Struct, frozen=True, kw_only=True):
    """What one organisation did at the SFTP door in a day; "" is whoever was not recognised."""

    organisation: str
    sign_ins: int
    files: int
    refused: int
    bans: int
    last_at: datetime | None


class DropFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation's drop folder: files not taken yet, being taken, given back; counted up to a limit."""

    organisation: str
    waiting: int
    oldest_at: datetime | None
    claimed: int
    rejected: int


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept and how much room is left, in bytes."""

    free: int
    total: int
    floor: int
    database: int
    backup_at: datetime | None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment."""

    at: datetime
    queue: Queue
    visits: list[SftpVisits]
    folders: list[DropFolder]
    store: Store
    findings: list[Finding]


def read_running(database: Database, settings: Settings, catalogue: Catalogue, actor: Actor) -> Running:
    """How the hub runs now."""
    require(actor, Right.READ_RUNNING)
    now = utc_now()
    with database.begin(reach_of(actor)) as connection, _counting_everything(connection, actor):
        queue, visits = _queue(connection, settings, now), _visits(connection, now)
        size = int(str(run_sql(connection, "SELECT pg_database_size(current_database())")[0][0]))
        findings = examine_quickly(settings, database, catalogue, connection)
    room = shutil.disk_usage(settings.home)
    store = Store(
        free=room.free, total=room.total, floor=settings.sftp.free_space_floor, database=size,
        backup_at=last_backup(settings),
    )  # fmt: skip
    return Running(
        at=now, queue=queue, visits=visits, folders=list(_folders(settings.drops)), store=store, findings=findings
    )


@contextmanager
def _counting_everything(connection: Connection, actor: Actor) -> Iterator[None]:
    """Inside, the ledger's lines may be counted by whoever keeps the hub running; no line of it leaves this room."""
    set_reach(connection, {"ledger": "counts"})
    yield
    set_reach(connection, {"ledger": "", **reach_of(actor)})


def _queue(connection: Connection, settings: Settings, now: datetime) -> Queue:
    ((workers, heartbeat),) = run_sql(
        connection,
        "SELECT count(*) FILTER (WHERE last_heartbeat > :late), max(last_heartbeat) FROM jobs.procrastinate_workers",
        late=now - _HEARTBEAT_LATE,
    )
    return Queue(
        workers=int(str(workers)),
        heartbeat_at=heartbeat,  # type: ignore[arg-type]
        alive=bool(workers),
        tasks=_each(connection, _TASKS, TaskStanding),
        failed=[_explained(settings, one) for one in _each(connection, _FAILED, FailedJob, most=_MOST_FAILED)],
    )


def _explained(settings: Settings, one: FailedJob) -> FailedJob:
    return msgspec.structs.replace(one, why=read_failure(settings, one.job_id))


_TASKS = """
WITH standing AS (
  SELECT j.task_name, count(*) FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now()) AS waiting,
         count(*) FILTER (WHERE j.status = 'doing') AS doing, count(*) FILTER (WHERE j.status = 'failed') AS failed,
         max(j.id) FILTER (WHERE j.status IN ('succeeded', 'failed')) AS newest
    FROM jobs.procrastinate_jobs j GROUP BY j.task_name),
oldest AS (
  SELECT j.task_name, min(e.at) AS at
    FROM jobs.procrastinate_jobs j JOIN jobs.procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred'
   WHERE j.status = 'todo' AND coalesce(j.scheduled_at, now()) <= now() GROUP BY j.task_name),
clock AS (
  SELECT task_name, to_timestamp(max(defer_timestamp)) AS at FROM jobs.procrastinate_periodic_defers GROUP BY task_name)
SELECT coalesce(s.task_name, c.task_name), coalesce(s.waiting, 0), o.at, coalesce(s.doing, 0), coalesce(s.failed, 0),
       (SELECT max(e.at) FROM jobs.procrastinate_events e WHERE e.job_id = s.newest), c.at
  FROM standing s FULL JOIN clock c ON c.task_name = s.task_name LEFT JOIN oldest o ON o.task_name = s.task_name
 ORDER BY 1
"""
_FAILED = """
SELECT j.id, j.task_name, j.attempts,
       (SELECT max(e.at) FROM jobs.procrastinate_events e WHERE e.job_id = j.id AND e.type = 'failed'), NULL
  FROM jobs.procrastinate_jobs j WHERE j.status = 'failed' ORDER BY j.id DESC LIMIT :most
"""


def _visits(connection: Connection, now: datetime) -> list[SftpVisits]:
    """Organisation by organisation, each by the index on its own events."""
    return _each(connection, _VISITS, SftpVisits, since=now - _LATELY)


_VISITS = """
SELECT o.code, e.sign_ins, e.files, e.refused, e.bans, e.last_at
  FROM (SELECT code FROM shared.organisation UNION ALL SELECT '') o
  JOIN LATERAL (SELECT count(*) FILTER (WHERE act = 'sign-in' AND outcome = 'done') AS sign_ins,
                       count(*) FILTER (WHERE act = 'close') AS files,
                       count(*) FILTER (WHERE act = 'refused' OR outcome = 'refused') AS refused,
                       count(*) FILTER (WHERE facts ->> 'banned' = 'true') AS bans, max(at) AS last_at
                  FROM {d}.sftp_event WHERE organisation = o.code AND at > :since) e ON e.last_at IS NOT NULL
 ORDER BY o.code
"""


def _each(connection: Connection, statement: str, shape: type[Shape], **binds: object) -> list[Shape]:
    names = shape.__struct_fields__
    return [shape(**dict(zip(names, row, strict=True))) for row in run_sql(connection, statement, **binds)]


# ---- on the disk ----


def _folders(drops: Path) -> Iterator[DropFolder]:
    """By organisation; names of files are nobody's business here."""
    if not drops.is_dir():
        return
    for folder in sorted(path for path in drops.iterdir() if path.is_dir() and not path.is_symlink()):
        waiting, oldest = _files_below(folder / "in")
        yield DropFolder(
            organisation=folder.name,
            waiting=waiting,
            oldest_at=oldest,
            claimed=_entries(folder / ".claimed"),
            rejected=_entries(folder / "rejected"),
        )


def _files_below(folder: Path) -> tuple[int, datetime | None]:
    """How many files, and since when the oldest has lain there."""
    count, oldest = 0, None
    for place, _, names in os.walk(folder):
        for name in names[: _MOST_ENTRIES - count]:
            try:
                changed = (Path(place) / name).lstat().st_mtime
            except OSError:
                continue
            count, oldest = count + 1, changed if oldest is None else min(oldest, changed)
    zone = utc_now().tzinfo
    return count, datetime.fromtimestamp(oldest, zone) if oldest is not None else None


def _entries(folder: Path) -> int:
    try:
        with os.scandir(folder) as found:
            return sum(1 for _, _ in zip(range(_MOST_ENTRIES), found, strict=False))
    except OSError:
        return 0
