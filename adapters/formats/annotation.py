"""A sender's workbook is given back with notes in it: opened, marked and saved in a limited child process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from adapters.formats.unreadable import Limits

__all__ = ["CellNote", "Instructions", "RowNote", "SheetNotes", "SummaryLine", "annotate"]

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.insert(0, sys.argv[1]); from adapters.formats.annotate import main; main(sys.argv[2])"
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "OPENPYXL_LXML": "False"}
ORDER, ANNOTATED = "order.msgpack", "annotated.xlsx"


class CellNote(msgspec.Struct, frozen=True, array_like=True):
    """What is said of one cell; row and column from 1. ``level``: error, hold or warning."""

    row: int
    column: int
    level: str
    text: str


class RowNote(msgspec.Struct, frozen=True, array_like=True):
    """What became of one row; ``row_no`` is its number in the submission, ``level`` "" where nothing is wrong."""

    row: int
    row_no: int
    level: str
    result: str
    reason: str
    section: str = ""  # the heading the row stands under


class SheetNotes(msgspec.Struct, frozen=True, kw_only=True):
    """Everything to be written into one sheet; ``name`` is "" in a file without sheets.

    ``row_mark`` heads the column that numbers the rows: it says of which submission they are.
    """

    name: str
    row_mark: str
    header_rows: list[int]
    rows: list[RowNote]
    cells: list[CellNote]


class SummaryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the summary; the last cell leads to ``sheet`` and ``place`` when they are given."""

    cells: list[str]
    look: str = ""  # title, header, error, hold, warning or ""
    sheet: str | None = None
    place: str = ""


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What to write where; every word comes from here."""

    sheets: list[SheetNotes]
    summary: list[SummaryLine]
    summary_name: str
    result_header: str
    reason_header: str
    mark_prefix: str  # how the headers of such columns begin, whichever submission they are of
    author: str


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    limits: Limits
    instructions: Instructions
    folder: str


def annotate(original: Path, target: Path, instructions: Instructions, limits: Limits) -> bool:
    """Write the original with its notes to ``target``; False when the workbook could not be opened within the limits."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".annotating-") as folder, original.open("rb") as file:
        order = _Order(limits=limits, instructions=instructions, folder=folder)
        place = Path(folder) / ORDER
        place.write_bytes(msgspec.msgpack.encode(order))
        done = _run(place, folder, file.fileno(), limits.wall_seconds)
        annotated = Path(folder) / ANNOTATED
        if not done or not annotated.exists():
            return False
        annotated.replace(target)
    return True


def _run(order: Path, folder: str, original: int, seconds: float) -> bool:
    command = [sys.executable, "-I", "-c", _START, _ROOT, str(order)]
    environment = {**_ENVIRONMENT, "TMPDIR": folder}
    try:
        child = subprocess.run(
            command, stdin=original, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=environment,
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return child.returncode == 0


def read_order(path: str) -> tuple[Instructions, Limits, Path]:
    """What the parent wrote down for its child."""
    order = msgspec.msgpack.decode(Path(path).read_bytes(), type=_Order)
    return order.instructions, order.limits, Path(order.folder) / ANNOTATED
