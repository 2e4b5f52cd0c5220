"""Finds text destroyed on its way, and what it was where that can still be told.

Three kinds: UTF-8 read as GBK (鐜嬭姵 for 王芳), GBK read as Latin-1 (Íõ·¼), and what nobody can restore (锟斤拷).
"""

from __future__ import annotations

import re

import polars as pl

LOST = "锟斤拷|锟叫|烫烫烫|屯屯屯|ï»¿|\ufffd\ufffd"
_HAN = re.compile("[\u3007\u3400-\u9fff]")
_READABLE = re.compile("^[\u0020-\u007e\u3000-\u303f\u3400-\u9fff\uff00-\uffef·]+$")


def _gbk_pairs(trails: range) -> str:
    """Characters whose GBK bytes look like the first two bytes of a Han character in UTF-8."""
    pairs = [bytes((lead, trail)).decode("gb18030") for lead in range(0xE4, 0xEA) for trail in trails if trail != 0x7F]
    return "".join(char for char in pairs if _HAN.match(char))


_FIRST_PAIRS = _gbk_pairs(range(0x80, 0xC0))
SUSPECTS = _FIRST_PAIRS + "锟烫"  # subtracted from what passes as clean at first sight
_RARE = _gbk_pairs(range(0x80, 0xA1))  # outside GB 2312: hardly ever in real text
SUSPECT = (
    rf"(?:^|[\x00-\x7f])[{_FIRST_PAIRS}]|[\u00B0-\u00F7][\u00A1-\u00FE][\u00B0-\u00F7]|[{_RARE}].*[?\ufffd]|{LOST}"
)


def suggest(text: pl.Series) -> pl.DataFrame:
    """Per cell: ``garbled`` and the ``suggestion`` (null when it cannot be restored)."""
    suspect = text.str.contains(SUSPECT).fill_null(False)
    if not suspect.any():
        return pl.DataFrame({"garbled": suspect, "suggestion": pl.repeat(None, len(text), dtype=pl.String, eager=True)})
    answers = {each: _restored(each) for each in text.filter(suspect).unique()}
    garbled = suspect & text.is_in([each for each, (is_garbled, _) in answers.items() if is_garbled])
    known = {each: suggestion for each, (_, suggestion) in answers.items() if suggestion}
    suggestion = text.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)
    return pl.DataFrame({"garbled": garbled, "suggestion": suggestion})


def _restored(sent: str) -> tuple[bool, str | None]:
    text = re.sub(r"[\x00-\x20\u200b-\u200f\ufeff]", "", sent)
    if re.search(LOST, text):
        return True, None
    for wrong, right in (("gb18030", "utf-8"), ("latin-1", "gb18030")):
        restored = _decoded_again(text, wrong, right)
        if restored and _READABLE.match(restored) and _HAN.search(restored):
            return True, restored
    return bool(re.search(f"[{_RARE}].*[?\ufffd]", text)), None


def _decoded_again(text: str, wrong: str, right: str) -> str | None:
    if wrong == "latin-1" and re.search("[A-Za-z]", text):
        return None  # a foreign name with accents
    try:
        return text.encode(wrong).decode(right)
    except UnicodeError:
        return None
