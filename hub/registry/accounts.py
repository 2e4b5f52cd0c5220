"""People's accounts: created, given roles, disabled, and closed without residue when somebody leaves."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.organisations import Organisation, find_organisation, load_organisation
from hub.registry.passwords import (
    ADMINISTRATORS,
    UNUSABLE,
    first_password_until,
    hash_password,
    new_password,
    refuse_unfit,
)
from hub.registry.permissions import ROLES, Actor, Right
from hub.registry.rights import require
from hub.registry.sessions import close_sessions_of
from hub.settings import AccountPolicy
from hub.tables import access_request, account, organisation

_KEEPER = "security_administrator"
_LOGIN = re.compile(r"\w(?:[\w.@-]{0,62}\w)?")
_LONG_NUMBER = re.compile(r"\d{11}")  # a login is written into the audit: no telephone or identity number
_USUAL = AccountPolicy()

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

_SHOWN = select(account, func.cardinality(account.c.recovery_digests).label("recovery_codes"))
_WHO_ACTS = _SHOWN.where(account.c.account_id == bindparam("who"))  # written once: every page asks it


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person's account; the password's hash and the second factor's secret stay in the table."""

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
    created_at: datetime
    password_set_at: datetime | None
    first_password_until: datetime | None
    totp_confirmed_at: datetime | None
    recovery_codes: int  # how many are left
    last_signed_in_at: datetime | None
    previous_signed_in_at: datetime | None
    previous_signed_in_from: str

    def rights(self) -> frozenset[Right]:
        return frozenset(right for role in self.roles for right in ROLES.get(role, frozenset()))

    @property
    def has_second_factor(self) -> bool:
        return self.totp_confirmed_at is not None

    @property
    def closed(self) -> bool:
        return not self.roles

    def must_enrol(self, policy: AccountPolicy) -> bool:
        """Whether a second factor is asked of its roles and is still missing."""
        return not self.has_second_factor and bool({*self.roles} & {*policy.second_factor_roles})


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
    policy: AccountPolicy = _USUAL,
) -> Account:
    """A new account. The first password is to be changed unless said otherwise."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    refuse_roles(roles, load_organisation(connection, organisation))
    refuse_login(connection, login)
    refuse_unfit(password, login, policy, roles=roles, about=(name, organisation))
    now = utc_now()
    row = {
        "account_id": new_uuid(),
        "login": login,
        "name": name,
        "organisation": organisation,
        "roles": sorted(roles),
        "password_hash": hash_password(password),
        "must_change_password": must_change_password,
        "language": language,
        "created_at": now,
        "password_set_at": now,
        "first_password_until": first_password_until(policy, now) if must_change_password else None,
    }
    connection.execute(insert(account), [row])
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", roles=sorted(roles), how="create")
    return load_account(connection, login)


def refuse_roles(roles: Collection[str], its: Organisation) -> None:
    """BadRequest for unknown roles, roles that exclude each other, and roles not for this kind of organisation.

    The three administrators exclude each other, and none of them sees business data (等保三级); the table says so too.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise BadRequest(f"请选择一个或多个已有的角色{_listed(unknown)}。 Give one or more known roles.", roles=unknown)
    if ADMINISTRATORS & {*roles} and len({*roles}) > 1:
        raise BadRequest(
            "三员互斥，且不得兼任业务角色。 An administrator or auditor holds that one role only.", roles=sorted(roles)
        )
    foreign = [role for role in roles if its.kind not in ROLE_KINDS[role]]
    if foreign:
        raise BadRequest(f"{its.name} 不能有角色 {foreign}。 {its.code} cannot hold these roles.", roles=foreign)


def _listed(unknown: list[str]) -> str:
    return f"，没有：{'、'.join(unknown)}" if unknown else ""


def refuse_login(connection: Connection, login: str) -> None:
    """BadRequest for what is no login, Conflict for one that was ever given: a closed account's stays reserved."""
    if not _LOGIN.fullmatch(login) or _LONG_NUMBER.search(login):
        raise BadRequest(
            "登录名为 1–64 位文字、数字或 . _ - @，不含空格，也不含 11 位以上的号码。"
            " A login has 1 to 64 letters, digits or . _ - @, no spaces and no number of 11 digits or more.",
            login=login,
        )
    if _row(connection, login) is not None:
        raise Conflict(f"登录名 {login} 已存在。 The login {login} is taken.", login=login)


# ---- who acts ----


