"""Puts a stored row error into words, Chinese or English; the sentences are in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mappings.catalogue import Catalogue

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


class _Facts(dict[str, object]):
    def __init__(self, language: str, params: Mapping[str, object]) -> None:
        super().__init__({name: fact for name, fact in params.items() if fact is not None})
        self._language = language

    def __missing__(self, name: str) -> str:
        return NOT_SHOWN["en" if self._language == "en" else "zh"]
