"""How much of a personal value a screen shows: enough to recognise one's own row, not enough to copy a person."""

from __future__ import annotations

import re

_IDENTITY_LIKE = re.compile(r"(?<![0-9A-Za-z])(\d{6})\d{5,8}([\dXx]{4})(?![0-9A-Za-z])")
_PHONE_LIKE = re.compile(r"(?<!\d)(1\d{2})\d{4}(\d{4})(?!\d)")
_SHOWN_HEAD, _SHOWN_TAIL, _SHORT = 6, 4, 11


def mask_identifier(value: str | None) -> str:
    """110101********0011; something shorter keeps only its two ends."""
    if not value:
        return ""
    if len(value) <= _SHORT:
        return value[:1] + "*" * (len(value) - 2) + value[-1:] if len(value) > 2 else "*" * len(value)
    return f"{value[:_SHOWN_HEAD]}{'*' * (len(value) - _SHOWN_HEAD - _SHOWN_TAIL)}{value[-_SHOWN_TAIL:]}"


def mask_within(text: str | None) -> str:
    """A sentence or a cell with every identity or phone number in it masked."""
    hidden = _IDENTITY_LIKE.sub(lambda found: mask_identifier(found.group()), text or "")
    return _PHONE_LIKE.sub(r"\1****\2", hidden)
