"""Reads coded cells: by value, title or alias of a code set, forgiving a zero in front, spaces and '20 已婚'."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from mappings.catalogue import CodeSet
from mappings.fields.kept import made_once
from mappings.fields.reading import (
    BOOLEAN,
    NO_TEXT,
    NONE_WORDS,
    NUMBER,
    TEXT,
    Cells,
    Reading,
    answered,
    first_of,
    looked_up,
    nothing,
    read_odd,
)

_NOISE = r"[\s\p{Z}\p{Cf}\p{Cc}'`´‘’“”\"]"
_VALUE_AND_TITLE = r"^([0-9A-Z]+)[-_.、:：|/()]*(\p{Han}[^0-9]*?)[)）]?$"


@dataclass(frozen=True)
class CodeTable:
    """A code set as one table from every way of writing a code to its value."""

    codes: CodeSet

    @cached_property
    def exact(self) -> dict[str, str]:
        return _first_of_each((text, value) for value, *texts in self._written() for text in (value, *texts))

    @cached_property
    def tolerant(self) -> dict[str, str]:
        """Also in capitals, without 族 or 性, one digit as two. Never two as one: 01 本人 and 1 配偶 are different."""
        written = ((form, value) for text, value in self.exact.items() for form in _forms(text))
        return _first_of_each([*self.exact.items(), *written])

    @cached_property
    def titles(self) -> str:
        """The first few titles, for the sentence that says what was expected."""
        titles = [code.title for code in self.codes.codes]
        return "、".join(titles[:8]) + ("……" if len(titles) > 8 else "")

    def _written(self) -> Iterator[tuple[str, ...]]:
        """Values go before titles and titles before aliases, so that no alias hides a value."""
        yield from ((code.value,) for code in self.codes.codes)
        yield from ((code.value, code.title) for code in self.codes.codes)
        yield from ((code.value, *code.aliases) for code in self.codes.codes)


@made_once(256)
def code_table_of(codes: CodeSet) -> CodeTable:
    return CodeTable(codes)


def read_code(cells: Cells, table: CodeTable) -> Reading:
    """Canonical values of the code set; what is not in it is held, with the titles it could have been."""
    values = looked_up(cells.text, table.exact)
    return read_odd(
        cells, values, answered(cells.text, values), lambda odd: _steps(odd, table), kinds=(TEXT, NUMBER, BOOLEAN)
    )


def _steps(odd: pl.DataFrame, table: CodeTable) -> pl.DataFrame:
    written = pl.col("text").str.normalize("NFKC").str.to_uppercase().str.replace_all(_NOISE, "")
    tidy = written.str.replace(r"^([0-9]+)\.0+$", "$1")
    read = odd.with_columns(tidy=tidy).with_columns(
        number=pl.col("tidy").str.extract(_VALUE_AND_TITLE, 1), title=pl.col("tidy").str.extract(_VALUE_AND_TITLE, 2)
    )
    found = [looked_up(read[column], table.tolerant) for column in ("tidy", "title", "number")]
    read = read.with_columns(value=found[0].zip_with(found[0].is_not_null(), _agreed(found[1], found[2])))
    none = pl.col("tidy").str.contains(NONE_WORDS.replace("none", "NONE"))
    code = first_of(((pl.col("value").is_not_null() | none, None),), otherwise="E_CODE")
    return read.select("row", "value", code.alias("code")).with_columns(
        pl.when(pl.col("code").is_not_null()).then(pl.lit(table.titles)).otherwise(NO_TEXT).alias("detail")
    )


def _agreed(by_title: pl.Series, by_number: pl.Series) -> pl.Series:
    """'20 已婚': the value when number and title say the same, else nothing."""
    return by_title.zip_with((by_title == by_number).fill_null(False), nothing(len(by_title)))


def _forms(text: str) -> Iterator[str]:
    plain = "".join(unicodedata.normalize("NFKC", text).upper().split())
    yield plain
    if plain.isdigit() and len(plain) == 1:
        yield plain.zfill(2)
    for ending in ("族", "性"):
        if plain.endswith(ending) and len(plain) > 1:
            yield plain.removesuffix(ending)


def _first_of_each(written: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> dict[str, str]:
    table: dict[str, str] = {}
    for text, value in written:
        table.setdefault(text, value)
    return table
