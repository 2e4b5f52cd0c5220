"""What runs: jobs, channels, doors, room and the doctor's quick findings, each in words and with what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from admin.desk_forms import Asking, choices_of
from admin.pages import show
from admin.running_words import (
    CHANNEL_ADVICE,
    CHANNEL_KINDS,
    CHANNEL_STATES,
    FINDINGS,
    LIGHTS,
    SHOWN_STATES,
    TASKS,
)
from hub.channels.declarations import BadChannel
from hub.channels.loop import Shown
from hub.channels.standing import channels_standing
from hub.database import Database
from hub.desks.running import Queue, TaskStanding, read_running
from hub.jobs import queue
from hub.operations.doctor import Finding, worst
from hub.registry.organisations import list_organisations
from hub.registry.permissions import Right
from hub.settings import Settings
from mappings.catalogue import Catalogue

_WELL = ("ok", "off", "new")


class JobLine(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job: how it stands, and when the clock starts it next."""

    task: str
    standing: TaskStanding | None
    next_at: datetime | None
    light: str


class RunningController(Controller):
    """/running."""

    @get("/running", opt={"right": Right.READ_RUNNING}, sync_to_thread=True)
    def read(
        self,
        request: Asking,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        catalogue: NamedDependency[Catalogue],
        only: FromQuery[str] = "",
        organisation: FromQuery[str] = "",
    ) -> Response[str]:
        running = read_running(database, settings, catalogue, request.user)
        with database.begin() as connection:
            known = {each.code: each for each in list_organisations(connection, settings.district)}
        channels, broken = _channels(database, settings, catalogue)
        jobs = _jobs(running.queue, running.at)
        only_trouble = only == "trouble"
        return show(
            request,
            "running.html",
            running=running,
            jobs=[one for one in jobs if not only_trouble or one.light != "ok"],
            channels=[one for one in channels if _is_wanted(one, only_trouble, organisation)],
            declared=len(channels),
            broken=broken,
            findings=[one for one in running.findings if not only_trouble or one.state != "ok"],
            worst=worst(running.findings),
            troubled=[one.channel for one in channels if one.state not in _WELL],
            known=known,
            asked={"only": only, "organisation": organisation},
            states=choices_of(SHOWN_STATES, request.auth),
            units=sorted({one.organisation for one in channels}),
            fixes={one.code: _fix_of(one, settings, request.auth.language) for one in running.findings},
            words={"tasks": TASKS, "findings": FINDINGS, "lights": LIGHTS, "kinds": CHANNEL_KINDS},
            channel_states=CHANNEL_STATES,
            advice=CHANNEL_ADVICE,
            sftp=settings.sftp.enabled,
        )


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
