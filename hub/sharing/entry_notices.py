"""Who is told about the data catalogue: providers of updates that are due or given back, the bureau of reviews and delays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from sqlalchemy import Connection

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.casework.reminders import bureaus
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.sharing.entries import open_versions, today_in
from hub.sharing.entry_clocks import EntryVersion

_TOLD, _OVERDUE = 0, 2


def make_entry_notices(connection: Connection, settings: Settings, now: datetime) -> int:
    """Make every notice about the data catalogue that is due; how many were new. Daily, and as often as one likes."""
    today, to_review = today_in(settings, now), bureaus(connection)
    wanted = [told for one in open_versions(connection) for told in _wanted(one, to_review, today)]
    return make_notices(connection, settings, SYSTEM_ACTOR, wanted, now)


def _wanted(version: EntryVersion, bureau: list[str], today: date) -> Iterator[Wanted]:
    provider, overdue = [version.content.provider], today > version.last_day
    if version.state == "submitted":
        yield from _told(version, "entry_review", bureau, _TOLD)
        if overdue:
            yield from _told(version, "entry_review_overdue", bureau, _OVERDUE)
        return
    yield from _told(version, "entry_returned" if version.state == "returned" else "entry_due", provider, _TOLD)
    if overdue:
        yield from _told(version, "entry_overdue", provider, _OVERDUE)
        yield from _told(version, "entry_late", bureau, _OVERDUE)


def _told(version: EntryVersion, kind: str, organisations: list[str], level: int) -> Iterator[Wanted]:
    """Once for each version and each time it was handed in or given back."""
    last = version.submitted_at if version.state == "submitted" else version.decided_at
    turn = f"/{last:%Y%m%d%H%M%S}" if last else ""
    about = f"entry/{version.record_type}/{version.version}{turn}"
    facts = Facts(items=1, due_on=version.last_day, organisations=(version.content.provider,))
    for organisation in organisations:
        yield Wanted(organisation=organisation, kind=kind, about=about, level=level, facts=facts)
