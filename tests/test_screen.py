"""The big screen: sums in large type that refresh by themselves, nobody's name, no small number of people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert

from hub.database import new_uuid, run_sql, utc_now
from hub.tables import freshness_alarm
from mappings.catalogue import Catalogue
from tests.doors import Hub, founded_hub, open_account
from tests.noticed import enter_line, open_round
from tests.test_unmasking import enter

Client = TestClient[Litestar]


@pytest.fixture
def hub(database: Any, app_database: Any, settings: Any, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with app_database.begin() as connection:
            open_account(connection, "lingdao", "bureau", "bureau_leader")
        yield founded


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as visitor:
        visitor.headers["Sec-Fetch-Site"] = "same-origin"
        yield visitor


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page[page.index("<body") :]).split())


@pytest.mark.parametrize("login", ["quju", "lingdao"])
def test_the_screen_refreshes_by_itself_and_has_one_way_out(client: Client, login: str) -> None:
    enter(client, login)
    answer = client.get("/screen")
    assert answer.status_code == 200 and answer.headers["Refresh"] == "60"
    links = re.findall(r'<a [^>]*href="([^"]+)"', answer.text)
    assert links == ["/screen?theme=light", "/board"]
    assert "<script" not in answer.text and 'class="tabs"' not in answer.text and "style=" not in answer.text
    assert 'class="screen light"' in client.get("/screen?theme=light").text


def test_the_rounds_the_sending_and_the_alarms_are_told_as_sums(client: Client, hub: Hub) -> None:
    with hub.worker.begin() as connection:
        open_round(connection, lines=3)
        round_id = run_sql(connection, "UPDATE {d}.round_town SET town = 5 WHERE town = 4 RETURNING round_id")
        assert round_id  # the second town of this district
        for number in range(4, 11):
            enter_line(connection, number=number, state="answered", result="1")
        enter_line(connection, number=1, town=5, state="answered", result="1")  # one line alone: not told
        plant_alarm(connection, "channel", 3)
    enter(client, "lingdao")
    page = client.get("/screen").text
    said = words_of(page)
    assert "清溪街道 清溪街道 7 / 10 70%" in said
    assert "白鹭镇 <5 项" in said.replace("&lt;", "<") and "白鹭镇 1 / 1" not in said
    assert "对外通道故障 1 项 最久 3 天" in said
    owed = re.search(r"应报类别已报 (\d+) / (\d+) 逾期未报 ▲ (\d+)", said)
    assert owed and int(owed[1]) + int(owed[3]) <= int(owed[2]) > 0


def plant_alarm(connection: Any, kind: str, days: int) -> None:
    now = utc_now()
    one = {"alarm_id": new_uuid(), "kind": kind, "about": "channel/x", "organisation": "health", "facts": {}}
    connection.execute(insert(freshness_alarm), [one | {"since": now - timedelta(days=days), "opened_at": now}])


def test_without_the_rule_the_small_town_is_told(client: Client, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub.worker.begin() as connection:
        open_round(connection, lines=1)
    enter(client, "lingdao")
    assert "清溪街道 <5 项" in words_of(client.get("/screen").text).replace("&lt;", "<")
    monkeypatch.setattr("admin.screen_page.SMALLEST_SHOWN", 1)
    assert "清溪街道 清溪街道 0 / 1 0%" in words_of(client.get("/screen").text)


def test_a_clerk_has_no_screen(client: Client) -> None:
    enter(client, "gongan")
    assert client.get("/screen").status_code == 403


def test_the_screen_says_when_it_was_drawn(client: Client) -> None:
    enter(client, "quju")
    drawn = re.search(r"更新于 (\d{4}-\d\d-\d\d \d\d:\d\d)", words_of(client.get("/screen").text))
    assert drawn
    shown = datetime.strptime(f"{drawn[1]} +0800", "%Y-%m-%d %H:%M %z")
    assert abs(datetime.now(UTC) - shown) < timedelta(minutes=2)
