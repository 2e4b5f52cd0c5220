"""Lists page by page in any order their statement knows: nothing twice, nothing left out, the same as all at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from hub.casework.round_progress import summaries
from hub.database import Database, new_uuid, run_sql, utc_now
from hub.desks.organisations import WantedUnits, list_units
from hub.registry import account_list, list_order, requests
from hub.registry.permissions import SYSTEM_ACTOR
from hub.sharing import certificates
from hub.sharing.certificates import CERTIFICATE_ORDERS, WantedCertificates
from hub.tables import access_request, account, certificate, organisation, subscription
from tests.district import actor, found
from tests.doors import open_account

KEEPER, BUREAU = actor("bureau", "security_administrator"), actor("bureau", "bureau_operator")
Page = Callable[[Any], list[Any]]


@pytest.fixture
def connection(database: Database) -> Any:
    with database.begin() as connection:
        found(connection)
        yield connection


def walked(page: Page, key: Callable[[Any], Any]) -> list[Any]:
    """From page to page until one is empty."""
    keys: list[Any] = []
    while rows := page(keys[-1] if keys else None):
        keys += [key(row) for row in rows]
    return keys


def both(names: Any) -> list[str]:
    return [f"{sign}{name}" for name in names for sign in ("", "-")]


def some_accounts(connection: Connection) -> None:
    """Some of one unit and one moment, so that their key alone tells them apart; most never signed in."""
    for number in range(7):
        open_account(connection, f"wang-{number}", ("bureau", "health")[number % 2], "department_clerk")
    connection.execute(update(account).values(created_at=utc_now(), name="王芳"))
    connection.execute(update(account).where(account.c.login == "wang-3").values(last_signed_in_at=utc_now()))


@pytest.mark.parametrize("sort", both(account_list.ACCOUNT_ORDERS))
def test_accounts_in_any_order_come_once_each(connection: Connection, sort: str) -> None:
    some_accounts(connection)

    def page(after: str | None) -> list[Any]:
        return account_list.list_accounts(connection, KEEPER, after=after or "", limit=2, sort=sort)

    at_once = [one.login for one in account_list.list_accounts(connection, KEEPER, sort=sort)]
    assert walked(page, lambda one: one.login) == at_once
    assert len(set(at_once)) == len(at_once) >= 7


@pytest.mark.parametrize("sort", both(requests.REQUEST_ORDERS))
def test_requests_in_any_order_come_once_each(connection: Connection, sort: str) -> None:
    asked = {"act": "reset_password", "reason": "忘记密码", "asked_by": "lan"}
    rows = [asked | {"request_id": new_uuid(), "object": str(n), "asked_at": moment(n // 3)} for n in range(7)]
    connection.execute(insert(access_request), rows)

    def page(after: Any) -> list[Any]:
        return requests.list_requests(connection, KEEPER, sort=sort, after=after, limit=2)

    at_once = [one.request_id for one in requests.list_requests(connection, KEEPER, sort=sort)]
    assert walked(page, lambda one: one.request_id) == at_once
    assert len(at_once) == 7


def moment(days: int) -> datetime:
    return utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


@pytest.mark.parametrize("sort", both(CERTIFICATE_ORDERS))
def test_certificates_in_any_order_come_once_each(connection: Connection, sort: str) -> None:
    some_certificates(connection)

    def page(after: Any) -> list[Any]:
        wanted = WantedCertificates(sort=sort, after=after)
        return certificates.list_certificates(connection, BUREAU, wanted, limit=2)

    at_once = certificates.list_certificates(connection, BUREAU, WantedCertificates(sort=sort))
    assert walked(page, lambda one: one.certificate_no) == [one.certificate_no for one in at_once]
    assert len(at_once) == 6
    assert certificates.list_certified(connection, BUREAU) == ["a", "b"]


def some_certificates(connection: Connection) -> None:
    """Three a subscription, of one month and with the same figures."""
    for code in ("a", "b"):
        subscription_id = new_uuid()
        row = {
            "subscription_id": subscription_id,
            "code": code,
            "title": code,
            "organisation": "health",
            "state": "active",
        }
        filled = {"providers": ["public_security"], "epoch": "1", "start_seq": 0, "version": 1, "created_at": utc_now()}
        known = {name: value for name, value in (row | filled).items() if name in subscription.c}
        connection.execute(insert(subscription), [known])
        figures = dict.fromkeys(("expected", "sent", "fetched", "acknowledged"), 1)
        connection.execute(
            insert(certificate),
            [
                figures | {"certificate_no": f"ZM-{code}{n}", "subscription_id": subscription_id, "period": "2026-09"}
                | {"closed": True, "content": {}, "issued_at": moment(n // 2), "issued_by": "hub"} for n in range(3)
            ],
        )  # fmt: skip


def test_without_the_key_rows_of_one_moment_are_lost(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    some_accounts(connection)
    monkeypatch.setattr(list_order, "tuple_", lambda column, _: column)
    monkeypatch.setattr(account_list, "in_order", list_order.in_order)

    def page(after: str | None) -> list[Any]:
        return account_list.list_accounts(connection, KEEPER, after=after or "", limit=2, sort="created_at")

    assert len(walked(page, lambda one: one.login)) == 2


def test_what_was_decided_or_closed_meanwhile_ends_no_list(connection: Connection) -> None:
    """The last row of a page leaves the filter before the next page is asked for."""
    some_accounts(connection)
    usable = account_list.Wanted(state="usable")
    first, *others = (one.login for one in account_list.list_accounts(connection, KEEPER, usable))
    connection.execute(update(account).where(account.c.login == first).values(disabled=True))
    assert [one.login for one in account_list.list_accounts(connection, KEEPER, usable, after=first)] == others

    asked = {"act": "reset_password", "reason": "忘记密码", "asked_by": "lan"}
    newest, *older = ids = [new_uuid() for _ in range(3)]
    rows = [asked | {"request_id": one, "object": str(n), "asked_at": moment(n)} for n, one in enumerate(ids)]
    connection.execute(insert(access_request), rows)
    its = access_request.c.request_id == newest
    connection.execute(update(access_request).where(its).values(state="withdrawn", decided_at=utc_now()))
    waiting = requests.list_requests(connection, KEEPER, "waiting", after=newest)
    assert [one.request_id for one in waiting] == older

    district = connection.scalars(select(organisation.c.district)).first() or ""

    def units(after: str = "") -> list[str]:
        return [one.code for one in list_units(connection, BUREAU, district, WantedUnits(state="on", after=after))]

    switched_off, *left = units()
    connection.execute(update(organisation).where(organisation.c.code == switched_off).values(enabled=False))
    assert left and units(after=switched_off) == left


def test_rounds_before_a_month_are_the_older_ones(connection: Connection) -> None:
    for month in ("2026-07", "2026-08", "2026-09"):
        run_sql(connection, _ROUND, id=new_uuid(), month=month, at=utc_now())
    assert [one.month for one in summaries(connection, SYSTEM_ACTOR, newest=2)] == ["2026-09", "2026-08"]
    assert [one.month for one in summaries(connection, SYSTEM_ACTOR, newest=2, before="2026-08")] == ["2026-07"]


_ROUND = """
INSERT INTO {d}.monthly_round (round_id, month, epoch, state, opened_at, opened_by, due_on, after_seq, up_to_seq)
VALUES (:id, :month, '1', 'open', :at, 'hub', CAST(:at AS timestamptz)::date, 0, 0)
"""
