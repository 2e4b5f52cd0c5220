"""What OWASP ASVS 5.0 asks for and no other test shows; docs/asvs.md names these beside the others."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import update

from admin.assets import STATIC
from hub.commands.logging import log_to_stderr
from hub.database import Database, utc_now
from hub.embedded import Cluster
from hub.registry import accounts, sessions
from hub.registry.permissions import Right
from hub.settings import load_settings
from hub.tables import organisation
from mappings.catalogue import Catalogue
from tests.conftest import execute
from tests.doors import THIS_MONTH, TOWN, Hub, csv_of, founded_hub, move_in, open_account
from tests.matrix_hub import routes_of
from tests.test_panel import OWN, token_of, upload

Client = TestClient[Litestar]
MORE_STAFF = (
    ("anquan", "bureau", "security_administrator"),
    ("xitong", "bureau", "system_administrator"),
    ("lingdao", "bureau", "bureau_leader"),
    ("shuju", "labour", "data_officer"),
)
STAFF = ("gongan", "fuyou", "qingxi", "quju", "shenji", *(login for login, *_ in MORE_STAFF))
INNER_WORDS = "SELECT password_hash FROM secret_table at /srv/hub"


@pytest.fixture(scope="module")
def hub(cluster: Cluster, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    execute(cluster, "CREATE DATABASE asvs TEMPLATE hub_template OWNER hub_owner")
    urls, home = cluster.urls("asvs"), tmp_path_factory.mktemp("asvs")
    settings = load_settings(
        home, database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker, audit_url=urls.audit,
        fictitious_prefixes=("999001",), demo=True, requests_per_minute=10_000_000, accounts={"second_factor_roles": []},
    )  # fmt: skip
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    with founded_hub(worker, served, settings, catalogue) as hub:
        with served.begin() as connection:
            for login, unit, role in MORE_STAFF:
                open_account(connection, login, unit, role)
        yield hub
    worker.close()
    served.close()
    execute(cluster, "DROP DATABASE asvs WITH (FORCE)")


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test", raise_server_exceptions=False) as client:
        client.headers.update(OWN)
        yield client


def enter(hub: Hub, client: Client, login: str) -> Client:
    """Signed in without the door: many sign-ins a minute would be too many."""
    with hub.served.begin() as connection:
        its = accounts.load_account(connection, login)
        value = sessions.open_session(connection, its.account_id, utc_now())
    client.cookies.set("__Host-sid", value)
    return client


def pages_of(hub: Hub) -> list[str]:
    """Every page without an id in its address."""
    templates = [one.template for one in routes_of(hub.app) if one.method == "GET" and not one.for_machines]
    return [each for each in templates if "{" not in each and each not in ("/healthz", "/metrics")]


PROTECTING = {
    "default-src 'none'", "script-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'",
}  # fmt: skip


def answers_of_all_kinds(hub: Hub, client: Client) -> dict[str, Any]:
    key, plain = hub.key_of("public_security"), {"Accept": "*/*"}
    enter(hub, client, "qingxi")
    token = token_of(client.get("/account").text)
    return {
        "page": client.get("/account"),
        "redirect": client.get("/", follow_redirects=False),
        "form": client.post("/sign-in", data={"token": "x"}),
        "download": client.get(f"/changes.xlsx?month={THIS_MONTH}"),
        "no such page": client.get("/nothing"),
        "forbidden page": client.get("/board"),
        "foreign form": client.post("/sign-out", headers={"Sec-Fetch-Site": "cross-site"}),
        "too large": client.post("/sign-out", data={"token": "x" * 70_000}),
        "static": client.get("/static/panel.css"),
        "no such file": client.get("/static/nothing.css"),
        "interface": client.get("/v1/whoami", headers=key | plain),
        "unknown machine": client.get("/v1/whoami", headers=plain),
        "no such address": client.get("/v1/nothing", headers=key | plain),
        "wrong method": client.request("DELETE", "/v1/whoami", headers=key | plain),
        "options": client.options("/v1/whoami", headers=plain),
        "head": client.head("/healthz", headers=plain),
        "description": client.get("/schema/openapi.json", headers=plain),
        "wrong host": client.get("/sign-in", headers={"Host": "evil.example"}),
        "sign-out": client.post("/sign-out", data={"token": token}, follow_redirects=False),
    }


# ---- chapter 3: what browsers are told ----


def test_every_answer_of_every_kind_carries_every_protecting_header(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = answers_of_all_kinds(hub, client)
    assert {name: each.status_code for name, each in answers.items() if each.status_code >= 500} == {}
    break_database(hub, monkeypatch)
    answers["failed page"] = client.get("/account")
    answers["failed"] = client.get("/v1/whoami", headers={"Accept": "*/*", **hub.key_of("labour")})
    assert [answers[name].status_code for name in ("failed page", "failed")] == [500, 500]
    for name, answer in answers.items():
        headers = answer.headers
        policy = {part.strip() for part in headers["content-security-policy"].split(";")}
        assert policy >= PROTECTING and "unsafe" not in str(policy), name
        assert headers["x-content-type-options"] == "nosniff", name
        assert headers["referrer-policy"] == "same-origin", name
        assert headers["cross-origin-resource-policy"] == "same-origin", name
        lasting = re.fullmatch(r"max-age=(\d+); includeSubDomains", headers["strict-transport-security"])
        assert lasting and int(lasting[1]) >= 365 * 24 * 3600, name


def test_no_answer_is_for_a_foreign_page_to_read(hub: Hub, client: Client) -> None:
    for origin in ("https://evil.example", "null", "https://hub.test"):
        client.headers["Origin"] = origin
        client.headers["Access-Control-Request-Method"] = "POST"
        for name, answer in answers_of_all_kinds(hub, client).items():
            assert not [each for each in answer.headers if each.startswith("access-control-")], (origin, name)


def test_nothing_but_static_files_is_kept_by_any_cache(hub: Hub, client: Client) -> None:
    seen = answers_of_all_kinds(hub, client)
    for login in STAFF:
        enter(hub, client, login)
        seen |= {f"{login} {page}": client.get(page, follow_redirects=False) for page in pages_of(hub)}
    kept = {name for name, each in seen.items() if each.headers["cache-control"] != "no-store"}
    assert len(seen) > 100
    assert kept == {"static"}


def test_every_cookie_is_of_this_host_alone_and_out_of_reach_of_scripts(hub: Hub, client: Client) -> None:
    answers = [client.get("/sign-in"), client.get("/language/en", follow_redirects=False)]
    form = {"token": token_of(client.get("/sign-in").text), "login": "gongan", "password": "秋水长天-2026"}
    answers.append(client.post("/sign-in", data=form, follow_redirects=False))
    answers += answers_of_all_kinds(hub, client).values()
    lines = [line.split("; ") for answer in answers for line in answer.headers.get_list("set-cookie")]
    assert {cookie[0].split("=")[0] for cookie in lines} == {"__Host-sid", "__Host-lang"}
    for cookie in lines:
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= {*cookie}, cookie
        assert not [part for part in cookie if part.lower().startswith("domain")]


def test_programs_answers_are_never_pages_whatever_a_browser_asks_for(hub: Hub, client: Client) -> None:
    for path in ("/v1/whoami", "/v1/nothing", "/healthz", "/metrics", "/schema/openapi.json"):
        answer = client.get(path, headers={"Accept": "text/html", **hub.key_of("labour")})
        assert "html" not in answer.headers["content-type"], path


def test_downloads_are_attachments_under_names_of_our_own(hub: Hub, client: Client) -> None:
    with hub.served.begin() as connection:
        named = update(organisation).where(organisation.c.code == TOWN)
        connection.execute(named.values(name='清溪"; filename="x.exe\r\nX-Forged: 1'))
    answers = [enter(hub, client, "qingxi").get(f"/changes.xlsx?month={THIS_MONTH}")]
    answers += [enter(hub, client, "shenji").get(f"/audit/export?form={form}") for form in ("csv", "ndjson")]
    with hub.served.begin() as connection:
        connection.execute(named.values(name="清溪街道"))
    plain = re.compile(r"attachment; filename=\"[\w.-]+\.(xlsx|csv|ndjson)\"(; filename\*=UTF-8''[\w.%-]+)?", re.A)
    for answer in answers:
        assert answer.status_code == 200
        assert plain.fullmatch(answer.headers["content-disposition"])
        assert "x-forged" not in answer.headers
    assert enter(hub, client, "qingxi").get("/changes.xlsx?month=2026-01%22%0d%0aX-Forged:1").status_code == 400


def test_what_somebody_typed_is_shown_as_text(hub: Hub, client: Client) -> None:
    enter(hub, client, "gongan")
    hostile = "<img src=x onerror=alert(1)>.csv"
    place = upload(client, csv_of(move_in(71)), name=hostile).headers["location"]
    for page in (place, "/submissions"):
        text = client.get(page).text
        assert "&lt;img src=x onerror" in text and "<img src=x" not in text


def test_no_address_leads_out_of_the_static_files(client: Client) -> None:
    paths = ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/static//etc/passwd")
    assert {client.get(path).status_code for path in paths} == {404}


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
def test_no_redirect_leads_to_another_host(hub: Hub, client: Client, target: str) -> None:
    places = ["/language/en", "/submissions", "/sign-in", "/density/compact"]
    asked = [f"{place}?{urlencode({'next': target, 'back': target})}" for place in places]
    answers = [client.get(each, follow_redirects=False) for each in asked[:2]]
    enter(hub, client, "gongan")
    answers += [client.get(each, follow_redirects=False) for each in asked[2:]]
    for answer in answers:
        assert answer.status_code == 303 and re.match(r"/(?![/\\\t])", answer.headers["location"])
        assert "evil" not in answer.headers["location"][:12]


FORM_KINDS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


def test_what_a_form_of_a_foreign_page_can_send_is_no_submission(hub: Hub, client: Client) -> None:
    """A client certificate comes along by itself, as a cookie does: what needs no preflight must not be taken."""
    path = f"/v1/submissions?type=hukou_move_in&period={THIS_MONTH}"
    good = {"Accept": "*/*", "Content-Type": "text/csv", "Idempotency-Key": "k", **hub.key_of("public_security")}
    body = csv_of(move_in(74))
    for kind in FORM_KINDS:
        assert client.post(path, content=body, headers=good | {"Content-Type": kind}).status_code == 400
    unkeyed = {name: value for name, value in good.items() if name != "Idempotency-Key"}
    assert client.post(path, content=body, headers=unkeyed).status_code == 400
    assert client.post(path, content=body, headers=good).status_code == 202


# ---- chapter 5: files ----


def test_a_sent_file_is_nowhere_served_and_lies_under_a_name_of_our_own(hub: Hub, client: Client) -> None:
    enter(hub, client, "gongan")
    body = csv_of(move_in(72), move_in(73))
    place = upload(client, body, name="../../static/shell.py").headers["location"]
    (kept,) = [path for path in hub.settings.files.rglob("*") if path.is_file() and path.read_bytes() == body]
    assert "shell" not in str(kept) and not kept.stat().st_mode & 0o111
    assert STATIC not in kept.parents
    relative = kept.relative_to(hub.settings.home)
    for path in ("/static/shell.py", f"/{relative}", f"/static/{relative}", f"/static/{kept}", f"{place}/file"):
        assert client.get(path).status_code == 404


# ---- chapters 6 and 7: who gets in, and out again ----


PUBLIC = {
    "GET /sign-in", "POST /sign-in", "GET /second-factor", "POST /second-factor", "POST /sign-out", "POST /v1/oauth/token",
    "GET /healthz", "GET /v1/keys", "GET /metrics", "GET /help", "GET /help/{code:str}", "GET /help/pictures/{file:str}",
    "GET /language/{language:str}",
}  # fmt: skip


def test_nothing_else_is_answered_without_signing_in(hub: Hub, client: Client) -> None:
    """No hidden way in, no forgotten-password page, no secret question."""
    assert {one.name for one in routes_of(hub.app) if Right.PUBLIC in one.rights} == PUBLIC
    fields = re.findall(r'<input[^>]*name="(\w+)"', client.get("/sign-in").text)
    assert {*fields} == {"token", "next", "login", "password"}


def test_every_page_of_everybody_signed_in_offers_to_leave(hub: Hub, client: Client) -> None:
    seen = 0
    for login in STAFF:
        enter(hub, client, login)
        for answer, page in ((client.get(page, follow_redirects=False), page) for page in pages_of(hub)):
            if "<html" in answer.text and answer.headers["content-type"].startswith(
                "text/html"
            ):  # not a part of a page
                seen += 1
                assert 'action="/sign-out"' in answer.text, (login, page, answer.status_code)
    assert seen > 50


# ---- chapter 14: what travels and what stays ----


def test_no_secret_stands_in_an_address(hub: Hub, client: Client) -> None:
    text = hub.keys["labour"]
    for name in ("access_token", "token", "key", "api_key", "authorization"):
        assert client.get("/v1/whoami", params={name: text}, headers={"Accept": "*/*"}).status_code == 401


# ---- chapter 16: logs and failures ----


@pytest.fixture
def events() -> Iterator[io.StringIO]:
    """The log as a running hub writes it."""
    before, written = structlog.get_config(), io.StringIO()
    log_to_stderr()
    structlog.configure(logger_factory=lambda *names: structlog.PrintLogger(written))
    yield written
    structlog.configure(**before)


def break_database(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(INNER_WORDS)

    monkeypatch.setattr(hub.served, "begin", fail)


def test_an_unforeseen_failure_is_logged_and_answered_with_nothing_of_it(
    hub: Hub, client: Client, events: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(hub, client, "gongan")
    break_database(hub, monkeypatch)
    page = client.get("/submissions")
    answer = client.get("/v1/whoami", headers={"Accept": "*/*", **hub.key_of("labour")})
    assert (page.status_code, answer.status_code) == (500, 500)
    for text in (page.text, answer.text):
        assert not re.search(r"RuntimeError|Traceback|secret_table|/srv/hub|\.py", text)
    assert "系统出错" in page.text and answer.json()["type"] == "urn:hub:problem:hub-error"
    lines = [line for line in events.getvalue().splitlines() if "kind='RuntimeError'" in line]
    assert [re.findall(r"path='([^']+)'", line) for line in lines] == [["/submissions"], ["/v1/whoami"]]
    assert "secret_table" not in str(lines)


def test_nothing_somebody_sends_begins_a_line_of_the_log(
    hub: Hub, client: Client, events: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_database(hub, monkeypatch)
    client.get("/receipts/x%0d%0atimestamp='2026-01-01T00:00:00Z' level='info' event='forged'")
    client.get("/v1/receipts/x%0aevent='forged'", headers={"Accept": "*/*", **hub.key_of("labour")})
    lines = events.getvalue().splitlines()
    assert len(lines) == 2
    assert [line for line in lines if not line.startswith("timestamp='") or line.count("level='error'") != 1] == []


def test_events_are_one_line_each_of_named_values_with_a_utc_instant(
    hub: Hub, client: Client, events: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_database(hub, monkeypatch)
    client.get("/account")
    (line,) = events.getvalue().splitlines()
    assert re.fullmatch(r"timestamp='[^']+Z' level='error' event='failed'( \w+=\S+)+", line)
    stated = datetime.fromisoformat(line.split("'")[1])
    assert abs(datetime.now(UTC) - stated) < timedelta(minutes=1)
