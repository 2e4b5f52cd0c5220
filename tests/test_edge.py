"""The hub's edge: whose address counts, which names it answers to, how often one may ask."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import uvicorn
from litestar import Litestar, Request, get
from litestar.testing import TestClient

from hub import limits, origins
from hub.app import create_app
from hub.database import Database
from hub.keyring import Keyring
from hub.limits import SIGN_INS_PER_MINUTE, Limits, Tally, TooManyRequests
from hub.registry.api_keys import issue_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import BadSettings, Settings, load_settings
from mappings.catalogue import Catalogue
from tests.district import found
from tests.doors import hub_behind
from tests.peers import client_at

PROXY, INNER_PROXY, CLIENT, STRANGER = "10.0.0.5", "10.0.0.6", "203.0.113.50", "203.0.113.9"
JSON = {"Accept": "application/json"}
Client = TestClient[Any]


@pytest.fixture
def hub(app_database: Database) -> Database:
    with app_database.begin() as connection:
        found(connection)
    return app_database


EDGE: dict[str, Any] = {
    "trusted_proxies": ("10.0.0.0/29",), "allowed_hosts": ("hub.yunling.example",), "requests_per_minute": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def routes(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Litestar:
    """An application of this file's own: a route is added to it."""
    settings = load_settings(tmp_path_factory.mktemp("edge"), **EDGE)
    unreached = Database("postgresql://nobody@localhost/nothing", settings.district)
    return create_app(settings, unreached, catalogue, Keyring.load(settings.home))


@pytest.fixture
def app(routes: Litestar, hub: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Litestar]:
    with hub_behind(routes, msgspec.structs.replace(settings, **EDGE), hub, catalogue) as app:
        yield app


@pytest.fixture
def key(hub: Database) -> dict[str, str]:
    return key_for(hub, "labour")


def key_for(hub: Database, organisation: str) -> dict[str, str]:
    with hub.begin() as connection:
        terms = {"organisation": organisation, "title": "x", "scopes": [Right.READ_SUBMISSION, Right.SUBMIT]}
        text = issue_key(connection, SYSTEM_ACTOR, **terms).text  # type: ignore[arg-type]
    return {"Authorization": f"Bearer {text}"}


# ---- where a request comes from ----


@get("/whence", opt={"right": Right.PUBLIC}, sync_to_thread=False)
def whence(request: Request[Any, Any, Any]) -> dict[str, Any]:
    certificate = origins.client_certificate(request)
    return {
        "address": origins.client_address(request),
        "certificate": certificate.decode() if certificate is not None else None,
        "url": str(request.url),
    }


def whence_of(app: Litestar, peer: str, *headers: tuple[str, str]) -> dict[str, Any]:
    if "/whence" not in {route.path for route in app.routes}:
        app.register(whence)
    with client_at(app, peer) as client:
        answer: dict[str, Any] = client.get("/whence", headers=list(headers)).json()
        return answer


ADDRESSES: list[tuple[str, list[str], str]] = [
    (STRANGER, [], STRANGER),
    (STRANGER, [CLIENT], STRANGER),
    (STRANGER, [PROXY], STRANGER),
    (PROXY, [], PROXY),
    (PROXY, [CLIENT], CLIENT),
    (PROXY, [f"10.9.9.9, {CLIENT}"], CLIENT),
    (PROXY, [f"10.9.9.9, {CLIENT}, {INNER_PROXY}"], CLIENT),
    (PROXY, ["10.9.9.9", CLIENT], CLIENT),
    (PROXY, [f"{CLIENT}, unknown"], PROXY),
    (PROXY, [f"{CLIENT}:4711"], PROXY),
    (PROXY, [""], PROXY),
    (PROXY, [INNER_PROXY], PROXY),
    (f"::ffff:{PROXY}", [f"::ffff:{CLIENT}"], CLIENT),
    ("10.0.0.8", [CLIENT], "10.0.0.8"),
    (PROXY, ["2001:db8::7"], "2001:db8::7"),
]  # peer, X-Forwarded-For, the client's address


def test_only_a_trusted_proxy_says_who_the_client_is(app: Litestar) -> None:
    for peer, forwarded, address in ADDRESSES:
        stated = [("X-Forwarded-For", each) for each in forwarded]
        assert whence_of(app, peer, *stated)["address"] == address, (peer, forwarded)


def test_were_everyone_trusted_a_stranger_would_choose_their_address(
    app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "_is_trusted", lambda connection, address: address == STRANGER)
    assert whence_of(app, STRANGER, ("X-Forwarded-For", CLIENT))["address"] == CLIENT


def test_a_forged_address_does_not_pass_a_keys_allow_list(app: Litestar, hub: Database) -> None:
    terms = {"organisation": "labour", "title": "y", "scopes": [Right.READ_SUBMISSION], "allowed_addresses": [CLIENT]}
    with hub.begin() as connection:
        text = issue_key(connection, SYSTEM_ACTOR, **terms).text  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {text}", "X-Forwarded-For": CLIENT}
    with client_at(app, STRANGER) as stranger, client_at(app, PROXY) as proxy:
        assert stranger.get("/v1/submissions", headers=headers).status_code == 401
        assert proxy.get("/v1/submissions", headers=headers).status_code == 200


