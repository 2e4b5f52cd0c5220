"""How long wrong passwords and codes must wait: twice as long each time, and never for good."""

from __future__ import annotations

from datetime import datetime, timedelta

from hub.settings import AccountPolicy

FIRST_LOCK = timedelta(seconds=30)


def lock_after(attempts: int, now: datetime, policy: AccountPolicy, free: int | None = None) -> datetime | None:
    """Until when guesses wait after so many failures; ``free`` of them, of one account unless said, cost nothing."""
    beyond = attempts - (policy.free_attempts if free is None else free)
    longest = timedelta(minutes=policy.longest_lock_minutes)
    return None if beyond < 0 else now + min(FIRST_LOCK * 2 ** min(beyond, 16), longest)
