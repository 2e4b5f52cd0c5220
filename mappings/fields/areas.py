"""Reads villages and towns, by code or by any name they had, to the 12-digit code now in force.

A name shared by several villages is told apart by the town written beside it; what stays ambiguous is held.
Places outside the district are kept as written, with a note.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import polars as pl

from mappings.fields.kept import made_once
from mappings.fields.reading import DATE, NUMBER, TEXT, Cells, Reading, answered, looked_up, read_odd

_PROVINCE = re.compile(
    "^(?:中国)?(?:北京市|天津市|上海市|重庆市|(?:河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南"
    "|四川|贵州|云南|陕西|甘肃|青海|台湾)省|(?:内蒙古|广西壮族|广西|西藏|宁夏回族|宁夏|新疆维吾尔|新疆)自治区|香港|澳门)"
)
_FORMER = re.compile(r"^([^()]+)\((?:原|曾用名|旧称)[::]?([^()]+)\)$")
_NONE = {"无", "暂无", "不详", "未知", "没有"}


class AreaNames(Protocol):
    """What must be known of the district's areas; ids are the hub's own."""

    @property
    def codes(self) -> Mapping[str, int]: ...
    @property
    def names(self) -> Mapping[str, tuple[int, ...]]: ...
    @property
    def town_of(self) -> Mapping[int, int]: ...
    @property
    def code_of(self) -> Mapping[int, str]: ...


class Place(NamedTuple):
    """What a cell means: the code (or another place's words), or why it is not known."""

    value: str | None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class AreaTable:
    """The district's areas, ready to be looked up by the column."""

    areas: AreaNames

    @cached_property
    def direct(self) -> dict[str, str]:
        """Every code, and every name that only one area has, to the code in force."""
        areas = self.areas
        single = {name: ids[0] for name, ids in areas.names.items() if len(ids) == 1}
        return {
            text: areas.code_of[one] for text, one in (*single.items(), *areas.codes.items()) if one in areas.code_of
        }

    @cached_property
    def ids(self) -> dict[str, int]:
        return {code: area_id for area_id, code in self.areas.code_of.items()}

    @cached_property
    def prefixes(self) -> set[str]:
        return {code[:6] for code in self.areas.codes}

    @cached_property
    def name_lengths(self) -> dict[str, list[int]]:
        """By first character, the lengths of the names that start so, longest first."""
        lengths: dict[str, set[int]] = {}
        for name in self.areas.names:
            if len(name) > 1:
                lengths.setdefault(name[0], set()).add(len(name))
        return {first: sorted(each, reverse=True) for first, each in lengths.items()}

    def ids_of(self, values: pl.Series) -> pl.Series:
        """The areas' ids; null for places outside the district."""
        return looked_up(values, self.ids, pl.Int32())

    def place(self, text: str, beside: str = "") -> Place:
        """What a cell means, with what stands beside it (the address, the village row above)."""
        written = _tidy(text)
        if written in _NONE:
            return Place(None)
        if re.fullmatch("[0-9]+", written):
            return self._by_code(written)
        former = _FORMER.match(written)
        for name in (written, *(former.groups() if former else ())):
            if name in self.areas.names:
                return self._one_of(self.areas.names[name], written, beside)
        return self._in_words(written, beside)

    def _by_code(self, digits: str) -> Place:
        forms = (
            digits,
            digits[:9] if digits.endswith("000") else digits,
            digits[:6] if digits[6:].strip("0") == "" else digits,
        )
        known = next((self.direct[form] for form in forms if form in self.direct), None)
        if known is not None:
            return Place(known)
        if len(digits) not in (6, 9, 12) or digits[:6] in self.prefixes:
            return Place(None, "E_AREA")
        return Place(digits.ljust(12, "0"), "N_OTHER_DISTRICT")

    def _in_words(self, written: str, beside: str) -> Place:
        """An address: the last village it names, in the town it names; else the last town."""
        named = self._named_in(written)
        towns, villages = self._towns_and_villages(named)
        if _PROVINCE.match(written) and not towns:
            return Place(written, "N_OTHER_DISTRICT")
        if villages:
            return self._one_of(villages[-1], written, beside)
        return self._one_of(towns[-1], written, beside) if towns else Place(None, "E_AREA")

    def _one_of(self, candidates: tuple[int, ...], written: str, beside: str) -> Place:
        for hint in (written, _tidy(beside)):
            if len(candidates) > 1 and hint:
                candidates = self._narrowed(candidates, hint)
        codes = {self.areas.code_of[each] for each in candidates if each in self.areas.code_of}
        if len(codes) == 1:
            return Place(codes.pop())
        return Place(None, "E_AREA_AMBIGUOUS", str(len(codes))) if codes else Place(None, "E_AREA")

    def _narrowed(self, candidates: tuple[int, ...], hint: str) -> tuple[int, ...]:
        """Those in a town the hint names, or in the same place as a village only the hint's town has."""
        named = self._named_in(hint)
        towns = {self.areas.town_of.get(ids[0]) for ids in named if len(ids) == 1}
        return tuple(each for each in candidates if self.areas.town_of.get(each) in towns) or candidates

    def _named_in(self, written: str) -> list[tuple[int, ...]]:
        """The areas named in a text, in the order they stand; of names that start together the longest."""
        found, at = [], 0
        while at < len(written):
            lengths = self.name_lengths.get(written[at], ())
            length = next((each for each in lengths if written[at : at + each] in self.areas.names), 0)
            if length:
                found.append(self.areas.names[written[at : at + length]])
            at += length or 1
        return found

    def _towns_and_villages(
        self, named: Iterable[tuple[int, ...]]
    ) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        towns: list[tuple[int, ...]] = []
        villages: list[tuple[int, ...]] = []
        for ids in named:
            is_village = any(self.areas.town_of.get(each, each) != each for each in ids)
            (villages if is_village else towns).append(ids)
        return towns, villages


@made_once(8)
def area_table_of(areas: AreaNames) -> AreaTable:
    """The table of areas that stay as they are."""
    return AreaTable(areas)


def read_area(cells: Cells, table: AreaTable, beside: Callable[[], pl.Series] | None = None) -> Reading:
    """Values are 12-digit codes. ``beside`` gives, per row, the words that may tell villages of one name apart."""
    values = looked_up(cells.text, table.direct)

    def steps(odd: pl.DataFrame) -> pl.DataFrame:
        words = pl.lit("") if beside is None else beside().gather(odd["row"]).fill_null("").alias("beside")
        return _placed(odd.with_columns(words.alias("beside")), table)

    return read_odd(cells, values, answered(cells.text, values), steps, kinds=(TEXT, NUMBER))


def _placed(odd: pl.DataFrame, table: AreaTable) -> pl.DataFrame:
    """Each different text is looked at once; only ambiguous ones again with what stands beside them."""
    alone = {text: table.place(text) for text in odd["text"].unique()}
    unsure = {text for text, place in alone.items() if place.code == "E_AREA_AMBIGUOUS"}
    places = [
        table.place(text, beside) if text in unsure else alone[text]
        for text, beside in odd.select("text", "beside").iter_rows()
    ]
    columns = dict(zip(("value", "code", "detail"), zip(*places, strict=True), strict=True))
    read = odd.select("row", "kind").with_columns(
        pl.Series(name, column, dtype=pl.String) for name, column in columns.items()
    )
    turned = pl.col("kind") == DATE
    return read.with_columns(code=pl.when(turned).then(pl.lit("E_TEXT_TURNED_DATE")).otherwise("code")).drop("kind")


def _tidy(text: str) -> str:
    written = "".join(unicodedata.normalize("NFKC", text).split()).strip("'`")
    return re.sub(r"^[一二三四五六七八九十]+、|^([0-9]+)\.0+$", lambda found: found[1] or "", written)
