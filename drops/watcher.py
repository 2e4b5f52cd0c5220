"""Keeps looking at the drop folders: on a timer, and sooner when the doorbell rings.

A file system event says only "look now"; lost or doubled events change nothing, the look is the truth.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from drops.scan import Drops, Looked
from hub.errors import HubError

_ANSWER_SECONDS = 0.5  # how soon to look again while a submission is on its way
log = logging.getLogger("drops")


class Doorbell(FileSystemEventHandler):
    """Rings on any event below a folder."""

    def __init__(self, rung: threading.Event) -> None:
        self._rung = rung

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):
            self._rung.set()


def watch(drops: Drops, stop: threading.Event | None = None) -> None:
    """Look until SIGTERM, SIGINT or ``stop``."""
    rung = threading.Event()
    stopping = stop or stop_on_signal(threading.Event(), rung)
    with _listening(drops.settings.drops, rung):
        while not stopping.is_set():
            looked = look_safely(drops, lay_out=True)
            rung.wait(_pause(drops, looked))
            rung.clear()


@contextmanager
def _listening(folder: Path, rung: threading.Event) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    observer = Observer()
    observer.schedule(Doorbell(rung), str(folder), recursive=True)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def look_safely(drops: Drops, *, lay_out: bool = False) -> Looked:
    """A look that fails (database away, disk full) is tried again: the files are still there, the folders come back."""
    try:
        if lay_out:
            drops.lay_out()
        return drops.look()
    except (HubError, OSError) as wrong:
        log.error("cannot look at the drop folders now: %s", type(wrong).__name__)
    except Exception as wrong:
        log.error("the look at the drop folders failed: %s", type(wrong).__name__)
    return Looked()


def _pause(drops: Drops, looked: Looked) -> float:
    """Until the timer; sooner when a file may have settled or an answer is due."""
    pause = drops.settings.drop_scan_seconds
    if looked.unsettled:
        pause = min(pause, max(drops.settings.drop_quiet_seconds, 0.05))
    return min(pause, _ANSWER_SECONDS) if looked.waiting else pause


def stop_on_signal(stopping: threading.Event, rung: threading.Event | None = None) -> threading.Event:
    """``stopping`` is set on SIGTERM or SIGINT, and so is ``rung``."""

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        if rung is not None:
            rung.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping
