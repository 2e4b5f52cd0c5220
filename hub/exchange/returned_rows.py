"""Which rows of which submission a returned workbook brings back: the numbers its hidden column still holds."""

from __future__ import annotations

import polars as pl

from hub.exchange.marks import read_row_mark


class ReturnedRows:
    """The receipt number and the row numbers, gathered batch by batch over all sheets."""

    def __init__(self) -> None:
        self.receipt_number: str | None = None
        self._numbers: list[pl.Series] = []

    def column(self, marks: tuple[tuple[int, str], ...]) -> int | None:
        """The column that numbers a sheet's rows; of two workbooks pasted into one, the first is followed."""
        numbering = [(index, number) for index, mark in marks if (number := read_row_mark(mark))]
        if not numbering:
            return None
        self.receipt_number = self.receipt_number or numbering[0][1]
        return next((index for index, number in numbering if number == self.receipt_number), None)

    def add(self, cells: pl.Series) -> None:
        """The numbers of the records of a batch; a row the sender added has none."""
        whole = cells.cast(pl.Float64, strict=False).drop_nulls()
        self._numbers.append(whole.filter(whole.is_between(1, 2**31 - 1)).cast(pl.Int64))

    def ranges(self) -> list[list[int]]:
        """[[first, last], ...] in order."""
        if not self._numbers:
            return []
        numbers = pl.concat(self._numbers).unique().sort().alias("number").to_frame()
        run = (pl.col("number") - pl.int_range(pl.len())).alias("run")
        runs = numbers.group_by(run, maintain_order=True).agg(
            pl.col("number").first().alias("first"), pl.col("number").last().alias("last")
        )
        return [list(row) for row in runs.select("first", "last").iter_rows()]
