"""One file is the whole hub: what went in comes back, nothing else is believed, and old cursors are refused."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from hub import jobs
from hub.database import Database, run_sql
from hub.embedded import Cluster
from hub.errors import Conflict
from hub.exchange import changelog, receipts
from hub.keyring import Keyring
from hub.operations import backup
from hub.operations.backup import BrokenBackup, MissingKeys, ProgramFailed, WrongPassphrase
from hub.registry.permissions import Actor, Right
from hub.settings import Settings, load_settings
from hub.tables import organisation
from mappings.catalogue import Catalogue
from tests.conftest import execute
from tests.homes import own_home
from tests.sheets import death_sheet

ROOT = Path(__file__).parent.parent
PASSPHRASE = "a passphrase of this test"
CLERK = Actor(name="clerk", organisation="health", kind="department", door="upload", rights=frozenset({Right.SUBMIT}))


@pytest.fixture
def number(database: Database, owner_database: Database, settings: Settings) -> str:
    """A hub with one merged submission; its receipt number."""
    with owner_database.begin() as connection:
        connection.execute(
            insert(organisation), [{"code": "health", "district": "d999001", "name": "卫健局", "kind": "department"}]
        )
    accepted = jobs.accept(
        database,
        settings,
        CLERK,
        stream=io.BytesIO(death_sheet()),
        file_name="11月.csv",
        record_type="death_certificate",
        organisation="health",
        period="2026-11",
        door="upload",
    )
    jobs.work(database, settings, wait=False)
    return accepted.receipt_number


@pytest.fixture
def fresh(cluster: Cluster, tmp_path: Path) -> Iterator[Settings]:
    """An empty database and an empty home to restore into."""
    execute(cluster, "CREATE DATABASE restored OWNER hub_owner")
    urls = cluster.urls("restored")
    yield load_settings(tmp_path / "fresh", database_url=urls.app, owner_url=urls.owner, worker_url=urls.worker)
    execute(cluster, "DROP DATABASE restored WITH (FORCE)")


def back_up(settings: Settings, database: Database, target: Path, passphrase: str | None = PASSPHRASE) -> Path:
    backup.back_up(settings, database, target, passphrase)
    return target


def contents(database: Database) -> dict[str, Any]:
    """Every row of every district table, by table, as text."""
    with database.begin() as connection:
        tables = run_sql(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'd999001' ORDER BY 1")
        asked = {
            str(t): f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {{d}}.{t} x"
            for (t,) in tables
        }
        return {table: run_sql(connection, ask) for table, ask in asked.items() if table != "feed_head"}


def test_a_restored_hub_has_the_same_rows_files_and_keys(
    database: Database,
    owner_database: Database,
    settings: Settings,
    fresh: Settings,
    number: str,
    tmp_path: Path,
    catalogue: Catalogue,
) -> None:
    roll = settings.home / "rolls" / "2026" / "11" / "roll"
    roll.parent.mkdir(parents=True)
    roll.write_bytes(b"a town's roll")
    restored = backup.restore(back_up(settings, owner_database, tmp_path / "b"), fresh, PASSPHRASE)
    assert (restored.files, restored.keys_restored) == (2, True)
    assert (fresh.home / roll.relative_to(settings.home)).read_bytes() == b"a town's roll"
    again = Database(fresh.worker_url or "", fresh.district)
    owner = Database(fresh.owner_url or "", fresh.district)
    try:
        assert contents(owner) == contents(owner_database)
        with again.begin() as connection:
            receipt = receipts.read_receipt(connection, number)
            assert changelog.verify_feed(connection, catalogue) == []
            place = run_sql(connection, "SELECT stored_as FROM {d}.submission")[0][0]
        assert receipt["state"] == "merged"
        assert receipts.verify(receipt["signed"], Keyring.load(fresh.home).public_keys)
        assert (fresh.files / str(place)).read_bytes() == death_sheet()
        assert Keyring.load(fresh.home).digest_key == Keyring.load(settings.home).digest_key
        assert jobs.accept(again, fresh, CLERK, **_the_same_again()).receipt_number == number
    finally:
        again.close()
        owner.close()


def _the_same_again() -> dict[str, Any]:
    return {
        "stream": io.BytesIO(death_sheet()),
        "file_name": "again.csv",
        "record_type": "death_certificate",
        "organisation": "health",
        "period": "2026-11",
        "door": "upload",
    }


def test_a_restore_begins_a_new_epoch_where_the_backup_ended(
    database: Database, owner_database: Database, settings: Settings, fresh: Settings, number: str, tmp_path: Path
) -> None:
    restored = backup.restore(back_up(settings, owner_database, tmp_path / "b"), fresh, PASSPHRASE)
    with owner_database.begin() as connection:
        before = run_sql(connection, "SELECT epoch, last_seq FROM {d}.feed_head")[0]
    owner = Database(fresh.owner_url or "", fresh.district)
    try:
        with owner.begin() as connection:
            after = run_sql(connection, "SELECT epoch, last_seq, epoch_start FROM {d}.feed_head")[0]
    finally:
        owner.close()
    assert after[0] == restored.epoch != before[0]
    assert after[1] == after[2] == before[1] == 2


def test_a_backup_is_never_restored_over_a_hub(
    owner_database: Database, settings: Settings, number: str, tmp_path: Path
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b")
    before = contents(owner_database)
    elsewhere = msgspec.structs.replace(settings, home=tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        backup.restore(file, elsewhere, PASSPHRASE)
    assert contents(owner_database) == before


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.9])
def test_a_damaged_backup_restores_nothing(
    owner_database: Database, settings: Settings, fresh: Settings, number: str, tmp_path: Path, where: float
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b")
    damaged = bytearray(file.read_bytes())
    damaged[int(len(damaged) * where)] ^= 0xFF
    file.write_bytes(damaged)
    with pytest.raises(BrokenBackup):
        backup.restore(file, fresh, PASSPHRASE)
    assert not fresh.home.exists()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_backup_cut_short_restores_nothing(
    owner_database: Database, settings: Settings, fresh: Settings, number: str, tmp_path: Path, share: float
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(BrokenBackup):
        backup.restore(file, fresh, PASSPHRASE)
    assert not fresh.home.exists()


def test_an_entry_that_leads_outside_is_refused(fresh: Settings, tmp_path: Path) -> None:
    file = tmp_path / "evil"
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("files/../../outside"), io.BytesIO())
    with pytest.raises(BrokenBackup):
        backup.restore(file, fresh, PASSPHRASE)


def test_keys_leave_the_hub_only_under_a_passphrase(
    owner_database: Database, settings: Settings, number: str, tmp_path: Path
) -> None:
    secret = (settings.keys / "keyring.json").read_bytes()
    words = [match.encode() for match in re.findall(r"[A-Za-z0-9+/=]{40,}", secret.decode())]
    assert words
    for passphrase in (None, PASSPHRASE):
        with tarfile.open(back_up(settings, owner_database, tmp_path / "b", passphrase)) as archive:
            names = archive.getnames()
            whole = b"".join(stream.read() for each in archive if (stream := archive.extractfile(each)))
        assert ("keyring.sealed" in names) == (passphrase is not None)
        assert not any(word in whole for word in words)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_the_wrong_passphrase_opens_nothing(
    owner_database: Database, settings: Settings, fresh: Settings, number: str, tmp_path: Path
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b")
    for wrong in (None, "another passphrase"):
        with pytest.raises(WrongPassphrase):
            backup.restore(file, fresh, wrong)
    assert not fresh.keys.exists()
    assert backup.restore(file, fresh, PASSPHRASE).keys_restored


def test_a_backup_without_keys_asks_for_them(
    owner_database: Database, settings: Settings, fresh: Settings, number: str, tmp_path: Path
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b", None)
    with pytest.raises(MissingKeys):
        backup.restore(file, fresh, None)
    fresh.keys.mkdir(parents=True)
    (fresh.keys / "keyring.json").write_bytes((settings.keys / "keyring.json").read_bytes())
    assert not backup.restore(file, fresh, None).keys_restored


def test_a_restore_that_was_cut_off_leaves_a_mark(
    owner_database: Database,
    settings: Settings,
    fresh: Settings,
    number: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cut(*_: object) -> None:
        raise ProgramFailed("cut")

    file = back_up(settings, owner_database, tmp_path / "b")
    monkeypatch.setattr(backup, "_load", cut)
    with pytest.raises(ProgramFailed):
        backup.restore(file, fresh, PASSPHRASE)
    assert (fresh.home / backup.UNFINISHED).exists()


def test_a_backup_is_noted_for_the_doctor(
    owner_database: Database, settings: Settings, number: str, tmp_path: Path
) -> None:
    assert backup.last_backup(settings) is None
    file = back_up(settings, owner_database, tmp_path / "b")
    assert backup.last_backup(settings) == backup.read_manifest(file).made_at


@pytest.mark.slow
def test_the_command_restores_into_an_embedded_home(
    owner_database: Database, settings: Settings, number: str, tmp_path: Path
) -> None:
    file = back_up(settings, owner_database, tmp_path / "b")
    with own_home(tmp_path / "embedded") as home:
        restore_with_the_command(file, home, number)


def restore_with_the_command(file: Path, home: Path, number: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}

    def hub(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "hub", *arguments, "--home", str(home)]
        secret = {**environment, "HUB_BACKUP_PASSPHRASE": PASSPHRASE}
        return subprocess.run(command, cwd=ROOT, env=secret, capture_output=True, text=True, check=False, timeout=200)

    restored = hub("restore", str(file))
    assert restored.returncode == 0, restored.stderr
    assert '"state": "merged"' in hub("receipt", number, "--json").stdout
    assert hub("feed", "verify").returncode == 0
    assert hub("restore", str(file)).returncode == 4, "there is a hub now"
