"""An .xls is scanned record by record, independently of the parser: how far its cells reach, what is hidden or an error."""

import struct
from collections.abc import Iterator

import msgspec

from adapters.formats.sheet_scan import SheetScan, check_reach
from adapters.formats.unreadable import Limits, unreadable

_BOF, _EOF, _FILE_PASS, _WRITE_PROTECT, _DATE_MODE, _BOUND_SHEET = 0x809, 0x0A, 0x2F, 0x86, 0x22, 0x85
_SHARED_STRINGS, _CONTINUE = 0xFC, 0x3C
_ROW, _COLUMN_WIDTH, _MANY_NUMBERS, _FORMULA, _ERROR = 0x208, 0x7D, 0xBD, 0x06, 0x205
_LABEL, _RESULT_TEXT = 0x204, 0x207
_BLANKS = frozenset({0x201, 0xBE})
_VALUES = frozenset({0xFD, _LABEL, 0xD6, 0x203, 0x27E, _MANY_NUMBERS, _ERROR, _FORMULA, 0x206, 0x406})
_ROW_HIDDEN = 0x20
_PLACE = struct.Struct("<HH")
ERROR_TEXT = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
}  # fmt: skip

Record = tuple[int, int, bytes]  # kind, where it begins, content


class BookScan(msgspec.Struct):
    """What the scan saw of a workbook: its sheets by name, and what concerns all of them."""

    epoch_1904: bool = False
    blank_strings: bool = False
    sheets: dict[str, SheetScan] = msgspec.field(default_factory=dict)


def is_encrypted(stream: bytes) -> bool:
    """The first record that is not for the reader's eyes says so."""
    for kind, _, _ in records(stream[:64]):
        if kind not in (_BOF, _WRITE_PROTECT):
            return kind == _FILE_PASS
    return False


def scan_book(stream: bytes, limits: Limits) -> BookScan:
    found = BookScan()
    places: dict[int, str] = {}
    open_parts: list[SheetScan | None] = []  # a chart stands inside its sheet
    strings = False
    for kind, at, content in records(stream):
        if kind == _BOF:
            open_parts.append(found.sheets.get(places.get(at, "")))
        elif kind == _EOF:
            del open_parts[-1:]
        elif open_parts and (current := open_parts[-1]) is not None:
            _take(current, kind, content)
        elif kind == _BOUND_SHEET:
            place, name = _bound_sheet(content)
            places[place] = name
            found.sheets[name] = SheetScan(name=name)
        elif kind == _DATE_MODE:
            found.epoch_1904 = content[:1] == b"\1"
        elif kind == _SHARED_STRINGS or (strings and kind == _CONTINUE):
            strings = True
            found.blank_strings |= b"\0\0\0" in content[8:] or b"\0\0\1" in content[8:]
    for scan in found.sheets.values():
        scan.settle()
        check_reach(scan, limits)
    return found


def records(stream: bytes) -> Iterator[Record]:
    at, end = 0, len(stream)
    while at + 4 <= end:
        kind, length = _PLACE.unpack_from(stream, at)
        yield kind, at, stream[at + 4 : at + 4 + length]
        at += 4 + length


def _bound_sheet(content: bytes) -> tuple[int, str]:
    if len(content) < 8:
        raise unreadable("damaged_workbook", entry="Workbook")
    length, wide = content[6], content[7] & 1
    name = content[8 : 8 + length * (1 + wide)].decode("utf-16-le" if wide else "latin-1", "replace")
    return int.from_bytes(content[:4], "little"), name


def _take(scan: SheetScan, kind: int, content: bytes) -> None:
    if kind == _ROW and len(content) >= 14 and content[12] & _ROW_HIDDEN:
        scan.hidden.add(_PLACE.unpack_from(content)[0] + 1)
    elif kind == _COLUMN_WIDTH and len(content) >= 10 and content[8] & 1:
        first, last = _PLACE.unpack_from(content)
        scan.hidden_columns += range(first + 1, min(last, first + 255) + 2)
    elif kind in _VALUES and len(content) >= 6:
        _take_value(scan, kind, content)
    elif kind == _RESULT_TEXT and content[:2] != b"\0\0":
        scan.note_filled(scan.row)
    elif kind in _BLANKS:
        scan.cells += 1


def _take_value(scan: SheetScan, kind: int, content: bytes) -> None:
    row, column = _PLACE.unpack_from(content)
    scan.cells += 1
    last = int.from_bytes(content[-2:], "little") if kind == _MANY_NUMBERS else column
    scan.columns = max(scan.columns, last + 1)
    scan.row = row + 1
    problem = _problem_of(kind, content)
    if problem == "":  # shows nothing, or a text that follows
        return
    if problem is not None:
        scan.flagged.setdefault(row + 1, {})[column + 1] = problem
    scan.note_filled(row + 1)


def _problem_of(kind: int, content: bytes) -> str | None:
    """The error a cell shows, '' when it shows nothing itself, None when it is sound."""
    if kind == _LABEL and content[6:8] == b"\0\0":
        return ""
    if kind == _ERROR and content[7:8] == b"\1":
        return ERROR_TEXT.get(content[6], "#N/A")
    if kind == _FORMULA and content[12:14] == b"\xff\xff":
        return {0: "", 2: ERROR_TEXT.get(content[8], "#N/A"), 3: ""}.get(content[6])
    return None
