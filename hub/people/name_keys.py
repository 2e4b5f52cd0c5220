"""The name as it is searched for: no dots, no spaces, simplified characters, small letters; the same in Python and SQL."""

from __future__ import annotations

import unicodedata

from hub.people.traditional_characters import SIMPLIFIED, TRADITIONAL

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LEFT_OUT = " \t\n\r\u200b.·•・‧∙⋅●○◦˙"  # what stands between the parts of a name, or came with it
_TABLE = str.maketrans(TRADITIONAL + _CAPITALS, SIMPLIFIED + _CAPITALS.lower(), _LEFT_OUT)

# What a statement with ``name_key_sql`` in it must bind.
NAME_KEY_VALUES: dict[str, object] = {
    "any_traditional": f"[{TRADITIONAL}]",
    "traditional": TRADITIONAL,
    "simplified": SIMPLIFIED,
    "other_letters": _CAPITALS + _LEFT_OUT,
    "small_letters": _CAPITALS.lower(),
}


def name_key(name: str) -> str:
    """The key under which this name, however written, is found in ``person_profile.name_key``."""
    return unicodedata.normalize("NFKC", name).translate(_TABLE)


def name_key_sql(name: str) -> str:
    """The same as an SQL expression over one; letters without a counterpart are left out.

    PostgreSQL's translate walks its whole table for every letter, so the long one is used on the names that need it.
    """
    plain = f"normalize({name}, NFKC)"
    return (
        f"translate(CASE WHEN {plain} ~ :any_traditional THEN translate({plain}, :traditional, :simplified)"
        f" ELSE {plain} END, :other_letters, :small_letters)"
    )
