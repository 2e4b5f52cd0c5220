"""A change list as a workbook to check on the ground and sign: title, repeated header, marked with who took it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.exchange.change_list import ListedChange

_WIDTHS = (6, 16, 16, 22, 20, 12, 8, 14, 12, 20)
_HEADER_ROW = 2
_FIRST_ROW = 3
_LANDSCAPE_A4 = 9


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """Every word on the sheet, in the reader's language."""

    title: str  # unit and month in it
    headers: Sequence[str]  # as many as columns
    footer: str
    watermark: str
    record_type: Callable[[str], str]
    change: Callable[[str], str]
    organisation: Callable[[str], str]


def write_workbook(path: Path, changes: Sequence[ListedChange], words: Wording, now: datetime) -> None:
    """Cells are strings, whatever they look like: a name that begins with ``=`` stays a name."""
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), {**options, "default_date_format": "yyyy-mm-dd"}) as book:
        book.set_properties({"title": words.title, "created": now.replace(tzinfo=None)})
        sheet = book.add_worksheet(words.title[:31].translate(str.maketrans("[]:*?/\\", "_______")))
        formats = {name: book.add_format(look) for name, look in _LOOKS.items()}
        _set_up(sheet, words)
        _write_head(sheet, words, formats)
        for number, change in enumerate(changes, start=1):
            _write_change(sheet, number, change, words, formats["cell"])
        _write_foot(sheet, _FIRST_ROW + len(changes), words, formats)


_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    "mark": {"font_size": 9, "font_color": "#666666", "align": "left"},
    "header": {
        "bold": True,
        "border": 1,
        "bg_color": "#E8EEF5",
        "align": "center",
        "valign": "vcenter",
        "text_wrap": True,
    },
    "cell": {"border": 1, "valign": "vcenter", "text_wrap": True, "num_format": "@"},
    "foot": {"font_size": 11, "align": "left"},
}


def _set_up(sheet: Worksheet, words: Wording) -> None:
    sheet.set_landscape()
    sheet.set_paper(_LANDSCAPE_A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_HEADER_ROW)
    sheet.freeze_panes(_FIRST_ROW, 0)
    sheet.set_footer(f"&L{_plain(words.watermark)}&R&P / &N")
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)


def _plain(text: str) -> str:
    """In a page footer ``&`` begins a code; and there is a limit of 255 characters."""
    return text.replace("&", "&&")[:200]


def _write_head(sheet: Worksheet, words: Wording, formats: dict[str, Format]) -> None:
    last = len(words.headers) - 1
    sheet.merge_range(0, 0, 0, last, "", formats["title"])
    sheet.write_string(0, 0, words.title, formats["title"])
    sheet.set_row(0, 30)
    sheet.write_string(1, 0, words.watermark, formats["mark"])
    for column, header in enumerate(words.headers):
        sheet.write_string(_HEADER_ROW, column, header, formats["header"])
    sheet.set_row(_HEADER_ROW, 24)


def _write_change(sheet: Worksheet, number: int, change: ListedChange, words: Wording, cell: Format) -> None:
    shown = (
        str(number),
        change.village,
        change.names,
        change.ids,
        words.record_type(change.record_type),
        change.event_date,
        words.change(change.change),
        words.organisation(change.source),
        "",
        "",
    )
    for column, value in enumerate(shown):
        sheet.write_string(_FIRST_ROW + number - 1, column, value, cell)


def _write_foot(sheet: Worksheet, row: int, words: Wording, formats: dict[str, Format]) -> None:
    sheet.write_string(row + 1, 0, words.footer, formats["foot"])
