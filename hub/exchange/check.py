"""Checks every cell and row: parsed rows become typed rows for staging, and row errors for the sender.

Batch by batch, column by column; a row with an error is refused, one with a hold waits for a person, the rest goes on.
Clinical cells leave this stage sealed, and no error tells what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from hub.exchange.checks.columns import read_columns
from hub.exchange.checks.context import CheckContext, Column
from hub.exchange.checks.findings import Findings
from hub.exchange.checks.logic import check_rows
from hub.exchange.checks.raw_cells import RowAbove, fill_from_section, take_apart
from hub.exchange.checks.staged import stage

__all__ = ["CheckContext", "CheckedBatch", "Column", "check"]

BATCH_ROWS = 50_000
CHANGE_KINDS = {
    "new": ("新增", "新", "登记", "new", "NEW"),
    "correct": ("更正", "变更", "修改", "更新", "correct", "CORRECT"),
    "void": ("作废", "注销", "删除", "撤销", "void", "VOID"),
}
_KIND_OF = {word: kind for kind, words in CHANGE_KINDS.items() for word in words}


@dataclass(frozen=True)
class CheckedBatch:
    """``staged``: rows that go on, in the staging table's order of columns; ``errors``: what was found, all levels."""

    staged: pl.DataFrame
    errors: pl.DataFrame
    received: int
    held: int
    refused: int


def check(
    parsed_frames: Iterable[pl.DataFrame], columns: Sequence[Column], context: CheckContext
) -> Iterator[CheckedBatch]:
    """Read once, in order; every received row is either in ``staged`` or refused by an error."""
    above = RowAbove()
    for frame in parsed_frames:
        for batch in frame.iter_slices(BATCH_ROWS):
            if batch.height:
                yield _check_batch(batch, columns, context, above)


def _check_batch(
    batch: pl.DataFrame, columns: Sequence[Column], context: CheckContext, above: RowAbove
) -> CheckedBatch:
    findings = Findings(context)
    kinds = _change_kinds(batch, findings)
    cells = take_apart(batch, context, above, findings)
    fill_from_section(batch, cells, context)
    values = read_columns(batch, cells, context, findings)
    check_rows(values, cells, kinds, context, findings)
    refused, held = findings.refused(batch.height), findings.held(batch.height)
    return CheckedBatch(
        staged=stage(batch, values, kinds, held, refused, context),
        errors=findings.as_errors(batch, columns),
        received=batch.height,
        held=int(held.sum()),
        refused=int(refused.sum()),
    )


def _change_kinds(batch: pl.DataFrame, findings: Findings) -> pl.Series:
    """new, correct or void, per row; an empty cell is new."""
    if "change_kind" not in batch.columns:
        return pl.Series(["new"]).new_from_index(0, batch.height)
    word = batch["change_kind"].str.replace_all(r"[\s\p{Z}\p{Cf}]", "").fill_null("")
    kinds = word.replace_strict({**_KIND_OF, "": "new"}, default=None, return_dtype=pl.String)
    findings.mark("change_kind", "E_CHANGE_KIND", kinds.is_null())
    return kinds.fill_null("new")
