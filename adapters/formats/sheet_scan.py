"""A sheet's XML is scanned as bytes, independently of the parser: how far its cells reach, which rows hold anything.

The scan makes clear refusals; what an odd spelling hides from it still meets the memory limit of the child.
"""

import re
from collections.abc import Iterable

import msgspec

from adapters.formats.unreadable import Limits, UnreadableFile
from adapters.formats.zip_preflight import unsafe

MAX_ROW, MAX_COLUMN = 1_048_576, 16_384
_BYTES_A_CELL = 40  # what the parser takes for a cell, rounded up
_LONGEST_ROW = 8 << 20
_ROW = re.compile(rb"<row(?=[\s/>])([^>]*)>")  # found by its plain beginning: the prefixed form takes ten times as long
_PREFIXED_ROW = re.compile(rb"<\w+:row(?=[\s/>])([^>]*)>")
_NUMBER = re.compile(rb"""\br\s*=\s*["']\s*(\d+)""")
_HIDDEN = re.compile(rb"""\bhidden\s*=\s*["'](?:1|true)""")
_CELL_START = re.compile(rb"<(?:\w+:)?c(?=[\s/>])")
_FAR_CELL = re.compile(rb' r="([A-Z]{2,})\d')
_ANY_VALUE = re.compile(rb"<(?:\w+:)?(?:v|t)(?:\s[^>]*)?>[^<]")
_FORMULA = re.compile(rb"<(?:\w+:)?f(?:\s[^>]*?)?(?:/>|>([^<]*)</)")
_ERROR_TYPE = re.compile(rb"""\bt\s*=\s*["']e["']""")
_TEXT_TYPE = re.compile(rb"""\bt\s*=\s*["'](?:str|s|inlineStr)["']""")
_REFERENCE = re.compile(rb"""\br\s*=\s*["']([A-Z]{1,3})\d{1,7}["']""")
_VALUE = re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?>([^<]+)<")
_COLUMN = re.compile(rb"<(?:\w+:)?col\s([^>]*)>")
_BOUND = re.compile(rb"""\b(min|max)\s*=\s*["'](\d+)""")
_END = re.compile(rb"</(?:\w+:)?sheetData\s*>")
_CLAIM = re.compile(rb"""\b(?:uniqueCount|count)\s*=\s*["'](\d+)""")
_BLANK_STRING = re.compile(rb"<si>\s*<t[^>]*?(?:/>|></t>)\s*</si>|<si\s*/>|<si></si>")


class SheetScan(msgspec.Struct):
    """What the scan saw. Rows and columns are 1-based."""

    name: str
    cells: int = 0
    row: int = 0  # the row last read
    last_row: int = 0  # the last row that holds something
    columns: int = 0  # an upper bound on how far right a cell stands
    filled_rows: int = 0
    flagged: dict[int, dict[int, str]] = msgspec.field(default_factory=dict)  # row -> column -> error, or bare formula
    hidden_rows: int = 0
    hidden_columns: list[int] = msgspec.field(default_factory=list)
    # Where rows come in no order, or before their cells:
    filled: set[int] = msgspec.field(default_factory=set)

    hidden: set[int] = msgspec.field(default_factory=set)

    def note_filled(self, row: int) -> None:
        self.filled.add(row)
        self.filled_rows = len(self.filled)
        self.last_row = max(self.last_row, row)

    def settle(self) -> None:
        """Only rows that hold something count as hidden."""
        self.hidden_rows = len(self.hidden & self.filled)


def scan_sheet(chunks: Iterable[bytes], name: str, limits: Limits) -> SheetScan:
    scan, rest, begun, ended = SheetScan(name=name), b"", False, False
    for chunk in chunks:
        content = rest + chunk
        refuse_doctype(content[-len(chunk) - 16 :], name)
        if ended:
            rest = content[-16:]
            continue
        if not begun and (begun := b"row" in content):
            scan.hidden_columns = _hidden_columns(content)
        end = _END.search(content) if b"sheetData" in content[-len(chunk) - 32 :] else None
        ended = end is not None
        rest = _scan_rows(scan, content[: end.start()] if end else content, whole=ended)
        check_reach(scan, limits, len(rest))
    if not ended:
        _scan_rows(scan, rest, whole=True)
        check_reach(scan, limits, 0)
    return scan


def check_rows(scan: SheetScan, filled_rows: int, last_row: int, *, blank_strings: bool) -> None:
    """Two counts of the same rows must agree, else one of the two did not read the whole sheet.

    A row whose only cells are empty strings is filled for the scan and empty for the parser.
    """
    short = scan.filled_rows - filled_rows
    if short < 0 or (not blank_strings and (short > 0 or scan.last_row > last_row)):
        raise UnreadableFile("F_ROW_COUNT", sheet=scan.name, counted=scan.filled_rows, read=filled_rows)