CERTIFICATES: list[tuple[str, list[str], str | None]] = [
    (PROXY, [":Y2VydA==:"], "cert"),
    (STRANGER, [":Y2VydA==:"], None),
    (PROXY, ["Y2VydA=="], None),
    (PROXY, [":Y2VydA:"], None),
    (PROXY, [":Y2V ydA==:"], None),
    (PROXY, [":Y2VydA==:", ":b3RoZXI=:"], None),
    (PROXY, [":Y2VydA==:, :b3RoZXI=:"], None),
    (PROXY, [], None),
]  # peer, Client-Cert, the certificate taken from it


def test_only_a_trusted_proxy_shows_a_certificate(app: Litestar) -> None:
    for peer, stated, certificate in CERTIFICATES:
        headers = [("Client-Cert", each) for each in stated]
        assert whence_of(app, peer, *headers)["certificate"] == certificate, (peer, stated)


def test_were_everyone_trusted_a_certificate_could_be_shown_by_anyone(
    app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "_is_trusted", lambda connection, address: True)
    assert whence_of(app, STRANGER, ("Client-Cert", ":Y2VydA==:"))["certificate"] == "cert"


def test_scheme_and_host_are_never_taken_from_forwarded_headers(app: Litestar) -> None:
    forged = [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("Forwarded", "host=evil.example")]
    assert whence_of(app, PROXY, *forged)["url"] == "http://127.0.0.1/whence"


def test_a_proxy_list_that_is_none_keeps_the_hub_from_starting(
    hub: Database, settings: Settings, catalogue: Catalogue
) -> None:
    wrong = msgspec.structs.replace(settings, trusted_proxies=("proxy.example",))
    with pytest.raises(BadSettings, match="trusted_proxies"):
        create_app(wrong, hub, catalogue, Keyring.load(settings.home))


def test_a_list_of_the_administrators_places_that_is_none_keeps_it_from_starting(
    hub: Database, settings: Settings, catalogue: Catalogue
) -> None:
    """Otherwise the three administrators would find out at the door, and nobody else."""
    accounts = msgspec.structs.replace(settings.accounts, administrator_addresses=("room 301",))
    wrong = msgspec.structs.replace(settings, accounts=accounts)
    with pytest.raises(BadSettings, match="administrator_addresses"):
        create_app(wrong, hub, catalogue, Keyring.load(settings.home))


# ---- which names are the hub's ----

OWN = ["localhost", "LOCALHOST:8500", "127.0.0.1", "127.0.0.1:8500", "[::1]:8500", "10.4.5.6", "hub.yunling.example"]
FOREIGN = [
    "evil.example",
    "localhost.evil.example",
    "hub.yunling.example.evil.example",
    "2130706433",
    "testserver.local",
]
BROKEN = [
    "",
    "evil.example/",
    "a@localhost",
    "localhost:x",
    "localhost:99999",
    "[::1",
    "localhost evil.example",
    "本机",
]


PATHS = ["/healthz", "/sign-in", "/v1/whoami", "/static/hub.css", "/nothing"]


