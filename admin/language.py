"""The pages' two languages: Chinese is what the source says, English is looked up in locale/en.po."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, cast

from babel.messages.pofile import read_po

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
LOCALE = Path(__file__).parent / "locale"


def N_(message: str) -> str:  # noqa: N802 -- gettext's own name for "translate this later"
    """Mark a Chinese sentence for translation where it is written; it is looked up where it is shown."""
    return message


def translator(language: Language) -> Callable[[str], str]:
    """The lookup for one language; an unknown sentence stays as it is (a test finds it)."""
    if language == "zh":
        return str
    sentences = english_sentences()
    return lambda message: sentences.get(message, message)


@cache
def english_sentences() -> dict[str, str]:
    """Chinese sentence to English sentence."""
    with (LOCALE / "en.po").open("rb") as file:
        catalog = read_po(file, locale="en")
    return {cast(str, message.id): cast(str, message.string) for message in catalog if message.id and message.string}


def chosen_language(cookie: str | None) -> Language:
    return "en" if cookie == "en" else "zh"


def titled(chinese: str, english: str, language: Language) -> str:
    """A title the catalogue or the registry keeps in both languages."""
    return english if language == "en" and english else chinese
