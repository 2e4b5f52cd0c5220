"""Workbooks (.xlsx .xls .xlsb .ods) are inspected, read by calamine, and counted against our own scan."""

import datetime
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, BinaryIO

import python_calamine as calamine

from adapters.formats import wire
from adapters.formats.packed_rows import BOOLEAN, DATE, FILLED, NO_VALUE, NUMBER, TEXT
from adapters.formats.sheet_scan import SheetScan, check_rows
from adapters.formats.sniff import sniff
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable
from adapters.formats.workbook_container import Container, inspect_ole, inspect_zip, is_encrypted

BATCH_ROWS = 10_000
_LISTED = 200
_HEADER_ROWS = 40  # merges above this row may belong to a header
_MAX_FILLS = 2_000_000
_VISIBLE, _WORKSHEET = calamine.SheetVisibleEnum.Visible, calamine.SheetTypeEnum.WorkSheet

Row = list[Any]
Merge = tuple[tuple[int, int], tuple[int, int]]


def send_workbook(kind: str, file: BinaryIO, pipe: BinaryIO, limits: Limits, password: str | None = None) -> None:
    if kind == "ole" and is_encrypted(file):
        from adapters.formats.decryption import decrypted

        file = decrypted(file, password)
        kind = sniff(file)
    container = inspect_zip(file, limits) if kind == "zip" else inspect_ole(file, limits)
    file.seek(0)
    try:
        _send_sheets(calamine.CalamineWorkbook.from_filelike(file), container, pipe, limits)
    except calamine.PasswordError:
        raise UnreadableFile("F_PASSWORD") from None
    except (calamine.CalamineError, OSError) as error:
        raise unreadable("damaged_workbook", error=type(error).__name__) from None


def _send_sheets(book: calamine.CalamineWorkbook, container: Container, pipe: BinaryIO, limits: Limits) -> None:
    sheets = [(n, sheet) for n, sheet in enumerate(book.sheets_metadata) if sheet.typ == _WORKSHEET]
    visible = sum(sheet.visible == _VISIBLE for _, sheet in sheets)
    for number, sheet in sheets:
        hidden = sheet.visible != _VISIBLE
        scan = container.scans.get(sheet.name)
        facts: dict[str, object] = {"epoch_1904": container.epoch_1904}
        if hidden:  # a hidden sheet is told, never read
            wire.send(pipe, wire.SheetOpens(sheet.name, True, container.format, "", visible, facts))
            wire.send(pipe, wire.SheetEnds({}))
            continue
        reader = SheetReader(book.get_sheet_by_index(number), scan, limits)
        wire.send(
            pipe, wire.SheetOpens(sheet.name, False, container.format, "", visible, facts | reader.facts_before())
        )
        for batch in reader.batches():
            wire.send(pipe, wire.BatchOfRows(columns=True), batch)
        if scan is not None:
            check_rows(scan, reader.filled_rows, reader.last_row, blank_strings=container.blank_strings)
        wire.send(pipe, wire.SheetEnds({"merged_filled": reader.merged_filled, "merged_cells": reader.merged_cells}))


