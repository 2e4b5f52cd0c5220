"""People with accounts in the small fictitious district: opened, signed in, and asked who they act as."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from hub.database import Database, utc_now
from hub.registry import accounts
from hub.registry.permissions import SYSTEM_ACTOR, Actor
from hub.registry.sign_in import sign_in
from hub.settings import AccountPolicy
from hub.tables import audit as audit_table

PASSWORD = "Correct-7-horse-battery"
POLICY = AccountPolicy(second_factor_roles=())


def create(
    database: Database, login: str = "wang", organisation: str = "labour", role: str = "department_clerk"
) -> accounts.Account:
    with database.begin() as connection:
        return accounts.create_account(
            connection,
            SYSTEM_ACTOR,
            login=login,
            name="王某",
            organisation=organisation,
            roles=[role],
            password=PASSWORD,
            must_change_password=False,
        )


def come_in(
    database: Database,
    login: str = "wang",
    password: str = PASSWORD,
    *,
    address: str = "",
    later: timedelta = timedelta(),
    policy: AccountPolicy = POLICY,
) -> accounts.Account | None:
    with database.begin() as connection:
        return sign_in(connection, login, password, now=utc_now() + later, policy=policy, address=address)


def acting(database: Database, login: str = "wang", policy: AccountPolicy = POLICY) -> Actor:
    with database.begin() as connection:
        its = accounts.load_account(connection, login)
        found = accounts.actor_of(connection, its.account_id, "panel", policy=policy, address="10.9.8.7")
    assert found is not None
    return found


def refusals(database: Database) -> list[Any]:
    """Audit lines of what was refused, as the owner reads them."""
    with database.read() as connection:
        return list(connection.execute(select(audit_table).where(audit_table.c.outcome == "refused")))
