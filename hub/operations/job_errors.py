"""A job that failed tells what kind of error it was and where, never a value: a driver's message may quote a row."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from hub.errors import HubError

log = logging.getLogger("hub.jobs")
_FRAMES = 6


class JobFailed(Exception):
    """A job's error by its type alone; ``sentence``: what every error of this type says, where it is one of ours."""

    def __init__(self, wrong: BaseException) -> None:
        self.sentence = wrong.sentence() if isinstance(wrong, HubError) else ""
        super().__init__(type(wrong).__name__)


@contextmanager
def telling_no_values() -> Iterator[None]:
    """Only the error's kind and place come out."""
    try:
        yield
    except Exception as wrong:
        log.error("%s at %s", type(wrong).__name__, place_of(wrong))
        raise JobFailed(wrong) from None


def place_of(wrong: Exception) -> str:
    """The innermost functions it came through."""
    frames = traceback.extract_tb(wrong.__traceback__)[-_FRAMES:]
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
