"""Signed-in browser sessions: opened at sign-in under a new value, ended by idleness, age, sign-out or their owner.

The cookie's value is never kept, only its SHA-256. A value that is not in the table is nobody's session.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from hub import audit
from hub.database import new_uuid
from hub.errors import BadRequest, NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import AccountPolicy
from hub.tables import account, web_session

Level = Literal["password", "full"]  # password: the second factor is still missing
Asked = Literal["by-hand", "by-itself", "on-a-wall"]  # by a person, or by a page that refreshes itself
HALF_WAY = timedelta(minutes=5)  # from the password to the second factor
_TOUCH_EVERY = timedelta(seconds=30)  # a page with polling would otherwise write at every request
_LONGEST_BROWSER = 120
_USUAL = AccountPolicy()


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One browser that gave the right password, and its second factor too if its level is full."""

    session_id: UUID
    account_id: UUID
    token: str  # what a form of this session must carry
    level: Level
    must_change_password: bool
    last_seen_at: datetime


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """One session as its owner sees it; its id opens nothing."""

    session_id: UUID
    created_at: datetime
    last_seen_at: datetime
    address: str
    browser: str


def open_session(
    connection: Connection,
    account_id: UUID,
    now: datetime,
    *,
    policy: AccountPolicy = _USUAL,
    level: Level = "full",
    address: str = "",
    browser: str = "",
) -> str:
    """Start a session and return the value for the cookie: 256 random bits, new at every step of a sign-in."""
    value = secrets.token_urlsafe(32)
    longest = timedelta(hours=policy.session_hours) if level == "full" else HALF_WAY
    if policy.one_session and level == "full":
        close_sessions_of(connection, account_id)
    connection.execute(
        insert(web_session).values(
            session_digest=_digest(value),
            session_id=new_uuid(),
            account_id=account_id,
            content=secrets.token_urlsafe(24).encode(),
            created_at=now,
            last_seen_at=now,
            expires_at=now + longest,
            level=level,
            address=address,
            browser="".join(each for each in browser if each.isprintable())[:_LONGEST_BROWSER],
        )
    )
    return value


# written once: every page asks it
_LIVING = (
    select(web_session, account.c.must_change_password)
    .join(account, account.c.account_id == web_session.c.account_id)
    .where(
        web_session.c.session_digest == bindparam("digest"),
        web_session.c.expires_at > bindparam("now"),
        account.c.disabled.is_(False),
    )
)
_IN_USE = _LIVING.where(web_session.c.last_seen_at > bindparam("idle_since"))


def find_session(
    connection: Connection, value: str, now: datetime, policy: AccountPolicy = _USUAL, asked: Asked = "by-hand"
) -> Session | None:
    """The living session of a cookie's value; None if unknown, idle too long, too old, or its account is disabled.

    What a page asks by itself keeps no session alive; what hangs on a wall is shown until the session's end, idle or not.
    """
    asking = {"digest": _digest(value), "now": now, "idle_since": now - _idle(policy)}
    row = connection.execute(_LIVING if asked == "on-a-wall" else _IN_USE, asking).one_or_none()
    if row is None:
        return None
    touched = asked == "by-hand" and now - row.last_seen_at > _TOUCH_EVERY
    if touched:
        _touch(connection, value, now)
    return Session(
        session_id=row.session_id,
        account_id=row.account_id,
        token=row.content.decode(),
        level=row.level,
        must_change_password=row.must_change_password,
        last_seen_at=now if touched else row.last_seen_at,
    )


def _idle(policy: AccountPolicy) -> timedelta:
    return timedelta(minutes=policy.idle_minutes)


def close_session(connection: Connection, value: str) -> None:
    """Sign out: the value is worth nothing from now on."""
    connection.execute(delete(web_session).where(web_session.c.session_digest == _digest(value)))


def close_sessions_of(connection: Connection, account_id: UUID) -> int:
    """End every session of an account (disabled, or its password changed); how many there were."""
    return connection.execute(delete(web_session).where(web_session.c.account_id == account_id)).rowcount


def close_sessions_at(connection: Connection, organisation: str) -> int:
    """End every session of an organisation's people; how many there were."""
    its = select(account.c.account_id).where(account.c.organisation == organisation)
    return connection.execute(delete(web_session).where(web_session.c.account_id.in_(its))).rowcount


def remove_dead_sessions(connection: Connection, now: datetime) -> int:
    """Delete what no cookie can open any more; how many. What is only idle may still hang on a wall."""
    return connection.execute(delete(web_session).where(web_session.c.expires_at <= now)).rowcount


# ---- one's own ----


def list_own_sessions(connection: Connection, actor: Actor, now: datetime) -> list[OpenSession]:
    """Where one is signed in, the latest first."""
    require(actor, Right.SIGNED_IN)
    return _open_sessions(connection, actor.account_id, now)


def end_own_session(connection: Connection, actor: Actor, session_id: UUID) -> None:
    """End one of one's own sessions; somebody else's is as good as none: NotFound."""
    require(actor, Right.SIGNED_IN)
    mine = (web_session.c.account_id == actor.account_id, web_session.c.session_id == session_id)
    if connection.execute(delete(web_session).where(*mine)).rowcount == 0:
        raise _no_such()
    audit.record(connection, actor, Right.SIGNED_IN, f"account/{actor.name}", how="end-session")


def end_other_sessions(connection: Connection, actor: Actor, kept: UUID) -> int:
    """End all of one's own sessions but this one; how many."""
    require(actor, Right.SIGNED_IN)
    mine = (web_session.c.account_id == actor.account_id, web_session.c.session_id != kept)
    ended = connection.execute(delete(web_session).where(*mine)).rowcount
    audit.record(connection, actor, Right.SIGNED_IN, f"account/{actor.name}", how="end-other-sessions", count=ended)
    return ended


# ---- somebody else's ----


def list_sessions_of(connection: Connection, actor: Actor, account_id: UUID, now: datetime) -> list[OpenSession]:
    """Where an account is signed in, the latest first."""
    require(actor, Right.MANAGE_ACCOUNTS)
    return _open_sessions(connection, account_id, now)


def end_session_of(connection: Connection, actor: Actor, login: str, session_id: UUID) -> None:
    """End one session of this account; another account's is as good as none: NotFound."""
    require(actor, Right.MANAGE_ACCOUNTS)
    if actor.name == login:  # those are ended with one's password
        raise BadRequest("请在“我的账号”页结束自己的会话。 End your own sessions on your own account's page.")
    its = select(account.c.account_id).where(account.c.login == login).scalar_subquery()
    wanted = (web_session.c.account_id == its, web_session.c.session_id == session_id)
    if connection.execute(delete(web_session).where(*wanted)).rowcount == 0:
        raise _no_such()
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", how="end-session")


def _open_sessions(connection: Connection, account_id: UUID | str | None, now: datetime) -> list[OpenSession]:
    rows = connection.execute(
        select(web_session)
        .where(web_session.c.account_id == account_id, web_session.c.level == "full", web_session.c.expires_at > now)
        .order_by(web_session.c.last_seen_at.desc(), web_session.c.session_id)
    )
    return [msgspec.convert(row, OpenSession, from_attributes=True) for row in rows]


def _no_such() -> NotFound:
    return NotFound("没有这个会话，或已结束。 There is no such session, or it has ended.")


def _touch(connection: Connection, value: str, now: datetime) -> None:
    connection.execute(
        update(web_session).where(web_session.c.session_digest == _digest(value)).values(last_seen_at=now)
    )


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
