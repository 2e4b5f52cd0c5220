"""How much memory a large file takes: the summed proportional set size of a working hub and all its children."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from hub import jobs
from hub.commands.opening import opened
from hub.database import Database
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.ground import found, sender, temporary_home
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report

_BYTES_A_ROW = 200  # 200 MB at a million rows
_EVERY_SECONDS = 0.2
_LIMIT_MIB = 1536.0
_WORK = (sys.executable, "-m", "hub", "work", "--once", "--home")


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """`hub work` on one received file, sampled from start to end."""
    sample = people_file.file_of(report.rows, SEED)
    rows = report.rows * report.rows * _BYTES_A_ROW // sample.stat().st_size
    path = people_file.file_of(rows, SEED)
    with temporary_home() as home:
        _receive(home, path, catalogue)
        peak, parts = _watch([*_WORK, str(home)])
        _require_merged(home)
    size = path.stat().st_size / 1e6
    report.add(
        work=f"内存 peak memory, {size:,.0f} MB CSV",
        seconds=peak,
        floor="limit",
        floor_seconds=_LIMIT_MIB,
        goal=1.0,
        unit="MiB",
    )
    report.stages["内存 memory at the peak, MiB"] = parts


def _receive(home: Path, path: Path, catalogue: Catalogue) -> None:
    (home / "hub.toml").write_text('fictitious_prefixes = ["999001"]\ndemo = true\n', "utf-8")
    with opened(home) as hub:
        _found(hub.settings.owner_url or "", hub.settings.district)
        with path.open("rb") as stream:
            jobs.accept(
                hub.database, hub.settings, sender(), stream=stream, file_name=path.name, record_type=people_file.RECORD_TYPE,
                organisation=people_file.SENDER, period="2026-09", door="command", catalogue=catalogue,
            )  # fmt: skip


def _found(owner_url: str, district: str) -> None:
    database = Database(owner_url, district)
    with database.begin() as connection:
        found(connection)
    database.close()


def _require_merged(home: Path) -> None:
    with opened(home) as hub, hub.database.begin() as connection:
        states = connection.exec_driver_sql(f"SELECT state FROM {hub.settings.district}.submission").scalars().all()
    if states != ["merged"]:
        raise SystemExit(f"memory: {states}")


def _watch(command: list[str]) -> tuple[float, dict[str, float]]:
    """The peak in MiB, and what each kind of process had of it."""
    peak, parts = 0.0, {}
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            now = _by_kind(process.pid)
            if sum(now.values()) > peak:
                peak, parts = sum(now.values()), now
            time.sleep(_EVERY_SECONDS)
    if process.returncode:
        raise SystemExit(f"hub work: {process.returncode}")
    return peak, parts


def _by_kind(pid: int) -> dict[str, float]:
    """Proportional set sizes: what processes share counts once, in equal parts."""
    sizes: dict[str, float] = {}
    try:
        root = psutil.Process(pid)
        members = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return sizes
    for member in members:
        kind = _kind(member, root)
        sizes[kind] = sizes.get(kind, 0.0) + _pss(member.pid)
    return sizes


def _kind(member: psutil.Process, root: psutil.Process) -> str:
    try:
        return "worker" if member == root else "postgres" if member.name().startswith("postgres") else "parser"
    except psutil.NoSuchProcess:
        return "gone"


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
