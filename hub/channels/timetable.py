"""When a channel works next: by its interval or the district's clock; later and later while it fails."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hub.channels.declarations import Channel, read_clock
from hub.channels.state import State

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 3_600.0
_JITTER = 0.2
_CLOCKS_DIFFER = timedelta(minutes=1)


def next_regular(channel: Channel, after: datetime, zone: ZoneInfo) -> datetime:
    """The next time by the declaration alone."""
    if channel.every_seconds is not None:
        return after + timedelta(seconds=channel.every_seconds)
    here = after.astimezone(zone)
    times = [clock for text in channel.at if (clock := read_clock(text)) is not None]
    days = (here.date() + timedelta(days=ahead) for ahead in (0, 1, 2))
    moments = (datetime.combine(day, clock, zone) for day in days for clock in sorted(times))
    return next(moment for moment in moments if moment > here).astimezone(after.tzinfo)


def pause_after(failures: int) -> float:
    """Seconds: doubled with every failure, never longer than an hour, and not in step with the other channels."""
    pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311


def is_due(channel: Channel, state: State, now: datetime, zone: ZoneInfo) -> bool:
    """A declaration that was changed to come sooner is heard at once; a pause after a failure is kept."""
    if not channel.enabled or state.disabled:
        return False
    if state.last_tried_at is None:
        first = state.since or now
        return channel.every_seconds is not None or next_regular(channel, first, zone) <= now
    if state.last_tried_at > now + _CLOCKS_DIFFER:  # the clock was ahead and was set back: what it planned is void
        return True
    regular = next_regular(channel, state.last_tried_at, zone)
    if state.next_at is None:
        return regular <= now
    return (state.next_at if state.failures else min(state.next_at, regular)) <= now


def is_silent(channel: Channel, state: State, now: datetime) -> bool:
    """No success for so long that somebody should look."""
    last = state.last_succeeded_at or state.since or now
    return channel.enabled and now - last > timedelta(hours=channel.silent_after_hours)
