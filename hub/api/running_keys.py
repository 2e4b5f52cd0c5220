"""Idempotency-Keys whose request is still being answered: the same key again meanwhile is told so, not made to wait.

Known to this process alone. That nothing is entered twice does not hang on it: the ledger sees to that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hub.errors import Conflict

_running: set[tuple[str, str]] = set()
_lock = threading.Lock()


class KeyRunning(Conflict):
    """使用这一幂等键的请求仍在处理，请稍后再试。 A request with this Idempotency-Key is still running: try again in a moment."""

    problem = "idempotency-key-running"


@contextmanager
def running(organisation: str, key: str) -> Iterator[None]:
    """Hold the key while its request is carried out; KeyRunning if it is held already."""
    mine = (organisation, key)
    with _lock:
        if mine in _running:
            raise KeyRunning(key)
        _running.add(mine)
    try:
        yield
    finally:
        with _lock:
            _running.discard(mine)
