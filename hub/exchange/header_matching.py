"""What an unknown header may mean: the names nearest to it, for a person to confirm. Nothing is ever taken for granted.

户主姓名 is nine tenths like 姓名 and means another person: a likeness is a question, never an answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

import msgspec
from rapidfuzz.fuzz import WRatio

from hub.exchange.layout import CHANGE_KIND, HEADER_WITHIN, Cells, Layout, Vocabulary, letter, normalise, read_row
from mappings.catalogue import Mapping, RecordType

LEAST_SCORE = 70.0  # WRatio; 身份证 for 身份证号 scores 86, 序号 for 身份证号 60
MOST_SUGGESTIONS = 3  # for one header
MOST_WORDS = 20  # a longer cell is a sentence, no header
_CHANGE_KIND_TITLE = "变动标识"
_NUMBERED = re.compile(r"^\d|\d$")
_VALUE = re.compile(r"\d{6}|\d{4}[-./年]\d")  # a number or a date: this row is somebody's, no header


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is understood."""

    header: str
    letter: str
    field: str
    title: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A column that is not."""

    header: str
    letter: str


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A required field that no column fills yet."""

    field: str
    title: str


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A field that an unknown header may mean; ``score`` is a likeness of 0 to 100."""

    header: str
    field: str
    title: str
    score: int


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked about one sheet's header. No cell below the header is in it."""

    sheet: str
    header_row: int  # the sheet's own row number
    known: list[Known]
    headers: list[Asked]
    missing: list[Missing]
    suggestions: list[Suggestion]


class Names:
    """Every name each field of a record type goes by, and the one it is shown under."""

    def __init__(self, record_type: RecordType, mapping: Mapping | None) -> None:
        self.titles = {field.name: field.title for field in record_type.fields} | {CHANGE_KIND: _CHANGE_KIND_TITLE}
        self._names = [(name, normalise(title)) for name, title in self.titles.items()]
        for rule in mapping.columns if mapping else ():
            if rule.field in self.titles:
                self.titles[rule.field] = f"{rule.group}.{rule.header}" if rule.group else rule.header
                self._names += [(rule.field, normalise(rule.group + each)) for each in (rule.header, *rule.synonyms)]

    def suggest(self, header: str, taken: Collection[str] = ()) -> list[Suggestion]:
        """The fields most like a header, best first, but for those taken; none where nothing is like it."""
        plain, best = normalise(header), dict[str, float]()
        for field, name in self._names:
            if field not in taken:
                best[field] = max(best.get(field, 0.0), WRatio(plain, name))
        ranked = sorted(best.items(), key=lambda scored: -scored[1])[:MOST_SUGGESTIONS]
        return [
            Suggestion(header=header, field=field, title=self.titles[field], score=round(score))
            for field, score in ranked
            if score >= LEAST_SCORE
        ]

    def suggest_all(self, layout: Layout) -> list[Suggestion]:
        return [each for index in layout.unknown for each in self.suggest(layout.headers[index], layout.fields)]


def likely_header(rows: Sequence[Cells], vocabulary: Vocabulary, names: Names) -> Layout | None:
    """Where no row has enough known headers: the row that looks most like a header with other names."""
    best: tuple[int, Layout | None] = (1, None)
    for at, row in enumerate(rows[:HEADER_WITHIN]):
        if not _looks_like_header(row):
            continue
        layout = read_row(at, row, vocabulary)
        meant = {each.field for each in names.suggest_all(layout)} | layout.fields
        if len(meant) > best[0]:
            best = (len(meant), layout)
    return best[1]


def _looks_like_header(row: Cells) -> bool:
    texts = [cell.strip() for cell in row if cell and cell.strip()]
    if len(texts) < 3 or len(set(texts)) < len(texts) or any(_VALUE.search(text) for text in texts):
        return False
    words = [text for text in texts if len(text) <= MOST_WORDS and not _NUMBERED.search(text)]
    return len(words) * 5 >= len(texts) * 4


def question(layout: Layout, missing: Sequence[str], names: Names, sheet: str, header_row: int) -> Question | None:
    """What to ask, or None: nothing is like a column that is missing, or there are too few columns left to fill them."""
    suggestions = names.suggest_all(layout)
    if len(layout.unknown) < len(missing) or not {each.field for each in suggestions} & set(missing):
        return None
    return Question(
        sheet=sheet,
        header_row=header_row,
        known=list(_known(layout, names)),
        headers=[Asked(header=layout.headers[index], letter=letter(index)) for index in layout.unknown],
        missing=[Missing(field=field, title=names.titles[field]) for field in missing],
        suggestions=suggestions,
    )


def _known(layout: Layout, names: Names) -> Iterator[Known]:
    for place in sorted(layout.places, key=lambda place: place.index):
        title = names.titles.get(place.field, place.field)
        yield Known(header=place.header, letter=letter(place.index), field=place.field, title=title)