def test_the_hub_answers_to_its_own_names(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        assert {host: client.get("/healthz", headers={"Host": host}).status_code for host in OWN} == dict.fromkeys(
            OWN, 200
        )


def test_the_hub_does_not_answer_to_other_names(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        answers = [client.get(path, headers={"Host": host, **JSON}) for host in FOREIGN for path in PATHS]
    assert {(answer.status_code, answer.headers["content-type"]) for answer in answers} == {
        (421, "application/problem+json")
    }
    assert {answer.json()["type"] for answer in answers} == {"urn:hub:problem:wrong-host"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


def test_a_broken_host_is_a_bad_request(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        answers = {host: client.get("/healthz", headers=[(b"Host", host.encode())]).status_code for host in BROKEN}
    assert answers == dict.fromkeys(BROKEN, 400)


def test_a_wrong_name_is_explained_in_the_readers_language(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        chinese, english = (
            client.get("/healthz", headers={"Host": "evil.example", "Accept-Language": language}).json()["title"]
            for language in ("zh-CN", "en")
        )
        page = client.get("/sign-in", headers={"Host": "evil.example", "Accept": "text/html"})
    assert "allowed_hosts" in chinese and "主机名" in chinese
    assert "host name" in english and "主机名" not in english
    assert page.status_code == 421 and "<html" in page.text


def test_without_the_check_any_name_would_do(app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "_is_own", lambda connection, name: True)
    with client_at(app, CLIENT) as client:
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 200


@pytest.fixture
def port(app: Litestar) -> Iterator[int]:
    """The application behind a real socket, started as hub serve starts it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", proxy_headers=False, forwarded_allow_ips="")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)


def test_on_a_real_socket_only_the_hubs_names_are_answered_and_only_once(port: int) -> None:
    assert _status(port, "127.0.0.1") == 200
    assert _status(port, "testserver.local") == 421
    assert _status(port, "localhost", "evil.example") == 400
    assert _status(port) == 400


def _status(port: int, *hosts: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest("GET", "/healthz", skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


# ---- how often ----


def statuses(client: Client, times: int, path: str = "/v1/submissions", **headers: Any) -> list[int]:
    return [client.get(path, headers={**JSON, **headers}).status_code for _ in range(times)]


def test_who_asks_too_often_is_told_when_to_come_back(app: Litestar, key: dict[str, str]) -> None:
    with client_at(app, CLIENT) as client:
        assert statuses(client, 41, **key).count(200) == 41  # the first counts for the address
        refused = client.get("/v1/submissions", headers=key)
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("40", "0")
    assert refused.json()["type"] == "urn:hub:problem:too-many-requests"


def test_without_the_count_nobody_is_ever_stopped(
    app: Litestar, key: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tally, "count", lambda tally, asker, limit: None)
    with client_at(app, CLIENT) as client:
        assert set(statuses(client, 45, **key)) == {200}


def test_an_address_used_up_by_others_does_not_stop_a_known_machine(app: Litestar, key: dict[str, str]) -> None:
    with client_at(app, CLIENT) as client:
        assert statuses(client, 1, **key) == [200]
        flood = [client.get("/v1/submissions", headers={"Authorization": f"Bearer hub_{n}_x"}) for n in range(50)]
        assert flood[-1].status_code == 429
        assert statuses(client, 1) == [429]
        assert statuses(client, 1, **key) == [200]


def test_another_machine_is_not_stopped_by_a_busy_one(app: Litestar, key: dict[str, str], hub: Database) -> None:
    other = key_for(hub, "health")
    with client_at(app, CLIENT) as client, client_at(app, STRANGER) as elsewhere:
        assert statuses(client, 1, **other) == [200]
        assert statuses(client, 45, **key)[-1] == 429
        assert statuses(client, 1, **other) == [200]
        assert statuses(elsewhere, 2, **key) == [429, 429]  # the same machine from elsewhere is the same machine


def test_many_tokens_of_one_key_are_one_machine(app: Litestar, key: dict[str, str]) -> None:
    start, prefix, secret = key["Authorization"].removeprefix("Bearer ").split("_", 2)
    form = {"grant_type": "client_credentials", "client_id": f"{start}_{prefix}", "client_secret": secret}
    with client_at(app, CLIENT) as client:
        tokens = [client.post("/v1/oauth/token", data=form).json()["access_token"] for _ in range(3)]
        headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        answers = [client.get("/v1/submissions", headers=headers[n % 3]).status_code for n in range(48)]
    assert answers == [200] * 43 + [429] * 5  # three for the address, before each was known; forty for the machine


def test_a_wrong_key_is_counted_for_its_address_however_many_there_are(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        answers = [
            client.get("/v1/submissions", headers={"Authorization": f"Bearer hub_{number}_x"}).status_code
            for number in range(45)
        ]
    assert answers == [401] * 40 + [429] * 5


def test_forged_addresses_do_not_spread_the_count(app: Litestar) -> None:
    with client_at(app, STRANGER) as stranger:
        answers = [stranger.get("/v1/x", headers={"X-Forwarded-For": f"198.51.100.{n}"}).status_code for n in range(45)]
    assert answers[-1] == 429


def test_what_pages_and_watchdogs_fetch_is_not_counted(app: Litestar) -> None:
    with client_at(app, CLIENT) as client:
        for path in ("/static/hub.css", "/healthz", "/healthz/"):
            assert 429 not in statuses(client, 45, path)


def test_signing_in_has_a_limit_of_its_own(app: Litestar) -> None:
    for number, path in enumerate(("/sign-in", "/v1/oauth/token", "/sign-in/", "/sign-in//code")):
        with client_at(app, f"203.0.113.{100 + number}") as client:
            answers = [client.post(path, data={"x": "1"}, headers=JSON).status_code for _ in range(32)]
            assert answers[:SIGN_INS_PER_MINUTE].count(429) == 0
            assert answers[SIGN_INS_PER_MINUTE:] == [429, 429]
            assert client.get("/sign-in").status_code == 200


# ---- the tally itself ----


class Clock:
    """A minute passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_minute_later_the_count_begins_anew() -> None:
    clock = Clock()
    tally = Tally(clock)
    tally.count("a", 1)
    with pytest.raises(TooManyRequests) as refused:
        tally.count("a", 1)
    assert refused.value.headers["Retry-After"] == "60"
    clock.now += 60
    tally.count("a", 1)


def test_the_tally_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_KEPT", 10)
    tally = Tally(Clock())
    for number in range(100):
        tally.count(str(number), 5)
    assert len(tally._windows) == 10


def test_neighbours_in_ipv6_are_one_site() -> None:
    assert limits._site_of("2001:db8:1:2::1") == limits._site_of("2001:db8:1:2:ffff::9")
    assert limits._site_of("2001:db8:1:2::1") != limits._site_of("2001:db8:1:3::1")
    assert limits._site_of("203.0.113.9") == "203.0.113.9"


def test_the_default_is_more_than_any_page_needs(settings: Settings) -> None:
    assert settings.requests_per_minute == 1200 and isinstance(Limits(settings.requests_per_minute), Limits)
