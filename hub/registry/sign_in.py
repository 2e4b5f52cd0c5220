"""Coming in: the password is proved, guesses are counted by account and by address, success is remembered.

Whatever is wrong, the answer is the same None after the same hash; the audit line says why. Rows are held in one
order, the address's before the account's, so that guesses come one after the other and never wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, select, update

from hub import audit
from hub.errors import NotFound
from hub.registry import sign_in_addresses
from hub.registry.accounts import Account, is_only_keeper, load_account, set_password
from hub.registry.lockout import lock_after
from hub.registry.network_addresses import is_within
from hub.registry.organisations import find_organisation
from hub.registry.passwords import ADMINISTRATORS, hash_password, is_outdated, matches
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import AccountPolicy
from hub.tables import account

NOBODY = "-"  # stands for an unknown login: what was typed may be somebody's password
_USUAL = AccountPolicy()


class Attempt(NamedTuple):
    """One try at an account: from where, when, and what the site allows."""

    now: datetime
    policy: AccountPolicy
    address: str


def sign_in(
    connection: Connection,
    login: str,
    password: str,
    *,
    now: datetime,
    policy: AccountPolicy = _USUAL,
    address: str = "",
) -> Account | None:
    """The account, or None for any reason whatever: the caller commits, then refuses with one and the same sentence.

    An account with a second factor is not in yet: ``hub.registry.second_factor.check_code`` lets it in.
    """
    attempt = Attempt(now, policy, address)
    row = prove_password(connection, login, password, attempt)
    if row is None:
        return None
    renewed = _renewed(row, password, attempt)
    if row.totp_confirmed_at is None:
        note_arrival(connection, row, attempt, "sign-in", renewed)
    else:
        _note_step(connection, row, attempt, "password", renewed)
    return load_account(connection, login)


def prove_password(connection: Connection, login: str, password: str, attempt: Attempt) -> Row[Any] | None:
    """The account's row, held, if the password is right and nothing bars it; otherwise one more failure is noted."""
    waiting, row = hold(connection, account.c.login == login, attempt)
    right = matches(row.password_hash if row else None, password)
    why = (
        why_barred(connection, row, attempt.now, waiting)
        or ("" if right else "password")
        or _why_not_from(row, attempt)
    )
    if why:
        note_failure(connection, row, why, attempt)
        return None
    return row


def _why_not_from(row: Row[Any] | None, attempt: Attempt) -> str:
    """The three administrators come from where the site lets them (GB/T 22239-2019: terminals limited by address)."""
    bound = row is not None and bool(ADMINISTRATORS & {*row.roles}) and bool(attempt.policy.administrator_addresses)
    return "place" if bound and not is_within(attempt.address, attempt.policy.administrator_addresses) else ""


def hold(connection: Connection, wanted: ColumnElement[bool], attempt: Attempt) -> tuple[bool, Row[Any] | None]:
    """Whether the address must wait, and the account's row; both are held until the end of the transaction."""
    waiting = sign_in_addresses.is_locked(connection, attempt.address, attempt.now)
    return waiting, connection.execute(select(account).where(wanted).with_for_update()).one_or_none()


def why_barred(connection: Connection, row: Row[Any] | None, now: datetime, waiting: bool) -> str:
    """What bars this account, whatever password comes; "" if nothing does."""
    if waiting:
        return "address-locked"
    if row is None:
        return "unknown"
    its = find_organisation(connection, row.organisation)
    if row.disabled or its is None or not its.enabled:
        return "disabled"
    if row.must_change_password and row.first_password_until is not None and row.first_password_until <= now:
        return "first-password-expired"
    return "locked" if _locked(connection, row, now) else ""


def _locked(connection: Connection, row: Row[Any], now: datetime) -> bool:
    """The only security administrator is never locked: anybody could keep the hub's keeper out."""
    locked = row.locked_until is not None and row.locked_until > now
    return locked and not is_only_keeper(connection, row.account_id)


def note_failure(connection: Connection, row: Row[Any] | None, why: str, attempt: Attempt) -> None:
    """Count it against the address, and against the account if it was a guess; the audit knows why."""
    attempts = 0
    if row is not None and why in ("password", "code"):
        attempts = row.failed_attempts + 1
        kept = {"failed_attempts": attempts, "locked_until": lock_after(attempts, attempt.now, attempt.policy)}
        connection.execute(update(account).where(account.c.account_id == row.account_id).values(kept))
    sign_in_addresses.count_failure(connection, attempt.address, attempt.now, attempt.policy)
    actor = comer(row, attempt)
    what = f"account/{actor.name}"
    audit.record(connection, actor, Right.SIGNED_IN, what, "refused", why=why, failed_attempts=attempts)


def comer(row: Row[Any] | None, attempt: Attempt) -> Actor:
    """Who tries to come in: not yet an actor, without rights."""
    name, organisation = (row.login, row.organisation) if row else (NOBODY, "")
    return Actor(
        name=name, organisation=organisation, kind="", door="panel", rights=frozenset(), address=attempt.address
    )


def note_arrival(connection: Connection, row: Row[Any], attempt: Attempt, how: str, also: Mapping[str, object]) -> None:
    """Somebody is in: failures are forgiven, and when and from where is kept for the next time."""
    kept = {
        "failed_attempts": 0,
        "locked_until": None,
        "previous_signed_in_at": row.last_signed_in_at,
        "previous_signed_in_from": row.last_signed_in_from,
        "last_signed_in_at": attempt.now,
        "last_signed_in_from": attempt.address,
    }
    _note_step(connection, row, attempt, how, kept | {**also})


def _note_step(connection: Connection, row: Row[Any], attempt: Attempt, how: str, kept: Mapping[str, object]) -> None:
    """One step of a sign-in is done. A right password alone forgives nothing: it would give new guesses at the code."""
    if kept:
        connection.execute(update(account).where(account.c.account_id == row.account_id).values(kept))
    audit.record(connection, comer(row, attempt), Right.SIGNED_IN, f"account/{row.login}", how=how)


def _renewed(row: Row[Any], password: str, attempt: Attempt) -> dict[str, object]:
    """A hash of other parameters is made anew; a password past its days must be changed."""
    kept: dict[str, object] = {}
    if is_outdated(row.password_hash):
        kept["password_hash"] = hash_password(password)
    days = attempt.policy.password_days
    if days and (row.password_set_at or row.created_at) + timedelta(days=days) <= attempt.now:
        kept["must_change_password"] = True
    return kept


def prove_oneself(connection: Connection, actor: Actor, password: str, attempt: Attempt) -> bool:
    """The password again, before something that another hand at this keyboard must not do; commit a False too."""
    require(actor, Right.SIGNED_IN)
    return prove_password(connection, actor.name, password, attempt) is not None


def change_password(
    connection: Connection,
    actor: Actor,
    login: str,
    old: str,
    new: str,
    *,
    now: datetime,
    policy: AccountPolicy = _USUAL,
) -> bool:
    """One's own password; False when the old one is wrong, which counts as a failed attempt (commit it)."""
    require(actor, Right.SIGNED_IN)
    if actor.name != login:
        raise NotFound(f"没有账号 {login}。 No account {login}.")
    if prove_password(connection, login, old, Attempt(now, policy, actor.address)) is None:
        return False
    set_password(connection, actor, login, new, policy, must_change=False)
    return True
