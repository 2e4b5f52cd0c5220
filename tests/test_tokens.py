"""Short-lived tokens: who gets one, for what, for how long, and how it dies."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import func, select, update

from hub.database import Database, utc_now
from hub.registry import machine_identity, tokens
from hub.registry.api_keys import issue_key, register_certificate, revoke_key
from hub.registry.organisations import set_enabled
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.settings import Settings
from hub.tables import access_token, api_key, audit
from mappings.catalogue import Catalogue
from tests.certificates import certificate_of, der_of
from tests.district import found
from tests.doors import application_over
from tests.peers import client_at

SYSTEM, PROXY, STRANGER = "10.20.1.1", "10.0.0.5", "203.0.113.9"
SCOPES = (Right.READ_SUBMISSION, Right.SUBMIT)
Client = TestClient[Any]


@pytest.fixture
def hub(app_database: Database) -> Database:
    with app_database.begin() as connection:
        found(connection)
    return app_database


@pytest.fixture
def app(hub: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Litestar]:
    behind_proxy = msgspec.structs.replace(settings, trusted_proxies=(PROXY,))
    with application_over(behind_proxy, hub, catalogue) as app:
        yield app


@pytest.fixture
def client(app: Litestar) -> Iterator[Client]:
    with client_at(app, SYSTEM) as client:
        yield client


@pytest.fixture
def proxy(app: Litestar) -> Iterator[Client]:
    with client_at(app, PROXY) as proxy:
        yield proxy


@pytest.fixture
def key(hub: Database) -> tuple[str, str]:
    """Client id and secret of a key for sending and reading, from one network."""
    with hub.begin() as connection:
        text = issue_key(
            connection,
            SYSTEM_ACTOR,
            organisation="labour",
            title="就业系统",
            scopes=SCOPES,
            allowed_addresses=["10.20.0.0/16"],
        ).text
    start, prefix, secret = text.split("_", 2)
    return f"{start}_{prefix}", secret


def ask(client: Client, key: tuple[str, str] | None, headers: dict[str, str] | None = None, **form: str) -> Any:
    basic = base64.b64encode(":".join(key).encode()).decode() if key else ""
    sent = {**({"Authorization": f"Basic {basic}"} if key else {}), **(headers or {})}
    return client.post("/v1/oauth/token", data={"grant_type": "client_credentials", **form}, headers=sent)


def token(client: Client, key: tuple[str, str], **form: str) -> str:
    answer = ask(client, key, **form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def status_with(client: Client, text: str, path: str = "/v1/submissions", **headers: str) -> int:
    return client.get(path, headers={"Authorization": f"Bearer {text}", **headers}).status_code


# ---- granted ----


def test_a_key_is_traded_for_a_token_that_opens_what_the_key_opens(client: Client, key: tuple[str, str]) -> None:
    answer = ask(client, key)
    granted = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (granted["token_type"], granted["expires_in"], granted["scope"]) == ("Bearer", 600, "read-submission submit")
    assert granted["access_token"].startswith("hubt_") and len(granted["access_token"]) >= 48
    assert status_with(client, granted["access_token"]) == 200


def test_id_and_secret_may_stand_in_the_body(client: Client, key: tuple[str, str]) -> None:
    assert ask(client, None, client_id=key[0], client_secret=key[1]).status_code == 200


def test_a_token_is_kept_as_a_digest_only(client: Client, key: tuple[str, str], owner_database: Database) -> None:
    text = token(client, key)
    with owner_database.begin() as connection:
        kept = connection.execute(select(access_token)).one()
    assert text not in str(kept) and text.removeprefix("hubt_").encode() not in bytes(kept.token_digest)


def test_a_token_with_fewer_scopes_does_less_than_its_key(client: Client, key: tuple[str, str]) -> None:
    narrow = token(client, key, scope="submit")
    assert status_with(client, "_".join(key)) == 200
    assert status_with(client, narrow) == 403


def test_a_token_asked_for_with_more_than_the_key_has_is_not_issued(
    client: Client, key: tuple[str, str], hub: Database
) -> None:
    answer = ask(client, key, scope="submit pull-slice")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert ask(client, key, scope="submit manage-accounts").json()["error"] == "invalid_scope"
    with hub.begin() as connection:
        assert connection.execute(select(func.count()).select_from(access_token)).scalar_one() == 0


def test_scopes_written_past_the_grant_open_nothing(
    client: Client, key: tuple[str, str], hub: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rights of a token are cut at every use; without that cut, a token row with more scopes opens more."""
    text = token(client, key, scope="submit")
    more = [*(str(right) for right in SCOPES), "pull-slice", "manage-accounts"]
    with hub.begin() as connection:
        connection.execute(update(access_token).values(scopes=more))
        rights = _rights(machine_identity.actor_of_token(connection, text, now=utc_now(), address=SYSTEM))
        assert rights == {*SCOPES, Right.SIGNED_IN}
        monkeypatch.setattr(machine_identity, "_narrowed", _as_the_token_says)
        rights = _rights(machine_identity.actor_of_token(connection, text, now=utc_now(), address=SYSTEM))
    assert Right.MANAGE_ACCOUNTS in rights


