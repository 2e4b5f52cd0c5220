"""Puts a stored row error into words, Chinese or English; the sentences are in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.registry.masking import View, mask_field, mask_within
from mappings.catalogue import Catalogue, Field

_WORDS_OF_THE_SHEET = ("field", "header", "sheet", "columns", "record_type", "expected")  # the sender's titles, ours
NOT_SHOWN = {"zh": "（不显示）", "en": "(not shown)"}


@dataclass(frozen=True)
class Explanation:
    """What is wrong and what to do."""

    title: str
    message: str
    fix: str


def explain(catalogue: Catalogue, code: str, params: Mapping[str, object], language: str = "zh") -> Explanation:
    """The sentences of a code with its facts filled in; a fact that may not be shown says so.

    ``params`` are the stored ones, with ``value`` added where the reader may see it.
    """
    kind = catalogue.row_errors[code]
    facts = _Facts(language, params)
    if language == "en":
        return Explanation(kind.title_en, kind.message_en.format_map(facts), kind.fix_en.format_map(facts))
    return Explanation(kind.title, kind.message.format_map(facts), kind.fix.format_map(facts))


def masked_facts(params: Mapping[str, object], field: Field | None = None, view: View = "own") -> dict[str, object]:
    """The facts of one error as a view may read them: ``value`` by its field, every other text by what is in it."""
    return {name: _masked(name, fact, field, view) for name, fact in params.items()}


def _masked(name: str, fact: object, field: Field | None, view: View) -> object:
    if name == "places" and isinstance(fact, list):
        return [
            {part: mask_within(told) if isinstance(told, str) else told for part, told in one.items()} for one in fact
        ]
    if not isinstance(fact, str) or name in _WORDS_OF_THE_SHEET:
        return mask_within(fact) if isinstance(fact, str) else fact
    return mask_field(fact, field if name == "value" else None, view)


class _Facts(dict[str, object]):
    def __init__(self, language: str, params: Mapping[str, object]) -> None:
        super().__init__({name: fact for name, fact in params.items() if fact is not None})
        self._language = language
        if isinstance(self.get("places"), list):
            self["places"] = _written_places(params["places"], params.get("count"), language)

    def __missing__(self, name: str) -> str:
        return NOT_SHOWN["en" if self._language == "en" else "zh"]


_PLACES: dict[str, dict[str, str]] = {
    "zh": {"row": "第 {row} 行", "sheet": "“{sheet}”第 {row} 行", "and": "、", "more": "{places}等 {count} 行"},
    "en": {"row": "row {row}", "sheet": 'row {row} of sheet "{sheet}"', "and": ", ", "more": "{places} and others, {count} in all"},
}  # fmt: skip


def _written_places(places: Any, count: object, language: str) -> str:
    """Rows by the sheet's own numbers; where only the first are named, how many there are."""
    words = _PLACES["en" if language == "en" else "zh"]
    named = words["and"].join(words["sheet" if one.get("sheet") else "row"].format(**one) for one in places)
    is_all = not isinstance(count, int) or count <= len(places)
    return named if is_all else words["more"].format(places=named, count=count)
