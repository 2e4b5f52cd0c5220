"""Delimited text is read in blocks of whole records: vectorised where it is regular, by the csv module where it is not."""

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO, Union

from adapters.formats import wire
from adapters.formats.encodings import MAX_LINE, TextSource
from adapters.formats.plain_lines import PlainRows, split_lines
from adapters.formats.unreadable import Limits, UnreadableFile, unreadable

if TYPE_CHECKING:
    import polars as pl  # loaded when a block needs it: most files are small and plain, and it is half of their time

BATCH_ROWS = 20_000
MAX_COLUMNS = 16_384
_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE_LINES = 40

Batch = Union["pl.DataFrame", PlainRows]


def send_delimited(file: BinaryIO, pipe: BinaryIO, limits: Limits) -> None:
    source = TextSource(file)
    reader = DelimitedReader(source, limits)
    opened = False
    for batch in reader.batches():
        if not opened:
            wire.send(
                pipe, wire.SheetOpens("", False, "csv", source.encoding or "utf-8", 1, {"delimiter": reader.delimiter})
            )
            opened = True
        _send_batch(pipe, batch)
    if not opened:
        raise UnreadableFile("F_EMPTY")
    wire.send(pipe, wire.SheetEnds({"encoding": source.encoding or "utf-8"}))


def _send_batch(pipe: BinaryIO, batch: Batch) -> None:
    if isinstance(batch, PlainRows):
        body = wire.encode_columns(batch.sheet_rows, [(column, None) for column in batch.columns])
        wire.send(pipe, wire.BatchOfRows(columns=True), body)
        return
    stream = io.BytesIO()
    batch.write_ipc_stream(stream)
    wire.send(pipe, wire.BatchOfRows(columns=False), stream.getbuffer())


