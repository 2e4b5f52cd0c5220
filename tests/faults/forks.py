"""Real processes of the hub that start fast: one parent has imported everything, each act is a fork of it that may be killed.

Run as ``python -m tests.faults.forks``; one JSON request a line on stdin, the wait status of its process on stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class Forks:
    """The parent of the forks, seen from a test; one act at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.forks"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._one_at_a_time = threading.Lock()

    def run(
        self, arguments: list[str], environment: dict[str, str], output: Path, *, broken: str = "", die_after: float = 0.0
    ) -> int:
        """``hub`` with these arguments in a process of its own; exit status, or minus the signal that ended it."""
        request = {
            "arguments": arguments, "environment": environment, "output": str(output), "broken": broken, "die_after": die_after,
        }  # fmt: skip
        assert self._process.stdin and self._process.stdout
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return os.waitstatus_to_exitcode(int(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve() -> None:
    """Import once, then fork for every request until stdin ends."""
    from hub import jobs
    from hub.__main__ import main
    from hub.commands import opening, tables  # noqa: F401
    from hub.exchange import pipeline, receipts  # noqa: F401

    pipeline.catalogue_in_force()
    jobs._catalogue()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _act(json.loads(line), main)
        print(os.waitpid(child, 0)[1], flush=True)


def _act(request: dict[str, Any], main: Callable[[], None]) -> None:
    """In the fork: become the command that was asked for, with its own fault."""
    handle = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(request["environment"])
    import hub.faults

    importlib.reload(hub.faults)
    if request["broken"]:
        from tests.faults import broken

        getattr(broken, request["broken"])()
    if request["die_after"]:
        signal.setitimer(signal.ITIMER_REAL, request["die_after"])
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    sys.argv = ["hub", *request["arguments"]]
    status = 0
    try:
        main()
    except SystemExit as over:
        status = int(over.code or 0)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
