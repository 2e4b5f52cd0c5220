"""The drop folder: finished files land once, whatever is interrupted, and every file is answered."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert, select, update

from adapters.completeness import judge
from drops import inbox as inbox_module
from drops.inbox import find_claims
from drops.scan import Drops, Looked
from drops.watcher import watch
from hub import jobs
from hub.database import Database
from hub.settings import Settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue
from tests.sheets import death_sheet

ROOT = Path(__file__).parent.parent


@pytest.fixture
def drops(database: Database, owner_database: Database, settings: Settings, catalogue: Catalogue) -> Drops:
    rows = [
        {"code": code, "district": "d999001", "name": code, "kind": kind}
        for code, kind in (("health", "department"), ("civil_affairs", "department"))
    ]
    with owner_database.begin() as connection:
        connection.execute(insert(organisation), rows)
    made = Drops(database, msgspec.structs.replace(settings, drop_quiet_seconds=0.0), catalogue)
    made.lay_out()
    return made


def inbox(drops: Drops, record_type: str = "death_certificate", of: str = "health") -> Path:
    return drops.settings.drops / of / "in" / record_type


def drop(drops: Drops, name: str, content: bytes | None = None, period: str = "") -> Path:
    folder = inbox(drops) / period
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(death_sheet() if content is None else content)
    return folder / name


def ledger(drops: Drops) -> list[tuple[str, str, str | None]]:
    told = select(submission.c.file_name, submission.c.record_type, submission.c.period).order_by(
        submission.c.received_at
    )
    with drops.database.begin() as connection:
        return [(name, record_type, period) for name, record_type, period in connection.execute(told)]


def finish(drops: Drops) -> Looked:
    jobs.work(drops.database, drops.settings, wait=False)
    return drops.look()


def test_a_dropped_file_is_taken_and_answered(drops: Drops) -> None:
    path = drop(drops, "11月死亡.csv", period="2026-11")
    looked = drops.look()
    assert (looked.accepted, looked.rejected) == (1, 0)
    assert not path.exists()
    assert ledger(drops) == [("11月死亡.csv", "death_certificate", "2026-11")]
    assert finish(drops).answered == 1
    answers = drops.settings.drops / "health" / "receipts"
    receipt = json.loads((answers / "11月死亡.csv.receipt.json").read_text("utf-8"))
    assert receipt["state"] == "merged"
    assert receipt["counts"]["received"] == 2
    assert receipt["sha256"] == hashlib.sha256(death_sheet()).hexdigest()
    assert receipt["receipt"] in (answers / "11月死亡.csv.receipt.txt").read_text("utf-8")
    assert list(find_claims(drops.settings.drops, "health")) == []


@pytest.mark.parametrize(
    "name", ["a.csv.part", "a.tmp", "a.csv.filepart", "a.uploading", ".hidden.csv", "a.csv.sha256"]
)
def test_an_unfinished_name_is_left_alone(drops: Drops, name: str) -> None:
    path = drop(drops, name)
    drops.look()
    assert path.exists()
    assert ledger(drops) == []


def test_a_growing_file_waits_until_it_is_quiet(drops: Drops) -> None:
    drops.watched.quiet_seconds = 0.3
    path = drop(drops, "growing.csv", b"a\n")
    for letter in (b"b\n", b"c\n", b"d\n"):
        assert drops.look().unsettled == 1
        time.sleep(0.15)
        with path.open("ab") as file:
            file.write(letter)
    drops.look()
    time.sleep(0.35)
    assert drops.look().accepted == 1


def test_a_sidecar_with_the_digest_needs_no_quiet(drops: Drops) -> None:
    drops.watched.quiet_seconds = 600
    path = drop(drops, "a.csv")
    path.with_name("a.csv.sha256").write_text(f"{hashlib.sha256(death_sheet()).hexdigest()}  a.csv\n")
    assert drops.look().accepted == 1
    assert list(inbox(drops).iterdir()) == []


def test_a_sidecar_that_came_first_says_nothing_of_a_file_being_written(drops: Drops) -> None:
    drops.watched.quiet_seconds = 600
    (inbox(drops) / "early.csv.ok").touch()
    path = drop(drops, "early.csv", death_sheet()[:60])
    assert drops.look().accepted == 0
    path.write_bytes(death_sheet())
    path.with_name("early.csv.ok").touch()
    assert drops.look().accepted == 1


def test_a_file_that_does_not_match_its_sidecar_is_rejected_with_the_reason(drops: Drops) -> None:
    path = drop(drops, "a.csv")
    path.with_name("a.csv.sha256").write_text("0" * 64)
    assert drops.look().rejected == 1
    rejected = drops.settings.drops / "health" / "rejected"
    assert (rejected / "a.csv").read_bytes() == death_sheet()
    assert json.loads((rejected / "a.csv.error.json").read_text("utf-8"))["code"] == "F_DIGEST_MISMATCH"
    assert ledger(drops) == []


def test_what_cannot_be_read_of_one_sender_keeps_no_other_waiting(
    drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a parser makes of it."""
    drops.watched.quiet_seconds = 0.2
    drop(drops, "poison.csv", b"poison\n")

    def fail_at_poison(path: Path) -> object:
        if path.name == "poison.csv":
            raise lzma.LZMAError
        return judge(path)

    monkeypatch.setattr(inbox_module, "judge", fail_at_poison)
    drop(drops, "sound.csv")
    drops.look()
    time.sleep(0.25)
    assert drops.look().accepted == 1
    assert [name for name, _, _ in ledger(drops)] == ["sound.csv"]


