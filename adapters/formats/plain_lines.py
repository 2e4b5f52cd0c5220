"""A small block of regular text without quotes is split here: what reads millions of rows takes longer to load than it."""

from dataclasses import dataclass

SMALL = 64 * 1024  # bytes
_MOST_CELLS = 4 * SMALL  # more of them are nearly all empty: a frame holds those better

Columns = list[list[str | None]]


@dataclass(frozen=True)
class PlainRows:
    """A batch that is no frame: its record numbers and its columns."""

    sheet_rows: list[int]
    columns: Columns


def split_lines(text: bytes, delimiter: str, width: int) -> Columns | None:
    """None where a line end is inside a line, a line is wider than ``width`` or something is no UTF-8."""
    if len(text) > SMALL or b'"' in text or b"\r" in text.replace(b"\r\n", b""):
        return None
    try:
        lines = text.decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        return None
    rows = [line.split(delimiter) for line in lines]
    if len(rows) * width > _MOST_CELLS or max(map(len, rows)) > width:
        return None
    return [[row[n] or None if n < len(row) else None for row in rows] for n in range(width)]
