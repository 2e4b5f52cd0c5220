"""The limited child that opens a sender's workbook and writes notes into it; merges, widths, formulas stay as they are."""

from __future__ import annotations

import resource
import sys
from copy import copy
from typing import TYPE_CHECKING, Any

from adapters.formats.annotation import CellNote, Instructions, RowNote, SheetNotes, SummaryLine, read_order
from adapters.formats.child import _leave_network, _limit
from adapters.formats.unreadable import MIB, Limits

if TYPE_CHECKING:
    from openpyxl.cell.cell import Cell
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

COLOURS = {"error": "FF9C9C", "hold": "FFC875", "warning": "FFF3A6"}
_LARGEST = 1024 * MIB  # of a file the child may write
_LAST_COLUMN = 16_384
_WIDTHS = (12, 60, 12)


def main(order_path: str) -> None:
    instructions, limits, annotated = read_order(order_path)
    _leave_network()
    sys.modules["numpy"] = None  # type: ignore[assignment]  # openpyxl takes it where it can; it costs memory and time
    from openpyxl import load_workbook

    _confine(limits)
    with open(0, "rb", closefd=False) as original:
        book = load_workbook(original)
    annotate_book(book, instructions)
    book.save(annotated)


def _confine(limits: Limits) -> None:
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, grace=2)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _LARGEST)


def annotate_book(book: Workbook, instructions: Instructions) -> None:
    """Notes of an earlier return are taken away first."""
    if instructions.summary_name in book.sheetnames:
        del book[instructions.summary_name]
    chosen: Worksheet | None = None
    for notes in instructions.sheets:
        sheet = book[notes.name]
        _SheetNoting(sheet, notes, instructions).write()
        if chosen is None and notes.cells:
            chosen = sheet
    _write_summary(book, instructions)
    _open_at(book, chosen)
    book.calculation.fullCalcOnLoad = True  # formulas lose their remembered values when they are written


def _open_at(book: Workbook, chosen: Worksheet | None) -> None:
    if chosen is not None:
        book.active = book.index(chosen)
    for sheet in book.worksheets:
        sheet.sheet_view.tabSelected = sheet is book.active


class _SheetNoting:
    """One sheet on its way back to its sender."""

    def __init__(self, sheet: Worksheet, notes: SheetNotes, words: Instructions) -> None:
        self.sheet, self.notes, self.words = sheet, notes, words
        self.anchors = _anchors(sheet)

    def write(self) -> None:
        self._forget_earlier()
        first = self._last_column() + 1
        if not self.notes.header_rows or first + len(_WIDTHS) > _LAST_COLUMN:
            return
        self._make_room(first)
        self._write_headers(first)
        for row in self.notes.rows:
            self._write_row(first, row)
        for cell in self.notes.cells:
            self._note(cell)
        self._freeze()
        if self.notes.cells:
            self._select(self.notes.cells[0])

    def _forget_earlier(self) -> None:
        """Columns, comments and colours that the hub itself wrote the last time."""
        ours = {self.words.result_header, self.words.reason_header}
        columns = {
            cell.column
            for row in self.notes.header_rows
            for cell in self.sheet[row]
            if isinstance(cell.value, str) and (cell.value in ours or cell.value.startswith(self.words.mark_prefix))
        }
        for merged in list(self.sheet.merged_cells.ranges):
            if merged.min_col == merged.max_col and merged.min_col in columns:
                self.sheet.unmerge_cells(str(merged))
        for (row, column), cell in list(_cells(self.sheet).items()):
            if column in columns:
                del _cells(self.sheet)[row, column]
            elif cell.comment is not None and cell.comment.author == self.words.author:
                _clean(cell)
        for column in columns:
            self._show(column)

    def _last_column(self) -> int:
        """The last one with anything in it, from the header down: a title may be wider, formats may reach to XFD."""
        top = min(self.notes.header_rows, default=1)
        filled = (column for (row, column), cell in _cells(self.sheet).items() if row >= top and cell.value is not None)
        merged = (one.max_col for one in self.sheet.merged_cells.ranges if one.min_row >= top)
        return max(max(filled, default=0), max(merged, default=0))

    def _make_room(self, first: int) -> None:
        """Widths that the sender gave to everything on the right end before our columns begin."""
        for dimension in self.sheet.column_dimensions.values():
            if dimension.min and dimension.max and dimension.min < first <= dimension.max:
                dimension.max = first - 1
        for offset, width in enumerate(_WIDTHS):
            dimension = self.sheet.column_dimensions[_letter(first + offset)]
            dimension.min = dimension.max = first + offset
            dimension.width, dimension.hidden = width, offset == len(_WIDTHS) - 1

    def _write_headers(self, first: int) -> None:
        from openpyxl.styles import Alignment

        top, bottom = min(self.notes.header_rows), max(self.notes.header_rows)
        beside: Any = self.sheet.cell(bottom, first - 1) if first > 1 else None
        for offset, text in enumerate((self.words.result_header, self.words.reason_header, self.notes.row_mark)):
            cell: Any = _put(self.sheet, top, first + offset, text)
            if beside is not None and beside.has_style:
                cell._style = copy(beside._style)
            cell.alignment = Alignment(horizontal="center", vertical="center")
            if bottom > top:
                self.sheet.merge_cells(start_row=top, end_row=bottom, start_column=cell.column, end_column=cell.column)

    def _write_row(self, first: int, row: RowNote) -> None:
        from openpyxl.styles import Alignment

        result = _put(self.sheet, row.row, first, row.result)
        _put(self.sheet, row.row, first + 2, str(row.row_no))
        if row.level:
            _colour(result, row.level)
            self.sheet.row_dimensions[row.row].hidden = False
        if row.reason:
            _put(self.sheet, row.row, first + 1, row.reason).alignment = Alignment(vertical="top", wrap_text=True)

    def _note(self, note: CellNote) -> None:
        from openpyxl.comments import Comment

        place = self.anchors.get((note.row, note.column), (note.row, note.column))
        cell = self.sheet.cell(*place)
        _colour(cell, note.level)
        self._show(place[1])
        if note.text:
            own = f"{note.text}\n——\n{cell.comment.text}" if cell.comment is not None else note.text
            cell.comment = Comment(own, self.words.author, height=150, width=360)

    def _show(self, column: int) -> None:
        """Hidden columns beside each other are one entry of the sheet: only this one is taken out of it."""
        every = self.sheet.column_dimensions
        for group in list(every.values()):
            if group.min and group.max and group.min < group.max and group.min <= column <= group.max:
                for first, last in ((group.min, column - 1), (column, column), (column + 1, group.max)):
                    if first <= last:
                        part = copy(group)
                        part.index, part.min, part.max = _letter(first), first, last
                        every[_letter(first)] = part
        every[_letter(column)].hidden = False

    def _freeze(self) -> None:
        if self.sheet.freeze_panes is None:
            self.sheet.freeze_panes = f"A{max(self.notes.header_rows) + 1}"

    def _select(self, note: CellNote) -> None:
        view, place = self.sheet.sheet_view, f"{_letter(note.column)}{note.row}"
        for selection in view.selection:
            selection.activeCell = selection.sqref = place


