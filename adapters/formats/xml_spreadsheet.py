"""A spreadsheet in the XML of 2003 (SpreadsheetML): rows and cells by their stated places, with types, merges, hidden parts."""

from adapters.formats.packed_rows import (
    BOOLEAN,
    DATE,
    FILLED,
    MAX_CELL,
    MAX_COLUMNS,
    NO_VALUE,
    NUMBER,
    TEXT,
    Budget,
    PackedSheet,
    RowPacker,
)
from adapters.formats.sheet_scan import MAX_ROW
from adapters.formats.unreadable import Limits, unreadable
from adapters.formats.zip_preflight import unsafe

_LISTED_COLUMNS = 256
_MOST_SHEETS = 1_000
_KIND_OF = {"Number": NUMBER, "DateTime": DATE, "Boolean": BOOLEAN, "Error": NO_VALUE}

Shown = tuple[str | None, int]  # text, kind


class SpreadsheetReader:
    format = "xml2003"

    def __init__(self, limits: Limits) -> None:
        self._budget = Budget(limits)
        self._sheets: list[PackedSheet] = []
        self._epoch_1904 = False
        self._packer = RowPacker(lambda _: None, self._budget)
        self._row_number = 0
        self._row_hidden = False
        self._row: dict[int, Shown] = {}
        self._column = 0
        self._column_number = 0
        self._across = self._down = 0
        self._kind = TEXT
        self._pieces: list[str] = []  # rich text comes in many
        self._length = 0
        self._formula: str | None = None
        self._from_above: dict[int, tuple[int, Shown]] = {}  # column -> last row, what stands in it

    def finished(self) -> list[PackedSheet]:
        for sheet in self._sheets:
            sheet.facts["epoch_1904"] = self._epoch_1904
        return self._sheets

    def start(self, path: list[str], attributes: dict[str, str]) -> None:
        match path:
            case [_, "Worksheet"]:
                self._start_sheet(attributes.get("Name", ""))
            case [_, "Worksheet", "Table", "Column"]:
                self._note_column(attributes)
            case [_, "Worksheet", "Table", "Row"]:
                self._start_row(attributes)
            case [_, "Worksheet", "Table", "Row", "Cell"]:
                self._start_cell(attributes)
            case [_, "Worksheet", "Table", "Row", "Cell", "Data"]:
                self._kind = _KIND_OF.get(attributes.get("Type", ""), TEXT)

    def take(self, path: list[str], text: str) -> None:
        match path:
            case [_, "Worksheet", "Table", "Row", "Cell", "Data", *_]:
                self._take_piece(text)
            case [_, "Worksheet", "WorksheetOptions", "Visible"]:
                self._sheets[-1].hidden = text.strip() in ("SheetHidden", "SheetVeryHidden")

    def end(self, path: list[str]) -> None:
        match path:
            case [_, "Worksheet", "Table", "Row", "Cell"]:
                self._end_cell()
            case [_, "Worksheet", "Table", "Row"]:
                self._end_row()
            case [_, "Worksheet"]:
                self._packer.flush()
            case [_, "ExcelWorkbook", "Date1904"]:
                self._epoch_1904 = True

    def _start_sheet(self, name: str) -> None:
        if len(self._sheets) >= _MOST_SHEETS:
            raise unreadable("sheets")
        facts: dict[str, object] = {"merged": [], "hidden_rows": 0, "hidden_columns": []}
        self._sheets.append(PackedSheet(name[:100], facts=facts))
        self._packer = self._sheets[-1].packer(self._budget)
        self._row_number = self._column_number = 0
        self._from_above = {}

    def _note_column(self, attributes: dict[str, str]) -> None:
        first = _number(attributes, "Index", self._column_number + 1)
        self._column_number = first + _number(attributes, "Span", 0)
        if attributes.get("Hidden") == "1":
            last = min(self._column_number, first + _LISTED_COLUMNS, MAX_COLUMNS)
            columns = self._sheets[-1].facts["hidden_columns"]
            assert isinstance(columns, list)
            columns += range(first, last + 1)

    def _start_row(self, attributes: dict[str, str]) -> None:
        self._row_number = max(_number(attributes, "Index", self._row_number + 1), self._row_number + 1)
        if self._row_number > MAX_ROW:
            raise unsafe("far_cell", self._sheets[-1].name)
        self._row_hidden = attributes.get("Hidden") == "1"
        self._row, self._column = {}, 0

    def _start_cell(self, attributes: dict[str, str]) -> None:
        self._column = _number(attributes, "Index", self._column + 1)
        if not 0 < self._column <= MAX_COLUMNS:
            raise unsafe("far_cell", self._sheets[-1].name)
        self._across, self._down = _number(attributes, "MergeAcross", 0), _number(attributes, "MergeDown", 0)
        self._formula = attributes.get("Formula")
        self._kind, self._pieces, self._length = TEXT, [], 0

    def _take_piece(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_CELL:
            raise unreadable("cell_too_long", line=self._row_number)
        self._pieces.append(text)

    def _end_cell(self) -> None:
        text, kind = "".join(self._pieces) or None, self._kind
        if not text and self._formula is not None and kind != TEXT:
            text, kind = None, NO_VALUE
        if self._formula is not None and text is None:
            text, kind = self._formula[:100], NO_VALUE
        shown = _as_shown(text, kind)
        if shown[0] is not None:
            self._row[self._column] = shown
            if self._down:
                self._from_above[self._column] = (self._row_number + self._down, shown)
        self._column += self._across

    def _end_row(self) -> None:
        self._fill_from_above()
        if not self._row:
            return
        if self._row_hidden:
            rows = self._sheets[-1].facts["hidden_rows"]
            assert isinstance(rows, int)
            self._sheets[-1].facts["hidden_rows"] = rows + 1
        width = max(self._row)
        cells = [self._row.get(column, (None, TEXT)) for column in range(1, width + 1)]
        self._packer.add(self._row_number, [text for text, _ in cells], [kind for _, kind in cells])

    def _fill_from_above(self) -> None:
        for column, (last, (text, kind)) in list(self._from_above.items()):
            if last < self._row_number:
                del self._from_above[column]
            elif column not in self._row:
                self._row[column] = (text, kind + FILLED)


def _number(attributes: dict[str, str], name: str, default: int) -> int:
    """A stated place. What is no plain number, or far beyond any sheet, is refused."""
    stated = attributes.get(name)
    if stated is None:
        return default
    if not (stated.isascii() and stated.isdigit() and len(stated) < 9):
        raise unreadable("damaged_workbook", entry=f"{name}={stated[:20]}")
    return int(stated)


def _as_shown(text: str | None, kind: int) -> Shown:
    if not text:
        return None, TEXT
    if kind == NUMBER:
        return _plain_number(text.strip()), NUMBER
    if kind == DATE:
        day, _, time = text.strip().partition("T")
        time = time.partition(".")[0]
        return (f"{day} {time}" if time.strip("0:Z") else day), DATE
    if kind == BOOLEAN:
        return ("true" if text.strip() in ("1", "true") else "false"), BOOLEAN
    return text, kind


def _plain_number(text: str) -> str:
    """Whole numbers without exponent or '.0', as a cell shows them."""
    if text.lstrip("-").isdigit():
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if abs(value) < 1e21 and value == int(value) else repr(value)
