"""An OpenDocument sheet (.ods) is scanned as it streams by: repeats are multiplied out before the parser may do so."""

from collections.abc import Iterable
from xml.parsers import expat

from adapters.formats.sheet_scan import MAX_ROW, SheetScan, check_reach
from adapters.formats.unreadable import Limits, unreadable
from adapters.formats.zip_preflight import unsafe

_CELLS = frozenset({"table:table-cell", "table:covered-table-cell"})
_WHITE = frozenset({"text:s", "text:tab", "text:line-break"})
_DEEPEST = 256
_LISTED_COLUMNS = 256


def scan_tables(chunks: Iterable[bytes], limits: Limits) -> tuple[dict[str, SheetScan], bool]:
    """Every table by its name, and whether any of them has a text of nothing."""
    tables = _Tables(limits)
    try:
        for chunk in chunks:
            tables.parser.Parse(chunk, False)
        tables.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise unreadable("damaged_workbook", entry="content.xml", line=error.lineno) from None
    return tables.scans, tables.blank_texts


class _Tables:
    def __init__(self, limits: Limits) -> None:
        self.scans: dict[str, SheetScan] = {}
        self._limits = limits
        self._scan = SheetScan(name="")
        self._depth = 0
        self._repeat = 1
        self._hidden = False
        self._columns = 0  # columns described so far
        self._place = 0  # the column last read of this row
        self._reach = 0  # the last column of this row that holds something
        self._cell: dict[str, str] | None = None
        self._has_text = False
        self.blank_texts = False
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise unreadable("xml_nested")
        if name in _CELLS:
            self._cell, self._has_text = attributes, False
        elif name in _WHITE:
            self._has_text = True
        elif name == "table:table-row":
            self._repeat, self._place, self._reach = _repeats(attributes, "rows"), 0, 0
            self._hidden = attributes.get("table:visibility", "visible") != "visible"
        elif name == "table:table-column":
            self._column(attributes)
        elif name == "table:table":
            self._scan = SheetScan(name=attributes.get("table:name", ""))
            self.scans[self._scan.name] = self._scan
            self._columns = 0

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in _CELLS and self._cell is not None:
            self._cell_ends(self._cell)
            self._cell = None
        elif name == "table:table-row":
            self._row_ends()

    def _text(self, _: str) -> None:
        self._has_text = True

    def _cell_ends(self, attributes: dict[str, str]) -> None:
        repeat = _repeats(attributes, "columns")
        kind = attributes.get("office:value-type")
        self._place += repeat
        if kind == "string" and not self._has_text:
            self.blank_texts = True
        elif kind is not None or "table:formula" in attributes:
            self._reach = self._place
            self._scan.cells += repeat * self._repeat
        if kind is None and "table:formula" in attributes:
            formula = attributes["table:formula"].removeprefix("of:")[:100]
            self._scan.flagged.setdefault(self._scan.row + 1, {})[self._place] = formula
        check_reach(self._of_the_filled(), self._limits)

    def _row_ends(self) -> None:
        """Rows repeated at the end are only formatted; those that hold something are all there."""
        scan = self._scan
        scan.row += self._repeat
        if self._reach:
            scan.columns = max(scan.columns, self._reach)
            scan.last_row = scan.row
            scan.filled_rows += self._repeat
            scan.hidden_rows += self._repeat if self._hidden else 0
        if scan.last_row > MAX_ROW:
            raise unsafe("far_cell", scan.name)
        check_reach(self._of_the_filled(), self._limits)

    def _of_the_filled(self) -> SheetScan:
        """Rows and columns behind the last value are formats, which the parser leaves out."""
        scan = self._scan
        return SheetScan(
            name=scan.name, cells=scan.cells, row=scan.last_row, last_row=scan.last_row, columns=scan.columns
        )

    def _column(self, attributes: dict[str, str]) -> None:
        first = self._columns + 1
        self._columns += _repeats(attributes, "columns")
        if attributes.get("table:visibility", "visible") != "visible":
            self._scan.hidden_columns += range(first, min(self._columns, first + _LISTED_COLUMNS) + 1)


def _repeats(attributes: dict[str, str], what: str) -> int:
    stated = attributes.get(f"table:number-{what}-repeated", "1")
    if not (stated.isascii() and stated.isdigit() and 0 < len(stated) < 9):
        raise unreadable("damaged_workbook", entry=f"{what}={stated[:20]}")
    return int(stated)


def _refuse_doctype(*_: object) -> None:
    raise unsafe("doctype", "content.xml")
