"""A binary workbook's sheets (.xlsb) are scanned record by record, independently of the parser."""

import struct
from collections.abc import Iterable, Iterator

from adapters.formats.biff_scan import ERROR_TEXT
from adapters.formats.sheet_scan import SheetScan, check_reach
from adapters.formats.unreadable import Limits, unreadable

_ROW, _BLANK, _ERROR, _LAST_CELL, _FORMULA_ERROR = 0, 1, 3, 11, 11
_COLUMN_WIDTH, _BOOK_PROPERTIES, _SHEET = 60, 153, 156
_ROW_HIDDEN = 0x10
_LONGEST_RECORD = 1 << 20
_ROW_HEAD = struct.Struct("<IIHBB")
_COLUMNS = struct.Struct("<IIIIH")

Record = tuple[int, bytes]


def scan_sheet(chunks: Iterable[bytes], name: str, limits: Limits) -> SheetScan:
    scan = SheetScan(name=name)
    for kind, content in records(chunks):
        if kind == _ROW and len(content) >= _ROW_HEAD.size:
            row, _, _, _, flags = _ROW_HEAD.unpack_from(content)
            scan.row = row + 1
            if flags & _ROW_HIDDEN:
                scan.hidden.add(scan.row)
        elif _BLANK <= kind <= _LAST_CELL and len(content) >= 8:
            _take_cell(scan, kind, content)
        elif kind == _COLUMN_WIDTH and len(content) >= _COLUMNS.size:
            first, last, _, _, flags = _COLUMNS.unpack_from(content)
            scan.hidden_columns += range(first + 1, min(last, first + 255) + 2) if flags & 1 else ()
        check_reach(scan, limits)
    scan.settle()
    return scan


def sheets_of(book: bytes) -> tuple[dict[str, str], bool]:
    """Relation -> sheet name, and whether dates count from 1904."""
    names: dict[str, str] = {}
    epoch_1904 = False
    for kind, content in records([book]):
        if kind == _BOOK_PROPERTIES:
            epoch_1904 = bool(content[:1] and content[0] & 1)
        elif kind == _SHEET:
            relation, rest = _wide_text(content[8:])
            names[relation] = _wide_text(rest)[0]
    return names, epoch_1904


def records(chunks: Iterable[bytes]) -> Iterator[Record]:
    """Kind and content; both kind and length are numbers of seven bits a byte."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        at = 0
        while (head := _head(rest, at)) is not None:
            kind, start, length = head
            if length > _LONGEST_RECORD:
                raise unreadable("damaged_workbook", entry="record")
            if start + length > len(rest):
                break
            yield kind, rest[start : start + length]
            at = start + length
        rest = rest[at:]


def _head(content: bytes, at: int) -> tuple[int, int, int] | None:
    """Kind, where its content starts, its length; None when the head is not whole."""
    window = content[at : at + 6]
    if not window:
        return None
    size = 2 if window[0] & 0x80 else 1
    if len(window) < size:
        return None
    kind = window[0] if size == 1 else (window[0] & 0x7F) | (window[1] & 0x7F) << 7
    length = 0
    for place, byte in enumerate(window[size:]):
        length |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return kind, at + size + place + 1, length
    if len(window) == 6:
        raise unreadable("damaged_workbook", entry="record")
    return None


def _take_cell(scan: SheetScan, kind: int, content: bytes) -> None:
    column = int.from_bytes(content[:4], "little") + 1
    scan.cells += 1
    scan.columns = max(scan.columns, column)
    if kind == _BLANK or (kind in (6, 8) and content[8:12] == b"\0\0\0\0"):  # a text of nothing
        return
    if kind in (_ERROR, _FORMULA_ERROR):
        scan.flagged.setdefault(scan.row, {})[column] = ERROR_TEXT.get(content[8] if len(content) > 8 else 0, "#N/A")
    scan.note_filled(scan.row)


def _wide_text(content: bytes) -> tuple[str, bytes]:
    end = 4 + 2 * int.from_bytes(content[:4], "little")
    return content[4:end].decode("utf-16-le", "replace"), content[end:]
