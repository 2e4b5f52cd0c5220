"""The auditor looks, and is seen looking: search, pages, exports, and who may not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import select

from hub import audit
from hub.database import Database, utc_now
from hub.embedded import Urls
from hub.errors import NotAllowed
from hub.keyring import Keyring
from hub.operations.audit_search import Wanted, all_lines, search
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.settings import AccountPolicy, Settings
from hub.tables import audit as audit_table
from mappings.catalogue import Catalogue
from tests.doors import founded_hub, hub_behind
from tests.test_panel import OWN, sign_in

Client = TestClient[Litestar]
WEB = "https://hub.test"
AUDITOR = Actor(name="shenji", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, accounts=AccountPolicy(second_factor_roles=()))


@pytest.fixture
def audit_database(urls: Urls, settings: Settings) -> Iterator[Database]:
    """The hub as the audit's own role sees it."""
    opened = Database(urls.audit, settings.district, audit_key=Keyring.load(settings.home).audit_key)
    yield opened
    opened.close()


@pytest.fixture
def client(
    database: Database, app_database: Database, audit_database: Database, settings: Settings, catalogue: Catalogue
) -> Iterator[Client]:
    with (
        founded_hub(database, app_database, settings, catalogue) as hub,
        hub_behind(hub.app, settings, app_database, catalogue, audit_database) as app,
        TestClient(app, WEB) as client,
    ):
        client.headers.update(OWN)
        yield client


def write(database: Database, *objects: str, actor: Actor = SYSTEM_ACTOR, outcome: str = "done") -> None:
    with database.begin() as connection:
        for each in objects:
            audit.record(connection, actor, Right.SUBMIT, each, outcome, count=1)


def found(database: Database, wanted: Wanted, limit: int = 100) -> list[str]:
    with database.begin() as connection:
        return [line.object for line in search(connection, AUDITOR, wanted, limit=limit).lines]


def test_lines_are_found_by_who_what_where_and_when(audit_database: Database) -> None:
    other = Actor(
        name="k1", organisation="labour", kind="department", door="api", rights=frozenset(), address="10.0.0.9"
    )
    write(audit_database, "submission/1", "person/1%")
    write(audit_database, "submission/2", actor=other, outcome="refused")
    now = utc_now()
    looked: dict[str, Wanted] = {
        "actor": Wanted(actor="k1"),
        "organisation": Wanted(organisation="labour"),
        "address": Wanted(address="10.0.0.9"),
        "outcome": Wanted(outcome="refused"),
        "both": Wanted(object_prefix="submission/", actor="k1"),
    }
    assert {name: found(audit_database, each) for name, each in looked.items()} == {
        name: ["submission/2"] for name in looked
    }
    assert found(audit_database, Wanted(object_prefix="submission/")) == ["submission/2", "submission/1"]
    assert found(audit_database, Wanted(object_prefix="person/1%")) == ["person/1%"]
    assert found(audit_database, Wanted(object_prefix="person/%")) == []
    assert found(audit_database, Wanted(act="submit", since=now)) == []
    assert len(found(audit_database, Wanted(act="submit", until=now))) == 3


def test_pages_follow_each_other_without_a_gap_or_a_line_twice(audit_database: Database) -> None:
    write(audit_database, *(f"submission/{number}" for number in range(7)))
    seen: list[str] = []
    place = None
    with audit_database.begin() as connection:
        for _ in range(3):
            page = search(connection, AUDITOR, Wanted(act="submit"), place, limit=3)
            seen, place = seen + [line.object for line in page.lines], page.older
    assert seen == [f"submission/{number}" for number in range(6, -1, -1)]
    assert place is None


def test_a_search_is_recorded_with_its_filter_and_count(audit_database: Database) -> None:
    write(audit_database, "submission/1")
    found(audit_database, Wanted(actor="job", object_prefix="person/999001199001011237"))
    with audit_database.begin() as connection:
        line = connection.execute(select(audit_table).where(audit_table.c.object == "audit/search")).one()
    assert (line.actor, line.act, line.facts["count"]) == ("shenji", "read-audit", 0)
    assert line.facts["filter"] == {"actor": "job", "object_prefix": "person/999001********1237"}


@pytest.mark.parametrize("role", [role for role in ROLES if role != "auditor"])
def test_nobody_but_the_auditor_searches(audit_database: Database, role: str) -> None:
    actor = Actor(name="x", organisation="bureau", kind="bureau", door="panel", rights=ROLES[role])
    with audit_database.begin() as connection, pytest.raises(NotAllowed):
        search(connection, actor, Wanted())


# ---- the page ----


def test_the_auditor_sees_lines_and_narrows_them(client: Client, audit_database: Database) -> None:
    write(audit_database, *(f"submission/{number}" for number in range(150)))
    sign_in(client, "shenji")
    first = client.get("/audit", params={"act": "submit", "object": "submission/"})
    assert first.status_code == 200
    assert "submission/149" in first.text and "submission/49<" not in first.text
    older = first.text.split('class="pager"><a href="')[1].split('"')[0].replace("&amp;", "&")
    second = client.get(older)
    assert "submission/49<" in second.text and "submission/149" not in second.text
    assert "没有符合条件" in client.get("/audit", params={"actor": "nobody-at-all"}).text
    assert client.get("/audit", params={"since": "2026-99-99"}).status_code == 400
    assert client.get("/audit", params={"before": "junk"}).status_code == 400


def test_nobody_else_reaches_the_page(client: Client) -> None:
    for login in ("gongan", "qingxi", "quju"):
        sign_in(client, login)
        assert client.get("/audit").status_code == 403
        assert client.get("/audit/export").status_code == 403


def test_an_export_holds_exactly_what_was_filtered_and_is_numbered_and_recorded(
    client: Client, audit_database: Database
) -> None:
    spoiled = Actor(name="=cmd|'/c calc'!A1", organisation="labour", kind="department", door="api", rights=frozenset())
    write(audit_database, "submission/1", "submission/2")
    write(audit_database, "submission/3", actor=spoiled)
    sign_in(client, "shenji")
    as_csv = client.get("/audit/export", params={"form": "csv", "object": "submission/"})
    rows = list(csv.DictReader(io.StringIO(as_csv.content.decode("utf-8-sig"))))
    assert [row["object"] for row in rows] == ["submission/3", "submission/2", "submission/1"]
    assert rows[0]["actor"] == "'=cmd|'/c calc'!A1"
    as_json = client.get("/audit/export", params={"form": "ndjson", "object": "submission/"})
    lines = [msgspec.json.decode(line, type=audit.AuditLine) for line in as_json.content.splitlines()]
    assert [line.object for line in lines] == [row["object"] for row in rows]
    with audit_database.begin() as connection:
        taken = list(all_lines(connection, Wanted(object_prefix="audit/search-export")))
    assert [line.facts["count"] for line in taken] == [3, 3]
    assert as_json.headers["x-export-number"].endswith(taken[0].audit_id.hex[-8:])
    assert as_json.headers["x-export-number"] in as_json.headers["content-disposition"]


def test_without_the_audits_role_the_page_says_what_is_missing(
    database: Database, app_database: Database, settings: Settings, catalogue: Catalogue
) -> None:
    without = msgspec.structs.replace(settings, audit_url=None)
    with founded_hub(database, app_database, without, catalogue) as hub, TestClient(hub.app, WEB) as client:
        client.headers.update(OWN)
        sign_in(client, "shenji")
        assert client.get("/audit").status_code == 503
        assert "HUB_AUDIT_URL" in client.get("/audit").text
        assert "HUB_AUDIT_URL" in client.get("/audit/export").text