class DelimitedReader:
    """Batches of ``sheet_row`` (record number, blank lines count) and ``c0..cN``."""

    def __init__(self, source: TextSource, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.delimiter = ","
        self.width = 1
        self.row = 0  # records read so far
        self.line = 1  # line of the next record
        self.cells = 0

    def batches(self) -> Iterator[Batch]:
        blocks = self.source.blocks()
        first = next(blocks, b"")
        self._learn(first)
        carried = b""
        for block in _prepended(first, blocks):
            text = carried + block
            end = _record_end(text)
            carried = text[end:]
            if len(carried) > MAX_LINE:
                yield from self._careful(_prepended(text, blocks))
                return
            if end:
                yield from self._block(text[:end])
        if carried:
            yield from self._plain(carried) or self._careful(iter([carried]))

    def _learn(self, sample: bytes) -> None:
        lines = [
            line for line in sample[: 256 << 10].decode("utf-8", "ignore").split("\n")[:_SAMPLE_LINES] if line.strip()
        ]
        self.delimiter = _sniff_delimiter(lines)
        self.width = max([line.count(self.delimiter) + 1 for line in lines], default=1)
        self._check_width()

    def _block(self, text: bytes) -> Iterator[Batch]:
        if plain := self._plain(text):
            yield from plain
            return
        quoted = b'"' in text
        frame = self._vectorised(text, quoted)
        if frame is None:
            yield from self._careful(iter([text]))
            return
        yield from self._numbered(frame)
        self.line += frame.height

    def _plain(self, text: bytes) -> list[PlainRows]:
        """Nothing when the block is not small and plain."""
        columns = split_lines(text, self.delimiter, self.width)
        height = len(columns[0]) if columns else 0
        self._count_cells(height * self.width)
        first, self.row, self.line = self.row + 1, self.row + height, self.line + height
        numbers = range(first, first + height)
        return [PlainRows([*numbers[at]], [column[at] for column in columns or ()]) for at in _batches_of(height)]

    def _vectorised(self, text: bytes, quoted: bool) -> "pl.DataFrame | None":
        """None when the block is not regular: ragged beyond the width, stray quotes, line ends inside cells."""
        import polars as pl

        top = self.delimiter.encode() * (self.width - 1) + b"\n"
        try:
            frame = pl.read_csv(
                top + text, has_header=False, infer_schema=False, separator=self.delimiter,
                quote_char='"' if quoted else None, null_values=[""] if quoted else None,
            )  # fmt: skip
        except pl.exceptions.PolarsError:
            return None
        if quoted and frame.height != 1 + text.count(b"\n") + (not text.endswith(b"\n")):
            return None
        frame.columns = [f"c{n}" for n in range(self.width)]
        return frame.slice(1)

    def _count_cells(self, more: int) -> None:
        self.cells += more
        if self.cells > self.limits.max_cells:
            raise UnreadableFile("F_TOO_MANY_CELLS", cells=self.cells, limit=self.limits.max_cells)

    def _numbered(self, frame: "pl.DataFrame") -> "Iterator[pl.DataFrame]":
        import polars as pl

        self._count_cells(frame.height * frame.width)
        for start in range(0, frame.height, BATCH_ROWS):
            part = frame.slice(start, BATCH_ROWS)
            rows = pl.int_range(self.row + 1, self.row + 1 + part.height, dtype=pl.Int32, eager=True).alias("sheet_row")
            self.row += part.height
            yield part.insert_column(0, rows)

    def _careful(self, blocks: Iterator[bytes]) -> "Iterator[pl.DataFrame]":
        """Record by record; strict, so that an unclosed quote is refused where it stands."""
        csv.field_size_limit(MAX_LINE)
        first_line = self.line
        reader = csv.reader(self._lines(blocks), delimiter=self.delimiter, strict=True)
        rows: list[list[str]] = []
        try:
            for record in reader:
                rows.append(record)
                self.line = first_line + reader.line_num
                if len(rows) == BATCH_ROWS:
                    yield from self._numbered(self._frame_of(rows))
                    rows = []
        except csv.Error:
            raise unreadable("quote", line=self.line) from None
        if rows:
            yield from self._numbered(self._frame_of(rows))

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[str]:
        line = self.line
        for block in blocks:
            if fault := self.source.fault_in(block, line):
                raise fault
            yield from io.StringIO(block.decode("utf-8"), newline="\n")
            line += block.count(b"\n")

    def _frame_of(self, rows: list[list[str]]) -> "pl.DataFrame":
        import polars as pl

        self.width = max(self.width, *map(len, rows))
        self._check_width()
        columns = list(zip_longest(*rows)) or [(None,) * len(rows)]
        columns += [(None,) * len(rows)] * (self.width - len(columns))
        series = [pl.Series(f"c{n}", column, dtype=pl.String) for n, column in enumerate(columns)]
        return pl.DataFrame(series).with_columns(pl.col(pl.String).replace("", None))

    def _check_width(self) -> None:
        if self.width > MAX_COLUMNS:
            raise unreadable("columns", columns=self.width, line=self.line)


def _batches_of(height: int) -> list[slice]:
    return [slice(start, start + BATCH_ROWS) for start in range(0, height, BATCH_ROWS)]


def _prepended(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _record_end(text: bytes) -> int:
    """Where the last whole record ends: after the last line end with an even number of quotes before it."""
    odd = b'"' in text and text.count(b'"') % 2
    end = len(text)
    while odd and end > 0:
        start = text.rfind(b"\n", 0, end - 1) + 1
        odd ^= text.count(b'"', start, end) % 2
        end = start
    return end


def _sniff_delimiter(lines: list[str]) -> str:
    """The one that splits most lines into the same number of cells; the comma when nothing does."""

    def regularity(delimiter: str) -> tuple[int, int]:
        counts = [_outside_quotes(line).count(delimiter) for line in lines]
        found = [count for count in counts if count]
        usual = max(set(found), key=found.count, default=0)
        return found.count(usual) if usual else 0, usual

    return max(_DELIMITERS, key=regularity)


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])
