"""A department's sheet becomes the bytes it would send: CSV in its encoding, or a workbook with title and footer."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from pathlib import Path

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.demo.departments import CLERKS, UNITS, Cell, Formula, Sheet

CHANGE_KIND = "操作"
CREATED = datetime(2026, 11, 1)  # fixed: the same seed gives the same bytes


def write(sheet: Sheet, folder: Path) -> tuple[Path, int]:
    """Write the file; where it is and the sheet row its first data row stands in."""
    path = folder / f"{sheet.file_name}.{sheet.format}"
    if sheet.format == "csv":
        content, first = csv_bytes(sheet)
        path.write_bytes(content)
    else:
        first = write_workbook(sheet, path)
    return path, first


def headers(sheet: Sheet) -> list[str]:
    return [column.header for column in sheet.columns] + ([CHANGE_KIND] if sheet.marks else [])


def _rows(sheet: Sheet) -> list[list[Cell]]:
    """The cells as sent: the running number filled in, the change kind at the end where the file has one."""
    numbered = bool(sheet.columns) and sheet.columns[0].header == "序号"
    rows = []
    for number, cells in enumerate(sheet.rows):
        row = [str(number + 1), *cells[1:]] if numbered else list(cells)
        rows.append([*row, sheet.marks.get(number, "")] if sheet.marks else row)
    return rows


def csv_bytes(sheet: Sheet) -> tuple[bytes, int]:
    """Header lines, rows, and the clerk's signature; the row number of the first data row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    grouped = any(column.group for column in sheet.columns)
    if grouped:
        writer.writerow([column.group for column in sheet.columns] + ([""] if sheet.marks else []))
    writer.writerow(headers(sheet))
    writer.writerows([[_as_text(cell) for cell in row] for row in _rows(sheet)])
    return text.getvalue().encode(sheet.encoding), 3 if grouped else 2


def _as_text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Formula) else str(cell)


def write_workbook(sheet: Sheet, path: Path) -> int:
    """Title, one or two header rows, rows, signature; the sheet row of the first data row, from 1."""
    with Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True}) as workbook:
        workbook.set_properties({"created": CREATED})
        page = workbook.add_worksheet("Sheet1")
        text, day = workbook.add_format({"num_format": "@"}), workbook.add_format({"num_format": "yyyy-mm-dd"})
        first = _write_head(sheet, page, workbook.add_format({"bold": True, "align": "center"}))
        for number, cells in enumerate(_rows(sheet), first):
            _write_row(page, number, cells, text, day)
        _write_signature(sheet, page, first + len(sheet.rows))
    return first + 1


def _write_head(sheet: Sheet, page: Worksheet, bold: Format) -> int:
    width = len(headers(sheet))
    unit = UNITS.get(sheet.sender, sheet.sender_name)
    month = f"{sheet.month[:4]}年{int(sheet.month[5:])}月"
    page.merge_range(0, 0, 0, width - 1, sheet.mapping.title.format(unit=unit, month=month), bold)
    if not any(column.group for column in sheet.columns):
        _write_texts(page, 1, headers(sheet), bold)
        return 2
    place = 0
    for group, columns in groupby(sheet.columns, lambda column: column.group):
        own = list(columns)
        _write_group(page, place, group, [column.header for column in own], bold)
        place += len(own)
    if sheet.marks:
        page.merge_range(1, place, 2, place, CHANGE_KIND, bold)
    return 3


def _write_group(page: Worksheet, place: int, group: str, names: Sequence[str], bold: Format) -> None:
    """A column of no group spans both header rows; a group stands above its columns."""
    if not group:
        for offset, name in enumerate(names):
            page.merge_range(1, place + offset, 2, place + offset, name, bold)
        return
    if len(names) > 1:
        page.merge_range(1, place, 1, place + len(names) - 1, group, bold)
    else:
        page.write_string(1, place, group, bold)
    for offset, name in enumerate(names):
        page.write_string(2, place + offset, name, bold)


def _write_texts(page: Worksheet, row: int, texts: Sequence[str], style: Format) -> None:
    for place, text in enumerate(texts):
        page.write_string(row, place, text, style)


def _write_row(page: Worksheet, number: int, cells: Sequence[Cell], text: Format, day: Format) -> None:
    for place, cell in enumerate(cells):
        if isinstance(cell, str):
            if cell:
                page.write_string(number, place, cell, text)
        elif isinstance(cell, Formula):
            page.write_formula(number, place, cell.text, None, "")
        elif isinstance(cell, date):
            page.write_datetime(number, place, cell, day)
        else:
            page.write_number(number, place, cell)


def _write_signature(sheet: Sheet, page: Worksheet, row: int) -> None:
    clerk = CLERKS[len(sheet.rows) % len(CLERKS)]
    page.write_string(row, 0, f"填表人：{clerk}    审核人：{CLERKS[len(sheet.rows) % 3]}    填报日期：{sheet.month}-28")
