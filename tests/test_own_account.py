"""One's own page: where one is signed in, and ending it; nobody else's session is within reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select, update

from admin import own_account
from hub.database import Database, new_uuid
from hub.registry import accounts, sessions
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import account, web_session
from mappings.catalogue import Catalogue
from tests.doors import PASSWORD, Hub, founded_hub

Client = TestClient[Litestar]
OWN = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html", "User-Agent": "Test browser " + "x" * 200}


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        yield client


@pytest.fixture
def elsewhere(hub: Hub) -> Iterator[Client]:
    """Another browser."""
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        yield client


def token_of(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def sign_in(client: Client, login: str, password: str = PASSWORD) -> Any:
    form = {"token": token_of(client.get("/sign-in").text), "login": login, "password": password}
    return client.post("/sign-in", data=form, follow_redirects=False)


def is_in(client: Client) -> bool:
    return client.get("/account", follow_redirects=False).status_code == 200


def end(client: Client, session: object, password: str = PASSWORD) -> int:
    form = {"token": token_of(client.get("/account").text), "session": str(session), "password": password}
    return client.post("/account/sessions/end", data=form, follow_redirects=False).status_code


def session_ids(database: Database, login: str) -> list[Any]:
    query = select(web_session.c.session_id).join(account, account.c.account_id == web_session.c.account_id)
    with database.begin() as connection:
        return list(connection.execute(query.where(account.c.login == login)).scalars())


def test_the_page_shows_who_one_is_and_where_one_is_signed_in(client: Client, elsewhere: Client) -> None:
    sign_in(client, "gongan")
    assert "这是第一次登录" in client.get("/account").text
    sign_in(elsewhere, "gongan")
    page = elsewhere.get("/account").text
    for shown in ("gongan", "云岭区公安分局", "部门报送员", "testclient", "当前会话", "未登记"):
        assert shown in page
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d，来自 testclient", page)
    assert page.count("Test browser") == 2 and "x" * 121 not in page


def test_one_ends_another_of_ones_own_sessions(client: Client, elsewhere: Client, app_database: Database) -> None:
    sign_in(client, "gongan")
    (first,) = session_ids(app_database, "gongan")
    sign_in(elsewhere, "gongan")
    assert end(elsewhere, first) == 303
    assert not is_in(client) and is_in(elsewhere)


def test_one_ends_all_other_sessions(client: Client, elsewhere: Client) -> None:
    sign_in(client, "gongan")
    sign_in(elsewhere, "gongan")
    form = {"token": token_of(elsewhere.get("/account").text), "password": PASSWORD}
    assert elsewhere.post("/account/sessions/end-others", data=form, follow_redirects=False).status_code == 303
    assert not is_in(client) and is_in(elsewhere)


@pytest.mark.parametrize("password", ["wrong-password", ""])
def test_without_the_password_no_session_ends_and_the_try_is_counted(
    client: Client, elsewhere: Client, app_database: Database, password: str
) -> None:
    sign_in(client, "gongan")
    (first,) = session_ids(app_database, "gongan")
    sign_in(elsewhere, "gongan")
    assert end(elsewhere, first, password) == 422
    form = {"token": token_of(elsewhere.get("/account").text), "password": password}
    refused = elsewhere.post("/account/sessions/end-others", data=form)
    assert refused.status_code == 422 and "密码不正确" in refused.text
    assert is_in(client) and is_in(elsewhere)
    with app_database.begin() as connection:
        assert accounts.load_account(connection, "gongan").failed_attempts == 2


def test_without_asking_for_the_password_whoever_finds_the_browser_open_ends_sessions(
    client: Client, elsewhere: Client, app_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_account, "prove_oneself", lambda *_: True)
    sign_in(client, "gongan")
    (first,) = session_ids(app_database, "gongan")
    sign_in(elsewhere, "gongan")
    assert end(elsewhere, first, "wrong-password") == 303
    assert not is_in(client)


def test_signing_out_clears_what_the_browser_kept(client: Client) -> None:
    sign_in(client, "gongan")
    token = token_of(client.get("/account").text)
    answer = client.post("/sign-out", data={"token": token}, follow_redirects=False)
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert "__Host-sid" in answer.headers["set-cookie"]


def test_nobody_ends_anothers_session_by_its_id(client: Client, elsewhere: Client, app_database: Database) -> None:
    sign_in(client, "gongan")
    (its,) = session_ids(app_database, "gongan")
    sign_in(elsewhere, "renshe")
    assert end(elsewhere, its) == end(elsewhere, new_uuid()) == 404
    assert end(elsewhere, "not an id") == 400
    assert is_in(client)


def test_without_the_owner_in_the_question_anothers_session_ends(
    client: Client, elsewhere: Client, app_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack works once the owner is not asked for: so the refusal above is the owner's doing."""
    sign_in(client, "gongan")
    (its,) = session_ids(app_database, "gongan")
    with app_database.begin() as connection:
        owner = accounts.load_account(connection, "gongan").account_id
    sign_in(elsewhere, "renshe")
    really = sessions.end_own_session

    def as_if_the_owner(connection: Any, actor: Any, session_id: Any) -> None:
        really(connection, msgspec.structs.replace(actor, account_id=str(owner)), session_id)

    monkeypatch.setattr(sessions, "end_own_session", as_if_the_owner)
    assert end(elsewhere, its) == 303
    assert not is_in(client)