def _rights(actor: Actor | None) -> frozenset[Right]:
    return actor.rights if actor else frozenset()


def _as_the_token_says(actor: Actor, scopes: list[str]) -> Actor:
    return msgspec.structs.replace(actor, rights=frozenset(map(Right, scopes)))


# ---- how it dies ----


def test_a_token_is_over_after_its_minutes(client: Client, key: tuple[str, str], hub: Database) -> None:
    text, now = token(client, key), utc_now()
    with hub.begin() as connection:
        later = [now + timedelta(minutes=minutes) for minutes in (9, 11)]
        found_as = [machine_identity.actor_of_token(connection, text, now=at, address=SYSTEM) for at in later]
    assert found_as[0] is not None and found_as[1] is None


def test_a_token_dies_with_its_key(client: Client, key: tuple[str, str], hub: Database) -> None:
    text = token(client, key)
    assert status_with(client, text) == 200
    with hub.begin() as connection:
        revoke_key(connection, SYSTEM_ACTOR, key[0])
    assert status_with(client, text) == 401


def test_without_the_look_at_the_key_its_token_would_live_on(
    client: Client, key: tuple[str, str], hub: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = token(client, key)
    with hub.begin() as connection:
        revoke_key(connection, SYSTEM_ACTOR, key[0])
    monkeypatch.setattr(machine_identity.ApiKey, "usable", lambda key, now: True)
    assert status_with(client, text) == 200


def test_a_token_dies_with_its_organisation_and_with_its_keys_expiry(
    client: Client, key: tuple[str, str], hub: Database
) -> None:
    text = token(client, key)
    with hub.begin() as connection:
        set_enabled(connection, SYSTEM_ACTOR, "labour", False)
    assert status_with(client, text) == 401
    with hub.begin() as connection:
        set_enabled(connection, SYSTEM_ACTOR, "labour", True)
    assert status_with(client, text) == 200
    with hub.begin() as connection:
        connection.execute(update(api_key).values(expires_at=utc_now()))
    assert status_with(client, text) == 401


def test_a_token_carried_off_to_another_network_is_worth_nothing(
    app: Litestar, client: Client, key: tuple[str, str]
) -> None:
    text = token(client, key)
    with client_at(app, STRANGER) as elsewhere:
        assert status_with(elsewhere, text) == 401
        assert ask(elsewhere, key).json()["error"] == "invalid_client"


def test_dead_tokens_are_cleared_away(client: Client, key: tuple[str, str], hub: Database) -> None:
    token(client, key)
    with hub.begin() as connection:
        connection.execute(update(access_token).values(expires_at=utc_now() - timedelta(seconds=1)))
    token(client, key)
    with hub.begin() as connection:
        assert connection.execute(select(func.count()).select_from(access_token)).scalar_one() == 1


# ---- refused ----


def test_unknown_and_wrong_clients_get_the_same_answer(client: Client, key: tuple[str, str]) -> None:
    wrong = [(key[0], "x"), ("hub_0000000000", key[1]), ("", ""), (key[0].upper(), key[1]), ("密钥", "密")]
    answers = [ask(client, each) for each in wrong]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert answers[0].json()["error"] == "invalid_client"
    assert answers[0].headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("", "invalid_request"),
        ("scope=submit", "invalid_request"),
        ("grant_type=password", "unsupported_grant_type"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&client_secret=x", "invalid_request"),
        ("grant_type=client_credentials&client_id=hub_another", "invalid_request"),
        ("grant_type=client_credentials&" + "&".join(f"f{n}=1" for n in range(50)), "invalid_request"),
    ],
)
def test_a_request_of_the_wrong_form_is_named_as_the_rfc_names_it(
    client: Client, key: tuple[str, str], form: str, error: str
) -> None:
    basic = base64.b64encode(":".join(key).encode()).decode()
    sent = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/v1/oauth/token", content=form, headers=sent)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"].isascii()