def actor_of(
    connection: Connection,
    account_id: UUID,
    door: str,
    *,
    policy: AccountPolicy = _USUAL,
    address: str = "",
) -> Actor | None:
    """Who acts in this session; None once the account or its organisation is disabled."""
    found = who_acts(connection, account_id, door, policy, address)
    return found[0] if found else None


def who_acts(
    connection: Connection, account_id: UUID, door: str, policy: AccountPolicy, address: str
) -> tuple[Actor, Organisation] | None:
    """Who acts and for which organisation, read together: a panel asks it at every request."""
    row = connection.execute(_WHO_ACTS, {"who": account_id}).one_or_none()
    if row is None or row.disabled:
        return None
    its = find_organisation(connection, row.organisation)
    return (_actor(_account(row), its, door, policy, address), its) if its and its.enabled else None


def as_now(connection: Connection, asked: Actor, policy: AccountPolicy) -> Actor:
    """Whoever asked for something earlier, with the rights of now; NotAllowed once their account or unit is another's."""
    row = _row(connection, asked.name)
    found = who_acts(connection, row.account_id, asked.door, policy, asked.address) if row else None
    if found is None or found[0].organisation != asked.organisation:
        raise NotAllowed()
    return found[0]


def _actor(its: Account, organisation: Organisation, door: str, policy: AccountPolicy, address: str) -> Actor:
    """Before the first password is changed and the second factor enrolled, one may do nothing else."""
    unfinished = its.must_change_password or its.must_enrol(policy)
    return Actor(
        name=its.login,
        organisation=organisation.code,
        kind=organisation.kind,
        door=door,
        rights=frozenset({Right.SIGNED_IN}) if unfinished else its.rights(),
        area_id=organisation.area_id,
        account_id=str(its.account_id),
        address=address,
    )


# ---- what happens to an account afterwards ----


def reset_password(
    connection: Connection, actor: Actor, login: str, new: str, *, policy: AccountPolicy = _USUAL
) -> None:
    """Someone else's password, to be changed at the next sign-in; their sessions end and a lock is lifted."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    refuse_closed(load_account(connection, login))
    set_password(connection, actor, login, new, policy, must_change=True)


def give_new_password(connection: Connection, actor: Actor, login: str, policy: AccountPolicy = _USUAL) -> str:
    """A random one in place of a forgotten one: shown once, to whoever reset it."""
    its = load_account(connection, login)
    password = new_password(policy, its.roles, login, (its.name, its.organisation))
    reset_password(connection, actor, login, password, policy=policy)
    return password


def set_password(
    connection: Connection, actor: Actor, login: str, new: str, policy: AccountPolicy, *, must_change: bool
) -> None:
    """The new hash in place of the old one, which is remembered so that it does not come back; sessions end."""
    row = _held(connection, login)
    former = [row.password_hash, *row.password_history]
    about, remembered = (row.name, row.organisation), former[: policy.password_history + 1]
    refuse_unfit(new, login, policy, roles=row.roles, former=remembered, about=about)
    now = utc_now()
    kept = {
        "password_hash": hash_password(new),
        "must_change_password": must_change,
        "password_set_at": now,
        "first_password_until": first_password_until(policy, now) if must_change else None,
        "password_history": former[: policy.password_history],
    }
    _change(connection, actor, login, kept | NO_LOCK, "password")


def set_disabled(connection: Connection, actor: Actor, login: str, disabled: bool) -> None:
    """Shut an account out, or let it in again; its sessions end at once.

    Cutting off does not wait for a second person; letting in again does (hub.registry.requests).
    """
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE, *([Right.ASK_ACCESS] if disabled else []))
    _refuse_oneself(actor, login)
    its = load_account(connection, login)
    if disabled:
        _refuse_last_keeper(connection, actor, its)
    else:
        refuse_closed(its)
    _change(connection, actor, login, {"disabled": disabled}, "disable" if disabled else "enable")


def set_roles(connection: Connection, actor: Actor, login: str, roles: Collection[str]) -> None:
    """Other roles for an account; its sessions end, so that the next one starts with the new rights."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    its = load_account(connection, login)
    refuse_closed(its)
    refuse_roles(roles, load_organisation(connection, its.organisation))
    if _KEEPER not in roles:
        _refuse_last_keeper(connection, actor, its)
    raised = bool(ADMINISTRATORS & {*roles} - {*its.roles})  # an administrator's password must be longer
    kept = {"roles": sorted(roles), "must_change_password": its.must_change_password or raised}
    _change(connection, actor, login, kept, "roles")


