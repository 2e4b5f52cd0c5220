"""What runs: jobs, channels, doors, room and the doctor's quick findings, each in words and with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from admin.lists.answering import Door, Fetched, Source, answer_list
from admin.lists.asked import Asked, asked_of
from admin.lists.declared import named_options
from admin.lists.jobs import JOBS, JobLine
from admin.running_words import (
    CHANNEL_ADVICE,
    CHANNEL_KINDS,
    CHANNEL_STATES,
    FINDINGS,
    LIGHTS,
    TASKS,
)
from hub.channels.declarations import BadChannel
from hub.channels.loop import Shown
from hub.channels.standing import channels_standing
from hub.database import Database
from hub.desks.running import Queue, Running, TaskStanding, read_running
from hub.jobs import queue
from hub.operations.doctor import Finding, worst
from hub.registry.permissions import Right
from hub.settings import Settings
from mappings.catalogue import Catalogue

_WELL = ("ok", "off", "new")


class RunningController(Controller):
    """/running."""

    @get("/running", opt={"right": Right.READ_RUNNING}, sync_to_thread=True)
    def read(self, door: NamedDependency[Door]) -> Response[Any]:
        asked = asked_of(JOBS, door.query)
        running = read_running(door.database, door.settings, door.catalogue, door.actor)
        channels, broken = _channels(door.database, door.settings, door.catalogue)
        return answer_list(
            door, asked, _source(asked, running, channels), "running.html", running=running, broken=broken,
            **_described(door, asked, running, channels),
        )  # fmt: skip


def _source(asked: Asked, running: Running, channels: list[Shown]) -> Source:
    jobs = [one for one in _jobs(running.queue, running.at) if not asked["only"] or one.light != "ok"]
    units = sorted({one.organisation for one in channels})
    return Source(
        rows=lambda connection, after, size: Fetched(rows=jobs),
        options=lambda connection, words: {"organisation": named_options(units, words.organisation)},
    )


def _described(door: Door, asked: Asked, running: Running, channels: list[Shown]) -> dict[str, Any]:
    """What stands around the list: the filter is theirs too."""
    only_trouble = bool(asked["only"])
    return {
        "channels": [one for one in channels if _is_wanted(one, only_trouble, asked["organisation"])],
        "declared": len(channels),
        "findings": [one for one in running.findings if not only_trouble or one.state != "ok"],
        "worst": worst(running.findings),
        "troubled": [one.channel for one in channels if one.state not in _WELL],
        "fixes": {one.code: _fix_of(one, door.settings, door.request.auth.language) for one in running.findings},
        "words": {"tasks": TASKS, "findings": FINDINGS, "lights": LIGHTS, "kinds": CHANNEL_KINDS},
        "channel_states": CHANNEL_STATES,
        "advice": CHANNEL_ADVICE,
        "sftp": door.settings.sftp.enabled,
    }


def _channels(database: Database, settings: Settings, catalogue: Catalogue) -> tuple[list[Shown], bool]:
    """Every channel; none and True where a declaration is wrong, which keeps all of them from running."""
    try:
        with database.begin() as connection:
            return channels_standing(connection, settings, catalogue), False
    except BadChannel:
        return [], True


def _is_wanted(one: Shown, only_trouble: bool, organisation: str) -> bool:
    return (not only_trouble or one.state not in _WELL) and organisation in ("", one.organisation)


def _jobs(standing: Queue, now: datetime) -> list[JobLine]:
    """Every kind of job there is, those by the clock with their next turn."""
    known = {one.task: one for one in standing.tasks}
    following = _next_runs(now)
    names = sorted({*known, *following}, key=lambda name: list(TASKS).index(name) if name in TASKS else len(TASKS))
    return [
        JobLine(task=name, standing=known.get(name), next_at=following.get(name), light=_light(known.get(name)))
        for name in names
    ]


def _light(standing: TaskStanding | None) -> str:
    return "fail" if standing is not None and standing.failed else "ok"


def _next_runs(now: datetime) -> dict[str, datetime]:
    """By the clock that the jobs themselves are declared with."""
    found = {}
    for (name, _), periodic in queue.periodic_registry.periodic_tasks.items():
        at: Any = periodic.croniter.get_next(ret_type=float, start_time=now.timestamp())
        found[name] = datetime.fromtimestamp(at, UTC)
    return found


def _fix_of(one: Finding, settings: Settings, language: str) -> str:
    """What to do, in the page's language; a place on the machine is not told here."""
    if not one.fix or str(settings.home) in one.fix:
        return ""
    chinese, _, english = one.fix.partition("。 ")
    return english if language == "en" and english else chinese.rstrip("。")
