"""The page of what runs: the queue, channels and folders in words, for those who keep the hub running, without contents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert

from hub.database import Database, new_uuid, run_sql, utc_now
from hub.settings import Settings
from hub.tables import channel_state, sftp_event
from mappings.catalogue import Catalogue
from tests.desk_visits import Visitor, add_staff, visitor
from tests.doors import Hub, csv_of, founded_hub, move_in
from tests.test_panel import OWN, sign_in, upload

Client = TestClient[Litestar]
_CHANNEL = """
kind = "out_folder"
organisation = "labour"
subscription = "moves-labour"
every_seconds = 600
"""


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as hub:
        add_staff(hub)
        yield hub


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        yield client


@pytest.fixture
def administrator(hub: Hub, client: Client) -> Visitor:
    return visitor(hub, client, "xitong")


def send_one(client: Client) -> None:
    client.cookies.clear()
    client.headers.update(OWN)
    sign_in(client, "gongan")
    assert upload(client, csv_of(move_in(1)), name="王小明的表.csv").status_code == 303


def test_what_waits_and_what_failed_is_counted_and_nothing_of_it_is_told(
    hub: Hub, client: Client, administrator: Visitor
) -> None:
    send_one(client)
    waiting = administrator.get("/running").text
    assert "没有任务程序在运行" in waiting and "最早等待自" in waiting and "处理报送" in waiting
    with hub.worker.begin() as connection:
        run_sql(connection, "SELECT set_config('search_path', 'jobs', true)")
        run_sql(connection, "UPDATE jobs.procrastinate_jobs SET status = 'doing', attempts = 5 RETURNING 1")
        run_sql(connection, "UPDATE jobs.procrastinate_jobs SET status = 'failed' RETURNING 1")
        run_sql(connection, "INSERT INTO jobs.procrastinate_workers DEFAULT VALUES RETURNING 1")
    failed = administrator.get("/running?only=trouble").text
    assert "请报送单位重传同一文件" in failed and "1 个在运行" in failed and "没有任务程序在运行" not in failed
    assert "多源比对" not in failed and "多源比对" in administrator.get("/running").text
    assert "王小明" not in waiting + failed and str(hub.settings.home) not in waiting + failed


def test_a_channel_that_fails_says_why_and_what_to_do(hub: Hub, administrator: Visitor) -> None:
    hub.settings.channels.mkdir(parents=True, exist_ok=True)
    (hub.settings.channels / "renshe-out.toml").write_text(_CHANNEL, "utf-8")
    row = {"channel": "renshe-out", "last_tried_at": utc_now(), "failures": 3, "failure": "连接被拒绝。 Refused."}
    with hub.worker.begin() as connection:
        connection.execute(insert(channel_state), [row])
    page = administrator.get("/running").text
    assert "renshe-out" in page and "连接被拒绝" in page and "按退避时间自动再试" in page and "1 个通道需要处理" in page
    assert "renshe-out" not in administrator.get("/running?organisation=health").text.partition('id="channels"')[2]
    assert "renshe-out" in administrator.get("/organisations/labour").text
    (hub.settings.channels / "renshe-out.toml").write_text("kind = 1", "utf-8")
    assert "通道声明有误" in administrator.get("/running").text


def test_the_sftp_door_and_the_drop_folders_are_counted_by_organisation(hub: Hub, administrator: Visitor) -> None:
    """An administrator sees no ledger, and still how often the door was refused."""
    event = {"session_id": new_uuid(), "actor": "k", "address": "127.0.0.1", "path": "/in/秘密.csv", "at": utc_now()}
    told = [("sign-in", "done", {}), ("close", "done", {}), ("refused", "sign-in", {"banned": True})]
    rows = [
        event | {"event_id": new_uuid(), "organisation": "labour", "act": act, "outcome": outcome, "facts": facts}
        for act, outcome, facts in told
    ]
    with hub.worker.begin() as connection:
        connection.execute(insert(sftp_event), rows)
    folder = hub.settings.drops / "labour" / "in" / "employment"
    folder.mkdir(parents=True)
    (folder / "秘密.csv").write_text("x", "utf-8")
    page = administrator.get("/running").text
    counted = '<td class="n">1</td>' * 4
    assert f'<th scope="row"><span data-text>云岭区人社局</span></th>{counted}' in page.replace("\n", "")
    assert "待取文件" in page and "秘密" not in page


def test_only_who_keeps_the_hub_running_may_look(hub: Hub, client: Client) -> None:
    assert visitor(hub, client, "quju").get("/running").status_code == 200
    for login in ("gongan", "qingxi", "anquan", "shenji", "lingdao", "shuju"):
        assert visitor(hub, client, login).get("/running").status_code == 403, login
