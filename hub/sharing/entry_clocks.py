"""Whose turn an open version of an entry is, until which day, and how many working days are left or over."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from hub.registry.working_days import Calendar
from hub.sharing.entry_content import EntryContent

OPEN_STATES = ("due", "draft", "submitted", "returned")
EntryState = Literal["due", "draft", "submitted", "returned", "published", "replaced", "withdrawn"]


class EntryVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an entry: what it says, why it was made, and what became of it."""

    record_type: str
    version: int
    state: EntryState
    content: EntryContent
    cause: str
    caused_on: date
    due_on: date
    extended_on: date | None
    extension_reason: str
    submitted_at: datetime | None
    submitted_by: str | None
    review_due_on: date | None
    decided_at: datetime | None
    decided_by: str | None
    answer: str

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def last_day(self) -> date:
        """Until when it must be handed in; once it was, until when it must be reviewed."""
        reviewed_by = self.review_due_on if self.state == "submitted" else None
        return reviewed_by or self.extended_on or self.due_on


class EntryClock(msgspec.Struct, frozen=True, kw_only=True):
    """How an open version stands on a day."""

    turn: Literal["provider", "bureau"]
    last_day: date
    working_days: int  # left after that day; below zero: so many over

    @property
    def overdue(self) -> bool:
        return self.working_days < 0


def clock_of(calendar: Calendar, version: EntryVersion, today: date) -> EntryClock:
    """Overdue from the day after the last day, be it a working day or not."""
    last = version.last_day
    left = calendar.between(today, last) if today <= last else min(-1, -calendar.between(last, today))
    turn: Literal["provider", "bureau"] = "bureau" if version.state == "submitted" else "provider"
    return EntryClock(turn=turn, last_day=last, working_days=left)
