"""Whoever is refused at the door is in the audit: which account, which route, which id."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from hub.commands.logging import _in_utc
from hub.database import Database, new_uuid, run_sql
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.doors import Hub, csv_of, founded_hub, move_in
from tests.test_panel import OWN, sign_in, upload

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        client.headers.update(OWN)
        yield client


def refusals(database: Database) -> list[tuple[object, ...]]:
    with database.begin() as connection:
        return run_sql(
            connection,
            "SELECT actor, object, facts ->> 'problem', facts -> 'ids' FROM {d}.audit WHERE outcome = 'refused'"
            " AND object LIKE '% /%' ORDER BY at",
        )


def test_a_page_one_may_not_see(client: Client, database: Database) -> None:
    sign_in(client, "gongan")
    assert client.get("/board").status_code == 403
    assert refusals(database) == [("gongan", "GET /board", "not-allowed", [])]


def test_an_id_that_is_another_organisations(client: Client, hub: Hub, database: Database) -> None:
    sign_in(client, "gongan")
    sent = upload(client, csv_of(move_in(1))).headers["location"].split("/")[-1].split("?")[0]
    client.cookies.clear()
    sign_in(client, "renshe")
    assert client.get(f"/submissions/{sent}").status_code == 404
    api = client.get(f"/v1/submissions/{sent}", headers={"Accept": "*/*", **hub.key_of("labour")})
    assert api.status_code == 404
    seen = [(actor, ids) for actor, *_, ids in refusals(database)]
    assert seen[0] == ("renshe", [sent])
    assert str(seen[1][0]).startswith("hub_") and seen[1][1] == [sent]


def test_a_request_from_a_foreign_page(client: Client, database: Database) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/sign-in", data={"login": "gongan"}, headers=foreign).status_code == 403
    assert [line[:3] for line in refusals(database)] == [("?", "POST /sign-in", "foreign-request")]


def test_a_key_that_opens_nothing(client: Client, database: Database) -> None:
    shown = {"Authorization": "Bearer hub_0123456789_not-a-secret-of-ours", "Accept": "*/*"}
    assert client.get("/v1/whoami", headers=shown).status_code == 401
    assert client.get("/v1/whoami", headers={"Accept": "*/*"}).status_code == 401
    assert [line[:3] for line in refusals(database)] == [("?", "GET /v1/whoami", "not-signed-in")]


def test_what_was_typed_is_in_no_line(client: Client, database: Database) -> None:
    sign_in(client, "gongan")
    typed = "99900119900307001X"
    assert client.get(f"/receipts/{typed}").status_code == 404
    assert client.get(f"/submissions/{new_uuid()}").status_code == 404
    lines = refusals(database)
    assert len(lines) == 2
    assert typed not in str(lines)


def test_what_libraries_log_is_one_line_in_utc() -> None:
    typed = logging.LogRecord("library", logging.ERROR, "", 0, "failed for %s", ("a\nforged line\r",), None)
    typed.created = 0.0
    assert _in_utc().format(typed) == "1970-01-01T00:00:00Z library failed for a\\nforged line\\r"
