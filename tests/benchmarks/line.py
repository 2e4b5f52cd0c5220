"""The whole line against COPY: a first load, the same file again, a small file onto a large register."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from hub.exchange import pipeline
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.floor import copy_in
from tests.benchmarks.ground import Ground, Register, ground
from tests.benchmarks.report import Report
from tests.benchmarks.stopwatch import Stopwatch, watched

SEED = 7
FIRST_LOAD, AGAIN, DELTA = "首次入库 first load", "重发改动 1 % sent again, 1 % changed", "增量 delta"


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    """First loads and floors in turn; the last register then takes the later files."""
    path = people_file.file_of(report.rows, SEED)
    floors: list[float] = []
    loads: list[float] = []
    with ground(catalogue) as laid:
        for number in range(repeats):
            floors.append(_floor(laid, path))
            with laid.register() as register:
                loads.append(_timed(report, FIRST_LOAD, register, path, catalogue))
                if number == repeats - 1:
                    floor = statistics.median(floors)
                    _note_loads(report, loads, floors)
                    _later_files(report, laid, register, catalogue, floor)


def _floor(laid: Ground, path: Path) -> float:
    with laid.register() as register:
        return copy_in(register, path)


def _note_loads(report: Report, loads: list[float], floors: list[float]) -> None:
    for load, floor in zip(loads, floors, strict=True):
        report.add(work=FIRST_LOAD, seconds=load, floor="COPY, primary key (L)", floor_seconds=floor, goal=2.5)


def _later_files(report: Report, laid: Ground, register: Register, catalogue: Catalogue, floor: float) -> None:
    again = people_file.file_of(report.rows, SEED, moved=0.01)
    laid.execute("CHECKPOINT")
    spent = _timed(report, AGAIN, register, again, catalogue)
    report.add(work=AGAIN, seconds=spent, floor="L", floor_seconds=floor, goal=0.6)
    rows = max(100, report.rows // 100)
    delta = people_file.delta_file(report.rows, SEED, rows)
    own = _floor(laid, delta)
    laid.execute("CHECKPOINT")
    spent = _timed(report, f"{DELTA} {rows:,}", register, delta, catalogue)
    report.add(work=f"{DELTA} {rows:,}", seconds=spent, floor="L", floor_seconds=floor, goal=0.08)
    report.add(work=f"{DELTA} {rows:,}", seconds=spent, floor="COPY, same rows", floor_seconds=own)


def _timed(report: Report, work: str, register: Register, path: Path, catalogue: Catalogue) -> float:
    """From the first byte received to the signed receipt; tidying up afterwards is timed apart."""
    with watched(register.worker) as watch:
        started = time.perf_counter()
        with watch.span("receive"):
            submission_id = register.send(path)
        state = pipeline.run(register.worker, register.settings, submission_id, catalogue)
        spent = time.perf_counter() - started
    if state != "merged":
        raise SystemExit(f"{path.name}: {state}")
    report.stages[work] = {**_by_time(watch, spent), "total": spent}
    return spent - watch.seconds["tidy"]


def _by_time(watch: Stopwatch, spent: float) -> dict[str, float]:
    known = dict(sorted(watch.seconds.items(), key=lambda item: -item[1]))
    return {**known, "everything else": spent - sum(known.values())}
