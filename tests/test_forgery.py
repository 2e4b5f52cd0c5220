"""Requests somebody else's page makes in our name, and fields somebody adds to ours: refused, and each defence needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

import admin.visits
from admin.visits import Visit
from hub.api.submissions import PostedRows
from hub.database import Database, run_sql
from hub.settings import Settings
from hub.tables import submission, web_session
from mappings.catalogue import Catalogue
from tests.doors import PASSWORD, THIS_MONTH, Hub, csv_of, founded_hub, move_in
from tests.test_panel import OWN, sign_in, token_of

Client = TestClient[Litestar]
HTMX = {"HX-Request": "true", "HX-Current-URL": "https://evil.example/"}
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        sign_in(client, "gongan")
        yield client


def forge(client: Client, token: str, headers: dict[str, str]) -> Any:
    """What an evil page sends: the browser adds the cookie, the page whatever it knows."""
    fields = {"token": token, "record_type": "hukou_move_in", "period": THIS_MONTH}
    files = {"file": ("moves.csv", csv_of(move_in(1)), "text/csv")}
    return client.post("/submissions/new", data=fields, files=files, headers=headers, follow_redirects=False)


def sent(database: Database) -> int:
    with database.begin() as connection:
        return len(connection.execute(select(submission)).all())


# ---- forged requests, with and without htmx ----


@pytest.mark.parametrize("with_htmx", [{}, HTMX], ids=["plain form", "htmx"])
def test_a_foreign_page_sends_nothing_in_our_name(
    client: Client, database: Database, with_htmx: dict[str, str]
) -> None:
    own_token = token_of(client.get("/submissions/new").text)  # even if it had leaked
    assert forge(client, own_token, FOREIGN | with_htmx).status_code == 403
    assert sent(database) == 0


@pytest.mark.parametrize("with_htmx", [{}, HTMX], ids=["plain form", "htmx"])
@pytest.mark.parametrize("token", ["", "guessed", "0" * 64])
def test_our_own_page_sends_nothing_without_its_token(
    client: Client, database: Database, with_htmx: dict[str, str], token: str
) -> None:
    assert forge(client, token, {**OWN, **with_htmx, "X-Form-Token": token}).status_code == 403
    assert sent(database) == 0


def test_another_accounts_token_is_worth_nothing(client: Client, hub: Hub, database: Database) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as other:
        other.headers.update(OWN)
        sign_in(other, "renshe")
        foreign_token = token_of(other.get("/submissions/new").text)
    assert forge(client, foreign_token, OWN).status_code == 403
    assert sent(database) == 0


def test_the_token_goes_with_its_session(client: Client) -> None:
    before = token_of(client.get("/submissions/new").text)
    client.post("/sign-out", data={"token": before})
    sign_in(client, "gongan")
    assert token_of(client.get("/submissions/new").text) != before
    assert forge(client, before, OWN).status_code == 403


def test_without_the_look_at_the_origin_a_leaked_token_would_do(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.visits, "refuse_foreign_origin", lambda connection: None)
    token = token_of(client.get("/submissions/new").text)
    assert forge(client, token, FOREIGN).status_code == 303
    assert sent(database) == 1


def test_without_the_token_an_old_browser_would_do(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Visit, "check_token", lambda self, token: None)
    assert forge(client, "", OWN).status_code == 303
    assert sent(database) == 1


def test_reading_changes_nothing(client: Client, hub: Hub, database: Database) -> None:
    """A foreign page may make the browser GET: no page does anything when it is only read."""
    tables = ("submission", "delivery", "subscription", "idempotency_key")

    def counts() -> list[tuple[object, ...]]:
        with database.begin() as connection:
            return [run_sql(connection, f"SELECT count(*) FROM {{d}}.{table}")[0] for table in tables] + [
                run_sql(connection, f"SELECT count(*) FROM admin.{table}")[0] for table in ("account", "api_key")
            ]

    before = counts()
    for route in hub.app.routes:
        if "GET" in getattr(route, "methods", ()) and "{" not in route.path and not route.path.startswith("/v1"):
            client.get(route.path, headers=FOREIGN)
    assert counts() == before


# ---- fields nobody asked for ----


def test_an_upload_takes_its_own_fields_and_no_other(client: Client, database: Database) -> None:
    extra = {"organisation": "labour", "door": "command", "actor": "root", "state": "merged", "kind": "backfill",
             "received": "99", "submission_id": "0", "operation_id": "x"}  # fmt: skip
    fields = {"token": token_of(client.get("/submissions/new").text), "record_type": "hukou_move_in"}
    files = {"file": ("moves.csv", csv_of(move_in(1)), "text/csv")}
    answer = client.post(
        "/submissions/new", data=fields | {"period": THIS_MONTH} | extra, files=files, follow_redirects=False
    )
    assert answer.status_code == 303
    with database.begin() as connection:
        kept = connection.execute(select(submission)).one()
    assert (kept.organisation, kept.door, kept.actor, kept.state, kept.kind) == (
        "public_security", "upload", "gongan", "received", "regular",
    )  # fmt: skip
    assert kept.received == 0


def test_posted_rows_say_what_they_are_and_not_whose(hub: Hub, client: Client, database: Database) -> None:
    body = {
        "type": "hukou_move_in",
        "rows": [move_in(1)],
        "organisation": "labour",
        "door": "command",
        "kind": "system",
    }
    headers = {**hub.key_of("public_security"), "Idempotency-Key": "1", "Accept": "*/*"}
    assert client.post("/v1/submissions?organisation=labour&actor=root", json=body, headers=headers).status_code == 202
    with database.begin() as connection:
        kept = connection.execute(select(submission)).one()
    assert (kept.organisation, kept.door, kept.kind) == ("public_security", "api", "regular")
    assert {*PostedRows.__struct_fields__} == {"type", "rows", "period"}


def test_signing_in_takes_a_login_and_a_password(client: Client, app_database: Database, hub: Hub) -> None:
    client.cookies.clear()
    form = {"token": token_of(client.get("/sign-in").text), "login": "qingxi", "password": PASSWORD}
    extra = {"roles": "security_administrator", "organisation": "bureau", "account_id": "x", "level": "full"}
    client.post("/sign-in", data=form | extra)
    assert client.get("/board").status_code == 403
    with app_database.begin() as connection:
        opened = connection.execute(select(web_session)).all()
        roles = run_sql(connection, "SELECT roles, organisation FROM admin.account WHERE login = 'qingxi'")
    assert len(opened) == 2
    assert roles == [(["town_officer"], "999001001")]


def test_a_json_body_with_unknown_keys_sets_nothing(hub: Hub, client: Client) -> None:
    acknowledged = {"to_delivery_no": 1, "digest": "x", "subscription_id": "0", "mismatch": False}
    headers = {**hub.key_of("labour"), "Accept": "*/*"}
    answer = client.post("/v1/subscriptions/nobodys/acks", json=acknowledged, headers=headers)
    assert answer.status_code == 404


def test_a_form_of_a_foreign_page_acknowledges_nothing(hub: Hub, client: Client) -> None:
    """A browser with a client certificate sends what a form can send: not JSON that says it is JSON."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {**hub.key_of("labour"), "Accept": "*/*", "Content-Type": kind}
        body = b'{"to_delivery_no": 1, "digest": "x"}'
        assert client.post("/v1/subscriptions/any/acks", content=body, headers=headers).status_code == 415


def test_a_page_left_open_leaves_the_screen_with_its_session(client: Client, hub: Hub) -> None:
    told = client.get("/submissions?period=2026-10").headers["refresh"]
    idle = hub.settings.accounts.idle_minutes * 60
    assert told == f"{idle + 5}; url=/sign-in?next=/submissions%3Fperiod%3D2026-10&idle=true"
    client.cookies.clear()
    assert "refresh" not in client.get("/sign-in").headers
