"""One line of the inbox: what it is about, how many, until when, and the page that shows exactly those."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

Section = Literal["due", "returned", "wrong"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """``kind`` names its sentence (admin/inbox_words.py), ``facts`` fill it in; ``count`` is the rows ``path`` shows."""

    section: Section
    kind: str
    path: str
    count: int = 1
    limited: bool = False  # there may be more than were counted
    due_on: date | None = None
    overdue: bool = False
    since: datetime | None = None  # the oldest of them
    facts: dict[str, str] = msgspec.field(default_factory=dict)
