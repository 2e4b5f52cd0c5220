"""Channels at work: each when it is due, a few at a time; what failed waits longer, what stays silent is said aloud."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub.channels.announcing import announce
from hub.channels.declarations import Channel, HttpPull, OutFolder, SftpDeliver, SftpFetch, Webhook
from hub.channels.delivering import deliver_by_sftp, deliver_to_folder
from hub.channels.fetching import fetch
from hub.channels.pulling import pull_rows
from hub.channels.run import ChannelFailed, Ran, Tools
from hub.channels.state import LONGEST_SENTENCE, State, alarm, alone, disable, list_states, load_state, save
from hub.channels.timetable import is_due, is_silent, next_regular, pause_after
from hub.database import utc_now
from hub.errors import Conflict, HubError, NotFound
from hub.registry.permissions import SYSTEM_ACTOR

AT_ONCE = 4
TICK_SECONDS = 1.0
_LONGEST_ASKED_PAUSE = 24 * 3600.0

log = logging.getLogger("hub.channels")

_ACTS: dict[type[Channel], Callable[[Tools, str, Any, State], Ran]] = {
    SftpFetch: fetch,
    SftpDeliver: deliver_by_sftp,
    OutFolder: deliver_to_folder,
    HttpPull: pull_rows,
    Webhook: announce,
}


class Busy(Conflict):
    """该通道正在另一个程序中运行。 Another process is running this channel."""

    problem = "channel-busy"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as a person sees it."""

    channel: str
    kind: str
    organisation: str
    state: str  # ok failing silent disabled off new
    last_tried_at: datetime | None
    last_succeeded_at: datetime | None
    next_at: datetime | None
    failures: int
    failure: str


class Channels:
    """The declared channels of a hub."""

    def __init__(self, tools: Tools, declared: dict[str, Channel]) -> None:
        self.tools, self.declared = tools, declared
        self._zone = ZoneInfo(tools.settings.time_zone)

    def due(self, now: datetime) -> list[str]:
        """Who is to work now."""
        with self.tools.database.begin() as connection:
            states = self._states(connection)
        return [name for name, channel in self.declared.items() if is_due(channel, states[name], now, self._zone)]

    def _states(self, connection: Connection) -> dict[str, State]:
        known = list_states(connection)
        return {name: known.get(name) or load_state(connection, name) for name in self.declared}

    def run_once(self, name: str) -> Ran:
        """One run now; HubError when it failed, after its state says so."""
        channel = self.declared.get(name)
        if channel is None:
            raise NotFound(f"{name}: {', '.join(self.declared) or '-'}")
        with alone(self.tools.database, name) as mine:
            if not mine:
                raise Busy(name)
            return self._run(name, channel)

    def _run(self, name: str, channel: Channel) -> Ran:
        with self.tools.database.begin() as connection:
            state = load_state(connection, name)
            save(connection, name, last_tried_at=utc_now())
        try:
            ran = _ACTS[type(channel)](self.tools, name, channel, state)
        except HubError as wrong:
            self._note_failure(name, state, wrong)
            raise
        except Exception as wrong:
            self._note_failure(name, state, ChannelFailed(type(wrong).__name__))
            raise
        self._note_success(name, channel, ran)
        return ran

    def _note_success(self, name: str, channel: Channel, ran: Ran) -> None:
        now = utc_now()
        following = next_regular(channel, now, self._zone)
        if ran.look_again is not None:
            following = min(following, now + timedelta(seconds=ran.look_again))
        over: dict[str, object] = {"failure": "", "alarmed_at": None} if ran.spoke else {}
        with self.tools.database.begin() as connection:
            save(connection, name, last_succeeded_at=now, next_at=following, failures=0, **over)
        if ran.taken:
            log.info("channel %s: %d taken, %d waiting", name, ran.taken, ran.waiting)

    def _note_failure(self, name: str, state: State, wrong: HubError) -> None:
        failures = state.failures + 1
        asked = wrong.pause if isinstance(wrong, ChannelFailed) else None
        pause = pause_after(failures) if asked is None else min(asked, _LONGEST_ASKED_PAUSE)
        sentence = str(wrong)[:LONGEST_SENTENCE]
        following = utc_now() + timedelta(seconds=pause)
        with self.tools.database.begin() as connection:
            save(connection, name, failures=failures, failure=sentence, next_at=following)
            if isinstance(wrong, ChannelFailed) and wrong.alarm and state.alarmed_at is None:
                alarm(connection, SYSTEM_ACTOR, name, sentence)
                log.error("channel %s needs somebody to look: %s", name, sentence)
            if isinstance(wrong, ChannelFailed) and wrong.disable:
                disable(connection, SYSTEM_ACTOR, name)
        log.warning("channel %s failed (%d), again in %.0f s: %s", name, failures, pause, sentence)

    def raise_alarms(self, now: datetime) -> list[str]:
        """Who has been silent for too long and was not said to be: said now, once."""
        with self.tools.database.begin() as connection:
            states = self._states(connection)
            silent = [name for name, state in states.items() if self._is_newly_silent(name, state, now)]
            for name in silent:
                hours = self.declared[name].silent_after_hours
                alarm(connection, SYSTEM_ACTOR, name, f"silent for {hours:g} h")
        for name in silent:
            log.error("channel %s has been silent for too long", name)
        return silent

    def _is_newly_silent(self, name: str, state: State, now: datetime) -> bool:
        return state.alarmed_at is None and not state.disabled and is_silent(self.declared[name], state, now)

    def describe(self) -> list[Shown]:
        """Every declared channel as it stands."""
        with self.tools.database.begin() as connection:
            states = list_states(connection)
        return [as_shown(name, one, states.get(name) or State(channel=name)) for name, one in self.declared.items()]


def keep_running(channels: Channels, stop: threading.Event) -> None:
    """Until told to stop; runs that are under way are finished first, and each has its own time limit."""
    running: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="channel") as pool:
        while not stop.is_set():
            running = {name: future for name, future in running.items() if not future.done()}
            for name in _ready(channels):
                if name not in running and len(running) < AT_ONCE:
                    running[name] = pool.submit(_run_quietly, channels, name)
            stop.wait(TICK_SECONDS)


def _ready(channels: Channels) -> list[str]:
    """A database that is away is waited for."""
    try:
        channels.raise_alarms(utc_now())
        return channels.due(utc_now())
    except Exception as wrong:
        log.error("cannot look at the channels now: %s", type(wrong).__name__)
        return []


def _run_quietly(channels: Channels, name: str) -> None:
    """What failed is in the channel's state and the log already."""
    try:
        channels.run_once(name)
    except HubError:
        return
    except Exception as wrong:
        log.error("channel %s: %s", name, type(wrong).__name__)


def as_shown(name: str, channel: Channel, state: State) -> Shown:
    same = {each: getattr(state, each) for each in Shown.__struct_fields__ if each in State.__struct_fields__}
    same.pop("channel")
    return Shown(
        channel=name, kind=channel.kind, organisation=channel.organisation, state=_word(channel, state), **same
    )


def _word(channel: Channel, state: State) -> str:
    if not channel.enabled:
        return "off"
    if state.disabled:
        return "disabled"
    if state.alarmed_at is not None:
        return "alarm"
    if state.last_tried_at is None:
        return "new"
    return "failing" if state.failures else "ok"
