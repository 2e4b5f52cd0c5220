"""The administrators' desks: who gets to which page, and what no form can be made to do."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from admin import accounts_desk
from hub.database import Database, new_uuid, utc_now
from hub.registry import account_list
from hub.registry.api_keys import issue_key, list_keys
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.registry.sessions import open_session
from hub.settings import Settings
from hub.tables import access_request, account, web_session
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, add_staff, everything_kept, row_of, visitor
from tests.doors import Hub, founded_hub
from tests.matrix_hub import routes_of

DESKS = ("/access-requests", "/accounts", "/keys")
KEEPER, SYSTEM, OFFICER = "anquan", "xitong", "shuju"
EVERYBODY = (KEEPER, SYSTEM, OFFICER, "gongan", "qingxi", "quju", "lingdao", "shenji")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# What no desk's form is for; sent with every one of them.
SMUGGLED = {
    "roles": "security_administrator", "roles-security_administrator": "on", "organisation_": "bureau", "disabled": "on",
    "must_change_password": "", "password": "Chosen-river-77", "password_hash": "x", "door": "command", "actor": "job",
    "rights": "operate", "account_id": "1", "login_": "anquan", "state": "confirmed", "decided_by": "anquan",
    "asked_by": "anquan", "district": "d999002", "enabled": "on", "prefix": "chosen", "secret_digest": "x",
}  # fmt: skip


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        add_staff(hub)
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def prefix_of(hub: Hub, organisation: str) -> str:
    with hub.served.begin() as connection:
        return list_keys(connection, SYSTEM_ACTOR, organisation)[0].prefix


def session_of(hub: Hub, login: str) -> str:
    with hub.served.begin() as connection:
        its = connection.execute(select(account.c.account_id).where(account.c.login == login)).scalar_one()
        open_session(connection, its, utc_now())
        query = select(web_session.c.session_id).where(web_session.c.account_id == its)
        return str(connection.execute(query).scalars().first())


def ask_reset(someone: Visitor, login: str) -> Any:
    return someone.post("/access-requests/new/reset-password", login=login, reason="忘记密码")


def request_of(hub: Hub, login: str) -> str:
    with hub.served.begin() as connection:
        query = select(access_request.c.request_id).where(access_request.c.asked_by == login)
        return str(connection.execute(query).scalars().one())


# ---- who gets where ----


def test_each_page_opens_for_its_roles_and_for_no_other(hub: Hub, client: TestClient[Litestar]) -> None:
    everyone = {login: visitor(hub, client, login) for login in EVERYBODY}
    ask_reset(everyone[OFFICER], "renshe")
    asked = request_of(hub, OFFICER)
    readers, askers = {KEEPER, SYSTEM, OFFICER}, {SYSTEM, OFFICER}
    pages = {
        "/access-requests": readers, "/access-requests/new/open-account": askers,
        "/access-requests/new/enable-account": askers, "/access-requests/new/reset-password": askers,
        "/access-requests/new/save-organisation": {SYSTEM}, "/access-requests/new/enable-organisation": {SYSTEM},
        "/access-requests/new/disable-organisation": {SYSTEM}, "/access-requests/new/issue-key": {OFFICER},
        "/accounts": readers, "/accounts/renshe": readers, "/keys": {KEEPER, OFFICER}, "/keys/new/secret": {KEEPER},
        "/keys/new/certificate": {KEEPER}, "/keys/new/ssh": {KEEPER}, f"/keys/{prefix_of(hub, 'labour')}": {KEEPER, OFFICER},
        "/roles": {*EVERYBODY},
    }  # fmt: skip
    for path, allowed in pages.items():
        answers = {login: someone.get(path).status_code for login, someone in everyone.items()}
        assert answers == {login: 200 if login in allowed else 403 for login in EVERYBODY}, path
    seen = {login: everyone[login].get(f"/access-requests/{asked}").status_code for login in readers}
    assert seen == {KEEPER: 200, OFFICER: 200, SYSTEM: 404}


def posts(hub: Hub, *, prefix: str, request_id: str, login: str, session_id: str) -> list[str]:
    """The address of every form of the desks."""
    fillers = {"prefix": prefix, "request_id": request_id, "login": login, "session_id": session_id}
    routes = [each for each in routes_of(hub.app) if each.method == "POST" and each.template.startswith(DESKS)]
    return [re.sub(r"\{(\w+)(:\w+)?\}", lambda found: fillers[found[1]], each.template) for each in routes]


def every_post(hub: Hub) -> list[str]:
    asked = request_of(hub, OFFICER)
    its = session_of(hub, "renshe")
    return posts(hub, prefix=prefix_of(hub, "labour"), request_id=asked, login="renshe", session_id=its)


def test_no_form_is_taken_without_its_token_or_the_right(hub: Hub, client: TestClient[Litestar]) -> None:
    keeper, officer = visitor(hub, client, KEEPER), visitor(hub, client, OFFICER)
    strangers = [visitor(hub, client, login) for login in ("gongan", "quju", "shenji", "lingdao")]
    ask_reset(officer, "renshe")
    paths, before = every_post(hub), everything_kept(hub.served)
    assert len(paths) > 20
    form = {"reason": "x", "confirmation": "renshe", "answer": "x", "roles-data_officer": "on"}
    for path in paths:
        assert {each.send(path, form | {"token": each.token}).status_code for each in strangers} == {403}, path
        for someone, token in ((keeper, ""), (keeper, officer.token), (officer, keeper.token)):
            assert someone.send(path, form | {"token": token}).status_code == 403, path
    assert everything_kept(hub.served) == before


def test_a_data_officer_reaches_nothing_of_others(hub: Hub, client: TestClient[Litestar]) -> None:
    officer, other = visitor(hub, client, OFFICER), visitor(hub, client, "weishu")
    ask_reset(other, "weishu")
    asked = request_of(hub, "weishu")
    before = everything_kept(hub.served)
    for path in ("/accounts/gongan", "/accounts/nobody", f"/keys/{prefix_of(hub, 'health')}", "/keys/nobody",
                 f"/access-requests/{asked}", f"/access-requests/{new_uuid()}"):  # fmt: skip
        assert officer.get(path).status_code == 404, path
    assert officer.post(f"/access-requests/{asked}/withdraw").status_code == 404
    for act in ("reset-password", "enable-account"):
        answers = [officer.post(f"/access-requests/new/{act}", login=one, reason="x") for one in ("gongan", "nobody")]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].text.replace("gongan", "") == answers[1].text.replace("nobody", "")
    assert everything_kept(hub.served) == before
    shown = officer.get("/accounts?organisation=public_security").text + officer.get("/keys?organisation=health").text
    assert "gongan" not in shown and prefix_of(hub, "health") not in shown
    assert prefix_of(hub, "labour") in officer.get("/keys?organisation=health").text


def test_without_the_question_whose_it_is_others_accounts_are_read(
    hub: Hub, client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_list, "_sees_all", lambda actor: True)
    officer = visitor(hub, client, OFFICER)
    assert officer.get("/accounts/gongan").status_code == 200
    assert "gongan" in officer.get("/accounts").text


# ---- forms do what they are for, and nothing else ----

ACTS = {
    "unlock": {"failed_attempts", "locked_until"}, "end-sessions": set(), "disable": {"disabled"},
    "roles": {"roles"}, "reset-second-factor": set(), "enable": set(),
    "reset-password": {"password_hash", "must_change_password", "password_set_at", "first_password_until",
                       "password_history", "failed_attempts", "locked_until"},
}  # fmt: skip


@pytest.mark.parametrize("act", sorted(ACTS))
def test_smuggled_fields_change_no_account(hub: Hub, client: TestClient[Litestar], act: str) -> None:
    keeper = visitor(hub, client, KEEPER)
    with hub.served.begin() as connection:
        locked = {"failed_attempts": 9, "locked_until": utc_now().replace(year=2999)}
        connection.execute(account.update().where(account.c.login == "renshe").values(locked))
    before = everything_kept(hub.served)
    ticked = {"roles-data_officer": "on"} if act == "roles" else {}
    answer = keeper.post(f"/accounts/renshe/{act}", **SMUGGLED, **ticked)
    assert answer.status_code in (200, 303)
    after = everything_kept(hub.served)
    changed = {key for was, now in zip(before.pop("account"), after.pop("account"), strict=True)
               for key in was if was[key] != now[key]}  # fmt: skip
    assert changed == ACTS[act]
    assert after == before
    if act == "roles":
        assert row_of(hub.served, "renshe").roles == ["data_officer"]


def test_smuggled_fields_change_no_request(hub: Hub, client: TestClient[Litestar]) -> None:
    officer, keeper = visitor(hub, client, OFFICER), visitor(hub, client, KEEPER)
    form = SMUGGLED | {"login": "xinren", "name": "辛某", "organisation": "bureau", "reason": "新到岗"}
    assert officer.post("/access-requests/new/open-account", **form, **{"roles-integrator": "on"}).status_code == 303
    with hub.served.begin() as connection:
        asked = connection.execute(select(access_request)).one()
    content = {"name": "辛某", "organisation": "labour", "roles": ["integrator"], "language": "zh"}
    assert (asked.content, asked.asked_by, asked.state, asked.decided_by) == (content, OFFICER, "waiting", None)
    smuggling = SMUGGLED | {"organisation": "bureau", "login": "another"}
    answer = keeper.post(f"/access-requests/{asked.request_id}/confirm", **smuggling, **{"roles-data_officer": "on"})
    assert answer.status_code == 200
    its = row_of(hub.served, "xinren")
    assert (its.roles, its.organisation, its.disabled, its.must_change_password) == (
        ["data_officer"], "labour", False, True,
    )  # fmt: skip
    assert row_of(hub.served, "another") is None


def test_smuggled_fields_change_no_key(hub: Hub, client: TestClient[Litestar]) -> None:
    keeper = visitor(hub, client, KEEPER)
    form = SMUGGLED | {"organisation": "health", "title": "上报", "scopes-submit": "on", "scopes-manage-accounts": "on"}
    assert keeper.post("/keys/new/secret", **form, scopes="operate", expires_at="2999-01-01").status_code == 200
    with hub.served.begin() as connection:
        key = list_keys(connection, SYSTEM_ACTOR, "health")[0]
    assert (key.title, key.scopes, key.expires_at) == ("上报", ("submit",), None) and key.prefix != "chosen"
    keeper.post(f"/keys/{key.prefix}/renew", **SMUGGLED, **{"scopes-pull-slice": "on", "organisation": "bureau"})
    with hub.served.begin() as connection:
        renewed = list_keys(connection, SYSTEM_ACTOR, "health")[0]
    assert (renewed.scopes, renewed.organisation) == (("submit",), "health") and renewed.key_id != key.key_id


def test_a_form_that_took_any_field_would_give_the_role_away(
    hub: Hub, client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smuggling above is refused because only offered choices can be ticked."""
    taken = lambda field, form: tuple(name[6:] for name in form if name.startswith("roles-"))  # noqa: E731
    monkeypatch.setattr(accounts_desk, "ticked", taken)
    keeper = visitor(hub, client, KEEPER)
    form = {"roles-security_administrator": "on"}
    assert keeper.post("/accounts/quju/roles", **form).status_code == 303
    assert row_of(hub.served, "quju").roles == ["security_administrator"]


