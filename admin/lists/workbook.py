"""A list as a workbook: a cover that says whose it is, when and what was chosen, and the rows as they stand on the page.

The digest on the cover is that of the rows as CSV, so whoever holds the file can make it again from the sheet.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from admin.lists.declared import Cell
from hub.exchange.plain_cells import plain_cell

_SAFE = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
_A4, _LONGEST_CELL, _LONGEST_MARK = 9, 32_767, 200
_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16},
    "label": {"bold": True, "valign": "top"},
    "told": {"text_wrap": True, "valign": "top", "num_format": "@"},
    "header": {"bold": True, "border": 1, "bg_color": "#E8EEF5", "valign": "vcenter", "text_wrap": True},
    "text": {"num_format": "@"},
    "number": {"num_format": "0"},
}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is called and what its columns are."""

    title: str
    cover: str  # the cover sheet's name
    mark: str  # the light line at the head and foot of every printed page
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: how many rows, their digest, and whether there were more."""

    rows: int
    digest: str
    cut: bool


class Sum:
    """The digest of rows as CSV: UTF-8, commas, line feeds, no mark before them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, values: Iterable[str | int]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        self._digest.update(line.getvalue().encode())

    def text(self) -> str:
        return self._digest.hexdigest()


class ListBook:
    """The workbook while it is written: the rows first, what is said of them on the cover last."""

    def __init__(self, path: Path, head: Head) -> None:
        self._book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent), **_SAFE})
        self._looks: dict[str, Format] = {name: self._book.add_format(look) for name, look in _LOOKS.items()}
        self._head = head
        self._cover = self._book.add_worksheet(head.cover)
        self._sheet = self._book.add_worksheet(_sheet_name(head.title, head.cover))

    def write_rows(self, rows: Iterable[Sequence[Cell]], most: int) -> Taken:
        """Row by row, none kept in memory."""
        digest, written = Sum(), 0
        digest.add(self._write_head())
        for cells in rows:
            if written == most:
                return Taken(rows=written, digest=digest.text(), cut=True)
            written += 1
            digest.add(self._write_row(written, cells))
        return Taken(rows=written, digest=digest.text(), cut=False)

    def close_with(self, told: Sequence[tuple[str, str]]) -> None:
        """The cover, then the file as a whole."""
        self._cover.set_column(0, 0, 22)
        self._cover.set_column(1, 1, 90, self._looks["told"])
        self._mark(self._cover)
        self._cover.write_string(0, 0, self._head.title, self._looks["title"])
        for number, (label, value) in enumerate(told, start=2):
            self._cover.write_string(number, 0, label, self._looks["label"])
            self._cover.write_string(number, 1, plain_cell(value)[:_LONGEST_CELL], self._looks["told"])
        self._book.close()

    def _write_head(self) -> Sequence[str]:
        sheet, looks = self._sheet, self._looks
        sheet.set_landscape()
        sheet.repeat_rows(0)
        sheet.freeze_panes(1, 1)
        self._mark(sheet)
        for number, (title, numeric) in enumerate(zip(self._head.columns, self._head.numeric, strict=True)):
            width = max(10, min(2 * len(title) + 6, 28))
            sheet.set_column(number, number, width, looks["number" if numeric else "text"])
            sheet.write_string(0, number, title, looks["header"])
        return self._head.columns

    def _write_row(self, number: int, cells: Sequence[Cell]) -> list[str | int]:
        values = [value_of(one) for one in cells]
        for column, value in enumerate(values):
            if isinstance(value, int):
                self._sheet.write_number(number, column, value)
            elif value:
                self._sheet.write_string(number, column, value)
        return values

    def _mark(self, sheet: Worksheet) -> None:
        """In a page's head and foot ``&`` begins a code; and there is a limit of 255 characters."""
        mark = self._head.mark.replace("&", "&&")[:_LONGEST_MARK]
        sheet.set_paper(_A4)
        sheet.fit_to_pages(1, 0)
        sheet.set_header(f"&C&8&K999999{mark}")
        sheet.set_footer(f"&L&8&K999999{mark}&R&8&P / &N")


def value_of(cell: Cell) -> str | int:
    """A number as one; a text as it is in full, with its tags and further lines, never a formula."""
    if cell.number is not None and not cell.tags and not cell.more:
        return cell.number
    parts = [part for part in (cell.full or cell.text, *cell.tags, *cell.more) if part]
    return plain_cell("；".join(parts))[:_LONGEST_CELL]


def _sheet_name(title: str, cover: str) -> str:
    """What a sheet may be called: 31 characters, some of them not."""
    plain = "".join(each for each in title if each not in "[]:*?/\\'")[:31].strip() or "list"
    return plain if plain != cover else f"{plain} 2"
