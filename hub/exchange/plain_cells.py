"""A value as the text of one cell: nothing that a spreadsheet would run as a formula."""

from __future__ import annotations

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain_cell(value: object) -> str:
    """Nothing is the empty text; what would begin a formula gets an apostrophe before it."""
    shown = "" if value is None else str(value)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
