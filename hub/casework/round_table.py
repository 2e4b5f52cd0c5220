"""The month's table of towns and villages, as units sign it: asked, answered, each verdict, how much is done."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import xlsxwriter

from hub.casework.round_progress import Tally, TownProgress, total

_WIDTHS = (18, 18, 9, 9, 9, 9, 10, 10, 14, 10)
_LANDSCAPE_A4 = 9
NOTHING_ASKED = "—"
Line = tuple[str, str, Tally]


class TableWords(msgspec.Struct, frozen=True, kw_only=True):
    """Every word of the table, in the reader's language."""

    title: str
    headers: Sequence[str]  # town, village, asked, answered, the five verdicts, how much is done
    subtotal: str
    total: str
    town_alone: str  # lines of which the village is not known
    footer: str


def written_share(tally: Tally) -> str:
    """Nothing to do is not done, nor not done."""
    return NOTHING_ASKED if tally.share is None else f"{tally.share:.1%}"


def table_lines(towns: Sequence[TownProgress], words: TableWords) -> Iterator[Line]:
    """Villages by town, each town's sum, the sum of all."""
    for town in towns:
        for village in town.villages:
            yield town.name, village.name or words.town_alone, village.tally
        yield town.name, words.subtotal, town.tally
    yield words.total, "", total(town.tally for town in towns)


def as_csv(towns: Sequence[TownProgress], words: TableWords) -> bytes:
    """With the mark by which Excel knows UTF-8."""
    written = io.StringIO()
    sheet = csv.writer(written)
    sheet.writerow(words.headers)
    for town, village, tally in table_lines(towns, words):
        sheet.writerow((town, village, *_counts(tally), written_share(tally)))
    return written.getvalue().encode("utf-8-sig")


def write_table(path: Path, towns: Sequence[TownProgress], words: TableWords, now: datetime) -> None:
    """A4 across, title, repeated header, a line to sign."""
    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"title": words.title, "created": now.replace(tzinfo=None)})
        sheet = book.add_worksheet()
        title, head, cell = (book.add_format(look) for look in _LOOKS)
        sheet.set_landscape()
        sheet.set_paper(_LANDSCAPE_A4)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(1)
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)
        sheet.merge_range(0, 0, 0, len(words.headers) - 1, words.title, title)
        sheet.write_row(1, 0, words.headers, head)
        lines = list(table_lines(towns, words))
        for number, (town, village, tally) in enumerate(lines, start=2):
            sheet.write_row(number, 0, (town, village, *_counts(tally), written_share(tally)), cell)
        sheet.write_string(len(lines) + 3, 0, words.footer)


_LOOKS: tuple[dict[str, object], ...] = (
    {"bold": True, "font_size": 16, "align": "center", "valign": "vcenter"},
    {"bold": True, "border": 1, "bg_color": "#E8EEF5", "align": "center", "text_wrap": True},
    {"border": 1},
)


def _counts(tally: Tally) -> tuple[int, ...]:
    return tally.items, tally.answered, *tally.verdicts
