"""The ``hub`` command in a process of its own that starts fast: a parent has imported everything, each command is a fork.

What a command is given (words, environment) and gives back (both outputs, exit status) is what a new interpreter takes
and gives. Run as ``python -m tests.hub_command``; one JSON request a line on stdin, a wait status on stdout.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_WARM = (
    "hub.commands",
    "hub.operations",
    "hub.registry",
    "hub.audit",
    "hub.exchange",
    "hub.people",
    "adapters.formats",
)
_one_at_a_time = threading.Lock()


def run_hub(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """``hub WORDS`` with this environment and no other."""
    with tempfile.TemporaryDirectory() as folder, _one_at_a_time:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        request = {"words": words, "environment": dict(environment), "outputs": [str(one) for one in outputs]}
        status = _ask(_parent(), request)
        told = [one.read_text("utf-8") for one in outputs]
    return subprocess.CompletedProcess(["hub", *words], status, *told)


def _ask(parent: subprocess.Popen[str], request: dict[str, Any]) -> int:
    assert parent.stdin and parent.stdout
    parent.stdin.write(json.dumps(request) + "\n")
    parent.stdin.flush()
    return os.waitstatus_to_exitcode(int(parent.stdout.readline()))


@functools.cache
def _parent() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.hub_command"]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(_end, started)
    return started


def _end(started: subprocess.Popen[str]) -> None:
    assert started.stdin
    started.stdin.close()
    started.wait(60)


# ---- in the parent ----


def serve() -> None:
    """Import once, then fork for every request until stdin ends."""
    _warm_up()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        print(os.waitpid(child, 0)[1], flush=True)


def _warm_up() -> None:
    from mappings import loader

    loader.load = functools.cache(loader.load)
    loader.load()
    for package in _WARM:
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


def _become(request: dict[str, Any]) -> None:
    """In the fork: a new process as far as the command can tell."""
    for number, path in enumerate(request["outputs"], 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.reload(importlib.import_module("hub.faults"))
    sys.modules["__main__"].__package__ = "hub"  # the usage says "python -m hub"
    sys.argv = [str(ROOT / "hub" / "__main__.py"), *request["words"]]
    status = _command()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # nothing of what the parent would do at its end


def _command() -> int:
    from hub.__main__ import main

    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve()
