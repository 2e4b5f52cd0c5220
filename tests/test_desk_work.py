"""A day at the desks: asked, confirmed, handed over once; accounts and keys looked after; errors beside their fields."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select, update

from hub.database import Database, utc_now
from hub.registry.api_keys import actor_of_key, list_keys
from hub.registry.organisations import find_organisation
from hub.registry.permissions import SYSTEM_ACTOR
from hub.tables import access_request, account
from hub.tables import audit as audit_table
from tests.certificates import certificate_of
from tests.desk_visits import Visitor, enter_school, request_in, row_of, secret_in, visitor
from tests.doors import Hub, csv_of, move_in
from tests.test_desks import KEEPER, OFFICER, SYSTEM, ask_reset, session_of
from tests.test_panel import sign_in, token_of, upload

Client = TestClient[Litestar]
pytestmark = pytest.mark.usefixtures("staff")


@pytest.fixture
def keeper(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, KEEPER)


@pytest.fixture
def system(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, SYSTEM)


def kept_anywhere(owner_database: Database, secret: str) -> bool:
    with owner_database.read() as connection:
        kept = [
            str(row) for table in (audit_table, access_request, account) for row in connection.execute(select(table))
        ]
    return any(secret in each for each in kept)


def test_a_new_clerk_is_asked_for_confirmed_handed_a_password_and_uploads(
    hub: Hub, client: Client, keeper: Visitor, system: Visitor, owner_database: Database
) -> None:
    form = {"login": "xinren", "name": "辛某", "organisation": "public_security", "roles-department_clerk": "on"}
    assert system.post("/access-requests/new/open-account", **form, reason="新到岗").status_code == 303
    waiting = request_in(keeper)
    assert "xinren" in keeper.get("/access-requests").text
    assert (
        'id="roles-department_clerk" name="roles-department_clerk" checked'
        in keeper.get(f"/access-requests/{waiting}").text
    )
    shown = keeper.post(f"/access-requests/{waiting}/confirm", **{"roles-department_clerk": "on"})
    secret = secret_in(shown.text)
    assert shown.headers["cache-control"] == "no-store"
    again = keeper.post(f"/access-requests/{waiting}/confirm", **{"roles-department_clerk": "on"})
    assert again.status_code == 409 and secret not in again.text
    for someone in (keeper, system):
        assert secret not in someone.get(f"/access-requests/{waiting}").text + someone.get("/accounts/xinren").text
    assert not kept_anywhere(owner_database, secret)
    client.cookies.clear()
    client.headers.update({"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
    assert sign_in(client, "xinren", secret).headers["location"] == "/password"
    assert client.get("/submissions").status_code == 403
    own = "春江花月夜-1638"
    changing = {"token": token_of(client.get("/password").text), "old": secret, "new": own, "again": own}
    client.post("/password", data=changing, follow_redirects=False)
    sign_in(client, "xinren", own)
    assert upload(client, csv_of(move_in(1))).status_code == 303


def test_organisations_are_entered_and_disabled_by_request(hub: Hub, keeper: Visitor, system: Visitor) -> None:
    enter_school(hub)
    asked = [("disable-organisation", {"organisation": "education"}),
             ("save-organisation", {"code": "culture", "name": "云岭区文化局", "kind": "department"}),
             ("save-organisation", {"code": "heping", "name": "和平社区", "kind": "village", "area": "999001001002"})]  # fmt: skip
    for act, form in asked:
        assert system.post(f"/access-requests/new/{act}", **form, reason="机构调整").status_code == 303, act
        assert keeper.post(f"/access-requests/{request_in(keeper)}/confirm").status_code == 303
    with hub.served.begin() as connection:
        found = [find_organisation(connection, code) for code in ("education", "culture", "heping")]
    assert [(each.enabled, each.kind) for each in found if each] == [
        (False, "department"), (True, "department"), (True, "village"),
    ]  # fmt: skip


def test_a_refusal_says_why_to_whoever_asked(keeper: Visitor, system: Visitor) -> None:
    ask_reset(system, "renshe")
    asked = request_in(keeper)
    empty = keeper.post(f"/access-requests/{asked}/refuse", answer=" ")
    assert empty.status_code == 400 and 'id="answer-error"' in empty.text
    assert keeper.post(f"/access-requests/{asked}/refuse", answer="请本人到场").status_code == 303
    assert "请本人到场" in system.get(f"/access-requests/{asked}").text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "login"),
        ({"login": "a b"}, "login"),
        ({"login": "gongan"}, "login"),
        ({"login": "xinren", "name": ""}, "name"),
        ({"login": "xinren", "roles-department_clerk": ""}, "roles"),
        ({"login": "xinren", "roles-auditor": "on"}, "roles"),
        ({"login": "xinren", "organisation": "nowhere"}, "organisation"),
        ({"login": "xinren", "reason": ""}, "reason"),
    ],
)
def test_an_error_stands_beside_its_field_and_in_the_list_above(
    system: Visitor, form: dict[str, str], field: str
) -> None:
    usual = {"name": "辛某", "organisation": "labour", "reason": "新到岗", "roles-department_clerk": "on"}
    sent = {name: value for name, value in (usual | form).items() if value or not name.startswith("roles")}
    answer = system.post("/access-requests/new/open-account", **sent)
    assert answer.status_code in (400, 404, 409, 422)
    assert f'href="#{field}"' in answer.text and f'id="{field}-error"' in answer.text
    assert re.search(rf'id="{field}"[^>]*aria-describedby="[^"]*{field}-error', answer.text)
    assert 'value="辛某"' in answer.text or field == "name"


def test_accounts_are_searched_and_filtered(hub: Hub, keeper: Visitor) -> None:
    with hub.served.begin() as connection:
        later = utc_now() + timedelta(hours=1)
        connection.execute(update(account).where(account.c.login == "renshe").values(locked_until=later))
        connection.execute(update(account).where(account.c.login == "fuyou").values(disabled=True))

    def found(query: str) -> set[str]:
        return {*re.findall(r'href="/accounts/([^"/]+)" data-text', keeper.get(f"/accounts?{query}").text)}

    assert found("state=locked") == {"renshe"} and found("state=disabled") == {"fuyou"}
    assert found("text=SHU") == {"shuju", "weishu"} and found("text=%25") == set()
    assert found("role=town_officer") == {"qingxi", "bailu"}
    assert found("organisation=labour&state=usable") == {"shuju"}
    assert keeper.get("/accounts?state=nonsense").status_code == 400


def test_the_keeper_looks_after_an_account(hub: Hub, keeper: Visitor, owner_database: Database) -> None:
    its = session_of(hub, "renshe")
    assert its in keeper.get("/accounts/renshe").text
    assert keeper.post(f"/accounts/gongan/sessions/{its}").status_code == 404
    assert keeper.post(f"/accounts/renshe/sessions/{its}").status_code == 303
    assert its not in keeper.get("/accounts/renshe").text
    wrong = keeper.post("/accounts/renshe/close", confirmation="gongan")
    assert wrong.status_code == 400 and 'id="confirmation-error"' in wrong.text
    none = keeper.post("/accounts/renshe/roles")
    assert none.status_code == 400 and 'id="roles-error"' in none.text
    shown = keeper.post("/accounts/renshe/reset-password")
    assert not kept_anywhere(owner_database, secret_in(shown.text))
    assert keeper.post("/accounts/renshe/close", confirmation="renshe").status_code == 303
    assert row_of(hub.served, "renshe").roles == []
    assert keeper.post("/accounts/renshe/enable").status_code == 409
    with owner_database.read() as connection:
        lines = connection.execute(select(audit_table).where(audit_table.c.object == "account/renshe")).all()
    assert [line.facts["how"] for line in lines if line.actor == KEEPER] == ["end-session", "password", "close"]


def test_the_system_administrator_cuts_off_at_once_and_asks_for_the_rest(hub: Hub, system: Visitor) -> None:
    assert "立即停用" in system.get("/accounts/renshe").text
    assert system.post("/accounts/renshe/disable").status_code == 303
    assert row_of(hub.served, "renshe").disabled
    page = system.get("/accounts/renshe").text
    assert "/access-requests/new/enable-account?login=renshe" in page
    assert 'value="renshe"' in system.get("/access-requests/new/enable-account?login=renshe").text
    assert system.post("/accounts/renshe/enable").status_code == 403
    assert system.post(f"/accounts/{KEEPER}/disable").status_code == 409  # the only one stays


def test_a_key_is_asked_for_issued_renewed_and_revoked(hub: Hub, client: Client, keeper: Visitor) -> None:
    officer = visitor(hub, client, OFFICER)
    form = {"title": "就业系统", "scopes-submit": "on", "expires_on": "2099-12-31", "reason": "新系统上线"}
    assert officer.post("/access-requests/new/issue-key", **form).status_code == 303
    secret = secret_in(keeper.post(f"/access-requests/{request_in(keeper)}/confirm").text)
    with hub.served.begin() as connection:
        who = actor_of_key(connection, secret, now=utc_now())
    assert who is not None and who.organisation == "labour"
    prefix = secret.split("_")[1]
    assert "2100-01-01 00:00:00" in officer.get(f"/keys/{prefix}").text
    assert keeper.post(f"/keys/{prefix}/renew", expires_on="soon").status_code == 400
    renewed = secret_in(keeper.post(f"/keys/{prefix}/renew").text)
    assert secret not in keeper.get("/keys").text and renewed not in keeper.get("/keys").text
    assert keeper.post(f"/keys/{prefix}/revoke").status_code == 303
    with hub.served.begin() as connection:
        assert actor_of_key(connection, secret, now=utc_now()) is None
        assert actor_of_key(connection, renewed, now=utc_now()) is not None
    assert keeper.post("/keys/nobody/revoke").status_code == 404


def ssh_line_with_a_slash() -> str:
    """Its fingerprint, in base 64, cannot stand in an address as it is."""
    from hub.registry.public_keys import read_ssh_key

    while True:
        key = ed25519.Ed25519PrivateKey.generate().public_key()
        line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        if {"/", "+"} <= {*read_ssh_key(line).fingerprint}:
            return line


def test_certificates_and_ssh_keys_are_registered_and_found_again(hub: Hub, keeper: Visitor) -> None:
    terms = {
        "organisation": "labour",
        "title": "就业系统",
        "scopes-submit": "on",
        "address": "10.20.0.0/16\r\n10.1.1.1",
    }
    for kind, public in (("certificate", certificate_of("labour.test").decode()), ("ssh", ssh_line_with_a_slash())):
        answer = keeper.post(f"/keys/new/{kind}", **terms, public=public)
        assert answer.status_code == 303, answer.text
        page = keeper.get(answer.headers["location"])
        assert page.status_code == 200 and "10.20.0.0/16 10.1.1.1/32" in page.text
        assert keeper.post(answer.headers["location"].partition("?")[0] + "/revoke").status_code == 303
        again = keeper.post(f"/keys/new/{kind}", **terms, public=public)
        assert again.status_code == 409
    with hub.served.begin() as connection:
        assert [key.revoked_at is None for key in list_keys(connection, SYSTEM_ACTOR, "labour")] == [False, False, True]


@pytest.mark.parametrize(
    ("kind", "wrong", "field"),
    [
        ("secret", {"title": ""}, "title"),
        ("secret", {"address": "10.20.0.1/16"}, "address"),
        ("secret", {"expires_on": "2020-01-01"}, "expires_on"),
        ("secret", {"expires_on": "tomorrow"}, "expires_on"),
        ("secret", {"organisation": "bureau"}, "scopes"),
        ("certificate", {"public": base64.b64encode(b"nothing").decode()}, "public"),
        ("ssh", {"public": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "public"),
    ],
)
def test_a_key_that_cannot_be_is_refused_beside_its_field(
    keeper: Visitor, kind: str, wrong: dict[str, str], field: str
) -> None:
    terms = {"organisation": "labour", "title": "就业系统", "scopes-submit": "on"} | wrong
    answer = keeper.post(f"/keys/new/{kind}", **terms)
    assert answer.status_code in (400, 422)
    assert f'id="{field}-error"' in answer.text
