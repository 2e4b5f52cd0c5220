"""Real processes of the hub that start fast: a parent has imported everything, each act is a fork of it that may be killed.

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
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import hub.faults
from hub import jobs
from hub.commands.opening import operator
from hub.database import Database
from hub.exchange import pipeline
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue

ROOT = Path(__file__).parent.parent.parent


class Forks:
    """The parent of the forks, seen from a test; one act at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.forks"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._one_at_a_time = threading.Lock()

    def run(
        self,
        arguments: list[str],
        environment: dict[str, str],
        output: Path,
        *,
        broken: str = "",
        die_after: float = 0.0,
    ) -> int:
        """``submit FILE`` or ``work`` in a process of its own; exit status, or minus the signal that ended it."""
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

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve() -> None:
    """Import once, then fork for every request until stdin ends."""
    catalogue = pipeline.catalogue_in_force()
    jobs._catalogue()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line), catalogue)
        print(os.waitpid(child, 0)[1], flush=True)


def _become(request: dict[str, Any], catalogue: Catalogue) -> None:
    """In the fork: what was asked for, with its own environment, output, fault and mistake."""
    handle = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(request["environment"])
    importlib.reload(hub.faults)
    if request["broken"]:
        getattr(importlib.import_module("tests.faults.broken"), request["broken"])()
    if request["die_after"]:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, request["die_after"])
    try:
        _act(request["arguments"], catalogue)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def _act(arguments: list[str], catalogue: Catalogue) -> None:
    settings = load_settings()
    database = Database(settings.worker_url or "", settings.district)
    if arguments[0] == "submit":
        print(json.dumps({"receipt": submit(database, settings, Path(arguments[1]), catalogue).receipt_number}))
    else:
        jobs.work(database, settings, wait=False)


def submit(database: Database, settings: Settings, path: Path, catalogue: Catalogue) -> jobs.Accepted:
    """What ``hub submit`` does."""
    with path.open("rb") as stream:
        return jobs.accept(
            database, settings, operator("health"), stream=stream, file_name=path.name, record_type="death_certificate",
            organisation="health", period="2026-11", door="command", catalogue=catalogue,
        )  # fmt: skip


if __name__ == "__main__":
    serve()
