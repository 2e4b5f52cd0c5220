"""People's accounts: created, signed in, locked for a while after wrong passwords, disabled."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, Row, insert, select, update

from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry.organisations import Organisation, find_organisation, load_organisation
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.rights import require
from hub.registry.sessions import close_sessions_of
from hub.tables import account

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 128
FREE_ATTEMPTS = 5
FIRST_LOCK, LONGEST_LOCK = timedelta(seconds=30), timedelta(minutes=15)  # never for good: that would be a weapon

# The three administrators exclude each other, and none of them sees business data (等保三级).
ADMINISTRATORS = frozenset({"system_administrator", "security_administrator", "auditor"})
ROLE_KINDS: dict[str, frozenset[str]] = {
    "department_clerk": frozenset({"department", "information_centre", "upper"}),
    "data_officer": frozenset({"department", "care", "information_centre", "upper"}),
    "town_officer": frozenset({"town", "village"}),
    "care_worker": frozenset({"care"}),
    "bureau_operator": frozenset({"bureau"}),
    "bureau_leader": frozenset({"bureau"}),
    "system_administrator": frozenset({"bureau", "information_centre"}),
    "security_administrator": frozenset({"bureau", "information_centre"}),
    "auditor": frozenset({"bureau", "information_centre"}),
    "integrator": frozenset({"department", "care", "town", "village", "information_centre", "upper"}),
}

_hasher = PasswordHasher()
_NOBODY = _hasher.hash("nobody has this password")  # checked for unknown logins, so that they take as long


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person's account; the password's hash stays in the table."""

    account_id: UUID
    login: str
    name: str
    organisation: str
    roles: tuple[str, ...]
    must_change_password: bool
    disabled: bool
    failed_attempts: int
    locked_until: datetime | None
    language: str

    def rights(self) -> frozenset[Right]:
        return frozenset(right for role in self.roles for right in ROLES.get(role, frozenset()))


def create_account(
    connection: Connection,
    actor: Actor,
    *,
    login: str,
    name: str,
    organisation: str,
    roles: Collection[str],
    password: str,
    must_change_password: bool = True,
    language: str = "zh",
) -> Account:
    """A new account. The first password is to be changed unless said otherwise."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_roles(roles, load_organisation(connection, organisation))
    _refuse_password(password, login)
    _refuse_taken(connection, login)
    row = {
        "account_id": new_uuid(),
        "login": login,
        "name": name,
        "organisation": organisation,
        "roles": sorted(roles),
        "password_hash": _hasher.hash(password),
        "must_change_password": must_change_password,
        "language": language,
        "created_at": utc_now(),
    }
    connection.execute(insert(account), [row])
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", roles=sorted(roles), how="create")
    return load_account(connection, login)


def _refuse_roles(roles: Collection[str], its: Organisation) -> None:
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise BadRequest(f"没有这些角色：{unknown}。 Give one or more known roles.", roles=unknown)
    if ADMINISTRATORS & {*roles} and len({*roles}) > 1:
        raise BadRequest("三员互斥，且不得兼任业务角色。 An administrator or auditor holds that one role only.")
    foreign = [role for role in roles if its.kind not in ROLE_KINDS[role]]
    if foreign:
        raise BadRequest(f"{its.name} 不能有角色 {foreign}。 {its.code} cannot hold these roles.", roles=foreign)


def _refuse_password(password: str, login: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or login.lower() in password.lower():
        raise BadRequest(
            f"密码须 {SHORTEST_PASSWORD}–{LONGEST_PASSWORD} 位，且不含登录名。"
            f" A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters and does not contain the login."
        )


def _refuse_taken(connection: Connection, login: str) -> None:
    if not login.strip() or login != login.strip():
        raise BadRequest("登录名不能为空或带空格。 A login is not empty and has no spaces around it.")
    if _row(connection, login) is not None:
        raise Conflict(f"登录名 {login} 已存在。 The login {login} is taken.")


# ---- signing in ----


def sign_in(connection: Connection, login: str, password: str, *, now: datetime) -> Account | None:
    """The account, or None for any reason whatever: the caller commits, then refuses with one and the same sentence.

    Unknown, disabled and locked logins cost the same hash as a wrong password. The row is held while the password is
    checked, so that guesses at one account come one after the other.
    """
    row = connection.execute(select(account).where(account.c.login == login).with_for_update()).one_or_none()
    right = _matches(row.password_hash if row else _NOBODY, password)
    if row is None or row.disabled or _locked(row, now):
        return None
    actor = Actor(name=login, organisation=row.organisation, kind="", door="panel", rights=frozenset())
    if not right:
        _note_failure(connection, actor, row, now)
        return None
    return _note_success(connection, actor, row, password)


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False


def _locked(row: Row[Any], now: datetime) -> bool:
    return row.locked_until is not None and row.locked_until > now


def _note_failure(connection: Connection, actor: Actor, row: Row[Any], now: datetime) -> None:
    attempts = row.failed_attempts + 1
    kept = {"failed_attempts": attempts, "locked_until": lock_after(attempts, now)}
    connection.execute(update(account).where(account.c.account_id == row.account_id).values(kept))
    audit.record(connection, actor, Right.SIGNED_IN, f"account/{actor.name}", "refused", failed_attempts=attempts)


def lock_after(attempts: int, now: datetime) -> datetime | None:
    """Until when an account stays locked after so many wrong passwords: twice as long each time, up to a limit."""
    beyond = attempts - FREE_ATTEMPTS
    return None if beyond < 0 else now + min(FIRST_LOCK * 2 ** min(beyond, 16), LONGEST_LOCK)


def _note_success(connection: Connection, actor: Actor, row: Row[Any], password: str) -> Account | None:
    its = find_organisation(connection, row.organisation)
    if its is None or not its.enabled:
        return None
    kept: dict[str, object] = {"failed_attempts": 0, "locked_until": None}
    if _hasher.check_needs_rehash(row.password_hash):
        kept["password_hash"] = _hasher.hash(password)
    connection.execute(update(account).where(account.c.account_id == row.account_id).values(kept))
    audit.record(connection, actor, Right.SIGNED_IN, f"account/{actor.name}", how="sign-in")
    return load_account(connection, actor.name)


def actor_of(connection: Connection, account_id: UUID, door: str) -> Actor | None:
    """Who acts in this session; None once the account or its organisation is disabled. Asked on every request."""
    row = connection.execute(select(account).where(account.c.account_id == account_id)).one_or_none()
    if row is None or row.disabled:
        return None
    its = find_organisation(connection, row.organisation)
    return _actor(_account(row), its, door) if its and its.enabled else None


def _actor(its: Account, organisation: Organisation, door: str) -> Actor:
    return Actor(
        name=its.login,
        organisation=organisation.code,
        kind=organisation.kind,
        door=door,
        rights=frozenset({Right.SIGNED_IN}) if its.must_change_password else its.rights(),
        area_id=organisation.area_id,
        account_id=str(its.account_id),
    )


# ---- what happens to an account afterwards ----


def change_password(connection: Connection, actor: Actor, login: str, old: str, new: str, *, now: datetime) -> bool:
    """One's own password; False when the old one is wrong, which counts as a failed attempt (commit it)."""
    require(actor, Right.SIGNED_IN)
    if actor.name != login:
        raise NotFound(f"没有账号 {login}。 No account {login}.")
    _refuse_password(new, login)
    if sign_in(connection, login, old, now=now) is None:
        return False
    _set_password(connection, actor, login, new, must_change=False)
    return True


