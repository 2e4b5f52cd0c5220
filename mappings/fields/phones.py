"""Reads telephone cells: several numbers in one cell become one form, '13900000000/0731-8888888'."""

from __future__ import annotations

import polars as pl

from mappings.fields.reading import DATE, NO_TEXT, NUMBER, TEXT, Cells, Reading, first_of, read_odd, says_nothing

_MOBILE = r"1[3-9][0-9]{9}"
_FIXED = r"0[0-9]{2,3}-[0-9]{7,8}(?:-[0-9]{1,6})?"
_LOCAL = r"[0-9]{7,8}"
_USUAL = rf"^(?:{_MOBILE}|{_FIXED}|{_LOCAL}|[48]00[0-9]{{7}})(?:/(?:{_MOBILE}|{_FIXED}|{_LOCAL}|[48]00[0-9]{{7}}))*$"


def read_phone(cells: Cells) -> Reading:
    """An unusual number is kept as written, with a warning."""
    clean = cells.text.str.contains(rf"^{_MOBILE}$")
    return read_odd(cells, cells.text, clean, _steps, kinds=(TEXT, NUMBER))


def _steps(odd: pl.DataFrame) -> pl.DataFrame:
    written = pl.col("text").str.normalize("NFKC").str.replace_all(r"[\p{Cf}'`]", "").str.strip_chars()
    parted = written.str.replace_all(r"\s*[/、,;，；\n\r|]+\s*|\s{2,}", "/").str.replace_all(r"[—–‐‑－]", "-")
    tidy = parted.str.replace_all(r"(?:\+|00)86[\s-]*(1[3-9])", "$1").str.replace_all(r"[^0-9/+\-A-Za-z\p{Han}]", "")
    tidy = tidy.str.replace_all(r"(1[3-9][0-9])-([0-9]{4})-([0-9]{4})", "$1$2$3").str.replace_all(r"//+", "/")
    tidy = tidy.str.replace_all(r"(^|/)(0(?:10|2[0-9]|[3-9][0-9]{2}))([0-9]{7,8})", "$1$2-$3").str.strip_chars("/")
    whole = pl.when(pl.col("kind") == NUMBER).then(written.str.replace(r"\.0+$", "")).otherwise(tidy)
    read = odd.with_columns(tidy=whole)
    none, turned = says_nothing(pl.col("tidy")), pl.col("kind") == DATE
    usual = pl.col("tidy").str.contains(_USUAL)
    code = first_of(((none, None), (turned, "E_TEXT_TURNED_DATE"), (usual, None)), otherwise="W_PHONE")
    return read.select(
        "row", pl.when(~none & ~turned).then("tidy").otherwise(NO_TEXT).alias("value"), code.alias("code")
    )
