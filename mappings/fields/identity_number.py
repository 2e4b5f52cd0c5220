"""Reads citizen identity numbers (GB 11643-1999) and tells what a number is when it is not one.

Six digits of division, eight of birth, three of sequence (odd = male), one check character (ISO 7064 MOD 11-2).
Old numbers of 15 digits are completed. Residence permits (81/82/83) and foreigners' permanent residence cards (9)
have the same shape. Own rules: the libraries judge by the division's year of founding, which is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

import polars as pl

from mappings.fields.reading import DATE, NO_TEXT, NUMBER, Cells, Reading, first_of, read_odd, says_nothing

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_CHARACTERS = "10X98765432"
EARLIEST_BIRTH = date(1880, 1, 1)
CITIZEN, FOREIGN_CARD, PERMIT = "111", "553", "554"  # values of the code set cert_type
PROVINCES = r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71)"
_PERMITS = r"8[123]0000"
_FOREIGN = rf"9{PROVINCES}[0-9]{{3}}"
_SHAPE = r"^[0-9]{17}[0-9X]$"
_NOISE = r"[\s\p{Z}\p{Cf}\p{Cc}'`´‘’“”\",，、\-‐‑–—－_]"
_STRAY = r"['`´‘’\u00a0\t\p{Cf}]"  # what WPS, pasting and scripts leave behind
_SCIENTIFIC = r"^[0-9](?:\.[0-9]+)?E\+?[0-9]+$"
_LOOKS_LIKE_X = r"^([0-9]{17})[Х×*✕✖]$"
_OTHER_NUMBER = r"^[A-Z]{1,3}[0-9]{5,10}$|^[^0-9].*[0-9]|\p{Han}"  # a passport, 临时0001
_REPEATED = r"^(?:0+|1+|2+|3+|4+|5+|6+|7+|8+|9+|123456789012345678)X?$"


@dataclass(frozen=True)
class IdentityRules:
    """What the reader must know: today, the prefixes of invented numbers, whether a row may have no number."""

    today: date
    fictitious_prefixes: Sequence[str] = ()
    may_be_missing: bool = False

    @property
    def issued(self) -> str:
        """The beginnings a citizen's number may have: a province, or an invented prefix."""
        return "|".join([*self.fictitious_prefixes, PROVINCES])


def read_identity_number(cells: Cells, rules: IdentityRules) -> Reading:
    """Canonical 18 characters. A permit or a foreigner's card is noted with the kind of document it is."""
    text = cells.text
    number, rows = pl.col("number"), text.to_frame("number")
    shaped = number.str.contains(rf"^(?:{rules.issued})[0-9]+[0-9X]$") & number.str.contains(_SHAPE)
    clean = rows.select(shaped).to_series()
    if clean.any():
        good = (check_digit_fits("number") & born("number", rules.today)).fill_null(False)
        clean = clean & rows.select(good).to_series()
    return read_odd(cells, text, clean, lambda odd: _steps(odd, rules))


@cache
def check_digit_fits(column: str) -> pl.Expr:
    """Whether the weighted sum of the first 17 digits and the check character is 1 modulo 11."""
    last = (
        pl.col(column)
        .str.slice(17, 1)
        .replace_strict(list("0123456789X"), list(range(11)), default=None, return_dtype=pl.Int64)
    )
    return (_weighted_sum(pl.col(column)) + last) % 11 == 1


