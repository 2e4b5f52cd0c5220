"""A refusal in the page's language: the sentence of its kind where it says nothing of its own in words."""

from __future__ import annotations

import re

from admin.visits import Visit
from hub.errors import HubError

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def told_of(refused: HubError, visit: Visit) -> str:
    """Its own words (Chinese, a space, English), or its kind's with the bare fact in brackets."""
    in_words = _CHINESE.search(refused.detail) is not None
    chinese, _, english = (refused.detail if in_words else refused.sentence()).partition("。 ")
    fact = "" if in_words or not refused.detail else f"（{refused.detail}）"
    if visit.language == "en" and english:
        return english + fact.replace("（", " (").replace("）", ")")
    return chinese.rstrip("。") + fact + "。"