def scan_shared_strings(chunks: Iterable[bytes], size: int, name: str) -> bool:
    """Whether there are empty strings among them. A false count would make the parser reserve memory for it."""
    rest, first, blank = b"", True, False
    for chunk in chunks:
        content = rest + chunk
        refuse_doctype(content, name)
        if first and any(int(claim) > MAX_ROW * 64 for claim in _CLAIM.findall(content[:4096])):
            raise unsafe("false_count", name)
        unique = re.search(rb"""\buniqueCount\s*=\s*["'](\d+)""", content[:4096]) if first else None
        if unique and int(unique[1]) > size // 5:  # the shortest string is "<si/>"
            raise unsafe("false_count", name)
        blank = blank or _BLANK_STRING.search(content) is not None
        first, rest = False, content[-256:]
    return blank


def refuse_doctype(content: bytes, name: str) -> None:
    if b"\0" in content:
        raise unsafe("xml_encoding", name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise unsafe("doctype", name)


def column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper()[:7]:
        number = number * 26 + letter - 64
    return number


def _scan_rows(scan: SheetScan, content: bytes, *, whole: bool) -> bytes:
    """Every complete row of ``content``; what remains starts with the row not yet complete."""
    starts = list((_ROW if b"<row" in content else _PREFIXED_ROW).finditer(content))
    if whole:
        ends = [start.start() for start in starts[1:]] + [len(content)]
        rest = b""
    else:
        ends = [start.start() for start in starts[1:]]
        rest = content[starts[-1].start() :] if starts else content[-4096:]
    for start, end in zip(starts, ends, strict=False):
        number = _NUMBER.search(start[1])
        scan.row = int(number[1]) if number else scan.row + 1
        if not start[1].endswith(b"/"):
            before = scan.filled_rows
            _scan_row(scan, content[start.end() : end])
            if scan.filled_rows > before and b"hidden" in start[1] and _HIDDEN.search(start[1]):
                scan.hidden_rows += 1
    if far := _FAR_CELL.findall(content):
        scan.columns = max(scan.columns, *map(column_number, far))
    return rest


def _scan_row(scan: SheetScan, row: bytes) -> None:
    cells = row.count(b"<c ") or len(_CELL_START.findall(row))
    scan.cells += cells
    scan.columns = max(scan.columns, cells, 26)
    if b"<f" in row or b":f" in row or b'"e"' in row or b"'e'" in row:
        _flag(scan, row)
    if _holds_value(row) or scan.row in scan.flagged:
        scan.filled_rows += 1
        scan.last_row = max(scan.last_row, scan.row)


def _holds_value(row: bytes) -> bool:
    at = row.find(b"<v>")
    return (at >= 0 and row[at + 3 : at + 4] != b"<") or _ANY_VALUE.search(row) is not None


def _flag(scan: SheetScan, row: bytes) -> None:
    starts = [match.start() for match in _CELL_START.finditer(row)]
    for n, (start, end) in enumerate(zip(starts, [*starts[1:], len(row)], strict=True)):
        problem = _problem_of(row[start:end])
        if problem is not None:
            reference = _REFERENCE.search(row, start, end)
            column = column_number(reference[1]) if reference else n + 1
            scan.flagged.setdefault(scan.row, {})[column] = problem


def _problem_of(cell: bytes) -> str | None:
    """The error a cell shows, or its formula when no value was kept with it; None when it is sound."""
    opening = cell[: cell.index(b">") + 1]
    value = _VALUE.search(cell)
    if _ERROR_TYPE.search(opening):
        return value[1].decode("utf-8", "replace")[:20] if value else "#N/A"
    formula = _FORMULA.search(cell)
    if formula and not value and not _TEXT_TYPE.search(opening):
        return "=" + (formula[1] or b"").decode("utf-8", "replace")[:100]
    return None


def check_reach(scan: SheetScan, limits: Limits, unread: int = 0) -> None:
    """The parser lays cells out as a full rectangle: one far cell asks for all the memory there is."""
    if scan.cells > limits.max_cells:
        raise UnreadableFile("F_TOO_MANY_CELLS", cells=scan.cells, limit=limits.max_cells)
    if scan.row > MAX_ROW or scan.columns > MAX_COLUMN or unread > _LONGEST_ROW:
        raise unsafe("far_cell", scan.name)
    if scan.last_row * scan.columns > limits.memory_bytes // _BYTES_A_CELL and scan.columns > 26:
        raise unsafe("far_cell", scan.name)


def _hidden_columns(content: bytes) -> list[int]:
    hidden: set[int] = set()
    for attributes in _COLUMN.findall(content):
        bounds = dict(_BOUND.findall(attributes))
        if _HIDDEN.search(attributes) and len(bounds) == 2:
            low, high = int(bounds[b"min"]), int(bounds[b"max"])
            hidden.update(range(low, min(high, low + 256) + 1))
    return sorted(hidden)
