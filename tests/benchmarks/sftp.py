"""A thousand small files from four clients at once, through the hub's SFTP door and through OpenSSH's own server.

Both are driven by OpenSSH's client, one put after the other. Its server is reached through a pipe (``sftp -D``): no
handshake, no encryption, no evidence; once without fsync and once with (``put -f``). The hub's side has all of these,
and ends when every file has its receipt number.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from shutil import which

from sqlalchemy import func, select

from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.benchmarks.ground import ground
from tests.benchmarks.report import Report
from tests.sftp_door import INBOX, Door, founded_door, free_port, sheet, start_server, until

FILES, CLIENTS, ROWS = 1_000, 4, 270  # about 20 kB a file
SERVER = "/usr/lib/openssh/sftp-server"


def measure(report: Report, catalogue: Catalogue, repeats: int, files: int = FILES) -> None:
    """Fewer files when a run is short. Left out where OpenSSH is not installed."""
    if which("sftp") is None or not Path(SERVER).exists():
        return
    files = min(files, max(CLIENTS, report.rows // 1_000))
    with ground(catalogue) as laid, laid.register() as register:
        folder = laid.home / "sftp"
        with founded_door(register.urls, folder, catalogue) as door:
            _write_files(folder / "outbox", files)
            floors = {
                f"OpenSSH sftp-server, pipe, {name}": min(_time_openssh(folder, put, each) for each in range(repeats))
                for name, put in (("no fsync", "put"), ("fsync", "put -f"))
            }
            sent, numbered = _time_hub(door, folder, files)
    work = f"SFTP {files:,} × 20 kB, {CLIENTS} clients"
    for theirs, floor in floors.items():
        report.add(work=f"{work}: sent", seconds=sent, floor=theirs, floor_seconds=floor)
        report.add(work=f"{work}: receipt numbers", seconds=numbered, floor=theirs, floor_seconds=floor)


def _write_files(folder: Path, files: int) -> None:
    for number in range(files):
        place = folder / str(number % CLIENTS)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}.csv").write_bytes(sheet(number, ROWS))


def _time_openssh(folder: Path, put: str, repeat: int) -> float:
    target = folder / f"theirs{repeat}{put.replace(' ', '')}"
    target.mkdir()
    return _run_clients(folder, ["sftp", "-q", "-b", "-", "-D", SERVER], str(target), put)


def _time_hub(door: Door, folder: Path, files: int) -> tuple[float, float]:
    """Seconds until the last client has ended, and until the last file is in the ledger."""
    door.port = free_port()
    server = start_server(door, door.port)
    quiet = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
    identity = ["-oIdentitiesOnly=yes", f"-oIdentityFile={door.keys['health']}"]
    command = ["sftp", "-q", *quiet, *identity, "-b", "-", "-P", str(door.port), "health@127.0.0.1"]
    try:
        started = time.perf_counter()
        sent = _run_clients(folder, command, INBOX)
        until(lambda: _receipt_numbers(door) == files, 300)
        return sent, time.perf_counter() - started
    finally:
        server.terminate()
        server.wait(30)


def _run_clients(folder: Path, command: list[str], target: str, put: str = "put") -> float:
    started = time.perf_counter()
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder / "outbox" / str(number))
        for number in range(CLIENTS)
    ]
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(f"cd {target}\n{put} *\n".encode())
        client.stdin.close()
    assert [client.wait(600) for client in clients] == [0] * CLIENTS
    return time.perf_counter() - started


def _receipt_numbers(door: Door) -> int:
    asked = select(func.count(submission.c.receipt_number.distinct())).where(submission.c.door == "sftp")
    with door.worker.begin() as connection:
        return int(connection.scalar(asked) or 0)
