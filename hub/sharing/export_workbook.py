"""An export as a file: a workbook, or an archive of CSV tables or JSON lines with its cover beside them.

Rows come once, as they were laid down; of a workbook as of an archive no more than one of them is in memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.exchange.plain_cells import plain_cell
from hub.sharing.export_columns import Row, Sheet
from hub.sharing.export_cover import Cover

Form = Literal["xlsx", "csv", "ndjson"]
FORMS: tuple[Form, ...] = ("xlsx", "csv", "ndjson")
SUFFIXES: dict[Form, str] = {"xlsx": "xlsx", "csv": "zip", "ndjson": "zip"}
COVER_SHEET, COVER_TEXT, COVER_JSON, LINES = "说明", "说明.txt", "cover.json", "rows.ndjson"
_MARK_ROW, _HEADER_ROW, _FIRST_ROW = 0, 1, 2
_A4 = 9
_SAFE = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
_LONGEST_CELL = 32_767


def write_export(path: Path, form: Form, cover: Cover, sheets: Sequence[Sheet], lines: Path) -> None:
    """``lines``: the rows as NDJSON, in order; their digest is the cover's."""
    if form == "xlsx":
        _write_workbook(path, cover, sheets, _rows(lines))
    elif form == "csv":
        _write_tables(path, cover, sheets, _rows(lines))
    else:
        _write_lines(path, cover, lines)


def _rows(lines: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(dict).decode
    with lines.open("rb") as file:
        yield from map(decode, file)


# ---- a workbook ----


def _write_workbook(path: Path, cover: Cover, sheets: Sequence[Sheet], rows: Iterable[Row]) -> None:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent), **_SAFE}) as book:
        book.set_properties(
            {"title": cover.export_no, "comments": cover.mark, "created": cover.made_at.replace(tzinfo=None)}
        )
        looks = {name: book.add_format(look) for name, look in _LOOKS.items()}
        _write_cover(book.add_worksheet(COVER_SHEET), cover, looks)
        written = {one.record_type: _table(book, one, cover, looks) for one in sheets}
        place = {one.record_type: (one, written[one.record_type]) for one in sheets}
        next_row = dict.fromkeys(place, _FIRST_ROW)
        for row in rows:
            record_type = row["record_type"]
            one, sheet = place[record_type]
            _write_row(sheet, next_row[record_type], one.cells(row))
            next_row[record_type] += 1


def _write_row(sheet: Worksheet, number: int, cells: Sequence[str]) -> None:
    for column, value in enumerate(cells):
        if value:
            sheet.write_string(number, column, value[:_LONGEST_CELL])


def _write_cover(sheet: Worksheet, cover: Cover, looks: dict[str, Format]) -> None:
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 90, looks["told"])
    _mark_pages(sheet, cover)
    sheet.write_string(0, 0, "数据切片导出", looks["title"])
    for number, (label, value) in enumerate(cover.lines(), start=2):
        sheet.write_string(number, 0, label, looks["label"])
        sheet.write_string(number, 1, value, looks["told"])


def _table(book: xlsxwriter.Workbook, one: Sheet, cover: Cover, looks: dict[str, Format]) -> Worksheet:
    sheet = book.add_worksheet(one.name)
    sheet.set_landscape()
    sheet.repeat_rows(_MARK_ROW, _HEADER_ROW)
    sheet.freeze_panes(_FIRST_ROW, 0)
    _mark_pages(sheet, cover)
    for number, column in enumerate(one.columns):
        sheet.set_column(number, number, max(10, min(2 * len(column.header) + 2, 24)), looks["text"])
    sheet.write_string(_MARK_ROW, 0, cover.mark, looks["mark"])
    for number, column in enumerate(one.columns):
        sheet.write_string(_HEADER_ROW, number, column.header, looks["header"])
    return sheet


def _mark_pages(sheet: Worksheet, cover: Cover) -> None:
    """In a page's head and foot ``&`` begins a code; and there is a limit of 255 characters."""
    mark = cover.mark.replace("&", "&&")[:200]
    sheet.set_paper(_A4)
    sheet.fit_to_pages(1, 0)
    sheet.set_header(f"&C&8&K999999{mark}")
    sheet.set_footer(f"&L&8&K999999{mark}&R&8&P / &N")


_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16},
    "label": {"bold": True, "valign": "top"},
    "told": {"text_wrap": True, "valign": "top", "num_format": "@"},
    "mark": {"font_size": 9, "font_color": "#999999"},
    "header": {"bold": True, "border": 1, "bg_color": "#E8EEF5", "valign": "vcenter", "text_wrap": True},
    "text": {"num_format": "@"},
}


# ---- an archive ----


def _write_tables(path: Path, cover: Cover, sheets: Sequence[Sheet], rows: Iterable[Row]) -> None:
    """One CSV a record type, as spreadsheets here expect them: UTF-8 with its mark."""
    with ExitStack() as opened, ZipFile(path, "w", ZIP_DEFLATED) as archive:
        partial = {one.record_type: path.with_name(f"{path.name}.{place}") for place, one in enumerate(sheets)}
        for each in partial.values():
            opened.callback(each.unlink, missing_ok=True)
        _fill_tables(partial, sheets, rows)
        for one in sheets:
            archive.write(partial[one.record_type], f"{one.name}.csv")
        archive.writestr(COVER_TEXT, cover.text().encode("utf-8-sig"))


def _fill_tables(partial: dict[str, Path], sheets: Sequence[Sheet], rows: Iterable[Row]) -> None:
    with ExitStack() as opened:
        tables = {}
        for one in sheets:
            file = opened.enter_context(partial[one.record_type].open("w", encoding="utf-8-sig", newline=""))
            tables[one.record_type] = one, csv.writer(file)
            tables[one.record_type][1].writerow([plain_cell(column.header) for column in one.columns])
        for row in rows:
            one, table = tables[row["record_type"]]
            table.writerow(one.cells(row))


def _write_lines(path: Path, cover: Cover, lines: Path) -> None:
    """The lines as they are: their SHA-256 is the one on the cover."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.write(lines, LINES)
        told = msgspec.to_builtins(cover) | {"notice": cover.lines()[-2][1]}
        archive.writestr(COVER_JSON, msgspec.json.format(msgspec.json.encode(told), indent=2))