def end_sessions(connection: Connection, actor: Actor, login: str) -> None:
    """Sign somebody else out everywhere; one's own sessions are ended with one's password."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    _change(connection, actor, login, {}, "end-sessions")


def close_account(connection: Connection, actor: Actor, login: str) -> None:
    """Somebody leaves: nothing of theirs opens anything any more. The login stays reserved for the audit's sake."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    its = load_account(connection, login)
    _refuse_last_keeper(connection, actor, its)
    wiped = {"password_hash": UNUSABLE, "password_history": [], "roles": [], "disabled": True}
    kept = wiped | NO_SECOND_FACTOR | NO_LOCK
    connection.execute(update(account).where(account.c.account_id == its.account_id).values(kept))
    close_sessions_of(connection, its.account_id)
    waiting = (access_request.c.asked_by == login, access_request.c.state == "waiting")
    gone = connection.execute(update(access_request).where(*waiting).values(state="withdrawn", decided_at=utc_now()))
    what = f"account/{login}"
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, what, how="close", requests_withdrawn=gone.rowcount)


NO_LOCK: dict[str, object] = {"failed_attempts": 0, "locked_until": None}
NO_SECOND_FACTOR: dict[str, object] = {
    "totp_sealed": None,
    "totp_confirmed_at": None,
    "totp_last_step": None,
    "recovery_digests": [],
}


def reset_second_factor(connection: Connection, actor: Actor, login: str) -> None:
    """Someone lost theirs: it is forgotten, to be enrolled anew at the next sign-in; their sessions end."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    _change(connection, actor, login, NO_SECOND_FACTOR, "reset-second-factor")


def unlock_account(connection: Connection, actor: Actor, login: str) -> None:
    """Let somebody try again at once after too many wrong passwords; the address they came from still waits."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.OPERATE)
    _refuse_oneself(actor, login)
    its = load_account(connection, login)
    connection.execute(update(account).where(account.c.account_id == its.account_id).values(NO_LOCK))
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", how="unlock")


def _refuse_oneself(actor: Actor, login: str) -> None:
    if actor.name == login:
        raise BadRequest("不能更改自己的账号权限。 Nobody changes their own rights.")


def refuse_closed(its: Account) -> None:
    """Conflict for an account somebody left behind: it is never opened again."""
    if its.closed:
        raise Conflict(f"账号 {its.login} 已注销，请另开新账号。 {its.login} is closed: open a new account.")


def _refuse_last_keeper(connection: Connection, actor: Actor, its: Account) -> None:
    """The keepers' rows are held, so that two of them cannot cut each other off at the same time."""
    if not actor.may(Right.OPERATE) and _keepers(connection, hold=True) == [its.account_id]:
        raise Conflict("不能停用唯一的安全管理员。 The only security administrator stays: appoint another one first.")


def is_only_keeper(connection: Connection, account_id: UUID) -> bool:
    """Whether this is the one enabled security administrator the hub has."""
    return _keepers(connection, hold=False) == [account_id]


def _keepers(connection: Connection, *, hold: bool) -> list[UUID]:
    query = (
        select(account.c.account_id)
        .join(organisation, organisation.c.code == account.c.organisation)
        .where(account.c.roles.contains([_KEEPER]), account.c.disabled.is_(False), organisation.c.enabled)
        .order_by(account.c.account_id)
    )
    return list(connection.execute(query.with_for_update(of=account) if hold else query).scalars())


def _change(connection: Connection, actor: Actor, login: str, values: dict[str, object], how: str) -> None:
    its = load_account(connection, login)
    if values:
        connection.execute(update(account).where(account.c.account_id == its.account_id).values(values))
    close_sessions_of(connection, its.account_id)
    audit.record(connection, actor, Right.MANAGE_ACCOUNTS, f"account/{login}", how=how)


# ---- looking ----


def find_account(connection: Connection, login: str) -> Account | None:
    """The account of this login, if there is one."""
    row = _row(connection, login)
    return _account(row) if row else None


def load_account(connection: Connection, login: str) -> Account:
    """The account of this login; NotFound if there is none."""
    its = find_account(connection, login)
    if its is None:
        raise NotFound(f"没有账号 {login}。 No account {login}.", login=login)
    return its


def _row(connection: Connection, login: str) -> Row[Any] | None:
    return connection.execute(_SHOWN.where(account.c.login == login)).one_or_none()


def _held(connection: Connection, login: str) -> Row[Any]:
    load_account(connection, login)
    return connection.execute(select(account).where(account.c.login == login).with_for_update()).one()


def _account(row: Row[Any]) -> Account:
    return msgspec.convert(row, Account, from_attributes=True)