class SheetReader:
    """One sheet's rows as batches of text columns and kinds; column 0 is always A."""

    def __init__(self, sheet: calamine.CalamineSheet, scan: SheetScan | None, limits: Limits) -> None:
        self.sheet, self.scan = sheet, scan
        self.flagged = scan.flagged if scan else {}
        self.offset = sheet.start[1] if sheet.start else 0
        reach = max((max(columns) for columns in self.flagged.values()), default=0)
        self.width = max(self.offset + sheet.width, reach) if sheet.start or reach else 0
        self.merges: list[Merge] = [(low, high) for low, high in (sheet.merged_cell_ranges or [])]
        self.filled_rows = self.last_row = self.merged_filled = 0
        self.merged_cells: list[tuple[int, int]] = []
        self.filled_here: dict[int, list[int]] = {}  # of the batch being read: row -> columns
        if sheet.height * self.width > limits.max_cells:
            raise UnreadableFile("F_TOO_MANY_CELLS", cells=sheet.height * self.width, limit=limits.max_cells)

    def facts_before(self) -> dict[str, object]:
        facts: dict[str, object] = {
            "merged": [
                (low[0] + 1, low[1], high[0] + 1, high[1]) for low, high in self.merges if low[0] < _HEADER_ROWS
            ][:_LISTED]
        }
        if self.scan is not None:
            shown = [column for column in self.scan.hidden_columns if column <= self.width]
            facts |= {"hidden_columns": shown, "hidden_rows": self.scan.hidden_rows}
        return facts

    def batches(self) -> Iterator[bytes]:
        rows = self._filled(self._rows())
        start = 1
        while batch := list(islice(rows, BATCH_ROWS)):
            yield wire.encode_columns(list(range(start, start + len(batch))), self._columns(batch, start))
            start += len(batch)

    def _rows(self) -> Iterator[Row]:
        """Every row from the first, with the cells the parser left out on the left, and bare formulas below its end."""
        left = [""] * self.offset
        right = [""] * (self.width - self.offset - self.sheet.width)
        end = 0
        for number, cells in enumerate(self.sheet.iter_rows(), 1):
            end = number
            if number in self.flagged or cells.count("") != len(cells):
                self.filled_rows += 1
                self.last_row = number
            yield left + list(cells) + right
        for number in range(end + 1, max(self.flagged, default=0) + 1):
            if number in self.flagged:
                self.filled_rows += 1
                self.last_row = number
            yield [""] * self.width

    def _filled(self, rows: Iterator[Row]) -> Iterator[Row]:
        """A value merged over several rows stands in each of them."""
        starting: dict[int, list[Merge]] = {}
        for merge in self.merges:
            if merge[1][0] > merge[0][0] and merge[0][1] < self.width:
                starting.setdefault(merge[0][0], []).append(merge)
        open_merges: list[tuple[int, int, Any]] = []  # column, last row, value
        for number, row in enumerate(rows):
            open_merges = [merge for merge in open_merges if merge[1] >= number]
            for column, _, value in open_merges:
                self._fill(row, number, column, value)
            open_merges += [
                (low[1], high[0], row[low[1]]) for low, high in starting.get(number, ()) if row[low[1]] != ""
            ]
            yield row

    def _fill(self, row: Row, number: int, column: int, value: Any) -> None:
        if row[column] != "":
            return
        row[column] = value
        self.merged_filled += 1
        if self.merged_filled > _MAX_FILLS:
            raise unreadable("merged", cells=self.merged_filled)
        self.filled_here.setdefault(number + 1, []).append(column)
        if len(self.merged_cells) < _LISTED:
            self.merged_cells.append((number + 1, column))

    def _columns(self, batch: list[Row], start: int) -> list[wire.Column]:
        columns = [_texts_and_kinds(values) for values in zip(*batch, strict=True)]
        for row in range(start, start + len(batch)) if self.flagged else ():
            for column, problem in self.flagged.get(row, {}).items():
                texts, kinds = columns[column - 1]
                texts[row - start], kinds[row - start] = problem, NO_VALUE
        for row, filled in self.filled_here.items():
            for column in filled:
                columns[column][1][row - start] += FILLED
        self.filled_here = {}
        return [(texts, bytes(kinds)) for texts, kinds in columns]


def _texts_and_kinds(values: tuple[Any, ...]) -> tuple[list[str | None], bytearray]:
    if set(map(type, values)) == {str}:
        return [value or None for value in values], bytearray(len(values))
    kinds = bytearray(_KIND_OF[type(value)] for value in values)
    return [_TEXT_OF[type(value)](value) for value in values], kinds


def _number(value: float) -> str:
    """Whole numbers without '.0', as the cell shows them; the rest as they are stored."""
    return str(int(value)) if abs(value) < 1e21 and value == int(value) else repr(value)


def _moment(value: datetime.datetime) -> str:
    return value.isoformat(" ") if value.time() != datetime.time() else value.date().isoformat()


_TEXT_OF: dict[type, Callable[[Any], str | None]] = {
    str: lambda value: value or None,
    float: _number,
    int: str,
    bool: lambda value: "true" if value else "false",
    datetime.date: datetime.date.isoformat,
    datetime.datetime: _moment,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: str,
}
_KIND_OF = {
    str: TEXT, float: NUMBER, int: NUMBER, bool: BOOLEAN, datetime.date: DATE, datetime.datetime: DATE,
    datetime.time: DATE, datetime.timedelta: DATE,
}  # fmt: skip
