"""Where a sheet's header is, which column fills which field, and what a row that is no record is."""

import copy
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping as Map
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from hub.exchange.marks import is_mark
from mappings.catalogue import ColumnRule, Mapping, RecordType
from mappings.fields.kept import made_once

HEADER_WITHIN = 30  # rows from the top in which a header is looked for
CHANGE_KIND = "change_kind"
_CHANGE_KIND_HEADERS = ("change_kind", "操作", "变动标识", "操作类型")

Cells = Sequence[str | None]
Unmeant = Literal["unknown", "ignored", "dropped"]
RowKind = Literal["record", "blank", "title", "repeated_header", "serial", "total", "footer", "section"]

_NOISE = re.compile(r"[\s*※★☆▲●\u200b-\u200f\u2060\ufeff]+")
_BRACKETS = str.maketrans("[{【〔〈《「]}】〕〉》」", "((((((()))))))")
_MARKS = re.compile(r"\((?:必填|必填项|必录|必须|选填|可选|可空|非必填|required|optional)\)|^(?:必填|选填):?")
_TOTAL = re.compile(r"^(?:本页|本村|全村|全镇|全街道|本月|本年|本单位)?(?:合计|小计|总计|累计|共计)")
_FOOTER = re.compile(
    r"^(?:填表人|制表人|填报人|填报单位|填表单位|审核人|复核人|负责人|单位负责人|经办人:|填报日期|填表日期|制表日期|报出日期"
    r"|打印日期|打印时间|联系电话:|联系人:|单位盖章|\(盖章\)|\(公章\)|注:|注\d*[:、.]|备注:|说明:|填表说明|第\d*页|共\d*页|第.{1,3}页)"
)
_SECTION_NUMBER = re.compile(r"^\(?(?:[一二三四五六七八九十百]+|\d{1,2})[)、.．]+\s*(?=\D)")
_SECTION_NAME = re.compile(r"(?:村|社区|居委会|村委会|居民委员会|村民委员会|镇|乡|街道|街道办事处|村民小组)$")
_SECTION_COUNT = re.compile(r"[(（][^()（）]*\d+[^()（）]*[)）]\s*$|[:：]\s*$")
_SERIAL = re.compile(r"^\(?(\d{1,3})\)?$")
_LETTERED = frozenset("甲乙丙丁戊己ABCDE")
_CHOSEN = 4  # after every name of the catalogue's own


class Place(msgspec.Struct, frozen=True):
    """A column of the sheet that fills a field. ``rank``: 0 the mapping's header ... 3 the field's title, 4 a person's choice."""

    index: int
    field: str
    header: str
    rank: int


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of a sheet's top. ``header_rows`` are positions from the top, 0-based; one or two of them."""

    header_rows: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    headers: tuple[str, ...] = ()  # by column, as shown to people
    unknown: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()  # known, but another column had the better name: not taken
    ignored: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    marks: tuple[tuple[int, str], ...] = ()  # the hub's own columns: where, and what they say
    repeated: tuple[tuple[Place, Place], ...] = ()  # two columns that claim the same field equally

    @property
    def fields(self) -> set[str]:
        return {place.field for place in self.places}

    @property
    def next_row(self) -> int:
        return self.header_rows[-1] + 1 if self.header_rows else 0