def test_json_is_no_form(client: Client, key: tuple[str, str]) -> None:
    answer = client.post("/v1/oauth/token", json={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic ???", "Basic " + base64.b64encode(b"no-colon").decode(), "Bearer x"]
)
def test_a_broken_authorization_header_is_no_client(client: Client, header: str) -> None:
    assert ask(client, None, headers={"Authorization": header}).json()["error"] == "invalid_client"


def test_grants_and_refusals_are_audited_without_secrets(
    client: Client, key: tuple[str, str], owner_database: Database
) -> None:
    text = token(client, key)
    ask(client, (key[0], "wrong-secret"))
    ask(client, ("hub_nobody", "wrong-secret"))
    ask(client, key, scope="pull-slice")
    with owner_database.begin() as connection:
        signed_in = select(audit).where(audit.c.act == "signed-in").order_by(audit.c.audit_id)
        lines = connection.execute(signed_in).all()
    prefix = key[0].removeprefix("hub_")
    assert [(line.object, line.outcome, line.address) for line in lines] == [
        (f"key/{prefix}", "done", SYSTEM),
        (f"key/{prefix}", "refused", SYSTEM),
        ("key/?", "refused", SYSTEM),
        (f"key/{prefix}", "refused", SYSTEM),
    ]
    assert [line.facts.get("error") for line in lines] == [None, "invalid_client", "invalid_client", "invalid_scope"]
    written = str(lines)
    assert not any(secret in written for secret in (key[1], text, "wrong-secret", "nobody"))


# ---- certificates ----


@pytest.fixture
def certificate(hub: Database) -> bytes:
    pem = certificate_of("labour")
    with hub.begin() as connection:
        register_certificate(connection, SYSTEM_ACTOR, "labour", "就业系统", pem, SCOPES)
    return der_of(pem)


def shown(der: bytes) -> dict[str, str]:
    return {"Client-Cert": f":{base64.b64encode(der).decode()}:", "X-Forwarded-For": SYSTEM}


def test_a_certificate_shown_by_the_trusted_proxy_opens_the_api_and_gets_tokens(
    proxy: Client, certificate: bytes
) -> None:
    assert proxy.get("/v1/submissions", headers=shown(certificate)).status_code == 200
    assert proxy.get("/v1/submissions", headers=shown(certificate[:-1] + b"x")).status_code == 401
    answer = ask(proxy, None, headers=shown(certificate))
    assert (answer.status_code, answer.json()["scope"]) == (200, "read-submission submit")
    assert ask(proxy, None, headers=shown(certificate), client_id="cert_0000000000000000").status_code == 401


def test_a_certificate_anyone_else_shows_is_not_looked_at(client: Client, certificate: bytes) -> None:
    assert client.get("/v1/submissions", headers=shown(certificate)).status_code == 401
    assert ask(client, None, headers=shown(certificate)).json()["error"] == "invalid_client"


def test_a_token_of_a_certificate_is_good_with_that_certificate_only(
    proxy: Client, certificate: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ask(proxy, None, headers=shown(certificate)).json()["access_token"]
    assert status_with(proxy, text, **shown(certificate)) == 200
    assert status_with(proxy, text, **shown(der_of(certificate_of("other")))) == 401
    assert status_with(proxy, text) == 401
    monkeypatch.setattr(machine_identity, "_is_held", lambda row, certificate: True)
    assert status_with(proxy, text) == 200


def test_a_wrong_key_is_not_made_good_by_a_certificate(proxy: Client, certificate: bytes) -> None:
    assert status_with(proxy, "hub_0000000000_x", **shown(certificate)) == 401


def test_without_the_scope_check_a_token_is_granted_beyond_its_key(
    hub: Database, key: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    presented = tokens.Presented(client=key[0], secret=key[1], address=SYSTEM)
    terms: dict[str, Any] = {"lifetime": timedelta(minutes=10), "now": utc_now()}
    with hub.begin() as connection:
        refused = tokens.grant_token(connection, presented, ["manage-accounts"], **terms)
        assert isinstance(refused, tokens.Refused)
        monkeypatch.setattr(tokens, "_is_within", lambda scopes, held: True, raising=True)
        granted = tokens.grant_token(connection, presented, ["manage-accounts"], **terms)
        assert isinstance(granted, tokens.Granted) and granted.scopes == ("manage-accounts",)
        actor = machine_identity.actor_of_token(connection, granted.text, now=utc_now(), address=SYSTEM)
    assert _rights(actor) == {Right.SIGNED_IN}  # the second wall: scopes are cut again when the token is used