def test_no_other_watcher_clears_away_a_claim_whose_file_is_on_its_way(
    drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the sender's promise with it."""
    drop(drops, "promised.csv")
    found: list[bool] = []

    def look_around(place: str) -> None:
        if place == "drop.before_claim":
            for claimed in find_claims(drops.settings.drops, "health"):
                with inbox_module.held(claimed) as mine:
                    found.append(mine)

    monkeypatch.setattr(inbox_module, "point", look_around)
    drops.look()
    assert drops.look().accepted + len(ledger(drops)) >= 1
    assert found == [False]


def test_links_are_never_followed(drops: Drops, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"of somebody else")
    (inbox(drops) / "symbolic.csv").symlink_to(secret)
    os.link(secret, inbox(drops) / "hard.csv")
    (drops.settings.drops / "health" / "in" / "cremation").symlink_to(tmp_path)
    drops.look()
    assert ledger(drops) == []
    assert secret.exists()


def test_a_type_the_organisation_may_not_send_is_rejected(drops: Drops) -> None:
    folder = drops.settings.drops / "health" / "in" / "marriage"
    folder.mkdir()
    (folder / "a.csv").write_bytes(b"a")
    assert drops.look().rejected == 1
    reason = drops.settings.drops / "health" / "rejected" / "a.csv.error.json"
    assert json.loads(reason.read_text("utf-8"))["code"] == "F_NOT_YOUR_TYPE"


def test_a_file_refused_as_a_whole_goes_back_with_its_receipt(drops: Drops) -> None:
    drop(drops, "rubbish.xlsx", b"this is no workbook")
    drops.look()
    finish(drops)
    folder = drops.settings.drops / "health"
    receipt = json.loads((folder / "receipts" / "rubbish.xlsx.receipt.json").read_text("utf-8"))
    assert receipt["state"] == "refused"
    assert receipt["issues"][0]["message"]
    assert (folder / "rejected" / "rubbish.xlsx").read_bytes() == b"this is no workbook"


def test_while_a_person_must_decide_there_is_a_provisional_receipt(drops: Drops) -> None:
    drop(drops, "a.csv")
    drops.look()
    answer = drops.settings.drops / "health" / "receipts" / "a.csv.receipt.json"
    for state in ("braked", "received"):
        assert answer.exists() == (state == "received")
        with drops.database.begin() as connection:
            connection.execute(update(submission).values(state=state))
        assert drops.look().waiting == 1
        assert json.loads(answer.read_text("utf-8"))["state"] == "braked"
    finish(drops)
    assert json.loads(answer.read_text("utf-8"))["state"] == "merged"


def test_the_same_file_dropped_twice_lands_once(drops: Drops) -> None:
    drop(drops, "a.csv")
    drops.look()
    drop(drops, "b.csv")
    drops.look()
    assert len(ledger(drops)) == 1
    finish(drops)
    answers = {path.name for path in (drops.settings.drops / "health" / "receipts").iterdir()}
    assert {"a.csv.receipt.json", "b.csv.receipt.json"} <= answers


def test_two_watchers_never_take_the_same_file(drops: Drops) -> None:
    other = Drops(drops.database, drops.settings, drops.catalogue)
    for number in range(20):
        drop(drops, f"{number}.csv", b"%d" % number)
    threads = [threading.Thread(target=each.look) for each in (drops, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drops.look()
    assert sorted(int(name.split(".")[0]) for name, _, _ in ledger(drops)) == list(range(20))


def test_what_another_watcher_is_just_taking_comes_before_what_came_after_it(
    drops: Drops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction and the file it corrects must not change places between two watchers."""
    for name, record_type in (
        ("更正.csv", "death_certificate"),
        ("旧表.csv", "death_certificate"),
        ("另类.csv", "immunisation_enrol"),
    ):
        (inbox(drops, record_type)).mkdir(exist_ok=True)
        (inbox(drops, record_type) / name).write_bytes(name.encode())
        with monkeypatch.context() as claimed_only:
            claimed_only.setattr(drops, "_go_on_with_claims", lambda *_: None)
            drops.look()
    first = next(find_claims(drops.settings.drops, "health"))
    with inbox_module.held(first) as mine:
        assert mine
        drops.look()
        assert [name for name, _, _ in ledger(drops)] == ["另类.csv"]
    drops.look()
    assert [name for name, _, _ in ledger(drops)] == ["另类.csv", "更正.csv", "旧表.csv"]


@pytest.mark.parametrize("place", ["drop.before_claim", "drop.claimed", "drop.accepted", "drop.noted", "drop.answered"])
def test_a_watcher_killed_anywhere_takes_the_file_exactly_once(drops: Drops, place: str) -> None:
    drop(drops, "a.csv", period="2026-11")
    if place == "drop.answered":
        drops.look()
        jobs.work(drops.database, drops.settings, wait=False)
    killed = look_elsewhere(drops, f"{place}:1")
    assert killed == -signal.SIGKILL, "the fault did not happen"
    drops.look()
    finish(drops)
    assert ledger(drops) == [("a.csv", "death_certificate", "2026-11")]
    answered = drops.settings.drops / "health" / "receipts" / "a.csv.receipt.json"
    assert json.loads(answered.read_text("utf-8"))["state"] == "merged"
    assert list(find_claims(drops.settings.drops, "health")) == []
    assert [path for path in inbox(drops).rglob("*") if path.is_file()] == []


def look_elsewhere(drops: Drops, fault: str) -> int:
    """One look by another process that dies at the named place."""
    program = (
        "import sys; from pathlib import Path; from drops.scan import Drops; from hub.database import Database\n"
        "from hub.settings import load_settings; from mappings.catalogue import load_catalogue\n"
        "s = load_settings(Path(sys.argv[1]), drop_quiet_seconds=0.0, fictitious_prefixes=('999001',))\n"
        "Drops(Database(s.worker_url, s.district), s, load_catalogue()).look()"
    )
    urls = {"HUB_DATABASE_URL": drops.settings.database_url or "", "HUB_WORKER_URL": drops.settings.worker_url or ""}
    command = [sys.executable, "-c", program, str(drops.settings.home)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **urls, "HUB_FAULT": fault}, check=False).returncode


def test_the_doorbell_only_makes_it_sooner(drops: Drops) -> None:
    drops.settings = msgspec.structs.replace(drops.settings, drop_scan_seconds=600.0)
    stop = threading.Event()
    watching = threading.Thread(target=watch, args=(drops, stop))
    watching.start()
    try:
        time.sleep(0.5)
        drop(drops, "rung.csv")
        until(lambda: len(ledger(drops)) == 1)
    finally:
        stop.set()
        inbox(drops).joinpath("last.tmp").write_bytes(b"")
        watching.join(20)
    assert not watching.is_alive()


def test_a_missed_bell_is_made_up_for_by_the_timer(drops: Drops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drops.watcher.Doorbell.on_any_event", lambda self, event: None)
    drops.settings = msgspec.structs.replace(drops.settings, drop_scan_seconds=0.2)
    stop = threading.Event()
    watching = threading.Thread(target=watch, args=(drops, stop))
    watching.start()
    try:
        drop(drops, "silent.csv")
        until(lambda: len(ledger(drops)) == 1)
    finally:
        stop.set()
        watching.join(20)


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
