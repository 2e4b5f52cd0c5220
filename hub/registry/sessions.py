"""Signed-in browser sessions: opened at sign-in under a new value, ended by idleness, age or sign-out.

The cookie's value is never kept, only its SHA-256. A value that is not in the table is nobody's session.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from hub.database import new_uuid
from hub.tables import account, web_session

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=10)
_TOUCH_EVERY = timedelta(seconds=30)  # a page with polling would otherwise write at every request


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One signed-in browser."""

    account_id: UUID
    token: str  # what a form of this session must carry
    must_change_password: bool
    last_seen_at: datetime


def open_session(connection: Connection, account_id: UUID, now: datetime) -> str:
    """Start a session and return the value for the cookie: 256 random bits, new at every sign-in."""
    value = secrets.token_urlsafe(32)
    connection.execute(
        insert(web_session).values(
            session_digest=_digest(value),
            session_id=new_uuid(),
            account_id=account_id,
            content=secrets.token_urlsafe(24).encode(),
            created_at=now,
            last_seen_at=now,
            expires_at=now + LONGEST,
        )
    )
    return value


def find_session(connection: Connection, value: str, now: datetime) -> Session | None:
    """The living session of a cookie's value; None if unknown, idle too long, too old, or its account is disabled."""
    row = connection.execute(
        select(web_session, account.c.must_change_password)
        .join(account, account.c.account_id == web_session.c.account_id)
        .where(
            web_session.c.session_digest == _digest(value),
            web_session.c.expires_at > now,
            web_session.c.last_seen_at > now - IDLE,
            account.c.disabled.is_(False),
        )
    ).one_or_none()
    if row is None:
        return None
    if now - row.last_seen_at > _TOUCH_EVERY:
        _touch(connection, value, now)
    return Session(
        account_id=row.account_id,
        token=row.content.decode(),
        must_change_password=row.must_change_password,
        last_seen_at=row.last_seen_at,
    )


def close_session(connection: Connection, value: str) -> None:
    """Sign out: the value is worth nothing from now on."""
    connection.execute(delete(web_session).where(web_session.c.session_digest == _digest(value)))


def close_sessions_of(connection: Connection, account_id: UUID) -> int:
    """End every session of an account (disabled, or its password changed); how many there were."""
    return connection.execute(delete(web_session).where(web_session.c.account_id == account_id)).rowcount


def remove_dead_sessions(connection: Connection, now: datetime) -> int:
    """Delete what no cookie can open any more; how many."""
    dead = (web_session.c.expires_at <= now) | (web_session.c.last_seen_at <= now - IDLE)
    return connection.execute(delete(web_session).where(dead)).rowcount


def _touch(connection: Connection, value: str, now: datetime) -> None:
    connection.execute(
        update(web_session).where(web_session.c.session_digest == _digest(value)).values(last_seen_at=now)
    )


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
