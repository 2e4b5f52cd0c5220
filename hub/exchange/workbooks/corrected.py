"""Corrected rows as a file to be sent: each in its own place of the sheet, with the number of the row it was.

So whatever is still wrong is told in the sheet's own row numbers and letters. The same corrections make the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.exchange.marks import row_mark
from hub.exchange.sheet_rows import Cell, SheetRows
from hub.exchange.workbooks.returned_rebuilt import free_name, write_value

Place = tuple[str, int]  # sheet, and the row's number in it
_OPTIONS = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False, "in_memory": True}
_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)  # the moment of making is no part of what was corrected


class CorrectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that goes out again: its number in the submission it was in, and what its cells now say, by column."""

    row_no: int
    cells: dict[int, str]


def corrected_file(
    receipt_number: str, sheets: Sequence[SheetRows], rows: Mapping[Place, CorrectedRow]
) -> tuple[str, bytes]:
    """The ending of its name, and its content: JSON lines for what came as JSON, else a workbook."""
    if sheets and sheets[0].format == "json":
        return "ndjson", _json_lines(row_mark(receipt_number), sheets[0], rows)
    return "xlsx", _workbook(row_mark(receipt_number), sheets, rows)


def _workbook(mark: str, sheets: Sequence[SheetRows], rows: Mapping[Place, CorrectedRow]) -> bytes:
    content = io.BytesIO()
    names: dict[str, str] = {}
    options = {**_OPTIONS, "date_1904": any(sheet.since_1904 for sheet in sheets)}
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"created": _ALWAYS.replace(tzinfo=None)})
        looks = book.add_format({"num_format": "@"}), book.add_format({"num_format": "yyyy-mm-dd"})
        for sheet in sheets:
            names[sheet.name] = free_name(sheet.name, names)
            _fill_sheet(book.add_worksheet(names[sheet.name]), looks, mark, sheet, rows)
    return content.getvalue()


def _fill_sheet(
    page: Worksheet, looks: tuple[Format, Format], mark: str, sheet: SheetRows, rows: Mapping[Place, CorrectedRow]
) -> None:
    page.set_column(sheet.width, sheet.width, None, None, {"hidden": True})
    chosen = {number: rows[sheet.name, number] for number in sheet.rows if (sheet.name, number) in rows}
    last = max(chosen, default=0)
    for number, cells in {**sheet.above, **sheet.headings}.items():
        if number < last:
            _put_row(page, looks, sheet, number, cells)
    for number in sheet.header_rows:
        page.write_string(number - 1, sheet.width, mark)
    for number, row in chosen.items():
        _put_row(page, looks, sheet, number, _changed(sheet.rows[number], row))
        page.write_string(number - 1, sheet.width, str(row.row_no))


def _put_row(
    page: Worksheet, looks: tuple[Format, Format], sheet: SheetRows, number: int, cells: Sequence[Cell]
) -> None:
    for place, (text, kind) in enumerate(cells):
        if text and place not in sheet.ours:
            write_value(page, number - 1, place, text, kind, *looks)


def _changed(cells: Sequence[Cell], row: CorrectedRow) -> list[Cell]:
    """What was typed is text, whatever kind of cell it stands in."""
    return [(row.cells[place], 0) if place in row.cells else cell for place, cell in enumerate(cells)]


def _json_lines(mark: str, sheet: SheetRows, rows: Mapping[Place, CorrectedRow]) -> bytes:
    """A row a line, in the line it was: the lines between stay empty."""
    keys = {column.index: column.header for column in sheet.columns}
    lines: dict[int, bytes] = {}
    for number, cells in sheet.rows.items():
        row = rows.get((sheet.name, number))
        if row is not None:
            texts = [text for text, _ in _changed(cells, row)]
            one: dict[str, Any] = {key: texts[place] or None for place, key in keys.items()}
            lines[number] = msgspec.json.encode({**one, mark: str(row.row_no)})
    return b"".join(lines.get(number, b"") + b"\n" for number in range(1, max(lines, default=0) + 1))
