"""A returned workbook made new from what was read of the file: for text, old formats, and workbooks that cannot be annotated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from adapters.formats.annotate import COLOURS
from adapters.formats.annotation import CellNote, Instructions, RowNote, SheetNotes, SummaryLine
from adapters.formats.sandbox import RawSheet
from hub.exchange.checks.raw_cells import DITTO
from hub.exchange.workbooks.returned_words import plain
from mappings.fields.reading import BOOLEAN, DATE, FILLED, NUMBER

_OPTIONS = {
    "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False, "constant_memory": True,
}  # fmt: skip
_LAST_ROW = 1_048_576
_LONGEST = 32_767
_WIDTHS = (12, 60, 12)
_SUMMARY_WIDTHS = (10, 28, 8, 26, 70, 24)
_BAD_NAME = str.maketrans("[]:*?/\\", "_______")
_FIRST_DAY = datetime(1900, 3, 1)  # before it, workbooks disagree about the calendar

Cell = tuple[str | None, int]


def rebuild(target: Path, sheets: Iterable[RawSheet], instructions: Instructions, *, only_noted: bool) -> None:
    """Every cell as it was read: text as text, numbers as numbers; nothing becomes a formula.

    ``only_noted``: just the header and the rows the instructions name, one below the other.
    """
    sheets = iter(sheets)
    first = next(sheets, None)
    opened = [first] if first is not None else []
    old_dates = bool(opened and opened[0].facts.get("epoch_1904"))
    options = {
        **_OPTIONS,
        "date_1904": old_dates,
        "tmpdir": str(target.parent),
    }  # what lies there is nobody else's to read
    with xlsxwriter.Workbook(str(target), options) as book:
        looks = _looks(book)
        names: dict[str, str] = {}
        notes = {each.name: each for each in instructions.sheets}
        for raw in chain(opened, sheets):
            if raw.hidden or raw.name == instructions.summary_name:
                continue
            names[raw.name] = free_name(raw.name, names)
            page = book.add_worksheet(names[raw.name])
            noting = _SheetRebuilding(page, looks, instructions, notes.get(raw.name))
            noting.write(raw, only_noted=only_noted)
        _write_summary(book, instructions, looks, {} if only_noted else names)


def write_summary_alone(target: Path, instructions: Instructions) -> None:
    """A workbook that only says why the file was not taken."""
    with xlsxwriter.Workbook(str(target), _OPTIONS) as book:
        _write_summary(book, instructions, _looks(book), {})


class _SheetRebuilding:
    """One sheet, written row by row while it is read."""

    def __init__(
        self, page: Worksheet, looks: dict[str, Format], words: Instructions, notes: SheetNotes | None
    ) -> None:
        self.page, self.looks, self.words = page, looks, words
        self.rows = {row.row: row for row in notes.rows} if notes else {}
        self.cells: dict[int, dict[int, CellNote]] = {}
        for cell in notes.cells if notes else ():
            self.cells.setdefault(cell.row, {})[cell.column] = cell
        self.first = min(notes.cells, key=_urgency, default=None) if notes else None
        self.header_rows = notes.header_rows if notes else []
        self.row_mark = notes.row_mark if notes else ""
        self.ours: frozenset[int] = frozenset()  # columns of an earlier return
        self.width = 0
        self.at = 0  # the row being written, from 0
        self.section = ""

    def write(self, raw: RawSheet, *, only_noted: bool) -> None:
        for batch in raw.batches:
            if not self.width:
                self._begin(batch)
            for number, cells in _rows(batch):
                if only_noted and number not in self.header_rows and not self._is_noted(number):
                    self._remember(cells)
                    continue
                self._write(number, self._resolved(cells) if only_noted else cells, in_place=not only_noted)

    def _begin(self, batch: pl.DataFrame) -> None:
        """Where our columns stand: in place of earlier ones of ours, else on the right."""
        columns = [name for name in batch.columns if name.startswith("c")]
        ours = (self.words.result_header, self.words.reason_header)
        header = batch.filter(pl.col("sheet_row").is_in(self.header_rows))
        self.ours = frozenset(
            place
            for place, name in enumerate(columns)
            if any(text in ours or text.startswith(self.words.mark_prefix) for text in header[name].drop_nulls())
        )
        self.width = max((place for place in range(len(columns)) if place not in self.ours), default=-1) + 1
        self.above: list[str | None] = [None] * len(columns)
        if self.header_rows:
            for offset, width in enumerate(_WIDTHS):
                hidden = {"hidden": offset == len(_WIDTHS) - 1}
                self.page.set_column(self.width + offset, self.width + offset, width, None, hidden)
            self.page.set_column(0, max(self.width - 1, 0), 16)

    def _is_noted(self, number: int) -> bool:
        return number in self.rows and bool(self.rows[number].level not in ("", "note"))

    def _remember(self, cells: list[Cell]) -> None:
        for place, (text, _) in enumerate(cells):
            if text and text not in DITTO:
                self.above[place] = text

    def _resolved(self, cells: list[Cell]) -> list[Cell]:
        """Without the rows between, 同上 would mean another row."""
        full = [(self.above[place], 0) if text in DITTO else (text, kind) for place, (text, kind) in enumerate(cells)]
        self._remember(cells)
        return full

    def _write(self, number: int, cells: list[Cell], *, in_place: bool) -> None:
        row = self.rows.get(number)
        if not in_place and row is not None and row.section != self.section:
            self.section = row.section
            self.page.write_string(self.at, 0, f"一、{row.section}")
            self.at += 1
        at = number - 1 if in_place else self.at
        if at >= _LAST_ROW:
            return
        for place, cell in enumerate(cells[: self.width]):
            if place not in self.ours:
                self._write_cell(at, place, cell, self.cells.get(number, {}).get(place + 1))
        if number in self.header_rows:
            self._write_header(at)
        if row is not None:
            self._write_result(at, row)
        self.at = at + 1

    def _write_cell(self, at: int, place: int, cell: Cell, note: CellNote | None) -> None:
        text, kind = cell
        if text is None and note is None:
            return
        look = self.looks.get(note.level if note else "cell")
        write_value(self.page, at, place, text, kind, look, self.looks.get(f"{note.level} day" if note else "day"))
        if note is not None and note.text:
            size = {"author": self.words.author, "x_scale": 3, "y_scale": 2}
            self.page.write_comment(at, place, note.text, size)
        if note is not None and note is self.first:
            self.page.set_selection(at, place, at, place)

    def _write_header(self, at: int) -> None:
        texts = (self.words.result_header, self.words.reason_header, self.row_mark)
        for offset, text in enumerate(texts):
            self.page.write_string(at, self.width + offset, text, self.looks["header"])
        self.page.freeze_panes(at + 1, 0)

    def _write_result(self, at: int, row: RowNote) -> None:
        self.page.write_string(at, self.width, row.result, self.looks.get(row.level, self.looks["cell"]))
        if row.reason:
            self.page.write_string(at, self.width + 1, row.reason, self.looks["reason"])
        self.page.write_string(at, self.width + 2, str(row.row_no))


def _urgency(note: CellNote) -> tuple[bool, int, int]:
    return note.level == "warning", note.row, note.column


def _rows(batch: pl.DataFrame) -> Iterator[tuple[int, list[Cell]]]:
    """Each row's number, and its cells with their kinds (text where the format has none)."""
    width = sum(name.startswith("c") for name in batch.columns)
    texts = batch.select("sheet_row", *(f"c{place}" for place in range(width)))
    kinds = batch.select(*(f"k{place}" for place in range(width))).rows() if "k0" in batch.columns else None
    for at, (number, *cells) in enumerate(texts.iter_rows()):
        own = kinds[at] if kinds else (0,) * width
        yield number, [(text, (kind or 0) % FILLED) for text, kind in zip(cells, own, strict=True)]


