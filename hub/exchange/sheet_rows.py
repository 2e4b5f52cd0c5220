"""Chosen rows of a sender's stored file, as they stand in its sheets: cells, headers, and what each column was taken for.

The file is read once, in a limited child; where its header and the rows stand was noted when it was first read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl

from adapters.formats.sandbox import Limits, RawSheet, UnreadableFile, read_raw
from hub.exchange.checks.raw_cells import DITTO
from hub.exchange.layout import Layout, Vocabulary, find_layout, letter, row_kind
from mappings.fields.reading import FILLED

Cell = tuple[str | None, int]  # text, and the kind of a workbook's cell
_NOTHING: Cell = (None, 0)


class SheetColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the sheet; ``field`` is empty where it was taken for none."""

    index: int
    header: str
    field: str

    @property
    def letter(self) -> str:
        return letter(self.index)


class SheetRows(msgspec.Struct, frozen=True, kw_only=True):
    """One sheet: what stands above the rows, the rows asked for by their numbers, and headings that speak of them."""

    name: str
    format: str
    columns: tuple[SheetColumn, ...]
    header_rows: tuple[int, ...]
    above: dict[int, list[Cell]]  # titles and header
    rows: dict[int, list[Cell]]
    headings: dict[int, list[Cell]]  # 一、东风村: the rows below it are of that place
    ours: frozenset[int]  # columns of an earlier return
    since_1904: bool = False

    @property
    def width(self) -> int:
        """The first place to the right of the sender's own columns."""
        last = max(map(len, self.above.values()), default=0)
        return max((place for place in range(last) if place not in self.ours), default=-1) + 1


def read_sheet_rows(
    file: Path,
    limits: Limits,
    vocabulary: Vocabulary,
    header_rows: Mapping[str, Collection[int]],
    wanted: Mapping[str, Collection[int]],
) -> list[SheetRows]:
    """By sheet, in the file's order; both mappings are by its name, in the sheet's own row numbers. UnreadableFile."""
    with closing(read_raw(file, limits)) as sheets:
        return [
            _read_sheet(raw, vocabulary, sorted(header_rows[raw.name]), sorted(wanted[raw.name]))
            for raw in sheets
            if not raw.hidden and wanted.get(raw.name) and raw.name in header_rows
        ]


def _read_sheet(raw: RawSheet, vocabulary: Vocabulary, header_rows: list[int], wanted: list[int]) -> SheetRows:
    frame = pl.concat(list(raw.batches), how="diagonal")
    above = dict(_numbered(frame.filter(pl.col("sheet_row") <= header_rows[-1])))
    layout = find_layout([[text for text, _ in cells] for cells in above.values()], vocabulary)
    if not layout.places:
        raise UnreadableFile("F_NO_HEADER")
    rows = dict(_numbered(frame.filter(pl.col("sheet_row").is_in(wanted))))
    below = frame.filter(pl.col("sheet_row").is_between(header_rows[-1] + 1, wanted[-1]))
    return SheetRows(
        name=raw.name,
        format=raw.format,
        columns=_columns(layout),
        header_rows=tuple(header_rows),
        above=above,
        rows={number: _without_ditto(below, number, cells) for number, cells in rows.items()},
        headings=_headings(below, above, header_rows),
        ours=frozenset(index for index, _ in layout.marks),
        since_1904=bool(raw.facts.get("epoch_1904")),
    )


def _columns(layout: Layout) -> tuple[SheetColumn, ...]:
    fields = {place.index: place.field for place in layout.places}
    ours = {index for index, _ in layout.marks}
    return tuple(
        SheetColumn(index=index, header=header, field=fields.get(index, ""))
        for index, header in enumerate(layout.headers)
        if header and index not in ours
    )


def _numbered(frame: pl.DataFrame) -> Iterator[tuple[int, list[Cell]]]:
    """Each row's number, and its cells with their kinds (text where the format has none)."""
    width = sum(name.startswith("c") for name in frame.columns)
    texts = frame.select("sheet_row", *(f"c{place}" for place in range(width)))
    kinds = frame.select(*(f"k{place}" for place in range(width))).rows() if "k0" in frame.columns else None
    for at, (number, *cells) in enumerate(texts.iter_rows()):
        own = kinds[at] if kinds else (0,) * width
        yield number, [(text, (kind or 0) % FILLED) for text, kind in zip(cells, own, strict=True)]


def _without_ditto(below: pl.DataFrame, number: int, cells: list[Cell]) -> list[Cell]:
    """Without the rows between, 同上 would mean another row."""
    return [_above(below, number, place) if cell[0] in DITTO else cell for place, cell in enumerate(cells)]


def _above(below: pl.DataFrame, number: int, place: int) -> Cell:
    name = f"c{place}"
    said = pl.col(name).is_not_null() & (pl.col(name) != "") & ~pl.col(name).is_in(DITTO)
    texts = below.filter((pl.col("sheet_row") < number) & said)[name]
    return (texts[-1], 0) if len(texts) else _NOTHING


def _headings(below: pl.DataFrame, above: Mapping[int, list[Cell]], header_rows: list[int]) -> dict[int, list[Cell]]:
    names = [name for name in below.columns if name.startswith("c")]
    alone = below.filter(pl.sum_horizontal(pl.col(name).is_not_null() for name in names) == 1)
    headers = [[text for text, _ in above[number]] for number in header_rows if number in above]
    rows = {number: [text for text, _ in cells] for number, cells in _numbered(alone)}
    kept = [number for number, texts in rows.items() if row_kind(texts, headers, set()) == "section"]
    return {number: cells for number, cells in _numbered(alone) if number in kept}
