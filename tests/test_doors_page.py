"""A unit's own doors on one page: keys without their secrets, channels in words, what came; and nobody else's."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert, update

from hub import jobs
from hub.database import Database, utc_now
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings
from hub.tables import api_key, channel_state
from mappings.catalogue import Catalogue
from tests.desk_visits import add_staff, visitor
from tests.doors import THIS_MONTH, Hub, csv_of, founded_hub, move_in

FOLDER = 'kind = "out_folder"\norganisation = "{unit}"\nsubscription = "moves"\nevery_seconds = 300\n'


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        settings.channels.mkdir(parents=True)
        for name, unit in (("police-out", "public_security"), ("labour-out", "labour")):
            (settings.channels / f"{name}.toml").write_text(FOLDER.format(unit=unit), "utf-8")
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[TestClient[Litestar]]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


def test_a_unit_sees_its_own_keys_and_channels_and_no_secret(hub: Hub, client: TestClient[Litestar]) -> None:
    page = visitor(hub, client, "gongan").get("/doors").text
    _, prefix, secret = hub.keys["public_security"].split("_", 2)
    assert f"hub_{prefix}" in page
    assert "police-out" in page
    assert secret not in page
    assert hub.keys["labour"].split("_")[1] not in page
    assert "labour-out" not in page
    assert "密钥和通道都正常" in page


def test_what_is_wrong_stands_first_with_what_to_do(hub: Hub, client: TestClient[Litestar]) -> None:
    now = utc_now()
    failed = {"last_tried_at": now, "next_at": now + timedelta(minutes=5), "failures": 3, "failure": "连接被拒绝。"}
    ends = update(api_key).where(api_key.c.organisation == "public_security").values(expires_at=now + timedelta(days=9))
    with hub.worker.begin() as connection:
        connection.execute(insert(channel_state), [{"channel": "police-out", **failed}])
        connection.execute(ends)
    page = visitor(hub, client, "gongan").get("/doors").text
    first = page.split('role="alert"')[1].split("</div>")[0]
    assert "police-out" in first
    assert "枢纽会按下次时间自动再试" in first
    assert "的密钥还有 8 天到期" in first
    assert "连续失败 3 次" in page
    assert "连接被拒绝。" in page
    (hub.settings.channels / "bad.toml").write_text("kind = 1", "utf-8")
    assert "通道的登记有误" in visitor(hub, client, "gongan").get("/doors").text


def test_what_came_is_counted_by_door_of_ones_own_unit(hub: Hub, client: TestClient[Litestar]) -> None:
    for door, serial in (("sftp", 1), ("api", 2), ("api", 3)):
        content = io.BytesIO(csv_of(move_in(serial)))
        jobs.accept(
            hub.worker, hub.settings, SYSTEM_ACTOR, stream=content, file_name="a.csv", door=door,
            record_type="hukou_move_in", organisation="public_security", period=THIS_MONTH,
        )  # fmt: skip
    shown = visitor(hub, client, "gongan").get("/doors").text
    assert '<th scope="row">接口</th><td class="n">2</td>' in shown
    assert '<th scope="row">SFTP 投放</th><td class="n">1</td>' in shown
    assert "近 30 天没有报送" in visitor(hub, client, "renshe").get("/doors").text


def test_who_may_ask_for_a_key_is_named_and_others_have_no_such_page(hub: Hub, client: TestClient[Litestar]) -> None:
    add_staff(hub)
    assert "数据专员（shuju）" in visitor(hub, client, "renshe").get("/doors").text
    officer = visitor(hub, client, "shuju").get("/doors").text
    assert 'href="/access-requests/new/issue-key"' in officer
    assert visitor(hub, client, "shuju").get("/access-requests/new/issue-key").status_code == 200
    answers = {login: visitor(hub, client, login).get("/doors").status_code for login in ("quju", "shenji", "xitong")}
    assert answers == dict.fromkeys(answers, 403)