def reset_password(connection: Connection, actor: Actor, login: str, new: str) -> None:
    """Someone else's password, to be changed at the next sign-in; their sessions end and a lock is lifted."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_password(new, login)
    _set_password(connection, actor, login, new, must_change=True)


def _set_password(connection: Connection, actor: Actor, login: str, new: str, *, must_change: bool) -> None:
    kept = {"password_hash": _hasher.hash(new), "must_change_password": must_change}
    _change(connection, actor, login, kept | {"failed_attempts": 0, "locked_until": None}, "password")


def set_disabled(connection: Connection, actor: Actor, login: str, disabled: bool) -> None:
    """Shut an account out, or let it in again; its sessions end at once."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    _change(connection, actor, login, {"disabled": disabled}, "disable" if disabled else "enable")


def set_roles(connection: Connection, actor: Actor, login: str, roles: Collection[str]) -> None:
    """Other roles for an account; its sessions end, so that the next one starts with the new rights."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    _refuse_roles(roles, load_organisation(connection, load_account(connection, login).organisation))
    _change(connection, actor, login, {"roles": sorted(roles)}, "roles")


def _refuse_oneself(actor: Actor, login: str) -> None:
    if actor.name == login:
        raise BadRequest("不能更改自己的账号权限。 Nobody changes their own rights.")


def _change(connection: Connection, actor: Actor, login: str, values: dict[str, object], how: str) -> None:
    its = load_account(connection, login)
    connection.execute(update(account).where(account.c.account_id == its.account_id).values(values))
    close_sessions_of(connection, its.account_id)
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", how=how)


def load_account(connection: Connection, login: str) -> Account:
    """The account of this login; NotFound if there is none."""
    row = _row(connection, login)
    if row is None:
        raise NotFound(f"没有账号 {login}。 No account {login}.", login=login)
    return _account(row)


def list_accounts(connection: Connection, actor: Actor) -> list[Account]:
    """Every account, by login."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    return [_account(row) for row in connection.execute(select(account).order_by(account.c.login))]


def _row(connection: Connection, login: str) -> Row[Any] | None:
    return connection.execute(select(account).where(account.c.login == login)).one_or_none()


def _account(row: Row[Any]) -> Account:
    return msgspec.convert(row, Account, from_attributes=True)
