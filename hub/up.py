"""The whole hub as one process tree: PostgreSQL, then serve, work, watch and sftp; it stops as a whole and leaves nothing.

Every child leads its own process group and dies with this process (PR_SET_PDEATHSIG). One that ends by itself is
started again, a little later each time.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

PARTS = ("serve", "work", "watch", "sftp")
STOP_LIMIT_SECONDS = 15.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_CALM_SECONDS = 60.0  # a child that ran this long starts again without a pause to remember
_TICK_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here: a child between fork and exec must not import

log = logging.getLogger("hub.up")


class Part:
    """One child: its command, its process, and how long to wait before it starts again."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        self.name, self.command, self.environment = name, list(command), environment
        self.process: subprocess.Popen[bytes] | None = None
        self._started = self._start_at = 0.0
        self._pause = _FIRST_PAUSE_SECONDS

    def keep_running(self) -> None:
        """Start it if it is not there and its pause is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._plan_restart(now, self.process.returncode)
        if self.process is None and now >= self._start_at:
            self._start(now)

    def tell(self, number: int) -> None:
        """Send a signal to the child's whole group: its parser children too."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _start(self, now: float) -> None:
        parent = os.getpid()
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=lambda: _die_with(parent),
        )
        self._started = now

    def _plan_restart(self, now: float, status: int) -> None:
        log.warning("%s ended (%s), starting again in %.1f s", self.name, status, self._pause)
        self.tell(signal.SIGKILL)
        self.process = None
        calm = now - self._started > _CALM_SECONDS
        self._start_at = now + self._pause
        self._pause = _FIRST_PAUSE_SECONDS if calm else min(self._pause * 2, _LONGEST_PAUSE_SECONDS)


def keep_up(parts: Sequence[Part], until: Callable[[], bool], keep_beneath: Callable[[], None]) -> None:
    """Keep every part running, and what they stand on, until told otherwise; then stop them all."""
    try:
        while not until():
            keep_beneath()
            for part in parts:
                part.keep_running()
            time.sleep(_TICK_SECONDS)
    finally:
        stop_all(parts)


def stop_all(parts: Sequence[Part]) -> None:
    """SIGTERM to all, time to finish, SIGKILL to what is left of their groups."""
    for part in parts:
        part.tell(signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT_SECONDS
    while any(part.is_running() for part in parts) and time.monotonic() < deadline:
        time.sleep(0.02)
    for part in parts:
        part.tell(signal.SIGKILL)
        if part.process is not None:
            part.process.wait()


def parts_of_the_hub(environment: dict[str, str], *, sftp: bool = True, channels: bool = False) -> list[Part]:
    """serve, work, watch and, where the site wants it, sftp and the channels, as this interpreter runs them."""
    verbs = [[name] for name in PARTS if sftp or name != "sftp"] + ([["channels", "run"]] if channels else [])
    return [Part(verb[0], [sys.executable, "-m", "hub", *verb], environment) for verb in verbs]


class Stopping:
    """Becomes true on SIGTERM, SIGINT or SIGHUP."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def _die_with(parent: int) -> None:
    """In the child, before exec: ask the kernel for SIGTERM when the parent dies, and go if it already has."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
