"""Reads one column: clean cells pass at once, only the odd ones are looked at closely.

A reader says which cells are already canonical; ``read_odd`` takes the others out, gives them to the reader's
slow expressions, and puts the result back. So a clean file costs one pass per column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from mappings.fields.mojibake import suggest

TEXT, NUMBER, DATE, BOOLEAN, BROKEN = range(5)  # cell kinds of a workbook
FILLED = 8  # added to the kind of a cell that shows the value of a merged cell above it

FOUND = pl.Schema({"row": pl.UInt32, "code": pl.String, "detail": pl.String})
NOTHING_FOUND = pl.DataFrame(schema=FOUND)

BLANK = r"^[\s\p{Cf}\p{Z}]*$"
NOTHING = r"^(?:[-—–_/\\]+|NULL|null|None|空)$"
NONE_WORDS = r"^(?:无|暂无|没有|不详|未知|N/?A|none)$"
UNEVALUATED = r"^[=]|^#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!)"

NO_TEXT = pl.lit(None, dtype=pl.String)
Steps = Callable[[pl.DataFrame], pl.DataFrame]  # row, text, kind -> the same with value, code, detail


@dataclass(frozen=True)
class Cells:
    """One column of a batch as sent: text (null = empty) and, from workbooks, each cell's kind."""

    text: pl.Series
    kinds: pl.Series | None = None


@dataclass(frozen=True)
class Reading:
    """The canonical values (null = empty or unreadable) and what was found: row, code, detail."""

    values: pl.Series
    found: pl.DataFrame


def read_odd(
    cells: Cells, values: pl.Series, clean: pl.Series, steps: Steps, kinds: tuple[int, ...] = (TEXT,)
) -> Reading:
    """``values`` where ``clean`` (an empty cell is), and what ``steps`` make of the others.

    ``kinds``: the workbook cell kinds whose text may pass as clean; any other kind is looked at.
    """
    if cells.kinds is not None:
        clean = clean & (cells.text.is_null() | cells.kinds.is_in(kinds)) & (cells.kinds != BROKEN)
    if clean.all():  # whatever is null is an empty cell
        return Reading(values, NOTHING_FOUND)
    odd = _odd_cells(cells, ~clean.fill_null(True))
    read = _close_look(odd, steps)
    found = read.filter(pl.col("code").is_not_null()).select(FOUND.names()).cast(FOUND)
    return Reading(values.clone().scatter(read["row"], read["value"].cast(values.dtype)), found)


def _odd_cells(cells: Cells, odd: pl.Series) -> pl.DataFrame:
    rows = odd.arg_true()
    kinds = pl.repeat(TEXT, len(rows), dtype=pl.UInt8, eager=True) if cells.kinds is None else cells.kinds.gather(rows)
    return pl.DataFrame({"row": rows.cast(pl.UInt32), "text": cells.text.gather(rows), "kind": kinds.fill_null(TEXT)})


def _close_look(odd: pl.DataFrame, steps: Steps) -> pl.DataFrame:
    """What every column shares (formulas without a value, blanks, text destroyed on its way), then the steps."""
    text = pl.col("text")
    odd = odd.with_columns(
        broken=(pl.col("kind") == BROKEN) | text.str.contains(UNEVALUATED),
        blank=text.str.contains(BLANK) | text.str.contains(NOTHING),
    ).hstack(suggest(odd["text"]))
    shared = odd.filter(pl.any_horizontal("broken", "blank", "garbled")).select(
        "row",
        NO_TEXT.alias("value"),
        pl.when("broken").then(pl.lit("E_FORMULA_NO_VALUE")).when("garbled").then(pl.lit("E_MOJIBAKE")).alias("code"),
        pl.when(~pl.col("broken")).then("suggestion").alias("detail"),
    )
    rest = odd.filter(~pl.any_horizontal("broken", "blank", "garbled")).select("row", "text", "kind")
    if rest.is_empty():
        return shared
    read = _in_shape(steps(rest))
    return pl.concat([shared.with_columns(pl.col("value").cast(read.schema["value"])), read])


def _in_shape(read: pl.DataFrame) -> pl.DataFrame:
    if "detail" not in read.columns:
        read = read.with_columns(NO_TEXT.alias("detail"))
    return read.select("row", "value", "code", "detail")


def nothing(height: int, dtype: pl.DataType | None = None) -> pl.Series:
    """A column of so many empty cells."""
    return pl.Series([None], dtype=dtype or pl.String()).new_from_index(0, height)


def looked_up(text: pl.Series, table: Mapping[str, object], dtype: pl.DataType | None = None) -> pl.Series:
    """What the table has for each cell; null where it has nothing. It is made a column only when there are more cells."""
    dtype = dtype or pl.String()
    if not table or len(text) <= len(table):
        return pl.Series(text.name, [table.get(each) for each in text.to_list()], dtype=dtype)
    return text.replace_strict(list(table), list(table.values()), default=None, return_dtype=dtype)


def answered(text: pl.Series, values: pl.Series) -> pl.Series:
    """Which cells are empty or have a value; no empty cell has one."""
    if values.null_count() == text.null_count():
        return pl.Series([True]).new_from_index(0, len(text))
    return text.is_null() | values.is_not_null()


def says_nothing(text: pl.Expr) -> pl.Expr:
    """Whether a tidied cell only says that there is nothing to say."""
    return (text == "") | text.str.contains(NONE_WORDS) | text.str.contains(NOTHING)


def first_of(rules: Iterable[tuple[pl.Expr, str | None]], otherwise: str | None = None) -> pl.Expr:
    """The code of the first rule that holds."""
    codes = [pl.when(holds).then(pl.lit(code, dtype=pl.String).fill_null("")) for holds, code in rules]
    code = pl.coalesce([*codes, pl.lit(otherwise or "")])
    return pl.when(code != "").then(code)
