"""An error's sentence holds both languages, Chinese first: here one of them is taken out."""

from __future__ import annotations

import re

from hub.errors import HubError

_LATIN_AT_THE_END = re.compile(r"[A-Z][^\u3000-\u9fff\uff00-\uffef]*$")


def sentence_of(error: HubError, *, english: bool) -> str:
    """The error's sentence in one language; whole, if it has only one."""
    both = error.sentence()
    latin = _LATIN_AT_THE_END.search(both)
    if latin is None:
        return both
    return latin.group() if english else both[: latin.start()].strip() or both
