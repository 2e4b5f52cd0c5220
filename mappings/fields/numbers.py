"""Reads whole numbers, decimals and yes-or-no; units, thousands commas and full-width digits are taken off."""

from __future__ import annotations

import polars as pl

from mappings.fields.reading import (
    BOOLEAN,
    DATE,
    NO_TEXT,
    NONE_WORDS,
    NUMBER,
    TEXT,
    Cells,
    Reading,
    first_of,
    nothing,
    read_odd,
)

_UNITS = r"(?:人|个|次|周|孕周|克|g|G|kg|厘米|cm|CM|元|万元|岁|天|月|胎|孩)$"
_WHOLE = r"^[+-]?[0-9]{1,15}(?:\.0+)?$"
_DECIMAL = r"^[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})$"
YES = ["是", "1", "Y", "YES", "T", "TRUE", "有", "√", "✓", "对"]
NO = ["否", "0", "N", "NO", "F", "FALSE", "无", "没有", "×", "X", "不是"]


def read_integer(cells: Cells) -> Reading:
    numbers = cells.text.cast(pl.Int64, strict=False)
    clean = cells.text.is_null() | cells.text.str.contains(r"^[0-9]{1,15}$")
    return read_odd(cells, numbers, clean, _whole, kinds=(TEXT, NUMBER))


def read_decimal(cells: Cells) -> Reading:
    """Values are texts without needless zeros: 12.50 -> 12.5, exactly as sent otherwise."""
    clean = cells.text.str.contains(r"^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{0,11}[1-9])?$")
    return read_odd(cells, cells.text, clean, _exact, kinds=(TEXT, NUMBER))


def read_boolean(cells: Cells) -> Reading:
    known = nothing(len(cells.text), pl.Boolean())
    return read_odd(cells, known, cells.text.is_null(), _yes_or_no, kinds=(TEXT, NUMBER, BOOLEAN))


def _tidy() -> pl.Expr:
    written = pl.col("text").str.normalize("NFKC").str.replace_all(r"[\s\p{Cf},'`]", "")
    return written.str.replace(_UNITS, "")


def _whole(odd: pl.DataFrame) -> pl.DataFrame:
    read = odd.with_columns(tidy=_tidy())
    whole = pl.col("tidy").str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    code = _number_code(_WHOLE)
    return read.select("row", pl.when(code.is_null()).then(whole).alias("value"), code.alias("code"))


def _exact(odd: pl.DataFrame) -> pl.DataFrame:
    tidy = pl.when(pl.col("kind") == NUMBER).then(_without_exponent(_tidy())).otherwise(_tidy())
    read = odd.with_columns(tidy=tidy)
    bare = (
        pl.col("tidy").str.replace(r"^\+", "").str.replace(r"^(-?)0*([0-9])", "$1$2").str.replace(r"^(-?)\.", "${1}0.")
    )
    bare = bare.str.replace(r"(\.[0-9]*?)0+$", "$1").str.replace(r"\.$", "")
    code = _number_code(_DECIMAL)
    return read.select("row", pl.when(code.is_null()).then(bare).otherwise(NO_TEXT).alias("value"), code.alias("code"))


def _without_exponent(written: pl.Expr) -> pl.Expr:
    """A number cell may show 1.2E+3; its value is still known."""
    exponent = written.str.contains(r"(?i)^[0-9.]+E[+-]?[0-9]{1,2}$")
    return (
        pl.when(exponent)
        .then(written.cast(pl.Float64, strict=False).cast(pl.Decimal(30, 8)).cast(pl.String))
        .otherwise(written)
    )


def _number_code(shape: str) -> pl.Expr:
    turned = pl.col("kind") == DATE
    none = pl.col("tidy").str.contains(NONE_WORDS)
    return first_of(
        ((turned, "E_TEXT_TURNED_DATE"), (none, None), (pl.col("tidy").str.contains(shape), None)), "E_NUMBER"
    )


def _yes_or_no(odd: pl.DataFrame) -> pl.DataFrame:
    word = (
        pl.col("text")
        .str.normalize("NFKC")
        .str.to_uppercase()
        .str.replace_all(r"[\s\p{Cf}'`]", "")
        .str.replace(r"\.0+$", "")
    )
    value = pl.when(word.is_in(YES)).then(True).when(word.is_in(NO)).then(False)
    read = odd.select("row", value.alias("value"))
    code = pl.when(pl.col("value").is_null()).then(pl.lit("E_CODE"))
    return read.with_columns(code.alias("code")).with_columns(
        pl.when(pl.col("code").is_not_null()).then(pl.lit("是、否")).otherwise(NO_TEXT).alias("detail")
    )
