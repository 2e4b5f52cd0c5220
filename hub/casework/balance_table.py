"""The month's account as a workbook to sign: title, every area's line, who drew it up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import xlsxwriter

from hub.casework.balance_reading import FIGURES, Account, AccountLine

_LANDSCAPE_A4 = 9
_NAME_WIDTH, _FIGURE_WIDTH = 24, 9


class AccountWords(msgspec.Struct, frozen=True, kw_only=True):
    """Every word on the sheet, in the reader's language."""

    title: str
    headers: Sequence[str]  # area, start, the figures, end
    footer: str
    state: str


def figures_of(line: AccountLine) -> tuple[int, ...]:
    """Start, every figure in order, end."""
    return line.start, *(getattr(line, name) for name in FIGURES), line.end


def write_account(path: Path, account: Account, words: AccountWords, now: datetime) -> None:
    """A4 across, title, repeated header, a line to sign."""
    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"title": words.title, "created": now.replace(tzinfo=None)})
        sheet = book.add_worksheet()
        title, mark, head, cell, town = (book.add_format(look) for look in _LOOKS)
        sheet.set_landscape()
        sheet.set_paper(_LANDSCAPE_A4)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(2)
        sheet.freeze_panes(3, 1)
        sheet.set_column(0, 0, _NAME_WIDTH)
        sheet.set_column(1, len(words.headers) - 1, _FIGURE_WIDTH)
        sheet.merge_range(0, 0, 0, len(words.headers) - 1, words.title, title)
        sheet.write_string(1, 0, words.state, mark)
        sheet.write_row(2, 0, words.headers, head)
        for number, line in enumerate(account.lines, start=3):
            look = cell if line.kind == "village" else town
            sheet.write_string(number, 0, f"　{line.name}" if line.kind == "village" else line.name, look)
            sheet.write_row(number, 1, figures_of(line), look)
        sheet.write_string(len(account.lines) + 4, 0, words.footer)


_LOOKS: tuple[dict[str, object], ...] = (
    {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    {"font_size": 9, "font_color": "#666666"},
    {"bold": True, "border": 1, "bg_color": "#E8EEF5", "align": "center", "text_wrap": True},
    {"border": 1},
    {"border": 1, "bold": True},
)
