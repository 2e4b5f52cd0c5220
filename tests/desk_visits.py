"""Visitors of the administrators' desks: one browser each, signed in without the slow hash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub.database import Database, run_sql, utc_now
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.sessions import open_session
from hub.tables import access_request, account, api_key, organisation
from tests.doors import Hub, open_account

STAFF = (
    ("xitong", "bureau", "system_administrator"),
    ("anquan", "bureau", "security_administrator"),
    ("shuju", "labour", "data_officer"),
    ("weishu", "health", "data_officer"),
    ("lingdao", "bureau", "bureau_leader"),
)
_TOKEN = "SELECT convert_from(content, 'UTF8') FROM admin.web_session WHERE account_id = :id"


@dataclass(frozen=True)
class Visitor:
    """Somebody at their own browser."""

    client: TestClient[Litestar]
    headers: dict[str, str]
    token: str

    def get(self, path: str, language: str = "zh") -> Any:
        self.client.cookies.clear()
        cookie = f"{self.headers['Cookie']}; __Host-lang={language}"
        return self.client.get(path, headers=self.headers | {"Cookie": cookie}, follow_redirects=False)

    def post(self, path: str, **form: str) -> Any:
        return self.send(path, {"token": self.token} | form)

    def send(self, path: str, form: dict[str, str]) -> Any:
        """A form as it is, with or without its token."""
        self.client.cookies.clear()
        return self.client.post(path, data=form, headers=self.headers, follow_redirects=False)


def add_staff(hub: Hub) -> None:
    with hub.served.begin() as connection:
        for login, organisation, role in STAFF:
            open_account(connection, login, organisation, role)


def visitor(hub: Hub, client: TestClient[Litestar], login: str) -> Visitor:
    with hub.served.begin() as connection:
        account_id = connection.execute(select(account.c.account_id).where(account.c.login == login)).scalar_one()
        run_sql(connection, "DELETE FROM admin.web_session WHERE account_id = :id RETURNING 1", id=account_id)
        value = open_session(connection, account_id, utc_now())
        token = str(run_sql(connection, _TOKEN, id=account_id)[0][0])
    headers = {"Cookie": f"__Host-sid={value}", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    return Visitor(client, headers, token)


def row_of(database: Database, login: str) -> Any:
    with database.begin() as connection:
        return connection.execute(select(account).where(account.c.login == login)).one_or_none()


def everything_kept(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every table the desks may write, whole."""
    with database.begin() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in (account, access_request, api_key, organisation)
        }


def secret_in(page: str) -> str:
    found = re.search(r'<code class="secret" data-text>([^<]+)</code>', page)
    assert found, page
    return found.group(1)


def request_in(visitor: Visitor) -> str:
    """The id of the newest request on the list."""
    found = re.search(r'href="/access-requests/([0-9a-f-]{36})"', visitor.get("/access-requests?which=all").text)
    assert found
    return found.group(1)


def enter_school(hub: Hub) -> None:
    """One more organisation, so that disabling it harms nobody else."""
    with hub.served.begin() as connection:
        one = Organisation(code="education", district=hub.settings.district, name="云岭区教育局", kind="department")
        save_organisation(connection, SYSTEM_ACTOR, one)
