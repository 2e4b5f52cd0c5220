"""Rows that our own parsers take out of a file are packed into batches; every cell counts against the limits."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import BinaryIO

import msgspec

from adapters.formats import wire
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable

TEXT, NUMBER, DATE, BOOLEAN, NO_VALUE = range(5)
FILLED = 8  # added to the kind of a cell whose value stands in a merged cell above it
MAX_COLUMNS = 16_384
MAX_CELL = 1 << 20  # characters
_BATCH_ROWS = 5_000
_BATCH_CHARACTERS = 8 << 20


class Budget:
    """What a file may still cost, over all its sheets."""

    def __init__(self, limits: Limits) -> None:
        self.max_cells = limits.max_cells
        self.cells = 0
        self.bytes_left = limits.memory_bytes // 4

    def take_row(self, width: int) -> None:
        if width > MAX_COLUMNS:
            raise unreadable("columns", columns=width)
        self.cells += width
        if self.cells > self.max_cells:
            raise UnreadableFile("F_TOO_MANY_CELLS", cells=self.cells, limit=self.max_cells)

    def take_bytes(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise unreadable("memory")


class RowPacker:
    """Rows of any width become batches of columns, given to ``sink``."""

    def __init__(self, sink: Callable[[bytes], None], budget: Budget) -> None:
        self._sink, self._budget = sink, budget
        self._numbers: list[int] = []
        self._texts: list[Sequence[str | None]] = []
        self._kinds: list[Sequence[int]] = []
        self._characters = 0

    def add(self, number: int, texts: Sequence[str | None], kinds: Sequence[int]) -> None:
        self._budget.take_row(len(texts))
        self._numbers.append(number)
        self._texts.append(texts)
        self._kinds.append(kinds)
        self._characters += sum(len(text) for text in texts if text)
        if len(self._numbers) == _BATCH_ROWS or self._characters > _BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if not self._numbers:
            return
        columns = zip(zip_longest(*self._texts), zip_longest(*self._kinds, fillvalue=TEXT), strict=True)
        packed: list[wire.Column] = [(list(texts), bytes(kinds)) for texts, kinds in columns]
        self._sink(wire.encode_columns(self._numbers, packed))
        self._numbers, self._texts, self._kinds, self._characters = [], [], [], 0


class PackedSheet(msgspec.Struct):
    """A sheet kept packed until the file's end, when the number of its sheets is known."""

    name: str
    hidden: bool = False
    facts: dict[str, object] = msgspec.field(default_factory=dict)
    batches: list[bytes] = msgspec.field(default_factory=list)

    def packer(self, budget: Budget) -> RowPacker:
        def keep(batch: bytes) -> None:
            budget.take_bytes(len(batch))
            self.batches.append(batch)

        return RowPacker(keep, budget)


def send_sheets(sheets: Sequence[PackedSheet], pipe: BinaryIO, file_format: str, encoding: str) -> None:
    """A hidden sheet is told and never sent."""
    visible = sum(not sheet.hidden for sheet in sheets)
    for sheet in sheets:
        wire.send(pipe, wire.SheetOpens(sheet.name, sheet.hidden, file_format, encoding, visible, sheet.facts))
        for batch in () if sheet.hidden else sheet.batches:
            wire.send(pipe, wire.BatchOfRows(columns=True), batch)
        wire.send(pipe, wire.SheetEnds({"encoding": encoding}))