class Vocabulary:
    """The headers one mapping understands; exact after normalising, never similar.

    ``choices``: what people of the organisation said other headers mean, by the normalised header as shown; "" = nothing.
    """

    def __init__(self, record_type: RecordType, mapping: Mapping | None, choices: Map[str, str] | None = None) -> None:
        self.choices = choices or {}
        self.plain: dict[str, tuple[str, int]] = {}
        self.grouped: dict[tuple[str, str], tuple[str, int]] = {}
        self.ignored = {normalise(header) for header in (mapping.ignored if mapping else ())}
        self.dropped = {normalise(header) for header in record_type.dropped_headers}
        rules = mapping.columns if mapping else ()
        self.groups = {normalise(rule.group) for rule in rules if rule.group}
        self.groups |= {normalise(role.title) for role in record_type.people if role.prefix}
        self._learn_rules(rules)
        self._learn_roles(record_type, rules)
        self._learn_fields(record_type, {rule.field for rule in rules})
        mapped = {rule.field for rule in rules} or {field.name for field in record_type.fields}
        needed = {field.name for field in record_type.fields if field.required}
        if record_type.key_missing:  # rows may lack their key, a sheet may not: it would be read for another type's
            needed |= set(record_type.natural_key)
        self.required = tuple(field.name for field in record_type.fields if field.name in needed & mapped)

    def lookup(self, group: str, header: str) -> tuple[str, int] | None:
        """A group over a header must fit too; one that names nobody (基本情况) may be looked through."""
        if not group or group == header:
            return self.plain.get(header)
        found = self.grouped.get((group, header)) or self.plain.get(group + header)
        return found or (None if group in self.groups else self.plain.get(header))

    def meaning(self, group: str, header: str, shown: str) -> tuple[str, int] | Unmeant:
        """The field a header fills and the rank of that name; or why it fills none. What a person chose comes last."""
        key = normalise(header)
        if key in self.dropped or (group and normalise(group + header) in self.dropped):
            return "dropped"
        match = self.lookup(normalise(group), key)
        if match is not None:
            return match
        chosen = self.choices.get(normalise(shown), "?") if self.choices else "?"
        field = None if key in self.ignored else chosen
        if field == "?":
            return "unknown"
        return (field, _CHOSEN) if field else "ignored"

    def _learn_rules(self, rules: Sequence[ColumnRule]) -> None:
        """Headers before synonyms; the group may be left out where no other column could be meant."""
        spelled = Counter(header for rule in rules for header in {rule.header, *rule.synonyms})
        ranked = [(0, rule, rule.header) for rule in rules]
        ranked += [(1, rule, synonym) for rule in rules for synonym in rule.synonyms]
        for rank, rule, header in ranked:
            self._learn(normalise(rule.group), normalise(header), rule.field, rank)
            if spelled[header] == 1:
                self.plain.setdefault(normalise(header), (rule.field, rank))

    def _learn_roles(self, record_type: RecordType, rules: Sequence[ColumnRule]) -> None:
        """A person's title as a group: 母亲 over 姓名 is the column 母亲姓名."""
        titles = {role.role: normalise(role.title) for role in record_type.people}
        role_of = {field.name: titles[field.role] for field in record_type.fields if field.role in titles}
        for rule in rules:
            title = role_of.get(rule.field)
            for header in map(normalise, (rule.header, *rule.synonyms)):
                if title and not rule.group:
                    self.grouped.setdefault((title, header.removeprefix(title) or header), (rule.field, 1))

    def _learn(self, group: str, header: str, field: str, rank: int) -> None:
        if not group:
            self.plain.setdefault(header, (field, rank))
            return
        self.grouped.setdefault((group, header), (field, rank))
        for joint in ("", ".", "-", "_", "/", "·"):
            self.plain.setdefault(group + joint + header, (field, rank))

    def _learn_fields(self, record_type: RecordType, mapped: set[str]) -> None:
        known = {field.name for field in record_type.fields}
        for name in sorted(mapped | known):
            self.plain.setdefault(name.lower(), (name, 2))
        titles = [normalise(field.title) for field in record_type.fields]
        for field, title in zip(record_type.fields, titles, strict=True):
            if titles.count(title) == 1 and title not in self.ignored:
                self.plain.setdefault(title, (field.name, 3))
        for header in _CHANGE_KIND_HEADERS:
            self.plain.setdefault(header, (CHANGE_KIND, 3))


def vocabulary_of(record_type: RecordType, mapping: Mapping | None, choices: Map[str, str]) -> Vocabulary:
    """The mapping's own names are learnt once; what people of the organisation chose is this file's."""
    vocabulary = copy.copy(_learnt(record_type, mapping))
    vocabulary.choices = choices
    return vocabulary


@made_once(512)
def _learnt(record_type: RecordType, mapping: Mapping | None) -> Vocabulary:
    return Vocabulary(record_type, mapping)


def normalise(header: str) -> str:
    """A header as it is compared: NFKC, without spaces, line ends, stars and 必填 marks, one kind of brackets."""
    text = _NOISE.sub("", unicodedata.normalize("NFKC", header)).translate(_BRACKETS)
    return _MARKS.sub("", text).rstrip(":;,。").lower()


def find_layout(rows: Sequence[Cells], vocabulary: Vocabulary) -> Layout:
    """The reading that recognises most fields; of equals the one with fewer header rows, then the upper one."""
    best = Layout()
    for at in range(min(HEADER_WITHIN, len(rows))):
        below_groups = at > 0 and any(normalise(_text(cell)) in vocabulary.groups for cell in rows[at - 1])
        # A row under 母亲 read by itself would take the mother's name for the child's.
        readings = [] if below_groups else [read_row(at, rows[at], vocabulary)]
        if at + 1 < len(rows):
            readings.append(_read((at, at + 1), _two_rows(rows[at], rows[at + 1]), vocabulary))
        for reading in readings:
            if len(reading.fields) > len(best.fields) or _same_but_upper_half(reading, best):
                best = reading
    return best


def read_row(at: int, row: Cells, vocabulary: Vocabulary) -> Layout:
    """One row taken for a header, whatever it holds."""
    return _read((at,), [("", _text(cell)) for cell in row], vocabulary)


def _same_but_upper_half(reading: Layout, best: Layout) -> bool:
    """A header of one row, found again as the lower half of a pair whose upper row is a title, stays one row."""
    fewer = len(reading.header_rows) < len(best.header_rows)
    return bool(best.places) and fewer and len(reading.fields) == len(best.fields)


