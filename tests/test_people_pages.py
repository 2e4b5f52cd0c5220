"""Finding a person on the pages, by the command line and the API: purpose first, masked, nothing personal in an address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, new_uuid, run_sql
from hub.people.attributes import derive
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, visitor
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, identity_number, move_in

NUMBER, NAME, REASON = identity_number(1), "王小明", "核对群众反映的情况"
_LINK = re.compile(r'href="(/people/[0-9a-f-]{36}[^"]*)"')


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        yield hub


@pytest.fixture
def client(hub: Hub, catalogue: Catalogue) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        sender = visitor(hub, client, "gongan")
        form = {"token": sender.token, "record_type": "hukou_move_in", "period": THIS_MONTH}
        files = {"file": ("moves.csv", csv_of(move_in(1)), "application/octet-stream")}
        client.cookies.clear()
        client.post("/submissions/new", data=form, files=files, headers=sender.headers, follow_redirects=False)
        hub.work()
        with hub.worker.begin() as connection:
            derive(connection, catalogue, [row[0] for row in run_sql(connection, "SELECT person_id FROM {d}.person")])  # type: ignore[misc]
        yield client


def search(who: Visitor, **asked: str) -> str:
    return str(who.post("/people", **{"purpose": "verify", **asked}).text)


def get(who: Visitor, path: str) -> str:
    return str(who.get(path).text)


def test_a_town_finds_a_newcomer_and_opens_the_record(hub: Hub, client: TestClient[Litestar]) -> None:
    town = visitor(hub, client, "qingxi")
    found = search(town, id_no=NUMBER)
    (link,) = _LINK.findall(found)
    assert NUMBER not in link
    page = get(town, link.replace("&amp;", "&"))
    assert "户口迁入" in page
    assert NAME in page
    assert NUMBER not in page
    english = town.get(link.replace("&amp;", "&"), language="en").text
    assert "Household registration moved in" in english


def test_an_address_without_a_purpose_asks_for_it_whoever_it_names(hub: Hub, client: TestClient[Litestar]) -> None:
    town = visitor(hub, client, "qingxi")
    (link,) = _LINK.findall(search(town, id_no=NUMBER))
    known, unknown = get(town, link.partition("?")[0]), get(town, f"/people/{new_uuid()}")
    assert "查阅目的" in known
    assert NAME not in known
    assert known.count("<tr") == unknown.count("<tr") == 0


def test_another_town_and_another_department_find_nobody(hub: Hub, client: TestClient[Litestar]) -> None:
    for login in ("bailu", "renshe"):
        assert "没有找到可以查看的人员" in search(visitor(hub, client, login), id_no=NUMBER)


def test_the_bureau_says_why_and_reads_masked(hub: Hub, client: TestClient[Litestar]) -> None:
    bureau = visitor(hub, client, "quju")
    assert "理由" in search(bureau, id_no=NUMBER)
    assert not _LINK.findall(search(bureau, id_no=NUMBER))
    found = search(bureau, name="王小", area="999001001000", reason=REASON)
    hidden = search(bureau, id_no=NUMBER, reason=REASON)
    (link,) = _LINK.findall(hidden)
    page = get(bureau, link.replace("&amp;", "&"))
    assert "王***" in page
    for text in (found, hidden, page):
        assert NUMBER not in text
        assert NAME not in text


def test_who_may_not_read_of_people_is_sent_away(hub: Hub, client: TestClient[Litestar]) -> None:
    auditor = visitor(hub, client, "shenji")
    client.cookies.clear()
    for path in ("/people", f"/people/{new_uuid()}?purpose=verify"):
        assert client.get(path, headers=auditor.headers).status_code == 403
    place = f"/v1/people/{new_uuid()}/timeline?purpose=verify"
    assert client.get(place, headers=hub.key_of("labour")).status_code == 403


def test_a_question_too_wide_is_answered_with_what_to_do(hub: Hub, client: TestClient[Litestar]) -> None:
    assert "至少两个字的姓名" in search(visitor(hub, client, "qingxi"), name="王")
    assert "完整身份号码" in search(visitor(hub, client, "renshe"), name="王小明", birth_date="1990-03-07")
    assert "请选择查阅目的" in search(visitor(hub, client, "qingxi"), id_no=NUMBER, purpose=quote("?"))


def test_the_command_line_reads_masked_and_with_a_reason(
    hub: Hub, client: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "worker_url", "owner_url", "audit_url"):
        monkeypatch.setenv(f"HUB_{name.upper()}", str(getattr(hub.settings, name)))
    home = ["--home", str(hub.settings.home)]
    found = CliRunner().invoke(app, ["people", "find", "--id-no", NUMBER, "--reason", REASON, *home])
    person = json.loads(found.stdout)["people"][0]["person_id"]
    told = CliRunner().invoke(app, ["people", "show", person, "--reason", REASON, *home])
    assert json.loads(told.stdout)["entries"][0]["record_type"] == "hukou_move_in"
    assert not [value for value in (NUMBER, NAME) if value in found.stdout + told.stdout]
    assert CliRunner().invoke(app, ["people", "show", person, "--reason", "看", *home]).exit_code == 2