def _weighted_sum(number: pl.Expr) -> pl.Expr:
    digits = number.str.slice(0, 17).cast(pl.Int64, strict=False)
    products = [(digits // 10 ** (16 - place)) % 10 * weight for place, weight in enumerate(WEIGHTS)]
    return pl.sum_horizontal(products, ignore_nulls=False)


def birth_of(column: str) -> pl.Expr:
    return pl.col(column).str.slice(6, 8).str.to_date("%Y%m%d", strict=False)


def sex_of(column: str) -> pl.Expr:
    """GB/T 2261.1: 1 for an odd sequence, 2 for an even one."""
    odd = pl.col(column).str.slice(16, 1).cast(pl.Int64, strict=False) % 2 == 1
    return pl.when(odd).then(pl.lit("1")).when(~odd).then(pl.lit("2"))


def born(column: str, today: date) -> pl.Expr:
    return birth_of(column).is_between(EARLIEST_BIRTH, today)


def completed(number: pl.Expr) -> pl.Expr:
    """The 18 characters of a number of 15 digits: 19 after the division, a check character at the end."""
    longer = number.str.replace(r"^([0-9]{6})", "${1}19")
    rest = (12 - _weighted_sum(longer) % 11) % 11
    return longer + rest.replace_strict(list(range(11)), list("0123456789X"), return_dtype=pl.String, default=None)


def is_registration_number(numbers: pl.Series) -> pl.Series:
    """Whether each is 15 digits of a business registration (GS 15-2006, check by MOD 11,10)."""
    shaped = numbers.str.contains(r"^[0-9]{15}$").fill_null(False)
    if not shaped.any():
        return shaped
    rest = pl.repeat(10, len(numbers), dtype=pl.Int64, eager=True)
    for place in range(14):
        total = (rest + _digit(numbers, place)) % 10
        rest = total.replace(0, 10) * 2 % 11
    return shaped & ((rest + _digit(numbers, 14)) % 10 == 1).fill_null(False)


def _digit(numbers: pl.Series, place: int) -> pl.Series:
    return numbers.str.slice(place, 1).cast(pl.Int64, strict=False)


def _steps(odd: pl.DataFrame, rules: IdentityRules) -> pl.DataFrame:
    read = odd.with_columns(tidy=_tidy()).with_columns(number=pl.col("tidy").str.replace(_LOOKS_LIKE_X, "${1}X"))
    read = read.with_columns(old=pl.col("number").str.contains(r"^[0-9]{15}$")).with_columns(
        full=pl.when("old").then(completed(pl.col("number"))).otherwise("number")
    )
    business = is_registration_number(read["number"]).alias("business")
    read = read.with_columns(business, fits=check_digit_fits("full"), code=_trouble(rules))
    read = read.with_columns(pl.coalesce("code", _judgement(rules)).alias("code"))
    kept = pl.col("code").is_null() | pl.col("code").str.contains("^[WN]_")
    return read.select(
        "row", pl.when(kept & ~_nothing()).then("full").otherwise(NO_TEXT).alias("value"), "code", _detail()
    )


def _detail() -> pl.Expr:
    """The kind of document of another document; how many characters a number of wrong length has."""
    document = pl.when(pl.col("full").str.starts_with("8")).then(pl.lit(PERMIT)).otherwise(pl.lit(FOREIGN_CARD))
    length = pl.col("number").str.len_chars().cast(pl.String)
    return (
        pl.when(pl.col("code") == "N_ID_OTHER_DOCUMENT")
        .then(document)
        .when(pl.col("code") == "E_ID_LENGTH")
        .then(length)
        .alias("detail")
    )


def _tidy() -> pl.Expr:
    upper = pl.col("text").str.normalize("NFKC").str.to_uppercase().str.replace_all(_NOISE, "")
    return pl.when(pl.col("kind") == NUMBER).then(upper.str.replace(r"\.0+$", "")).otherwise(upper)


def _trouble(rules: IdentityRules) -> pl.Expr:
    """What is certainly not a number that can be judged."""
    number, amount = pl.col("number"), pl.col("text").str.strip_chars().cast(pl.Float64, strict=False)
    as_written = pl.col("text").str.normalize("NFKC").str.to_uppercase().str.strip_chars()
    return first_of(
        (
            ((pl.col("kind") == NUMBER) & (amount >= 1e17), "E_ID_TRUNCATED"),
            (pl.col("kind") == DATE, "E_TEXT_TURNED_DATE"),
            (as_written.str.contains(_SCIENTIFIC), "E_ID_SCIENTIFIC"),
            (_nothing(), None if rules.may_be_missing else "E_ID_MISSING"),
            (number.str.contains(_REPEATED) | number.str.contains(_OTHER_NUMBER), "E_ID_NOT_A_NUMBER"),
            (~number.str.contains(r"^[0-9]+X?$"), "E_ID_CHARSET"),
            (~pl.col("old") & ~number.str.contains(_SHAPE), "E_ID_LENGTH"),
        )
    )


def _judgement(rules: IdentityRules) -> pl.Expr:
    """What the 15 or 18 characters say of themselves."""
    full, old, fits = pl.col("full"), pl.col("old"), pl.col("fits")
    issued = full.str.contains(rf"^(?:{rules.issued})")
    other = full.str.contains(rf"^(?:{_PERMITS}|{_FOREIGN})") & ~issued
    alive = born("full", rules.today).fill_null(False)
    year = full.str.slice(6, 4).cast(pl.Int64, strict=False)
    no_year = (year < EARLIEST_BIRTH.year) | ((year > rules.today.year) & ~fits)
    return first_of(
        (
            (_nothing(), None),
            (old & ~alive & pl.col("business"), "E_ID_IS_REGNO"),
            (~issued & ~other, "E_ID_PROVINCE"),
            (~alive & ~old & no_year & full.str.contains(r"^[0-9]{18}$"), "E_ID_IS_HOUSEHOLD"),
            (~alive, "E_ID_BIRTH_DATE"),
            (~fits, "E_ID_CHECK"),
            (other, "N_ID_OTHER_DOCUMENT"),
            (old, "W_ID_UPGRADED"),
            (pl.col("tidy") != pl.col("number"), "W_ID_CLEANED"),
            (pl.col("text").str.contains(_STRAY), "N_CLEANED"),
        )
    )


def _nothing() -> pl.Expr:
    return says_nothing(pl.col("number"))