def _two_rows(upper: Cells, lower: Cells) -> list[tuple[str, str]]:
    """(group, header) by column: a group reaches right over the cells that have a header of their own below."""
    pairs: list[tuple[str, str]] = []
    group = ""
    for top, bottom in zip(map(_text, upper), map(_text, lower), strict=True):
        group = top or (group if bottom else "")
        pairs.append((group, bottom) if bottom else ("", top))
    return pairs


def _read(header_rows: tuple[int, ...], pairs: Sequence[tuple[str, str]], vocabulary: Vocabulary) -> Layout:
    found: dict[str, Place] = {}
    repeated: list[tuple[Place, Place]] = []
    apart: dict[str, list[int]] = {"unknown": [], "lost": [], "ignored": [], "dropped": []}
    headers = [f"{group}.{header}" if group and group != header else header for group, header in pairs]
    marks = tuple((index, header) for index, (_, header) in enumerate(pairs) if is_mark(header))
    for index, (group, header) in enumerate(pairs):
        if not normalise(header) or is_mark(header):
            continue
        match = vocabulary.meaning(group, header, headers[index])
        if isinstance(match, str):
            apart[match].append(index)
        else:
            apart["lost"] += _settle(found, Place(index, match[0], headers[index], match[1]), repeated)
    return Layout(
        header_rows=header_rows, places=tuple(found.values()), headers=tuple(headers), marks=marks,
        unknown=tuple(apart["unknown"]), lost=tuple(sorted(apart["lost"])), ignored=tuple(apart["ignored"]),
        dropped=tuple(apart["dropped"]), repeated=tuple(repeated),
    )  # fmt: skip


def _settle(found: dict[str, Place], place: Place, repeated: list[tuple[Place, Place]]) -> list[int]:
    """Of two columns for one field the better name wins and the other is not taken; equal names are a fault."""
    other = found.get(place.field)
    if other is None:
        found[place.field] = place
        return []
    if other.rank == place.rank:
        repeated.append((other, place))
        return []
    winner, loser = (place, other) if place.rank < other.rank else (other, place)
    found[place.field] = winner
    return [loser.index]


def row_kind(cells: Cells, header_rows: Sequence[Cells], titles: set[str]) -> RowKind:
    """What a suspicious row is. Only what is certain is taken out; anything else stays a record and is checked."""
    texts = [_text(cell) for cell in cells]
    filled = [text for text in texts if text]
    if not filled:
        return "blank"
    if any(_is_header(texts, header) for header in header_rows):
        return "repeated_header"
    if is_serial(texts):
        return "serial"
    first = re.sub(r"\s+", "", unicodedata.normalize("NFKC", filled[0]))
    if _TOTAL.match(first):
        return "total"
    if _FOOTER.match(first):
        return "footer"
    if len(filled) == 1:
        return "title" if filled[0] in titles else "section" if _is_section(filled[0]) else "record"
    return "record"


def is_serial(texts: Sequence[str]) -> bool:
    """The row "1 2 3 ..." (or 甲 乙 1 2) under a header."""
    filled = [unicodedata.normalize("NFKC", text) for text in texts if text]
    numbers = [int(match[1]) for text in filled if (match := _SERIAL.match(text))]
    lettered = sum(text in _LETTERED for text in filled)
    steps = all(later - earlier == 1 for earlier, later in pairwise(numbers))
    return len(filled) >= 3 and len(numbers) >= 2 and len(numbers) + lettered == len(filled) and steps


def section_name(cells: Cells) -> str:
    """一、东风村（共12人）-> 东风村"""
    text = next(_text(cell) for cell in cells if _text(cell))
    return _SECTION_COUNT.sub("", _SECTION_NUMBER.sub("", text)).strip()


def stated_totals(cells: Cells) -> list[int]:
    """Whole numbers that stand in a totals row."""
    joined = " ".join(unicodedata.normalize("NFKC", _text(cell)) for cell in cells)
    return [int(number) for number in re.findall(r"(?<![\d.])\d{1,9}(?![\d.])", joined)]


def letter(index: int) -> str:
    """0 -> A, 26 -> AA."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _is_header(texts: Sequence[str], header: Cells) -> bool:
    """A repeated header has the header's texts and nothing else."""
    pairs = [(normalise(text), normalise(_text(cell))) for text, cell in zip(texts, header, strict=False) if text]
    return len(pairs) >= 2 and all(text == cell for text, cell in pairs)


def _is_section(text: str) -> bool:
    if len(text) > 40:
        return False
    name = _SECTION_COUNT.sub("", text).strip()
    return _SECTION_NUMBER.match(name) is not None or _SECTION_NAME.search(name) is not None


def _text(cell: str | None) -> str:
    return cell.strip() if cell else ""
