"""JSON lines, a JSON array, or {"rows": [...]}, of flat objects, become rows under a header row of their keys."""

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from adapters.formats import wire
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable

BATCH_ROWS = 10_000
MAX_COLUMNS = 1_000
MAX_LINE = 1 << 20
MAX_DOCUMENT = 64 << 20

Numbered = tuple[int, bytes | msgspec.Raw]
Values = dict[str, object]


class _Document(msgspec.Struct):
    rows: list[msgspec.Raw]


def send_json(file: BinaryIO, pipe: BinaryIO, limits: Limits) -> None:
    """``sheet_row`` is the line, or the place in the array; the header row is row 0."""
    keys: dict[str, None] = {}
    opened, cells = False, 0
    for numbers, rows in _batches(_objects(file)):
        known = len(keys)
        keys.update(dict.fromkeys(key for row in rows for key in row))
        if (opened and len(keys) > known) or len(keys) > MAX_COLUMNS:
            raise unreadable("json_keys", line=numbers[0])
        cells += len(rows) * len(keys)
        if cells > limits.max_cells:
            raise UnreadableFile("F_TOO_MANY_CELLS", cells=cells, limit=limits.max_cells)
        if not opened:
            wire.send(pipe, wire.SheetOpens("", False, "json", "utf-8", 1, {}))
        columns = [_column(key, rows, with_header=not opened) for key in keys]
        wire.send(
            pipe, wire.BatchOfRows(columns=True), wire.encode_columns(numbers if opened else [0, *numbers], columns)
        )
        opened = True
    if not opened:
        raise UnreadableFile("F_EMPTY")
    wire.send(pipe, wire.SheetEnds({}))


def _column(key: str, rows: list[Values], *, with_header: bool) -> wire.Column:
    header: list[str | None] = [key] if with_header else []
    return header + [_text(row.get(key)) for row in rows], None


def _batches(objects: Iterator[Numbered]) -> Iterator[tuple[list[int], list[Values]]]:
    decoder = msgspec.json.Decoder(Values)
    numbers: list[int] = []
    rows: list[Values] = []
    for number, raw in objects:
        rows.append(_decoded(decoder, number, raw))
        numbers.append(number)
        if len(rows) == BATCH_ROWS:
            yield numbers, rows
            numbers, rows = [], []
    if rows:
        yield numbers, rows


def _decoded(decoder: msgspec.json.Decoder[Values], number: int, raw: bytes | msgspec.Raw) -> Values:
    try:
        row = decoder.decode(raw)
    except UnicodeDecodeError:
        raise UnreadableFile("F_ENCODING", line=number, tried="utf-8") from None
    except msgspec.DecodeError:
        raise unreadable("json", line=number) from None
    if any(isinstance(value, (dict, list)) for value in row.values()):
        raise unreadable("json_nested", line=number)
    return row


def _objects(file: BinaryIO) -> Iterator[Numbered]:
    start = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"[") or _one_document(start):
        file.seek(0)
        return _document_rows(file)
    file.seek(0)
    return _lines(file)


def _one_document(start: bytes) -> bool:
    """{"rows": ...} or an object spread over lines; not lines of objects."""
    head = start[:64].replace(b" ", b"").replace(b"\n", b"").replace(b"\r", b"").replace(b"\t", b"")
    return head.startswith(b'{"rows":')


def _document_rows(file: BinaryIO) -> Iterator[Numbered]:
    content = file.read(MAX_DOCUMENT + 1).removeprefix(b"\xef\xbb\xbf")
    if len(content) > MAX_DOCUMENT:
        raise UnreadableFile("F_TOO_LARGE", size=len(content), limit=MAX_DOCUMENT)
    try:
        if content.lstrip().startswith(b"["):
            rows = msgspec.json.decode(content, type=list[msgspec.Raw])
        else:
            rows = msgspec.json.decode(content, type=_Document).rows
    except msgspec.DecodeError:
        raise unreadable("json", line=1) from None
    return iter(enumerate(rows, 1))


def _lines(file: BinaryIO) -> Iterator[Numbered]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise unreadable("line_too_long", line=number)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