# ---- one's own ----


def test_nobody_changes_their_own_rights(hub: Hub, client: TestClient[Litestar]) -> None:
    keeper, system = visitor(hub, client, KEEPER), visitor(hub, client, SYSTEM)
    before = everything_kept(hub.served)
    for act in ("roles", "unlock", "reset-second-factor", "disable", "enable", "close", "reset-password", "end-sessions",
                f"sessions/{new_uuid()}"):  # fmt: skip
        form = {"confirmation": KEEPER, "roles-auditor": "on"}
        assert keeper.post(f"/accounts/{KEEPER}/{act}", **form).status_code == 400, act
    assert system.post(f"/accounts/{SYSTEM}/disable").status_code == 400
    assert everything_kept(hub.served) == before
    for someone, login in ((keeper, KEEPER), (system, SYSTEM)):
        page = someone.get(f"/accounts/{login}").text
        assert "任何人不能更改自己的权限" in page
        assert f"/accounts/{login}/" not in page
    assert ask_reset(system, KEEPER).status_code == 303
    asked = request_of(hub, SYSTEM)
    assert keeper.post(f"/access-requests/{asked}/confirm").status_code == 400


def test_whoever_asked_is_not_offered_the_decision(hub: Hub, client: TestClient[Litestar]) -> None:
    system = visitor(hub, client, SYSTEM)
    ask_reset(system, "renshe")
    asked = request_of(hub, SYSTEM)
    page = system.get(f"/access-requests/{asked}").text
    assert "/withdraw" in page and "/confirm" not in page
    assert system.post(f"/access-requests/{asked}/confirm").status_code == 403
    assert system.post(f"/access-requests/{asked}/withdraw").status_code == 303