def test_a_session_id_opens_nothing(client: Client, elsewhere: Client, app_database: Database) -> None:
    sign_in(client, "gongan")
    (its,) = session_ids(app_database, "gongan")
    elsewhere.cookies.set("__Host-sid", str(its))
    assert not is_in(elsewhere)


@pytest.mark.parametrize("fixed", ["before sign-in", "chosen"])
def test_a_value_known_before_the_sign_in_is_worth_nothing_after_it(
    client: Client, elsewhere: Client, fixed: str
) -> None:
    client.get("/sign-in")
    if fixed == "chosen":
        client.cookies.clear()
        client.cookies.set("__Host-sid", "chosen-by-somebody-else")
    known = client.cookies["__Host-sid"]
    sign_in(client, "gongan")
    assert is_in(client)
    elsewhere.cookies.set("__Host-sid", known)
    assert not is_in(elsewhere)


def test_a_session_that_kept_its_value_would_be_taken_over(
    client: Client, elsewhere: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack, with the new value at sign-in taken away."""
    client.get("/sign-in")
    known = client.cookies["__Host-sid"]
    monkeypatch.setattr("hub.registry.sessions.secrets.token_urlsafe", lambda size: known)
    sign_in(client, "gongan")
    elsewhere.cookies.set("__Host-sid", known)
    assert is_in(elsewhere)


def test_a_disabled_account_is_out_with_its_next_click(client: Client, app_database: Database) -> None:
    sign_in(client, "gongan")
    with app_database.begin() as connection:
        accounts.set_disabled(connection, SYSTEM_ACTOR, "gongan", True)
    assert not is_in(client)


def test_an_account_disabled_past_the_hub_is_out_too(client: Client, app_database: Database) -> None:
    sign_in(client, "gongan")
    with app_database.begin() as connection:
        connection.execute(update(account).where(account.c.login == "gongan").values(disabled=True))
    assert not is_in(client)


def test_changing_the_password_ends_every_session(client: Client, elsewhere: Client) -> None:
    sign_in(client, "gongan")
    sign_in(elsewhere, "gongan")
    new = "春江花月夜-1638"
    form = {"token": token_of(client.get("/password").text), "old": PASSWORD, "new": new, "again": new}
    client.post("/password", data=form, follow_redirects=False)
    assert not is_in(client) and not is_in(elsewhere)
    assert sign_in(client, "gongan", new).status_code == 303


def test_a_weak_new_password_is_answered_with_every_reason(client: Client) -> None:
    sign_in(client, "gongan")
    form = {"token": token_of(client.get("/password").text), "old": PASSWORD, "new": "gongan", "again": "gongan"}
    answer = client.post("/password", data=form, follow_redirects=False)
    assert answer.status_code == 422
    assert answer.text.count("<li>") == 4
    client.get("/language/en")
    form["token"] = token_of(client.get("/password").text)
    assert "does not contain the login" in client.post("/password", data=form).text


def test_the_pages_of_an_account_speak_english_too(client: Client) -> None:
    sign_in(client, "gongan")
    client.get("/language/en")
    for path, shown in (("/account", "Signed-in browsers"), ("/account/second-factor", "Enrol the second step")):
        assert shown in client.get(path).text
