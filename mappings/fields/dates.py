"""Reads dates, times and months as people, Excel and scripts write them; what could be two dates is held.

GB/T 7408.1-2023 forms, Chinese numerals, eight digits, Excel serials (only from number cells). A two-digit year with
points or strokes is never guessed; its digits are handed on (``detail``: yy-mm-dd), so that a birth date can still
be told from the identity number.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import polars as pl

from mappings.fields.reading import DATE, NO_TEXT, NONE_WORDS, NUMBER, TEXT, Cells, Reading, first_of, read_odd

EARLIEST_YEAR, LATEST_YEAR = 1880, 2200
SERIAL_ZERO = date(1899, 12, 30)  # Excel's day 0 in the 1900 system; the adapters convert the 1904 system
_NUMERALS = dict(zip("〇○零OОo一二三四五六七八九元", "0000001234567891", strict=True))
_TIME = r"(?:[\sT]*([0-9]{1,2})\s*[:时点]\s*([0-9]{1,2})?\s*[:分]?\s*([0-9]{1,2})?(?:\.[0-9]+)?\s*秒?(?:\+08:?00)?)?"
_FULL = rf"^([0-9]{{4}})\s*[-/.年]\s*([0-9]{{1,2}})\s*[-/.月]\s*([0-9]{{1,2}})\s*[日号]?{_TIME}$"
_COMPACT = r"^([0-9]{4})([0-9]{2})([0-9]{2})(?:\.0+)?(?:\s*([0-9]{2}):?([0-9]{2}):?([0-9]{2})?)?$"
_SHORT_WORDS = r"^([0-9]{2})年\s*([0-9]{1,2})月\s*([0-9]{1,2})[日号]?$"
_SHORT_DIGITS = r"^([0-9]{2})([0-9]{2})([0-9]{2})$"
_SHORT_POINTS = r"^([0-9]{2})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})$"
_OTHER_ORDER = r"^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}$"
_MONTH = r"^([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*月?$"
_COMPACT_MONTH = r"^([0-9]{4})([0-9]{2})$"
_SERIAL = r"^[1-5][0-9]{4}(?:\.[0-9]+)?$"  # 1927 to 2064
_LUNAR = (
    r"农历|阴历|旧历|正月|腊月|冬月|闰|初[一二三四五六七八九十]|廿|[甲乙丙丁戊己庚辛壬癸][子丑寅卯辰巳午未申酉戌亥]"
)
_NUMERAL_YEAR = r"^[〇○零OОo一二三四五六七八九十元0-9\s]+年"
_ISO = {"%Y-%m-%d": 10, "%Y-%m-%d %H:%M:%S": 19, "%Y-%m-%dT%H:%M:%S": 19}


def read_date(cells: Cells, today: date, *, month_will_do: bool = False) -> Reading:
    """Values are Dates. ``month_will_do``: a month alone is taken as its first day, with a note."""
    moment, settled = _iso(cells.text)
    steps = partial(_days, today=today, month_will_do=month_will_do, dtype=pl.Date())
    return read_odd(cells, moment.cast(pl.Date), settled, steps, kinds=(TEXT, DATE))


def read_datetime(cells: Cells, today: date) -> Reading:
    """Values are Datetimes; a date alone is its midnight."""
    moment, settled = _iso(cells.text)
    steps = partial(_days, today=today, month_will_do=False, dtype=pl.Datetime("us"))
    return read_odd(cells, moment, settled, steps, kinds=(TEXT, DATE))


def read_month(cells: Cells, today: date) -> Reading:
    """Values are texts YYYY-MM; a full date gives its month."""
    clean = cells.text.str.contains(r"^(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])$")
    return read_odd(cells, cells.text, clean, partial(_months, today=today))


def _iso(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """What is already written as the standard wants it, null otherwise; and whether that settles the cell."""
    length = text.str.len_bytes()
    lengths = set(length.unique())
    column = pl.col("text")
    found = [
        pl.when(column.str.len_bytes() == expected).then(column.str.to_datetime(form, strict=False, time_unit="us"))
        for form, expected in _ISO.items()
        if expected in lengths
    ]
    nothing = pl.lit(None, dtype=pl.Datetime("us"))
    read = text.to_frame("text").select("text", moment=pl.coalesce([*found, nothing]))
    usual = pl.col("moment").dt.year().is_between(EARLIEST_YEAR, LATEST_YEAR).fill_null(False)
    return read["moment"], read.select(pl.col("text").is_null() | usual).to_series()


def _days(odd: pl.DataFrame, today: date, month_will_do: bool, dtype: pl.DataType) -> pl.DataFrame:
    read = _understood(odd, today).with_columns(code=_verdict(month_will_do))
    moment = pl.coalesce("full", "first_day", "short").cast(dtype)
    digits = pl.when(pl.col("code") == "E_DATE_AMBIGUOUS").then("digits")
    return read.select("row", pl.when(_kept()).then(moment).alias("value"), "code", digits.alias("detail"))


def _months(odd: pl.DataFrame, today: date) -> pl.DataFrame:
    read = _understood(odd, today).with_columns(code=_verdict(month_will_do=True))
    month = pl.coalesce("full", "first_day", "short").dt.strftime("%Y-%m")
    code = pl.when(pl.col("code") != "N_DATE_MONTH").then("code")
    return read.select("row", pl.when(_kept()).then(month).otherwise(NO_TEXT).alias("value"), code.alias("code"))


def _kept() -> pl.Expr:
    return pl.col("code").is_null() | pl.col("code").str.contains("^[WN]_")


def _understood(odd: pl.DataFrame, today: date) -> pl.DataFrame:
    """Per cell what it can be: a full date, one with a short year, a month, the digits of a short year."""
    read = odd.with_columns(written=_plain_digits(pl.col("text")))
    return read.with_columns(
        full=_in_range(pl.coalesce(_full(_FULL), _full(_COMPACT), _from_serial())),
        short=pl.coalesce(_short(_SHORT_WORDS, today), _short(_SHORT_DIGITS, today)),
        first_day=_in_range(pl.coalesce(_first_day(_MONTH), _first_day(_COMPACT_MONTH))),
        digits=_short_points(),
    )


def _plain_digits(text: pl.Expr) -> pl.Expr:
    """Half-width, no stray quotes; Chinese numerals of a date as digits (二十一日 -> 21日)."""
    written = text.str.normalize("NFKC").str.replace_all(r"[\p{Cf}'`‘’]", "").str.strip_chars()
    numerals = written.str.replace_all(r"\s", "").str.replace_many(_NUMERALS)
    for tens, digits in (("([0-9])十([0-9])", "$1$2"), ("([0-9])十", "${1}0"), ("十([0-9])", "1$1"), ("十", "10")):
        numerals = numerals.str.replace_all(tens, digits)
    return pl.when(written.str.contains(_NUMERAL_YEAR)).then(numerals).otherwise(written)


def _groups(pattern: str) -> Callable[[int], pl.Expr]:
    groups = pl.col("written").str.extract_groups(pattern).struct
    return lambda number: groups.field(str(number)).str.zfill(2)


def _midnight(*parts: pl.Expr) -> pl.Expr:
    return pl.concat_str(parts, separator="-").str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")


def _full(pattern: str) -> pl.Expr:
    group = _groups(pattern)
    day = pl.concat_str([group(1), group(2), group(3)], separator="-")
    clock = pl.concat_str([group(number).fill_null("00") for number in (4, 5, 6)], separator=":")
    return pl.concat_str([day, clock], separator=" ").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")


def _short(pattern: str, today: date) -> pl.Expr:
    group = _groups(pattern)
    this_century = group(1).cast(pl.Int32, strict=False) <= today.year % 100
    century = pl.when(this_century).then(pl.lit("20")).otherwise(pl.lit("19"))
    return _midnight(century + group(1), group(2), group(3))


def _first_day(pattern: str) -> pl.Expr:
    group = _groups(pattern)
    return _midnight(group(1), group(2), pl.lit("01"))


def _short_points() -> pl.Expr:
    group = _groups(_SHORT_POINTS)
    return pl.concat_str([group(1), group(2), group(3)], separator="-")


def _from_serial() -> pl.Expr:
    """Days since the end of 1899; a plain number in a text file is not a date."""
    serial = (pl.col("kind") == NUMBER) & pl.col("written").str.contains(_SERIAL)
    seconds = (pl.col("written").cast(pl.Float64, strict=False) * 86_400).round().cast(pl.Int64)
    return pl.when(serial).then(pl.lit(SERIAL_ZERO).cast(pl.Datetime("us")) + pl.duration(seconds=seconds))


def _in_range(moment: pl.Expr) -> pl.Expr:
    return pl.when(moment.dt.year().is_between(EARLIEST_YEAR, LATEST_YEAR)).then(moment)


def _verdict(month_will_do: bool) -> pl.Expr:
    """The code of what was found; null for a plain date and for 'none'."""
    written = pl.col("written")
    typed_january_or_october = written.str.contains(r"^[0-9]{4}\.1$") | (
        (pl.col("kind") == NUMBER) & written.str.contains(r"^[0-9]{4}\.10$")
    )
    full, short, first_day = (pl.col(each).is_not_null() for each in ("full", "short", "first_day"))
    both = pl.lit(not month_will_do) & short & first_day
    rules = (
        (written.str.contains(NONE_WORDS), None),
        (written.str.contains(_LUNAR), "E_DATE_LUNAR"),
        (typed_january_or_october, "E_DATE_AMBIGUOUS_MONTH"),
        (full, None),
        (both, "E_DATE_AMBIGUOUS"),
        (first_day, "N_DATE_MONTH" if month_will_do else "E_DATE_INCOMPLETE"),
        (short, "W_DATE_SHORT_YEAR"),
        (pl.col("digits").is_not_null() | written.str.contains(_OTHER_ORDER), "E_DATE_AMBIGUOUS"),
    )
    return first_of(rules, otherwise="E_DATE")
