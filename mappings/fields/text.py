"""Reads free text: one line, no control or invisible characters, NFC; nothing else is rewritten."""

from __future__ import annotations

import polars as pl

from mappings.fields.mojibake import SUSPECTS
from mappings.fields.reading import DATE, NO_TEXT, NOTHING, NUMBER, Cells, Reading, first_of, read_odd

LONGEST = 4000
WORDS_FOR_NOTHING = ["空", "NULL", "null", "None"]
_PLAIN = rf"^[\p{{Han}}A-Za-z0-9&&[^{SUSPECTS}]](?:[\p{{Han}}A-Za-z0-9()（）#、，,.。:：;；/·_+-]*[\p{{Han}}A-Za-z0-9()（）。])?$"


def read_text(cells: Cells) -> Reading:
    """Addresses, unit names, remarks. A number is text here; a date is not (门牌 3-2 that became 3月2日)."""
    text = pl.col("text")
    plain = text.str.contains(_PLAIN) & ~text.is_in(WORDS_FOR_NOTHING) & (text.str.len_bytes() <= LONGEST)
    return read_odd(cells, cells.text, cells.text.to_frame("text").select(plain).to_series(), _steps)


def one_line(text: pl.Expr) -> pl.Expr:
    """Line breaks and tabs become a space, or nothing between Han characters; invisible characters go."""
    return (
        text.str.replace_all(r"[\s\p{Zs}]+", " ")
        .str.replace_all(r"[\p{Cc}\p{Cf}]", "")
        .str.replace_all(r"(\p{Han}) (\p{Han})", "$1$2")
        .str.replace_all(r"(\p{Han}) (\p{Han})", "$1$2")
        .str.strip_chars(" ")
        .str.normalize("NFC")
    )


def _steps(odd: pl.DataFrame) -> pl.DataFrame:
    tidy = one_line(pl.col("text")).str.replace(r"^'", "")
    whole = pl.when(pl.col("kind") == NUMBER).then(tidy.str.replace(r"\.0+$", "")).otherwise(tidy)
    read = odd.with_columns(
        half=pl.col("text").str.contains("[^\ufffd]\ufffd$"), tidy=whole.str.strip_chars_end("\ufffd")
    )
    code = first_of(
        (
            (pl.col("kind") == DATE, "E_TEXT_TURNED_DATE"),
            (
                (pl.col("kind") == NUMBER) & (pl.col("tidy").cast(pl.Float64, strict=False) >= 1e15),
                "E_NUMBER_TRUNCATED",
            ),
            (pl.col("tidy").str.contains("\ufffd", literal=True), "E_MOJIBAKE"),
            (pl.col("tidy").str.len_chars() > LONGEST, "E_TEXT_TOO_LONG"),
            (pl.col("half"), "W_HALF_CHARACTER"),
        )
    )
    read = read.with_columns(code=code)
    kept = (
        (pl.col("code").is_null() | (pl.col("code") == "W_HALF_CHARACTER"))
        & (pl.col("tidy") != "")
        & ~pl.col("tidy").str.contains(NOTHING)
    )
    limit = pl.when(pl.col("code") == "E_TEXT_TOO_LONG").then(pl.lit(str(LONGEST)))
    return read.select(
        "row", pl.when(kept).then("tidy").otherwise(NO_TEXT).alias("value"), "code", limit.alias("detail")
    )
