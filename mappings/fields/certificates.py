"""Reads numbers printed on certificates, unified social credit codes (GB 32100-2015) and division codes."""

from __future__ import annotations

import polars as pl

from mappings.fields.identity_number import is_registration_number
from mappings.fields.reading import DATE, NO_TEXT, NUMBER, TEXT, Cells, Reading, first_of, read_odd, says_nothing
from mappings.fields.text import one_line

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I O Z S V
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_USCC_SHAPE = rf"^[{USCC_ALPHABET}]{{18}}$"
BIRTH_CERTIFICATE = r"^[A-Z]?[0-9]{9}$"  # the first edition (1996-1999) had no letter
_NOISE = r"[\s\p{Z}\p{Cf}\p{Cc}'`‘’“”\"]"
_EXPONENT = r"^[0-9](?:\.[0-9]+)?E\+[0-9]+$"


def read_birth_certificate(cells: Cells) -> Reading:
    """One letter and nine digits, in capitals."""
    return _read_numbered(cells, BIRTH_CERTIFICATE, "E_CERTIFICATE", "1 位字母加 9 位数字")


def read_certificate(cells: Cells) -> Reading:
    """Any printed number: half-width capitals without spaces; never a number that a spreadsheet has rounded."""
    return _read_numbered(
        cells, r"^[\p{Han}A-Z0-9()\[\]〔〕第字号×·._/-]{1,64}$", "E_CERTIFICATE", "64 个字符以内的编号"
    )


def _read_numbered(cells: Cells, shape: str, code: str, wanted: str) -> Reading:
    clean = cells.text.str.contains(r"^[A-Z]?[0-9]{9}$")

    def steps(odd: pl.DataFrame) -> pl.DataFrame:
        tidy = pl.col("text").str.normalize("NFKC").str.to_uppercase().str.replace_all(_NOISE, "")
        read = odd.with_columns(tidy=tidy.str.replace_all("[‐‑–—－]", "-"))
        wrong = first_of((*_spoiled(), (pl.col("tidy").str.contains(shape), None)), otherwise=code)
        return _kept_or(read, wrong, {code: wanted})

    return read_odd(cells, cells.text, clean, steps, kinds=(TEXT, NUMBER))


def read_uscc(cells: Cells) -> Reading:
    """18 characters with a fitting check character, or the 15 digits of a registration before 2015."""
    text = cells.text
    clean = text.str.contains(_USCC_SHAPE)
    if clean.any():
        clean = clean & text.to_frame("tidy").select(_uscc_fits().fill_null(False)).to_series()
    return read_odd(cells, text, clean, _uscc_steps)


def read_division(cells: Cells) -> Reading:
    """6, 9 or 12 digits of GB/T 2260 and its extension; words are kept as written, for another province's place."""
    clean = cells.text.str.contains(r"^[1-9][0-9]{5}(?:[0-9]{3}|[0-9]{6})?$")
    return read_odd(cells, cells.text, clean, _division_steps, kinds=(TEXT, NUMBER))


def _uscc_steps(odd: pl.DataFrame) -> pl.DataFrame:
    tidy = pl.col("text").str.normalize("NFKC").str.to_uppercase().str.replace_all(_NOISE, "").str.replace_all("-", "")
    read = odd.with_columns(tidy=tidy.str.replace(r"^([0-9]{15})\.0+$", "$1"))
    old = is_registration_number(read["tidy"])
    fits = pl.col("tidy").str.contains(_USCC_SHAPE) & _uscc_fits()
    return _kept_or(read, first_of((*_spoiled("E_USCC"), (fits | old, None)), otherwise="E_USCC"))


def _uscc_fits() -> pl.Expr:
    places = {letter: place for place, letter in enumerate(USCC_ALPHABET)}

    def place_of(position: int) -> pl.Expr:
        letter = pl.col("tidy").str.slice(position, 1)
        return letter.replace_strict(list(places), list(places.values()), default=None, return_dtype=pl.Int64)

    products = [place_of(position) * weight for position, weight in enumerate(USCC_WEIGHTS)]
    return (pl.sum_horizontal(products, ignore_nulls=False) + place_of(17)) % 31 == 0


def _division_steps(odd: pl.DataFrame) -> pl.DataFrame:
    digits = pl.col("text").str.normalize("NFKC").str.replace_all(r"[\s'`]", "").str.replace(r"^([0-9]+)\.0+$", "$1")
    number = digits.str.contains(r"^[0-9]+$")
    read = odd.with_columns(tidy=pl.when(number).then(digits).otherwise(one_line(pl.col("text"))), number=number)
    right = pl.col("tidy").str.contains(r"^[1-9][0-9]{5}(?:[0-9]{3}|[0-9]{6})?$") | ~pl.col("number")
    return _kept_or(
        read, first_of((*_spoiled("E_CODE"), (right, None)), otherwise="E_CODE"), {"E_CODE": "6、9 或 12 位区划代码"}
    )


def _spoiled(code: str = "E_NUMBER_TRUNCATED") -> tuple[tuple[pl.Expr, str | None], ...]:
    """No number at all, one a spreadsheet took for a date, one it rounded."""
    tidy = pl.col("tidy")
    exponent = tidy.str.contains(_EXPONENT)
    rounded = (pl.col("kind") == NUMBER) & (tidy.cast(pl.Float64, strict=False) >= 1e15)
    return (says_nothing(tidy), None), (pl.col("kind") == DATE, "E_TEXT_TURNED_DATE"), (exponent | rounded, code)


def _kept_or(read: pl.DataFrame, code: pl.Expr, details: dict[str, str] | None = None) -> pl.DataFrame:
    read = read.with_columns(code=code)
    detail = pl.col("code").replace_strict(details or {"": ""}, default=None, return_dtype=pl.String)
    value = pl.when(pl.col("code").is_null() & ~says_nothing(pl.col("tidy"))).then("tidy").otherwise(NO_TEXT)
    return read.select("row", value.alias("value"), "code", detail.alias("detail"))
