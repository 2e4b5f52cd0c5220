"""Says where time goes without a change to what is timed: functions are wrapped for the length of a block."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hub.database import Database
from hub.exchange import merge, outcomes, pipeline, receipts, staging

Unwatch = Callable[[], None]


class Stopwatch:
    """Seconds by stage; time spent in a stage inside another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    @contextmanager
    def span(self, stage: str) -> Iterator[None]:
        self._inner.append(0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            own = spent - self._inner.pop()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + own
            if self._inner:
                self._inner[-1] += spent

    def frames(self, stage: str, iterator: Iterator[Any]) -> Iterator[Any]:
        """An iterator whose every step counts for the stage."""
        while True:
            with self.span(stage):
                try:
                    step = next(iterator)
                except StopIteration:
                    return
            yield step

    def watch(self, owner: Any, name: str, stage: str) -> Unwatch:
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def timed(*given: Any, **named: Any) -> Any:
            with self.span(stage):
                return plain(*given, **named)

        setattr(owner, name, timed)
        return lambda: setattr(owner, name, plain)


STAGES = (
    (pipeline, "tidy", "tidy"),
    (staging, "copy_staged", "COPY into staging"),
    (staging, "copy_errors", "COPY into staging"),
    (staging, "refresh_statistics", "ANALYZE"),
    (pipeline, "mark_doubtful", "doubts"),
    (pipeline, "link", "link"),
    (pipeline, "merge", "merge: rest"),
    (merge, "find_difference", "merge: difference"),
    (merge, "settle_repeated_keys", "merge: repeated keys"),
    (merge, "keep_replaced_versions", "merge: history"),
    (merge, "update_known", "merge: update"),
    (merge, "insert_new", "merge: insert"),
    (merge, "persons_to_settle", "merge: homes"),
    (merge, "settle_homes", "merge: homes"),
    (merge, "settle_numbers", "merge: numbers"),
    (merge, "reroute_records_of", "merge: reroute"),
    (outcomes, "count", "outcomes"),
    (outcomes, "note", "outcomes"),
    (receipts, "issue", "receipt"),
    (pipeline, "number_changes", "change log"),
)


@contextmanager
def watched(database: Database) -> Iterator[Stopwatch]:
    """Every stage of the line, and the commits of this database's engine."""
    watch = Stopwatch()
    undo = [watch.watch(owner, name, stage) for owner, name, stage in STAGES]
    undo.append(watch.watch(database.engine.dialect, "do_commit", "commit"))
    undo += [_watch_parse(watch), _watch_check(watch)]
    try:
        yield watch
    finally:
        for each in reversed(undo):
            each()


def _watch_parse(watch: Stopwatch) -> Unwatch:
    line: Any = pipeline
    plain = line.parse

    def timed(*given: Any, **named: Any) -> Any:
        with watch.span("parse"):
            parsed = plain(*given, **named)
        parsed.frames = watch.frames("parse", parsed.frames)
        return parsed

    line.parse = timed
    return lambda: setattr(line, "parse", plain)


def _watch_check(watch: Stopwatch) -> Unwatch:
    line: Any = pipeline
    plain = line.check
    line.check = lambda *given: watch.frames("check", plain(*given))
    return lambda: setattr(line, "check", plain)
