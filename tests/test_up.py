"""The process tree: it starts, keeps its parts running, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.up import PARTS, Part, stop_all
from tests.homes import own_home

ROOT = Path(__file__).parent.parent
_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def until(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """A zombie nobody waits for is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting += below
    return found


def commands_below(pid: int) -> set[str]:
    told = set()
    for child in descendants(pid):
        try:
            told.add(Path(f"/proc/{child}/cmdline").read_bytes().decode().replace("\0", " ").strip())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return told


def parts_run(pid: int) -> bool:
    commands = commands_below(pid)
    return all(any(each.endswith(f"-m hub {part}") for each in commands) for part in PARTS)


def start_hub(home: Path, port: int) -> subprocess.Popen[bytes]:
    home.mkdir(mode=0o711, exist_ok=True)
    (home / "hub.toml").write_text("[sftp]\nport = 0\n")
    environment = {**os.environ, "HUB_PORT": str(port)}
    for name in ("HUB_DATABASE_URL", "HUB_OWNER_URL", "HUB_WORKER_URL"):
        environment.pop(name, None)
    return subprocess.Popen([sys.executable, "-m", "hub", "up", "--home", str(home)], cwd=ROOT, env=environment)


def answers(port: int) -> bool:
    import urllib.error
    import urllib.request

    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_hub_leaves_no_process_behind(home: Path, ending: signal.Signals, free_port: int) -> None:
    hub = start_hub(home, free_port)
    try:
        until(lambda: parts_run(hub.pid) and answers(free_port))
        tree = descendants(hub.pid)
        hub.send_signal(ending)
        assert hub.wait(60) == 0
    finally:
        hub.kill()
    until(lambda: not any(is_alive(pid) for pid in tree), 10)


@pytest.mark.slow
def test_a_killed_hub_takes_its_parts_and_its_database_with_it(home: Path, free_port: int) -> None:
    hub = start_hub(home, free_port)
    until(lambda: parts_run(hub.pid) and answers(free_port))
    tree = descendants(hub.pid)
    hub.kill()
    hub.wait(10)
    until(lambda: not any(is_alive(pid) for pid in tree), 60)


@pytest.mark.slow
def test_a_hub_whose_database_is_killed_comes_back_and_is_not_started_twice(home: Path, free_port: int) -> None:
    hub = start_hub(home, free_port)
    try:
        until(lambda: parts_run(hub.pid) and answers(free_port))
        second = start_hub(home, free_port)
        assert second.wait(60) == 4
        first = postmaster(home)
        os.kill(first, signal.SIGKILL)
        until(lambda: postmaster(home) not in (0, first) and parts_run(hub.pid) and answers(free_port))
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(60) == 0
    finally:
        hub.kill()


def postmaster(home: Path) -> int:
    """The server's process id, as its own file says; 0 when there is none."""
    try:
        return int((home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return 0


def test_a_part_that_dies_is_started_again() -> None:
    part = Part("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], dict(os.environ))
    part.keep_running()
    assert part.process is not None
    first = part.process.pid
    os.kill(first, signal.SIGKILL)

    def is_another() -> bool:
        part.keep_running()
        return part.process is not None and part.process.pid != first and part.is_running()

    try:
        until(is_another, 10)
    finally:
        stop_all([part])


def test_a_part_that_keeps_dying_is_started_ever_more_slowly() -> None:
    part = Part("mayfly", [sys.executable, "-c", "raise SystemExit(1)"], dict(os.environ))
    starts = 0
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:
        before = part.process
        part.keep_running()
        starts += part.process is not None and part.process is not before
        time.sleep(0.01)
    stop_all([part])
    assert 2 <= starts <= 3, "pauses of 0.5, 1 and 2 seconds"


def test_what_does_not_listen_to_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.up.STOP_LIMIT_SECONDS", 0.3)
    part = Part("stubborn", [sys.executable, "-c", _STUBBORN], dict(os.environ))
    part.keep_running()
    assert part.process is not None
    until(lambda: ignores_sigterm(part.process.pid) if part.process else False)
    stop_all([part])
    assert part.process.returncode == -signal.SIGKILL


def ignores_sigterm(pid: int) -> bool:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("SigIgn"))
    return bool(int(line.split()[1], 16) & 1 << (signal.SIGTERM - 1))


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as home:
        yield home
