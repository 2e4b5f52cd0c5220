"""The audit outlives its table: anchored outside, exported, archived after its years, verified away from the hub."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, insert, select, update

from hub import audit
from hub.audit.archives import archives
from hub.database import Database, new_uuid, utc_now
from hub.embedded import Urls
from hub.errors import Conflict, NotAllowed
from hub.keyring import Keyring
from hub.operations import audit_anchors, audit_keeping
from hub.operations.audit_keeping import ArchiveUnsound, TooYoung
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.settings import BadSettings, Settings, load_settings
from hub.tables import audit as audit_table
from hub.tables import audit_archive, audit_seal
from tests.test_commands import hub

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
OLD = datetime(2023, 1, 10, 4, 0, tzinfo=UTC)


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.load(settings.home)


@pytest.fixture
def marked(urls: Urls, settings: Settings, keyring: Keyring) -> Iterator[Database]:
    opened = Database(urls.worker, settings.district, audit_key=keyring.audit_key)
    yield opened
    opened.close()


@pytest.fixture
def environment(settings: Settings, urls: Urls) -> dict[str, str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    named = {"DATABASE": urls.app, "WORKER": urls.worker, "OWNER": urls.owner, "AUDIT": urls.audit}
    return {**os.environ, "HUB_HOME": str(settings.home), **{f"HUB_{name}_URL": url for name, url in named.items()}}


def write(database: Database, count: int = 3) -> None:
    with database.begin() as connection:
        for number in range(count):
            audit.record(connection, SYSTEM_ACTOR, Right.SUBMIT, f"submission/{number}", count=number)


def write_old(database: Database, key: bytes, count: int, at: datetime = OLD) -> None:
    """Lines of years ago, marked as the hub marked them then, and sealed."""
    with database.begin() as connection:
        for number in range(count):
            line = audit.AuditLine(
                audit_id=new_uuid(), at=at + timedelta(seconds=number), actor="job", organisation="hub", door="job",
                act="submit", object=f"submission/old-{number}", outcome="done", facts={"count": number},
            )  # fmt: skip
            row = msgspec.structs.asdict(line) | {"mac": audit.mac_of(key, line)}
            connection.execute(insert(audit_table), [row])
        audit.seal(connection, at + timedelta(minutes=5))


def findings(database: Database, settings: Settings) -> list[str]:
    keys = Keyring.load(settings.home)
    anchors, found = audit.read_anchors(audit_anchors.written_anchors(settings), keys.public_keys)
    with database.read() as connection:
        return found + audit.verify(connection, key=keys.audit_key, published=anchors)


def anchor(database: Database, settings: Settings) -> audit.Anchored:
    return audit_anchors.anchor(database, settings, Keyring.load(settings.home), SYSTEM_ACTOR, utc_now())


# ---- anchors ----


def test_an_anchor_is_signed_appended_and_for_its_owner_alone(marked: Database, settings: Settings) -> None:
    write(marked)
    first, second = anchor(marked, settings), anchor(marked, settings)
    path = settings.home / "audit" / "anchors.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line)["seal_no"] for line in path.read_bytes().splitlines()] == [1, 2]
    assert (first.lines, second.lines) == (4, 5)
    assert findings(marked, settings) == []


def test_the_regular_job_anchors_what_it_sealed_and_nothing_else(
    marked: Database, settings: Settings, keyring: Keyring
) -> None:
    write(marked)
    assert audit_anchors.keep(marked, settings, keyring, utc_now()) is not None
    assert audit_anchors.keep(marked, settings, keyring, utc_now()) is None
    assert len(list(audit_anchors.written_anchors(settings))) == 1


def test_only_the_hub_itself_anchors(marked: Database, settings: Settings, keyring: Keyring) -> None:
    auditor = Actor(name="a", organisation="bureau", kind="bureau", door="panel", rights=ROLES["auditor"])
    with pytest.raises(NotAllowed):
        audit_anchors.anchor(marked, settings, keyring, auditor, utc_now())


def test_every_anchor_reaches_syslog_once_even_when_it_was_away(
    marked: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    told = msgspec.structs.replace(settings, audit_syslog=f"127.0.0.1:{port}")
    anchor(marked, told)  # nobody listens
    assert "not sent to syslog" in caplog.text
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", port))
        listening.settimeout(5)
        second = anchor(marked, told)
        heard = [listening.recv(4096).decode() for _ in range(2)]
        assert [json.loads(each.split("hub-audit: ")[1])["seal_no"] for each in heard] == [1, 2]
        assert second.link in heard[1]
        audit_anchors.send_to_syslog(told)
        listening.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listening.recv(4096)


@pytest.mark.parametrize("address", ["/nowhere/log", "nonsense", "127.0.0.1:none"])
def test_a_syslog_that_cannot_be_reached_is_told_of_and_the_anchor_is_kept(
    marked: Database, settings: Settings, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    anchor(marked, msgspec.structs.replace(settings, audit_syslog=address))
    assert "not sent to syslog" in caplog.text
    assert len(list(audit_anchors.written_anchors(settings))) == 1


# ---- exports ----


def exported(marked: Database, settings: Settings, path: Path) -> list[bytes]:
    audit_keeping.export_audit(marked, Keyring.load(settings.home), SYSTEM_ACTOR, path, utc_now())
    return path.read_bytes().splitlines()


def test_an_export_is_verified_with_nothing_but_itself(marked: Database, settings: Settings, tmp_path: Path) -> None:
    for _ in range(3):
        write(marked)
        with marked.begin() as connection:
            audit.seal(connection, utc_now())
    lines = exported(marked, settings, tmp_path / "audit.ndjson")
    keys = Keyring.load(settings.home).public_keys
    assert audit.verify_export(lines, public_keys=keys) == []
    for number in range(len(lines)):
        assert audit.verify_export([*lines[:number], *lines[number + 1 :]]) != []
        changed = (
            lines[number].replace(b"a", b"b", 1) if number else lines[0].replace(b'"from_seal":1', b'"from_seal":2')
        )
        assert audit.verify_export([*lines[:number], changed, *lines[number + 1 :]], public_keys=keys) != []
        assert audit.verify_export([*lines[: number + 1], *lines[number:]]) != []
    assert audit.verify_export(lines, public_keys={}) == ["文件签名无效。 The file's signature is not the hub's."]
    assert audit.verify_export([b"not an export"]) != []
    assert audit.verify_export([]) != []


def test_an_export_is_numbered_and_recorded_and_never_written_over(
    marked: Database, settings: Settings, keyring: Keyring, tmp_path: Path
) -> None:
    write(marked)
    anchor(marked, settings)
    path = tmp_path / "audit.ndjson"
    made = audit_keeping.export_audit(marked, keyring, SYSTEM_ACTOR, path, utc_now())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes().splitlines()[0])["header"]["number"] == made.number
    with marked.begin() as connection:
        line = connection.execute(select(audit_table).where(audit_table.c.object == "audit/export")).one()
    assert line.facts == {"from_seal": 1, "to_seal": 1}
    assert made.number.endswith(line.audit_id.hex[-8:])
    with pytest.raises(Conflict):
        audit_keeping.export_audit(marked, keyring, SYSTEM_ACTOR, path, utc_now())


# ---- archives ----


def test_old_lines_are_archived_and_the_chain_goes_on(
    marked: Database, settings: Settings, keyring: Keyring, tmp_path: Path
) -> None:
    write_old(marked, keyring.audit_key, 4)
    write_old(marked, keyring.audit_key, 2, OLD + timedelta(days=1))
    write_old(marked, keyring.audit_key, 2, OLD + timedelta(days=500))
    write(marked)
    made = audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 6, 1).date(), tmp_path, NOW)
    assert made is not None and (made.from_seal, made.to_seal, made.lines) == (1, 2, 6)
    again = audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 6, 1).date(), tmp_path, NOW)
    assert again is None
    anchor(marked, settings)
    assert findings(marked, settings) == []
    with marked.read() as connection:
        left = connection.execute(select(audit_table.c.object)).scalars().all()
        path = tmp_path / made.file_name
        assert audit_keeping.check_archive(connection, path, keyring.audit_key, keyring.public_keys) == []
        path.write_bytes(path.read_bytes().replace(b"old-1", b"old-9"))
        assert len(audit_keeping.check_archive(connection, path, keyring.audit_key, keyring.public_keys)) >= 2
    assert [each for each in left if "old" in each] == ["submission/old-0", "submission/old-1"]
    rest = exported(marked, settings, tmp_path / "rest.ndjson")
    assert audit.verify_export(rest, public_keys=keyring.public_keys) == []


def test_younger_lines_are_refused(marked: Database, settings: Settings, keyring: Keyring, tmp_path: Path) -> None:
    write_old(marked, keyring.audit_key, 2)
    with pytest.raises(TooYoung):
        audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 11, 23).date(), tmp_path, NOW)
    longer = msgspec.structs.replace(settings, audit_years=5)
    with pytest.raises(TooYoung):
        audit_keeping.archive(longer, keyring, SYSTEM_ACTOR, datetime(2023, 1, 12).date(), tmp_path, NOW)
    assert list(tmp_path.glob("audit-archive*")) == []


def test_a_seal_with_one_younger_line_stays(
    marked: Database, settings: Settings, keyring: Keyring, tmp_path: Path
) -> None:
    at = datetime(2023, 5, 31, 15, 59, 59, tzinfo=UTC)  # the second one is of the first of June, in Shanghai
    write_old(marked, keyring.audit_key, 2, at)
    assert audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 6, 1).date(), tmp_path, NOW) is None


def test_what_was_edited_is_not_archived_and_nothing_is_deleted(
    marked: Database, owner_database: Database, settings: Settings, keyring: Keyring, tmp_path: Path
) -> None:
    write_old(marked, keyring.audit_key, 3)
    with owner_database.begin() as connection:
        edited = update(audit_table).where(audit_table.c.object == "submission/old-1")
        connection.execute(edited.values(actor="another"))
    with pytest.raises(ArchiveUnsound):
        audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 6, 1).date(), tmp_path, NOW)
    with marked.read() as connection:
        assert len(connection.execute(select(audit_table)).all()) == 3
        assert archives(connection) == []


def test_an_archive_entered_by_hand_hides_no_deletion(
    marked: Database, owner_database: Database, settings: Settings, keyring: Keyring
) -> None:
    write_old(marked, keyring.audit_key, 3)
    row = {
        "archive_no": 1, "from_seal": 1, "to_seal": 1, "lines": 3, "file_name": "x", "sha256": "0" * 64,
        "archived_at": NOW, "mac": bytes(32),
    }  # fmt: skip
    with owner_database.begin() as connection:
        connection.execute(insert(audit_archive), [row])
        connection.execute(delete(audit_table))
    with marked.read() as connection:
        assert audit.verify(connection) == []  # the chain alone is deceived
    assert any("not entered by the hub" in each for each in findings(marked, settings))


def test_a_line_of_an_archive_does_not_come_back(
    marked: Database, owner_database: Database, settings: Settings, keyring: Keyring, tmp_path: Path
) -> None:
    write_old(marked, keyring.audit_key, 2)
    made = audit_keeping.archive(settings, keyring, SYSTEM_ACTOR, datetime(2023, 6, 1).date(), tmp_path, NOW)
    assert made is not None
    with owner_database.begin() as connection:
        known = connection.execute(select(audit_seal.c.audit_ids)).scalar_one()
        forged = {"audit_id": known[0], "at": OLD, "actor": "a", "organisation": "b", "door": "c", "act": "d"}
        connection.execute(insert(audit_table), [forged])
    assert [("inserted afterwards" in each) for each in findings(marked, settings)] == [True]


def test_fewer_years_than_the_rule_are_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="audit_years = 2"):
        load_settings(tmp_path, audit_years=2)
    assert load_settings(tmp_path, audit_years=7).audit_years == 7


# ---- the command ----


def test_the_audit_is_kept_from_the_command_line(
    environment: dict[str, str], marked: Database, owner_database: Database, settings: Settings, tmp_path: Path
) -> None:
    write_old(marked, Keyring.load(settings.home).audit_key, 5)
    write(marked)
    told = hub(environment, "audit", "anchor", "--json")
    assert (told.returncode, json.loads(told.stdout)["seal_no"]) == (0, 2), told.stderr
    assert hub(environment, "audit", "archive", "--before", "2023-12-30", "-o", str(tmp_path)).returncode == 2
    moved = hub(environment, "audit", "archive", "--before", "2023-06-01", "-o", str(tmp_path / "old"), "--json")
    archive = tmp_path / "old" / json.loads(moved.stdout)["file_name"]
    whole = hub(environment, "audit", "verify", "--archive", str(archive))
    assert (whole.returncode, whole.stdout) == (0, "审计完整。 The audit is whole.\n"), whole.stderr
    path = tmp_path / "audit.ndjson"
    assert hub(environment, "audit", "export", "-o", str(path)).returncode == 0
    away = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    keys = ["--public-keys", str(settings.home / "keys" / "public_keys.json")]
    for file in (path, archive):
        assert hub(away, "audit", "verify", str(file), *keys).returncode == 0
    looked = hub(environment, "audit", "search", "--object", "audit/", "--json")
    assert [json.loads(line)["object"] for line in looked.stdout.splitlines()] == [
        "audit/export", "audit/archive/1", "audit/anchor",
    ]  # fmt: skip
    path.write_bytes(path.read_bytes().replace(b"submission/1", b"submission/7"))
    found = hub(away, "audit", "verify", str(path), *keys)
    assert (found.returncode, found.stdout) == (1, "存证 2 的审计内容被改动。 A line of seal 2 was edited.\n")
    assert hub(away, "audit", "verify", str(tmp_path / "missing")).returncode == 4
    with owner_database.begin() as connection:
        connection.execute(delete(audit_table).where(audit_table.c.object == "submission/1"))
    assert hub(environment, "audit", "verify").returncode == 1
