"""How a name sounds, for finding people whose name was written by ear."""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=50_000)
def pinyin(key: str) -> str:
    """A name key's sound without tones, character by character. Some family names are read wrongly, always alike."""
    from pypinyin import lazy_pinyin  # costs 0.2 s and 50 MB: only who compares names pays

    return " ".join(lazy_pinyin(list(key)))
