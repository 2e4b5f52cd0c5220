"""The page of what runs: the queue, channels and folders in words, for those who keep the hub running, without contents."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import insert

from hub import jobs
from hub.database import new_uuid, run_sql, utc_now
from hub.errors import Conflict
from hub.operations import audit_anchors
from hub.operations.failed_jobs import drop_old_failures
from hub.tables import channel_state, sftp_event
from tests.desk_visits import Visitor, visitor
from tests.doors import Hub, csv_of, move_in
from tests.list_hub import body_rows, read_file
from tests.test_panel import OWN, sign_in, upload

Client = TestClient[Litestar]
pytestmark = pytest.mark.usefixtures("staff")
_CHANNEL = """
kind = "out_folder"
organisation = "labour"
subscription = "moves-labour"
every_seconds = 600
"""


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


def test_a_failed_job_says_its_errors_class_and_our_sentence_and_no_value(
    hub: Hub, administrator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(wrong: Exception) -> Callable[..., None]:
        def failing(*_: object) -> None:
            raise wrong

        return failing

    monkeypatch.setattr(audit_anchors, "keep", fail(KeyError("王小明 999001199001011239")))
    monkeypatch.setattr(jobs, "keep_quality_figures", fail(Conflict("王小明的数据")))
    with hub.worker.begin() as connection:
        run_sql(connection, "SELECT set_config('search_path', 'jobs', true)")
        for task in ("seal_audit", "keep_quality"):
            run_sql(connection, _QUEUED, task=task)
    jobs.work(hub.worker, hub.settings, wait=False)
    page = administrator.get("/running").text
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("<h3>失败的任务") : page.index('id="channels"')], re.S)
    told = {re.sub(r"<[^>]+>", " ", row).split()[1]: row for row in rows[1:]}
    assert "KeyError" in told["审计封存"] and "<br>" not in told["审计封存"]
    assert "Conflict" in told["质量数字更新"] and Conflict.sentence() in unescape(told["质量数字更新"])
    assert "王小明" not in page and "999001199001011239" not in page
    assert "小明" not in "".join(file.read_text() for file in (hub.settings.home / "failed-jobs").iterdir())
    assert "见枢纽主机日志" not in page
    assert drop_old_failures(hub.settings, hours=1) == 0 and drop_old_failures(hub.settings, hours=-1) >= 2
    assert "见枢纽主机日志" in administrator.get("/running").text


_QUEUED = """
INSERT INTO jobs.procrastinate_jobs (queue_name, task_name, args) VALUES ('default', :task, '{"timestamp": 0}') RETURNING 1
"""


def test_the_jobs_are_a_list_ordered_and_taken_away_like_any_other(hub: Hub, administrator: Visitor) -> None:
    page = administrator.get("/running").text
    names = [row[0] for row in body_rows(page)]
    assert "处理报送" not in names and "多源比对" in names  # nothing of it yet; by the clock
    ordered = body_rows(administrator.get("/running?sort=-next_at").text)
    assert [row[-1] for row in ordered] == sorted((row[-1] for row in ordered), reverse=True)
    file = read_file(administrator.get("/running?export=xlsx"))
    assert [row[0] for row in file.rows] == names and file.cover["内容摘要（SHA-256）"] == file.digest()
    assert "没有需要处理的任务" in administrator.get("/running?only=trouble").text


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
