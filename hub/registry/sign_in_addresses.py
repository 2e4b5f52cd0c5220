"""Where guesses come from: an address that fails too often waits, whichever accounts it tries.

The count falls by one in ten minutes and is forgotten after a day; signing in does not clear it, or one's own account
would buy free guesses at everybody else's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from hub.registry.lockout import lock_after
from hub.settings import AccountPolicy
from hub.tables import sign_in_address

FORGOTTEN_AFTER = timedelta(days=1)
_ONE_LESS_EVERY = timedelta(minutes=10)


def is_locked(connection: Connection, address: str, now: datetime) -> bool:
    """Whether guesses from there must wait. The row is held, so that guesses from one address come one by one."""
    its = sign_in_address.c
    query = select(its.locked_until).where(its.address == guesser(address)).with_for_update()
    until = connection.execute(query).scalar_one_or_none()
    return until is not None and until > now


def count_failure(connection: Connection, address: str, now: datetime, policy: AccountPolicy) -> None:
    """One more failed sign-in from there. The hub's own machine has no address and is not counted."""
    if not address:
        return
    before = _count(connection, address, now)
    attempts = (before or 0) + 1
    kept = {
        "failed_attempts": attempts,
        "locked_until": lock_after(attempts, now, policy, policy.address_free_attempts),
        "last_failed_at": now,
    }
    noted = insert(sign_in_address).values(address=guesser(address), **kept)
    at_once = {"failed_attempts": sign_in_address.c.failed_attempts + 1, "last_failed_at": now}  # two first failures
    changed = at_once if before is None else kept
    connection.execute(noted.on_conflict_do_update(index_elements=["address"], set_=changed))
    _forget(connection, now)


def _count(connection: Connection, address: str, now: datetime) -> int | None:
    its = sign_in_address.c
    query = select(its.failed_attempts, its.last_failed_at).where(its.address == guesser(address)).with_for_update()
    row = connection.execute(query).one_or_none()
    return max(0, row.failed_attempts - int((now - row.last_failed_at) / _ONE_LESS_EVERY)) if row else None


def _forget(connection: Connection, now: datetime) -> None:
    its = sign_in_address.c
    old = select(its.address).where(its.last_failed_at < now - FORGOTTEN_AFTER).with_for_update(skip_locked=True)
    connection.execute(delete(sign_in_address).where(its.address.in_(old)))


def guesser(address: str) -> str:
    """Under which name an address is counted: an IPv6 host has a whole /64 to choose from, so that counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
