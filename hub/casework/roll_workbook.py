"""漏登/重登/错登清单: what differs between a roll and the register, as a workbook to take along, a sheet a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from hub.casework.roll_findings import KINDS
from hub.casework.roll_words import ShownItem

_LANDSCAPE_A4 = 9
_HEADER_ROW, _FIRST_ROW = 2, 3
_WIDTHS = (6, 16, 12, 22, 16, 24, 24, 24, 24, 14)
_LOOKS: dict[str, dict[str, object]] = {
    "title": {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    "mark": {"font_size": 9, "font_color": "#666666"},
    "header": {"bold": True, "border": 1, "bg_color": "#E8EEF5", "align": "center", "text_wrap": True},
    "cell": {"border": 1, "valign": "vcenter", "text_wrap": True, "num_format": "@"},
    "foot": {"font_size": 11},
}


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """Every word of the workbook, in the reader's language."""

    title: str
    headers: Sequence[str]
    footer: str
    watermark: str
    kinds: Mapping[str, str]  # also the sheets' names
    registered: Mapping[str, str]
    decisions: Mapping[str, str]
    english: bool = False


def write_differences(path: Path, items: Sequence[ShownItem], words: Wording, now: datetime) -> None:
    """Cells are strings, whatever they look like: a name that begins with ``=`` stays a name."""
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": words.title, "created": now.replace(tzinfo=None)})
        formats = {name: book.add_format(look) for name, look in _LOOKS.items()}
        for kind in KINDS:
            some = [one for one in items if one.kind == kind]
            if some or kind in KINDS[:2]:
                _write_sheet(book.add_worksheet(words.kinds[kind]), kind, some, words, formats)


def _write_sheet(
    sheet: Worksheet, kind: str, items: Sequence[ShownItem], words: Wording, formats: dict[str, Format]
) -> None:
    sheet.set_landscape()
    sheet.set_paper(_LANDSCAPE_A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(_HEADER_ROW)
    sheet.freeze_panes(_FIRST_ROW, 0)
    sheet.set_footer(f"&L{words.watermark.replace('&', '&&')[:200]}&R&P / &N")
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)
    sheet.merge_range(0, 0, 0, len(words.headers) - 1, "", formats["title"])
    sheet.write_string(0, 0, f"{words.title} · {words.kinds[kind]}", formats["title"])
    sheet.write_string(1, 0, words.watermark, formats["mark"])
    for column, header in enumerate(words.headers):
        sheet.write_string(_HEADER_ROW, column, header, formats["header"])
    for number, item in enumerate(items):
        for column, value in enumerate((str(number + 1), *_cells(item, words))):
            sheet.write_string(_FIRST_ROW + number, column, value, formats["cell"])
    sheet.write_string(_FIRST_ROW + len(items) + 1, 0, words.footer, formats["foot"])


def _cells(item: ShownItem, words: Wording) -> Iterator[str]:
    titles = [(one, one.title_en if words.english else one.title) for one in item.fields]
    named = [(one, title) for one, title in titles if one.differs or item.kind != "different"]
    wrong = "；".join(one.title_en if words.english else one.title for one in item.errors)
    yield from (item.village, item.name, item.number, str(item.sheet_row or ""))
    yield wrong or words.registered.get(item.registered, "") or "、".join(title for one, title in named if one.differs)
    for side in ("roll", "register", "last"):
        yield "\n".join(f"{title}: {getattr(one, side)}" for one, title in named if getattr(one, side))
    yield words.decisions.get(item.decision, "")
