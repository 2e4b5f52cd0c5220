"""The initials by which a Chinese title is typed quickly: 户口迁入 is hkqr. Only the common characters of GB 2312."""

from __future__ import annotations

from bisect import bisect_right

# The first character of each initial: GB 2312 orders its 3755 common characters by their sound.
_FIRST = "啊芭擦搭蛾发噶哈击喀垃妈拿哦啪期然撒塌挖昔压匝"
_LETTERS = "abcdefghjklmnopqrstwxyz"
_STARTS = [character.encode("gb2312") for character in _FIRST]
_LAST = "座".encode("gb2312")
_SOUNDS_OTHERWISE = {"调": "d", "重": "c", "行": "x", "单": "d", "藏": "c"}


def initials(title: str) -> str:
    """A letter for each common character; what is neither is left out."""
    return "".join(map(_initial, title)).lower()


def _initial(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() else ""
    try:
        place = character.encode("gb2312")
    except UnicodeEncodeError:
        return ""
    if not _STARTS[0] <= place <= _LAST:
        return ""
    return _SOUNDS_OTHERWISE.get(character) or _LETTERS[bisect_right(_STARTS, place) - 1]