# ---- words ----


def test_the_desks_speak_english_and_every_table_has_its_caption(hub: Hub, client: TestClient[Litestar]) -> None:
    keeper, system, officer = (visitor(hub, client, login) for login in (KEEPER, SYSTEM, OFFICER))
    with hub.served.begin() as connection:
        issue_key(connection, SYSTEM_ACTOR, organisation="labour", title="another", scopes=[Right.SUBMIT])
    ask_reset(officer, "renshe")
    session_of(hub, "renshe")
    visits = [(keeper, path) for path in (*DESKS, "/accounts/renshe", f"/access-requests/{request_of(hub, OFFICER)}",
              "/keys/new/certificate", f"/keys/{prefix_of(hub, 'labour')}", "/roles")]  # fmt: skip
    visits += [(system, f"/access-requests/new/{act}") for act in ("open-account", "save-organisation")]
    visits += [(officer, "/access-requests/new/issue-key")]
    for someone, path in visits:
        page = someone.get(path, "en").text
        bare = re.sub(r"<(\w+)[^>]*data-[^>]*>.*?</\1>|<option.*?</option>", "", page, flags=re.S)
        assert CHINESE.findall(html.unescape(bare)) == [], path
        assert page.count("<caption") == page.count("<table"), path
        assert {*re.findall(r'<label for="([^"]+)"', page)} >= {
            *re.findall(r'<(?:input|select|textarea)(?![^>]*type="hidden")[^>]* id="([^"]+)"', page)
        }, path
