"""Receipts: what a submission became, in words; signed, and verifiable without the hub."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from hub import jobs
from hub.database import Database
from hub.errors import NotFound
from hub.exchange import receipts
from hub.keyring import Keyring, KeysUnreadable, SealedElsewhere, read_public_keys
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import organisation, submission
from hub.workers import present
from mappings.catalogue import Catalogue
from tests.sheets import death_row, death_sheet

CLERK = Actor(name="clerk", organisation="health", kind="department", door="upload", rights=frozenset({Right.SUBMIT}))


@pytest.fixture(autouse=True)
def health(owner_database: Database) -> None:
    with owner_database.begin() as connection:
        connection.execute(
            insert(organisation), [{"code": "health", "district": "d999001", "name": "卫健局", "kind": "department"}]
        )


def send(database: Database, settings: Settings, content: bytes, **changes: Any) -> str:
    accepted = jobs.accept(
        database,
        settings,
        CLERK,
        stream=io.BytesIO(content),
        file_name="11月.csv",
        record_type="death_certificate",
        organisation="health",
        period="2026-11",
        door="upload",
        **changes,
    )
    jobs.work(database, settings, wait=False)
    return accepted.receipt_number


def read(database: Database, number: str, language: str = "zh") -> dict[str, Any]:
    with database.begin() as connection:
        return receipts.read_receipt(connection, number, language)


def test_every_received_row_is_counted_once(database: Database, settings: Settings) -> None:
    bad = death_row(3, id_no="999001195001010000")
    receipt = read(database, send(database, settings, death_sheet(death_row(1), bad, death_row(2))))
    counts = receipt["counts"]
    assert receipt["state"] == "merged"
    assert counts["received"] == 3
    assert counts["received"] == sum(counts[name] for name in ("accepted", "unchanged", "held", "refused"))
    assert counts["accepted"] == 2


def test_an_issue_says_where_what_and_what_to_do(database: Database, settings: Settings) -> None:
    bad = death_row(2, died="2026-13-45")
    number = send(database, settings, death_sheet(death_row(1), bad))
    issue = next(each for each in read(database, number)["issues"] if each["level"] == "error")
    assert set(issue) == {"sheet", "row", "column", "field", "code", "level", "message", "fix"}
    assert (issue["row"], issue["column"], issue["field"]) == (3, "G", "death_date")
    assert issue["message"]
    assert issue["fix"]
    in_english = next(each for each in read(database, number, "en")["issues"] if each["code"] == issue["code"])
    assert in_english["fix"].isascii()
    assert not issue["fix"].isascii()


def test_a_signed_receipt_verifies_without_the_hub(database: Database, settings: Settings) -> None:
    number = send(database, settings, death_sheet())
    signed = json.loads(json.dumps(read(database, number)["signed"]))
    public = read_public_keys(settings.keys / "public_keys.json")
    assert receipts.verify(signed, public)
    assert signed["receipt"] == number


@pytest.mark.parametrize(
    "change",
    [
        {"state": "refused"},
        {"counts": {"received": 2, "accepted": 2, "unchanged": 0, "held": 0, "refused": 1}},
        {"sha256": "0" * 64},
        {"added": "word"},
        {"signature": {"algorithm": "none", "key": "", "value": ""}},
        {"signature": None},
    ],
)
def test_a_receipt_changed_anywhere_no_longer_verifies(
    database: Database, settings: Settings, change: dict[str, Any]
) -> None:
    signed = read(database, send(database, settings, death_sheet()))["signed"]
    public = Keyring.load(settings.home).public_keys
    assert receipts.verify(signed, public)
    assert not receipts.verify({**signed, **change}, public)


def test_another_hubs_key_verifies_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    signed = read(database, send(database, settings, death_sheet()))["signed"]
    assert not receipts.verify(signed, Keyring.load(tmp_path / "other").public_keys)


def test_the_same_file_again_is_the_same_receipt(database: Database, settings: Settings) -> None:
    first = send(database, settings, death_sheet())
    before = read(database, first)
    assert send(database, settings, death_sheet()) == first
    assert read(database, first) == before


def test_a_dry_run_gets_a_receipt_and_changes_nothing(database: Database, settings: Settings) -> None:
    tried = read(database, send(database, settings, death_sheet(), dry_run=True))
    assert (tried["state"], tried["dry_run"], tried["counts"]["accepted"]) == ("previewed", True, 2)
    done = read(database, send(database, settings, death_sheet()))
    assert (done["state"], done["counts"]["accepted"], done["counts"]["unchanged"]) == ("merged", 2, 0)


def test_a_file_refused_as_a_whole_says_why(database: Database, settings: Settings) -> None:
    receipt = read(database, send(database, settings, b"\x00\x01 no table at all"))
    assert (receipt["state"], receipt["final"]) == ("refused", True)
    assert receipt["issues"][0]["code"].startswith("F_")
    assert receipt["issues"][0]["message"]
    assert receipts.verify(receipt["signed"], Keyring.load(settings.home).public_keys)


@pytest.mark.parametrize("typed", ["HR20261130-0000000000", "", "'; DROP TABLE x", "HR2026"])
def test_an_unknown_number_is_not_found(database: Database, typed: str) -> None:
    with pytest.raises(NotFound):
        read(database, typed)


def test_a_submission_the_queue_forgot_is_found_by_the_sweep(
    database: Database, owner_database: Database, settings: Settings
) -> None:
    accepted = jobs.accept(
        database,
        settings,
        CLERK,
        stream=io.BytesIO(death_sheet()),
        file_name="a.csv",
        record_type="death_certificate",
        organisation="health",
        period=None,
        door="upload",
    )
    with owner_database.begin() as connection:
        connection.exec_driver_sql("TRUNCATE jobs.procrastinate_jobs CASCADE")
    assert jobs.sweep(database, older_than_seconds=-1) == 1
    assert jobs.sweep(database, older_than_seconds=-1) == 0, "it has a job now"
    jobs.work(database, settings, wait=False)
    assert read(database, accepted.receipt_number)["state"] == "merged"


def test_a_job_of_a_dead_worker_is_taken_up_at_the_next_start(
    database: Database, owner_database: Database, settings: Settings
) -> None:
    accepted = jobs.accept(
        database,
        settings,
        CLERK,
        stream=io.BytesIO(death_sheet()),
        file_name="a.csv",
        record_type="death_certificate",
        organisation="health",
        period=None,
        door="upload",
    )
    with owner_database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = jobs")
        connection.exec_driver_sql("UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL")
    jobs.work(database, settings, wait=False)
    assert read(database, accepted.receipt_number)["state"] == "merged"


def test_what_fails_for_good_says_so_and_can_be_sent_again(
    database: Database,
    owner_database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("a driver that quotes 李四")

    monkeypatch.setattr(jobs, "MOST_ATTEMPTS", 0)
    with monkeypatch.context() as broken:
        broken.setattr("hub.exchange.pipeline.run", fail)
        number = send(database, settings, death_sheet())
    assert read(database, number)["state"] == "failed"
    assert "李四" not in caplog.text
    with owner_database.begin() as connection:  # the queue's own retry of the same job would come later than this
        connection.exec_driver_sql("TRUNCATE jobs.procrastinate_jobs CASCADE")
    assert send(database, settings, death_sheet()) == number
    assert read(database, number)["state"] == "merged"


def test_a_living_worker_is_known_by_its_lock(database: Database) -> None:
    with database.begin() as connection:
        assert not jobs.worker_is_alive(connection)
    with present(database) as alone, present(database) as second, database.begin() as connection:
        assert (alone, second) == (True, False)
        assert jobs.worker_is_alive(connection)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # the server notices a closed connection a moment later
        with database.begin() as connection:
            if not jobs.worker_is_alive(connection):
                return
    pytest.fail("the lock stayed")


def test_counts_that_do_not_balance_cannot_be_stored(database: Database, settings: Settings) -> None:
    send(database, settings, death_sheet())
    with pytest.raises(Exception, match="counts_balance"), database.begin() as connection:
        connection.execute(update(submission).values(accepted=99))


# ---- the keys ----


def test_what_was_sealed_opens_again_and_only_with_the_same_keys(tmp_path: Path) -> None:
    keyring = Keyring.load(tmp_path / "a")
    blobs = keyring.seal([b"one", b"", b"one"])
    assert Keyring.load(tmp_path / "a").unseal(blobs) == [b"one", b"", b"one"]
    assert blobs[0] != blobs[2], "the same content never looks the same"
    with pytest.raises(SealedElsewhere):
        Keyring.load(tmp_path / "b").unseal(blobs)
    with pytest.raises(SealedElsewhere):
        keyring.unseal([blobs[0][:-1] + bytes([blobs[0][-1] ^ 1])])


def test_keys_are_private_and_made_once(tmp_path: Path) -> None:
    first, second = Keyring.load(tmp_path), Keyring.load(tmp_path)
    assert first.public_keys == second.public_keys
    assert first.digest_key == second.digest_key
    path = tmp_path / "keys" / "keyring.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(each.name for each in path.parent.iterdir()) == ["keyring.json", "public_keys.json"]


def test_a_damaged_key_file_is_never_replaced(tmp_path: Path) -> None:
    Keyring.load(tmp_path)
    path = tmp_path / "keys" / "keyring.json"
    path.write_bytes(b"{")
    with pytest.raises(KeysUnreadable):
        Keyring.load(tmp_path)
    assert path.read_bytes() == b"{"


def test_the_catalogue_has_a_sentence_for_what_the_gate_refuses(catalogue: Catalogue) -> None:
    for code in ("F_UNKNOWN_TYPE", "F_NOT_YOUR_TYPE", "F_DIGEST_MISMATCH"):
        assert catalogue.row_errors[code].message
