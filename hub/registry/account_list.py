"""Looking at accounts: who may see whose, and the list searched and filtered."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Connection, func, literal_column, or_, select

from hub.database import utc_now
from hub.errors import NotFound
from hub.registry.accounts import Account, find_account
from hub.registry.list_order import in_order
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import account

AccountState = Literal["usable", "locked", "disabled", "closed"]
STATES: tuple[AccountState, ...] = get_args(AccountState)
LONGEST_LIST = 500
ACCOUNT_ORDERS: dict[str, ColumnElement[Any]] = {
    **{name: account.c[name] for name in ("login", "name", "organisation", "created_at")},
    "last_signed_in_at": func.coalesce(account.c.last_signed_in_at, literal_column("timestamptz '-infinity'")),
}
_SEE_ALL = (Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.OPERATE)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts: of this login or name, organisation, role and state; empty is any."""

    text: str = ""
    organisation: str = ""
    role: str = ""
    state: str = ""


def list_accounts(
    connection: Connection, actor: Actor, wanted: Wanted | None = None, after: str = "", limit: int = LONGEST_LIST,
    *, sort: str = "login",
) -> list[Account]:  # fmt: skip
    """Accounts in one of ACCOUNT_ORDERS, the first 500 behind the login ``after``; a data officer's are their own unit's."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.OPERATE, Right.ASK_OWN_ACCESS)
    seen = select(account, func.cardinality(account.c.recovery_digests).label("recovery_codes"))
    if not _sees_all(actor):
        seen = seen.where(account.c.organisation == actor.organisation)
    query = seen.where(*_conditions(wanted or Wanted(), utc_now()))
    query = in_order(query, ACCOUNT_ORDERS, sort, account.c.login, after or None, seen)
    rows = connection.execute(query.limit(limit))
    return [msgspec.convert(row, Account, from_attributes=True) for row in rows]


def see_account(connection: Connection, actor: Actor, login: str) -> Account:
    """One account; for a data officer, another organisation's is as good as none: NotFound."""
    require(actor, Right.MANAGE_ACCOUNTS, Right.ASK_ACCESS, Right.OPERATE, Right.ASK_OWN_ACCESS)
    its = find_account(connection, login)
    if its is None or not (_sees_all(actor) or its.organisation == actor.organisation):
        raise NotFound("没有此账号，或不属于本单位。 There is no such account, or not in your organisation.")
    return its


def state_of(its: Account, now: datetime) -> AccountState:
    """What keeps an account out, or that nothing does."""
    if its.closed:
        return "closed"
    if its.disabled:
        return "disabled"
    return "locked" if its.locked_until is not None and its.locked_until > now else "usable"


def _sees_all(actor: Actor) -> bool:
    return any(actor.may(right) for right in _SEE_ALL)


def _conditions(wanted: Wanted, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if text := wanted.text.strip():
        found.append(or_(*(each.icontains(text, autoescape=True) for each in (account.c.login, account.c.name))))
    if wanted.organisation:
        found.append(account.c.organisation == wanted.organisation)
    if wanted.role:
        found.append(account.c.roles.contains([wanted.role]))
    return [*found, *_in_state(wanted.state, now)]


def _in_state(state: str, now: datetime) -> list[ColumnElement[bool]]:
    """The same as ``state_of``, for the database."""
    closed, disabled = func.cardinality(account.c.roles) == 0, account.c.disabled
    locked = func.coalesce(account.c.locked_until > now, False)
    states: dict[str, list[ColumnElement[bool]]] = {
        "closed": [closed],
        "disabled": [~closed, disabled],
        "locked": [~closed, ~disabled, locked],
        "usable": [~closed, ~disabled, ~locked],
    }
    return states.get(state, [])
