"""HTML saved under a workbook's name: every table with rows is a sheet; merged cells are laid out as they are shown."""

import re
from html.parser import HTMLParser
from typing import BinaryIO

from adapters.formats.markup_text import MarkupText
from adapters.formats.packed_rows import FILLED, MAX_CELL, MAX_COLUMNS, TEXT, Budget, PackedSheet, send_sheets
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable

_MOST_COLUMNS_MERGED, _MOST_ROWS_MERGED = 1_000, 65_534  # where browsers stop too
_MOST_NESTED = 40
_MOST_TABLES = 1_000
_MOST_UNPARSED = 1 << 20  # characters of a construct that does not end
_BLANKS = re.compile(r"[^\S\n]+")
_LINE_ENDS = re.compile(r"\s*\n\s*")
_BREAKS = frozenset({"br", "p", "div", "li"})


def send_html(file: BinaryIO, pipe: BinaryIO, limits: Limits) -> None:
    source = MarkupText(file)
    reader = TableReader(limits)
    for chunk in source.chunks():
        reader.feed(chunk)
        if len(reader.rawdata) > _MOST_UNPARSED:
            raise unreadable("markup")
    reader.close()
    sheets = reader.finished()
    if not sheets:
        raise UnreadableFile("F_FORMAT_UNKNOWN", found="html")
    send_sheets(sheets, pipe, "html", source.encoding)


class TableReader(HTMLParser):
    """Tables by their tags alone: what is left open is closed by what cannot stand in it."""

    rawdata: str  # what the parser has not understood yet

    def __init__(self, limits: Limits) -> None:
        super().__init__(convert_charrefs=True)
        self._budget = Budget(limits)
        self._tables: list[Table] = []
        self._open: list[Table] = []

    def finished(self) -> list[PackedSheet]:
        """The tables in the order they begin; a name only where there are several."""
        while self._open:
            self._open.pop().close()
        sheets = [table.sheet for table in self._tables if table.sheet.batches]
        for number, sheet in enumerate(sheets if len(sheets) > 1 else [], 1):
            sheet.name = f"表{number}"
        return sheets

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._open_table()
        elif not self._open:
            return
        elif tag == "tr":
            self._open[-1].start_row()
        elif tag in ("td", "th"):
            wanted = dict(attrs)
            columns = _span(wanted.get("colspan"), _MOST_COLUMNS_MERGED)
            self._open[-1].start_cell(columns, _span(wanted.get("rowspan"), _MOST_ROWS_MERGED))
        elif tag in _BREAKS:
            self._open[-1].take("\n")

    def handle_endtag(self, tag: str) -> None:
        if not self._open:
            return
        if tag in ("td", "th"):
            self._open[-1].end_cell()
        elif tag == "tr":
            self._open[-1].end_row()
        elif tag == "table":
            self._open.pop().close()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].take(data.replace("\n", " "))

    def _open_table(self) -> None:
        if len(self._open) >= _MOST_NESTED or len(self._tables) >= _MOST_TABLES:
            raise unreadable("nested_tables")
        table = Table(self._budget)
        self._tables.append(table)
        self._open.append(table)


class Table:
    """One table being read. A value merged over rows stands in each of them, marked as filled."""

    def __init__(self, budget: Budget) -> None:
        self.sheet = PackedSheet("", facts={"merged": []})
        self._packer = self.sheet.packer(budget)
        self._number = 0
        self._row: list[tuple[str, int, int]] | None = None  # text, columns, rows
        self._cell: tuple[int, int] | None = None
        self._text: list[str] = []
        self._length = 0
        self._from_above: dict[int, tuple[int, str]] = {}  # column -> rows still to fill, text

    def start_row(self) -> None:
        self.end_row()
        self._row = []

    def start_cell(self, columns: int, rows: int) -> None:
        self.end_cell()
        if self._row is None:
            self._row = []
        if len(self._row) >= MAX_COLUMNS:
            raise unreadable("columns", columns=len(self._row))
        self._cell = (columns, rows)

    def take(self, text: str) -> None:
        if self._cell is None:
            return
        self._length += len(text)
        if self._length > MAX_CELL:
            raise unreadable("cell_too_long", line=self._number + 1)
        self._text.append(text)

    def end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            self._row.append((_tidy("".join(self._text)), *self._cell))
        self._cell, self._text, self._length = None, [], 0

    def end_row(self) -> None:
        self.end_cell()
        if self._row is None:
            return
        self._number += 1
        texts, kinds = self._laid_out(self._row)
        if texts:
            self._packer.add(self._number, texts, kinds)
        self._row = None

    def close(self) -> None:
        self.end_row()
        self._packer.flush()

    def _laid_out(self, row: list[tuple[str, int, int]]) -> tuple[list[str | None], list[int]]:
        texts: list[str | None] = []
        kinds: list[int] = []
        above, self._from_above = self._from_above, {}
        for text, columns, rows in row:
            self._fill(texts, kinds, above)
            for at in range(columns):
                above.pop(len(texts), None)  # two cells claim the place: the one of this row has it
                shown = "" if at else text
                if rows > 1:
                    self._from_above[len(texts)] = (rows - 1, shown)
                texts.append(shown or None)
                kinds.append(TEXT)
            if len(texts) > MAX_COLUMNS:
                raise unreadable("columns", columns=len(texts))
        while above:
            if len(texts) not in above:
                texts.append(None)
                kinds.append(TEXT)
            self._fill(texts, kinds, above)
        return texts, kinds

    def _fill(self, texts: list[str | None], kinds: list[int], above: dict[int, tuple[int, str]]) -> None:
        """Columns a merged cell above still covers."""
        while found := above.pop(len(texts), None):
            rows, text = found
            if rows > 1:
                self._from_above[len(texts)] = (rows - 1, text)
            texts.append(text or None)
            kinds.append(TEXT + FILLED if text else TEXT)


def _span(stated: str | None, most: int) -> int:
    digits = (stated or "").strip()[:9]
    return min(max(int(digits), 1), most) if digits.isascii() and digits.isdigit() else 1


def _tidy(text: str) -> str:
    return _LINE_ENDS.sub("\n", _BLANKS.sub(" ", text)).strip()
