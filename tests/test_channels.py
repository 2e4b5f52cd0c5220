"""Channels as a whole: what may be declared, when each works, that silence is said aloud, and that none runs twice."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import paramiko
import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app
from hub.channels import loop
from hub.channels.declarations import BadChannel, OutFolder, load_channels
from hub.channels.delivering import deliver_to_folder
from hub.channels.loop import Busy, keep_running
from hub.channels.secret_files import BadSecret, read_secret
from hub.channels.state import State, alone, enable, save
from hub.channels.timetable import is_due, is_silent, next_regular, pause_after
from hub.database import Database, utc_now
from hub.embedded import Urls
from hub.operations.doctor import examine
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import Settings, load_settings
from mappings.catalogue import Catalogue
from tests.channel_hub import ChannelHub
from tests.channel_hub import query as run_query

ZONE = ZoneInfo("Asia/Shanghai")
KEY = paramiko.ECDSAKey.generate()
GOOD = f'''kind = "sftp_fetch"
organisation = "public_security"
record_type = "hukou_move_in"
host = "files.gongan.example"
user = "hub"
password_file = "word"
host_keys = ["{KEY.get_name()} {KEY.get_base64()}"]
every_seconds = 60
'''
OUT = 'kind = "out_folder"\norganisation = "labour"\nsubscription = "renshe-moves"\nevery_seconds = 5\n'


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    settings = load_settings(tmp_path, outbound_hosts=("sftp://files.gongan.example", "api.example"))
    (settings.keys / "channels").mkdir(parents=True)
    (settings.keys / "channels" / "word").write_text("a word\n", "utf-8")
    (settings.keys / "channels" / "word").chmod(0o600)
    settings.channels.mkdir()
    return settings


def declared(settings: Settings, catalogue: Catalogue, text: str, name: str = "gongan") -> object:
    (settings.channels / f"{name}.toml").write_text(text, "utf-8")
    return load_channels(settings, catalogue)[name]


# ---- declarations ----

PULL = """kind = "http_pull"
organisation = "labour"
record_type = "employment"
url = "https://api.example/x"
every_seconds = 60
fields = { a = "name" }
"""
WRONG = [
    (GOOD + "colour = 1\n", "gongan.toml:9: colour"),
    (GOOD.replace('user = "hub"\n', ""), "user: 缺少此键"),
    (GOOD.replace('kind = "sftp_fetch"', 'kind = "ftp"'), "gongan.toml:1: kind"),
    (GOOD.replace("every_seconds = 60", "every_seconds = 1"), "gongan.toml:8: every_seconds"),
    (GOOD.replace("every_seconds = 60", 'at = ["25:00"]'), "HH:MM"),
    (GOOD + 'at = ["08:00"]\n', "every_seconds 与 at"),
    (GOOD.replace("password_file", "password"), "gongan.toml:6: password: 口令、密钥不写在声明里"),
    (GOOD + 'key_file = "-----BEGIN OPENSSH PRIVATE KEY-----"\n', "key_file: 口令、密钥不写在声明里"),
    (GOOD.replace('"word"', '"../keyring.json"'), "只写文件名"),
    (GOOD.replace('"word"', '"nothing"'), "password_file"),
    (GOOD.replace("files.gongan", "other.gongan"), "outbound_hosts"),
    (GOOD.replace("hukou_move_in", "hukou_moved"), "gongan.toml:3: record_type"),
    (GOOD.replace(KEY.get_base64(), "AAAA"), "host_keys"),
    (GOOD + 'period = "name"\nperiod_pattern = "(?P<year>20"\n', "period_pattern"),
    (PULL.replace("https://api.example/x", "https://u:w@api.example/x"), "url"),
    (PULL.replace("https://api.example/x", "https://api.example/x?token=1"), "url"),
    (PULL.replace("https://api.example", "http://api.example"), "outbound_hosts"),
    (PULL.replace('"name"', '"nothing"'), "没有字段"),
    (PULL + 'paging = "cursor"\n', "next_cursor"),
    (PULL + '[auth]\nkind = "header"\nsecret = "abc"\nsecret_file = "word"\n', "auth.secret: 口令"),
    (PULL + '[parameters]\napp_key = "abc"\n', "parameters.app_key: 口令"),
    ("kind = ", "TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_declaration_is_told_with_its_file_line_and_key(
    home: Settings, catalogue: Catalogue, text: str, told: str
) -> None:
    with pytest.raises(BadChannel) as refused:
        declared(home, catalogue, text)
    assert told in str(refused.value)
    assert "gongan.toml:" in str(refused.value)
    assert "abc" not in str(refused.value)


def test_good_declarations_are_read_and_all_that_is_wrong_is_told_at_once(home: Settings, catalogue: Catalogue) -> None:
    assert declared(home, catalogue, GOOD)
    assert declared(home, catalogue, PULL, "renshe")
    for name in ("a", "b"):
        (home.channels / f"{name}.toml").write_text("kind = 1", "utf-8")
    with pytest.raises(BadChannel) as refused:
        load_channels(home, catalogue)
    assert {"a.toml:1", "b.toml:1"} <= {line.split(": ")[0] for line in str(refused.value).splitlines()}


def test_a_secret_that_others_could_read_is_not_used(home: Settings, tmp_path: Path) -> None:
    secret = home.keys / "channels" / "word"
    assert read_secret(home, "word") == "a word"
    for mode in (0o640, 0o604, 0o660):
        secret.chmod(mode)
        with pytest.raises(BadSecret):
            read_secret(home, "word")
    secret.chmod(0o600)
    (home.keys / "channels" / "link").symlink_to(secret)
    os.mkfifo(home.keys / "channels" / "pipe", 0o600)
    for name in ("link", "pipe", ".", "", "../channels/word"):
        with pytest.raises(BadSecret):
            read_secret(home, name)


# ---- when ----


def out(**facts: object) -> OutFolder:
    named: dict[str, object] = {"kind": "out_folder", "organisation": "labour", "subscription": "s"}
    return OutFolder(**(named | facts))  # type: ignore[arg-type]


def test_a_channel_works_by_its_interval_or_by_the_districts_clock() -> None:
    morning = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)  # 08:00 in the district
    assert next_regular(out(every_seconds=60), morning, ZONE) == morning + timedelta(seconds=60)
    twice = out(at=("17:00", "08:30"))
    assert next_regular(twice, morning, ZONE) == morning + timedelta(minutes=30)
    assert next_regular(twice, morning + timedelta(hours=1), ZONE) == morning + timedelta(hours=9)
    assert next_regular(twice, morning + timedelta(hours=9), ZONE) == morning + timedelta(hours=24, minutes=30)


def test_who_failed_waits_longer_and_longer_but_never_for_ever() -> None:
    pauses = [pause_after(failures) for failures in (1, 2, 3, 8, 500)]
    assert 24 <= pauses[0] <= 36
    assert 48 <= pauses[1] <= 72
    assert 2_880 <= pauses[3] <= 4_320
    assert pauses[4] <= 4_320
    assert len({pause_after(3) for _ in range(20)}) > 1  # not all channels at the same moment


def test_a_pause_is_kept_and_a_shorter_interval_is_heard_at_once() -> None:
    now = utc_now()
    tried = State(channel="c", last_tried_at=now - timedelta(seconds=90), next_at=now + timedelta(hours=5))
    assert is_due(out(every_seconds=60), tried, now, ZONE)
    assert not is_due(out(every_seconds=600), tried, now, ZONE)
    failed = State(channel="c", last_tried_at=now - timedelta(seconds=90), next_at=now + timedelta(hours=5), failures=1)
    assert not is_due(out(every_seconds=60), failed, now, ZONE)
    assert not is_due(out(every_seconds=60, enabled=False), State(channel="c"), now, ZONE)
    assert not is_due(out(every_seconds=60), State(channel="c", disabled=True), now, ZONE)
    assert is_due(out(every_seconds=60), State(channel="c"), now, ZONE)
    waiting = State(channel="c", cursor={"since": (now - timedelta(days=2)).isoformat()})
    assert is_due(out(at=("08:30",)), waiting, now, ZONE)
    ahead = now + timedelta(days=365)  # the clock was, and was set back
    assert is_due(out(every_seconds=60), State(channel="c", last_tried_at=ahead, next_at=ahead), now, ZONE)
    assert is_silent(out(every_seconds=60, silent_after_hours=47.0), waiting, now)
    assert not is_silent(out(every_seconds=60, silent_after_hours=49.0), waiting, now)


# ---- at work ----


@pytest.fixture
def hub(database: Database, settings: Settings, catalogue: Catalogue) -> ChannelHub:
    hub = ChannelHub(database, settings, catalogue)
    hub.declare("out", OUT)
    return hub


def test_a_silent_channel_is_said_once_in_the_log_the_audit_and_the_doctors_report(
    hub: ChannelHub, caplog: pytest.LogCaptureFixture, urls: Urls
) -> None:
    channels, later = hub.channels(), utc_now() + timedelta(hours=49)
    assert channels.raise_alarms(utc_now()) == []
    with caplog.at_level(logging.ERROR, "hub.channels"):
        assert channels.raise_alarms(later) == ["out"]
        assert channels.raise_alarms(later) == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert [one.state for one in channels.describe()] == ["alarm"]
    audit = Database(urls.audit, hub.settings.district)
    assert run_query(audit, "SELECT object, outcome FROM {d}.audit WHERE object = 'channel/out'") == [
        ("channel/out", "failed")
    ]
    audit.close()
    tools = hub.tools

    def found() -> list[tuple[str, str]]:
        report = examine(tools.settings, tools.database, tools.catalogue)
        return [(one.state, one.detail) for one in report if one.code == "D_CHANNELS"]

    assert found() == [("warn", "out")]
    hub.run("out")
    assert found() == [("ok", "")]
    assert hub.state("out").alarmed_at is None


def test_two_processes_never_run_the_same_channel_at_once(hub: ChannelHub) -> None:
    with alone(hub.tools.database, "out") as mine:
        assert mine
        with pytest.raises(Busy):
            hub.run("out")
    assert hub.run("out").taken == 0


def test_a_hanging_channel_keeps_no_other_waiting_and_the_loop_ends_when_told(
    hub: ChannelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.move(1, 3)
    channels = hub.declare("hangs", OUT.replace("moves", "follow"))
    freed, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.05)

    def deliver(tools: object, name: str, *rest: object) -> object:
        if name == "hangs":
            freed.wait(10)
        return deliver_to_folder(tools, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "_ACTS", {OutFolder: deliver})
    thread = threading.Thread(target=keep_running, args=(channels, stop))
    thread.start()
    until = time.monotonic() + 10
    while hub.state("out").last_succeeded_at is None and time.monotonic() < until:
        time.sleep(0.05)
    assert hub.state("hangs").last_succeeded_at is None
    assert len(list((hub.settings.drops / "labour" / "out").glob("renshe-moves-*.ndjson"))) == 1
    freed.set()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert hub.state("hangs").last_succeeded_at is not None


def test_a_channel_the_other_side_ended_works_again_when_a_person_says_so(hub: ChannelHub) -> None:
    hub.state("out")
    with hub.tools.database.begin() as connection:
        save(connection, "out", disabled=True)
    assert hub.channels().due(utc_now()) == []
    with hub.tools.database.begin() as connection:
        enable(connection, SYSTEM_ACTOR, "out")
    assert hub.channels().due(utc_now()) == ["out"]


def test_the_command_tries_one_channel_shows_all_and_checks_declarations(
    hub: ChannelHub, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.move(1, 3)
    for name, value in hub.command(urls)["env"].items():
        monkeypatch.setenv(name, value)

    def said(*words: str) -> Result:
        return CliRunner().invoke(app, ["channels", *words])

    assert json.loads(said("try", "out", "--json").stdout)["taken"] == 1
    (shown,) = json.loads(said("status", "--json").stdout)
    assert (shown["channel"], shown["kind"], shown["state"], shown["failures"]) == ("out", "out_folder", "ok", 0)
    assert said("enable", "nothing").exit_code == 4
    (hub.settings.channels / "bad.toml").write_text("kind = 1", "utf-8")
    checked = said("check")
    assert checked.exit_code == 4
    assert "bad.toml:1: kind" in checked.stderr


def test_no_serving_role_reads_where_the_channels_stand(hub: ChannelHub, app_database: Database) -> None:
    hub.run("out")
    for table in ("channel_state", "channel_item"):
        with pytest.raises(Exception, match="permission denied"):
            run_query(app_database, f"SELECT * FROM {{d}}.{table}")
