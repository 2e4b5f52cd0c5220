"""The mark of one line of a change list: which line it is, how it read, and how often it had been answered by then."""

from __future__ import annotations

import hashlib
import hmac
import re

_SHAPE = re.compile(r"^([0-9]{1,6})-([0-9a-f]{20})\Z")
_LENGTH = 20  # 80 bits: a forger has one try a submission, and every refusal is on a receipt
_PURPOSE = "change-list"


def mark_of(
    key: bytes,
    month: str,
    town: int,
    record_id: str,
    answers: int,
    name: str,
    change_type: str,
    changed_on: str,
    source_org: str,
) -> str:
    """``<answers>-<keyed digest>``; ``town`` is the area id, the rest as printed, ``changed_on`` ISO or ""."""
    said = "\x1f".join((_PURPOSE, month, str(town), record_id, str(answers), name, change_type, changed_on, source_org))
    digest = hmac.new(key, said.encode(), hashlib.sha256).hexdigest()
    return f"{answers}-{digest[:_LENGTH]}"


def answers_of(mark: str) -> int | None:
    """How many answers the line had when it was printed; None for what is no mark at all."""
    shape = _SHAPE.match(mark)
    return int(shape[1]) if shape else None


def is_right(mark: str, expected: str) -> bool:
    """Whether a mark is the one it should be, in constant time."""
    return hmac.compare_digest(mark.encode(), expected.encode())