def _anchors(sheet: Worksheet) -> dict[tuple[int, int], tuple[int, int]]:
    """Where a merged cell's content stands, for every place it covers."""
    return {
        (row, column): (merged.min_row, merged.min_col)
        for merged in sheet.merged_cells.ranges
        if merged.size["rows"] * merged.size["columns"] < 100_000
        for row, column in ((row, column) for cells in merged.rows for row, column in cells)
    }


def _cells(sheet: Worksheet) -> dict[tuple[int, int], Any]:
    cells: dict[tuple[int, int], Any] = sheet._cells
    return cells


def _clean(cell: Cell) -> None:
    from openpyxl.styles import PatternFill

    assert cell.comment is not None
    _, separator, own = cell.comment.text.partition("\n——\n")
    cell.comment = None
    cell.fill = PatternFill()
    if separator:
        from openpyxl.comments import Comment

        cell.comment = Comment(own, "")


def _put(sheet: Worksheet, row: int, column: int, text: str) -> Cell:
    """Text, whatever it looks like: never a formula."""
    cell: Any = sheet.cell(row, column)
    cell.value = text
    cell.data_type = "s"
    placed: Cell = cell
    return placed


def _colour(cell: Any, level: str) -> None:
    from openpyxl.styles import PatternFill

    if level in COLOURS:
        cell.fill = PatternFill("solid", fgColor=COLOURS[level])


def _letter(column: int) -> str:
    from openpyxl.utils import get_column_letter

    return get_column_letter(column)


def _write_summary(book: Workbook, instructions: Instructions) -> None:
    if not instructions.summary:
        return
    sheet = book.create_sheet(instructions.summary_name)
    for column, width in zip("ABCDEF", (10, 28, 8, 26, 70, 24), strict=True):
        sheet.column_dimensions[column].width = width
    for number, line in enumerate(instructions.summary, 1):
        _write_line(sheet, number, line)


def _write_line(sheet: Worksheet, number: int, line: SummaryLine) -> None:
    from openpyxl.styles import Font
    from openpyxl.worksheet.hyperlink import Hyperlink

    cells = [_put(sheet, number, column, text) for column, text in enumerate(line.cells, 1) if text]
    if line.look in ("title", "header"):
        for cell in cells:
            cell.font = Font(bold=True, size=14 if line.look == "title" else 11)
    elif cells:
        _colour(cells[0], line.look)
    if line.sheet is not None and line.place and cells:
        name = line.sheet.replace("'", "''")
        cells[-1].hyperlink = Hyperlink(ref="", location=f"'{name}'!{line.place}")
        cells[-1].font = Font(color="0563C1", underline="single")
