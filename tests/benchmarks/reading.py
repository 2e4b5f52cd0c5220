"""Parse and check alone, against the bare parsers: CSV in two encodings, workbooks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import openpyxl
import polars as pl
import python_calamine

from adapters.formats.sandbox import Limits
from hub.database import new_uuids
from hub.exchange.check import CheckContext, check
from hub.exchange.parse import parse
from hub.exchange.pipeline import local_now
from hub.keyring import Keyring
from hub.registry.areas import AreaIndex, load_area_index
from mappings.catalogue import Catalogue
from tests.benchmarks import people_file
from tests.benchmarks.ground import ground, temporary_home
from tests.benchmarks.line import SEED
from tests.benchmarks.report import Report

_WORKBOOK_SHARE = 10  # a workbook has a tenth of the rows


class Reader:
    """The first two stages of the line, without a database."""

    def __init__(self, catalogue: Catalogue, areas: AreaIndex, keyring: Keyring, today: date) -> None:
        self.catalogue = catalogue
        self.record_type = catalogue.record_types[people_file.RECORD_TYPE]
        self.mapping = catalogue.mapping_for(people_file.SENDER, "department", people_file.RECORD_TYPE)
        self.context = CheckContext(
            record_type=self.record_type, mapping=self.mapping, catalogue=catalogue, areas=areas, today=today,
            fictitious_prefixes=("999001",), digest_key=keyring.digest_key, seal=keyring.seal, new_uuids=new_uuids,
        )  # fmt: skip

    def parse(self, path: Path) -> int:
        parsed = parse(path, self.record_type, self.mapping, self.catalogue, Limits())
        return sum(frame.height for frame in parsed.frames)

    def parse_and_check(self, path: Path) -> int:
        parsed = parse(path, self.record_type, self.mapping, self.catalogue, Limits())
        return sum(batch.staged.height for batch in check(parsed.frames, parsed.columns, self.context))


def measure(report: Report, catalogue: Catalogue, repeats: int) -> None:
    with temporary_home() as home, ground(catalogue) as laid, laid.register() as register:
        with register.worker.begin() as connection:
            areas = load_area_index(connection)
        reader = Reader(catalogue, areas, Keyring.load(home), local_now(register.settings).date())
    _measure_text(report, reader, repeats)
    _measure_workbook(report, reader, repeats)


def _measure_text(report: Report, reader: Reader, repeats: int) -> None:
    utf8 = people_file.file_of(report.rows, SEED)
    gb18030 = people_file.as_gb18030(utf8)
    bare = _best(repeats, lambda: pl.read_csv(utf8, infer_schema=False).height, report.rows)
    alone = _best(repeats, lambda: reader.parse(utf8), report.rows)
    plain = _best(repeats, lambda: reader.parse_and_check(utf8), report.rows)
    older = _best(repeats, lambda: reader.parse_and_check(gb18030), report.rows)
    floor = {"floor": "polars read_csv", "floor_seconds": bare}
    report.add(work="解析 parse", seconds=alone, **floor)
    report.add(work="解析+检查 parse + check", seconds=plain, **floor, goal=3.0)
    report.add(work="同上 GB18030", seconds=older, floor="UTF-8", floor_seconds=plain, goal=2.0)


def _measure_workbook(report: Report, reader: Reader, repeats: int) -> None:
    rows = report.rows // _WORKBOOK_SHARE
    path = people_file.as_workbook(rows, SEED)
    ours = _best(repeats, lambda: reader.parse_and_check(path), rows)
    alone = _best(repeats, lambda: reader.parse(path), rows)
    calamine = _best(repeats, lambda: _by_calamine(path), rows)
    slow = _best(1, lambda: _by_openpyxl(path), rows)
    work = f"XLSX {rows:,} parse"
    report.add(work=work, seconds=alone, floor="calamine", floor_seconds=calamine)
    report.add(work=work, seconds=alone, floor="openpyxl", floor_seconds=slow, goal=10.0, at_least=True)
    report.add(work=f"{work} + check", seconds=ours, floor="openpyxl", floor_seconds=slow, at_least=True)


def _by_calamine(path: Path) -> int:
    return len(python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()) - 1


def _by_openpyxl(path: Path) -> int:
    book = openpyxl.load_workbook(path, read_only=True)
    return sum(1 for _ in book.worksheets[0].iter_rows(values_only=True)) - 1


def _best(repeats: int, act: Callable[[], int], rows: int) -> float:
    """The fastest of a few; the act must have read every row."""
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        read = act()
        spent.append(time.perf_counter() - started)
        if read != rows:
            raise SystemExit(f"{read} of {rows} rows")
    return min(spent)
