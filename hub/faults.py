"""Named places where a fault test may kill the process; nothing happens there unless HUB_FAULT names one."""

from __future__ import annotations

import os
import signal
import threading

POINTS = (
    "receive.first_bytes",
    "receive.mid_stream",
    "receive.before_fsync",
    "receive.after_fsync",
    "receive.before_rename",
    "receive.after_rename",
    "receive.before_ledger",
    "receive.after_ledger",
    "accept.before_enqueue",
    "accept.before_commit",
    "accept.after_commit",
    "job.started",
    "job.done",
    "pipeline.start",
    "parse.before",
    "check.batch",
    "staging.copied",
    "staging.before_commit",
    "staging.after_commit",
    "link.before",
    "link.after",
    "merge.before",
    "merge.after",
    "changelog.before_counter",
    "changelog.after_counter",
    "receipt.before",
    "receipt.after",
    "pipeline.before_commit",
    "pipeline.after_commit",
    "drop.before_claim",
    "drop.claimed",
    "drop.accepted",
    "drop.noted",
    "drop.answered",
)


class UnknownFault(ValueError):
    """HUB_FAULT 所指的位置不存在。 HUB_FAULT names a place that does not exist."""


def _read_environment() -> tuple[str, int]:
    """The chosen point and on which passage to die; ("", 0) when none is chosen."""
    name, _, passage = os.environ.get("HUB_FAULT", "").partition(":")
    if name and name not in POINTS:
        raise UnknownFault(name)
    return name, int(passage or 1)


_chosen, _remaining = _read_environment()
_counting = threading.Lock()


def point(name: str) -> None:
    """Die here (SIGKILL, no clean-up) when this is the chosen passage of the chosen point."""
    if name == _chosen:
        _count_passage()


def _count_passage() -> None:
    global _remaining
    with _counting:
        _remaining -= 1
        if _remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
