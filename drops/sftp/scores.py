"""Who behaves badly waits outside: points by address for wrong keys, names and paths; they fade, and so does the ban."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

WRONG_KEY, WRONG_NAME, BAD_PATH = 1.0, 1.0, 0.5
_LONGEST_DELAY_SECONDS = 3.0
_MOST_ADDRESSES = 10_000


class _Mark(msgspec.Struct):
    points: float
    at: float
    banned_until: float = 0.0


class Scores:
    """Points of every address seen lately. ``clock`` counts seconds."""

    def __init__(self, limit: int, ban_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.ban_seconds, self.clock = limit, ban_seconds, clock
        self._marks: dict[str, _Mark] = {}
        self._lock = threading.Lock()

    def is_banned(self, address: str) -> bool:
        with self._lock:
            mark = self._marks.get(address)
            return mark is not None and mark.banned_until > self.clock()

    def add(self, address: str, points: float) -> bool:
        """Whether this was what got the address banned. Its points begin anew after the ban."""
        with self._lock:
            now, mark = self.clock(), self._faded(address)
            mark.points += points
            if mark.points < self.limit:
                return False
            mark.points, mark.banned_until = 0.0, now + self.ban_seconds
            return True

    def forgive(self, address: str) -> None:
        """Somebody signed in from there."""
        with self._lock:
            self._marks.pop(address, None)

    def delay_of(self, address: str) -> float:
        """How long a failed sign-in waits for its answer: twice as long each time."""
        with self._lock:
            return min(0.05 * 2 ** self._faded(address).points, _LONGEST_DELAY_SECONDS)

    def _faded(self, address: str) -> _Mark:
        """The address's mark; all its points are gone after the length of a ban without new ones."""
        now, mark = self.clock(), self._marks.get(address)
        if mark is None:
            if len(self._marks) >= _MOST_ADDRESSES:
                self._marks = {each: kept for each, kept in self._marks.items() if kept.banned_until > now}
            mark = self._marks[address] = _Mark(0.0, now)
        left = max(0.0, 1.0 - (now - mark.at) / self.ban_seconds) if self.ban_seconds else 0.0
        mark.points, mark.at = mark.points * left, now
        return mark