def write_value(
    page: Worksheet, at: int, place: int, text: str | None, kind: int, look: Format | None, day: Format | None
) -> None:
    """A number stays a number: as text, a number cell that lost its last digits would look whole."""
    if text is None:
        if look is not None:
            page.write_blank(at, place, None, look)
    elif kind == NUMBER and (number := _number(text)) is not None:
        page.write_number(at, place, number, look)
    elif kind == DATE and (moment := _moment(text)) is not None:
        page.write_datetime(at, place, moment, day)
    elif kind == BOOLEAN:
        page.write_boolean(at, place, text == "true", look)
    else:
        page.write_string(at, place, plain(text)[:_LONGEST], look)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment >= _FIRST_DAY else None


def _looks(book: xlsxwriter.Workbook) -> dict[str, Format]:
    text, day = {"num_format": "@"}, {"num_format": "yyyy-mm-dd"}
    looks: dict[str, Format] = {
        "cell": book.add_format(text),
        "day": book.add_format(day),
        "header": book.add_format({"bold": True, "align": "center", "valign": "vcenter"}),
        "title": book.add_format({"bold": True, "font_size": 14}),
        "reason": book.add_format({"text_wrap": True, "valign": "top", "num_format": "@"}),
        "link": book.add_format({"font_color": "#0563C1", "underline": 1}),
    }
    for level, colour in COLOURS.items():
        looks[level] = book.add_format({**text, "bg_color": f"#{colour}"})
        looks[f"{level} day"] = book.add_format({**day, "bg_color": f"#{colour}"})
    return looks


def free_name(wanted: str, taken: dict[str, str]) -> str:
    """As the sheet was called, as far as a workbook lets it be."""
    name = (wanted.translate(_BAD_NAME).strip("'")[:31]) or "Sheet1"
    known, number, free = {each.lower() for each in taken.values()}, 2, name
    while free.lower() in known:
        free, number = f"{name[:27]}({number})", number + 1
    return free


def _write_summary(
    book: xlsxwriter.Workbook, instructions: Instructions, looks: dict[str, Format], names: dict[str, str]
) -> None:
    page = book.add_worksheet(instructions.summary_name)
    for column, width in enumerate(_SUMMARY_WIDTHS):
        page.set_column(column, column, width)
    for at, line in enumerate(instructions.summary):
        _write_line(page, at, line, looks, names)


def _write_line(page: Worksheet, at: int, line: SummaryLine, looks: dict[str, Format], names: dict[str, str]) -> None:
    for place, text in enumerate(line.cells):
        if text:
            page.write_string(at, place, text, looks.get(line.look) if place == 0 or line.look == "header" else None)
    if line.sheet in names and line.place:
        name = names[line.sheet].replace("'", "''")
        last = len(line.cells) - 1
        page.write_url(at, last, f"internal:'{name}'!{line.place}", looks["link"], string=line.cells[last])
