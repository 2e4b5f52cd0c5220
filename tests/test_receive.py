"""Bytes come in: durable before they are acknowledged, once however often they are sent."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from hub.database import Database, new_uuid, run_sql
from hub.errors import BadRequest, FileRefused, KeyReused, NotAllowed, TooLarge
from hub.exchange import receive
from hub.exchange.receipt_number import new_receipt_number, read_receipt_number
from hub.exchange.receive import Received, Sending
from hub.registry.permissions import Actor, Right
from hub.settings import Settings, load_settings
from hub.tables import organisation, submission
from mappings.catalogue import Catalogue

CONTENT = b"a,b\n1,2\n"
CLERK = Actor(name="clerk", organisation="health", kind="department", door="upload", rights=frozenset({Right.SUBMIT}))


@pytest.fixture(autouse=True)
def organisations(owner_database: Database) -> None:
    rows = [
        {"code": code, "district": "d999001", "name": code, "kind": kind, "enabled": enabled}
        for code, kind, enabled in (
            ("health", "department", True),
            ("civil_affairs", "department", True),
            ("closed_office", "department", False),
        )
    ]
    with owner_database.begin() as connection:
        connection.execute(insert(organisation), rows)


def sending(**changes: object) -> Sending:
    usual = {
        "organisation": "health",
        "record_type": "death_certificate",
        "period": "2026-11",
        "file_name": "11月死亡.csv",
        "door": "upload",
    }
    return Sending(**{**usual, **changes})  # type: ignore[arg-type]


def send(database: Database, settings: Settings, content: bytes = CONTENT, **changes: Any) -> Received:
    with (
        receive.stored(settings, io.BytesIO(content)) as file,
        database.begin() as connection,
    ):
        return receive.receive(connection, settings, CLERK, file, sending(**changes))


def files_of(settings: Settings) -> list[Path]:
    return [path for path in settings.files.rglob("*") if path.is_file()]


def test_what_was_received_is_on_disk_word_for_word(database: Database, settings: Settings) -> None:
    received = send(database, settings)
    with database.begin() as connection:
        row = connection.execute(select(submission)).one()
    stored = settings.files / row.stored_as
    assert stored.read_bytes() == CONTENT
    assert (row.file_sha256, row.file_size) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert (row.state, row.receipt_number) == ("received", received.receipt_number)
    assert stored.name == str(received.submission_id), "the client's name never becomes a path"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert stored.parent.stat().st_mode & 0o777 == 0o700
    assert files_of(settings) == [stored]


def test_the_same_bytes_again_give_the_same_receipt_and_keep_nothing(database: Database, settings: Settings) -> None:
    first = send(database, settings)
    again = send(database, settings, file_name="another name.csv")
    assert again.receipt_number == first.receipt_number
    assert (again.repeated, again.must_run) == (True, False)
    assert len(files_of(settings)) == 1


@pytest.mark.parametrize("change", [{"period": "2026-10"}, {"dry_run": True}, {"record_type": "cremation"}])
def test_the_same_bytes_elsewhere_are_another_submission(
    database: Database, settings: Settings, change: dict[str, Any]
) -> None:
    assert send(database, settings).receipt_number != send(database, settings, **change).receipt_number


def test_a_clients_operation_takes_effect_once(database: Database, settings: Settings) -> None:
    first = send(database, settings, operation_id="op-1")
    assert send(database, settings, operation_id="op-1").submission_id == first.submission_id
    assert send(database, settings, operation_id="op-2").submission_id == first.submission_id, "the bytes are the same"
    with pytest.raises(KeyReused):
        send(database, settings, b"other bytes", operation_id="op-1")


def test_simultaneous_sendings_of_the_same_bytes_become_one_submission(database: Database, settings: Settings) -> None:
    ready = threading.Barrier(8)

    def one(_: int) -> Received:
        with receive.stored(settings, io.BytesIO(CONTENT)) as file:
            ready.wait()
            with database.begin() as connection:
                return receive.receive(connection, settings, CLERK, file, sending())

    with ThreadPoolExecutor(8) as pool:
        received = list(pool.map(one, range(8)))
    assert len({each.receipt_number for each in received}) == 1
    assert sorted(each.must_run for each in received) == [False] * 7 + [True]
    assert len(files_of(settings)) == 1


def test_what_the_hub_failed_at_goes_once_more_when_sent_again(
    database: Database, owner_database: Database, settings: Settings
) -> None:
    first = send(database, settings)
    with owner_database.begin() as connection:
        run_sql(connection, "UPDATE {d}.submission SET state = 'failed'")
    again = send(database, settings)
    assert again.submission_id == first.submission_id
    assert (again.state, again.must_run) == ("received", True)


def test_too_large_a_file_is_refused_and_leaves_nothing(settings: Settings) -> None:
    small = load_settings(settings.home, max_file_bytes=10)
    with pytest.raises(TooLarge), receive.stored(small, io.BytesIO(b"x" * 11)):
        pytest.fail("it was taken")
    assert files_of(settings) == []


def test_a_cut_stream_leaves_nothing(settings: Settings) -> None:
    class Cut(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError), receive.stored(settings, Cut()):  # type: ignore[arg-type]
        pytest.fail("it was taken")
    assert files_of(settings) == []


def test_bytes_that_do_not_match_the_promised_digest_are_refused(settings: Settings) -> None:
    with pytest.raises(FileRefused) as refused, receive.stored(settings, io.BytesIO(CONTENT), "0" * 64):
        pytest.fail("it was taken")
    assert refused.value.facts["code"] == "F_DIGEST_MISMATCH"
    assert files_of(settings) == []


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"record_type": "no_such_type"}, FileRefused),
        ({"record_type": "marriage"}, NotAllowed),
        ({"organisation": "nobody"}, NotAllowed),
        ({"organisation": "closed_office"}, NotAllowed),
        ({"organisation": "civil_affairs"}, NotAllowed),
        ({"period": "2026-13"}, BadRequest),
        ({"period": "2026-11\n"}, BadRequest),
        ({"period": "２０２６-11"}, BadRequest),
        ({"period": "../../etc"}, BadRequest),
    ],
)
def test_what_may_not_be_sent_is_refused_before_a_byte_is_stored(
    database: Database, catalogue: Catalogue, change: dict[str, object], refusal: type[Exception]
) -> None:
    with database.begin() as connection, pytest.raises(refusal):
        receive.admit(connection, catalogue, CLERK, sending(**change))


def test_a_reader_may_not_send(database: Database, catalogue: Catalogue) -> None:
    reader = Actor(name="r", organisation="health", kind="department", door="api", rights=frozenset({Right.PULL_SLICE}))
    with database.begin() as connection, pytest.raises(NotAllowed):
        receive.admit(connection, catalogue, reader, sending())


def test_receiving_leaves_an_audit_line_in_the_same_transaction(
    database: Database, owner_database: Database, settings: Settings
) -> None:
    received = send(database, settings)
    with owner_database.begin() as connection:
        lines = run_sql(connection, "SELECT actor, act, object FROM {d}.audit")
    assert lines == [("clerk", "submit", f"submission/{received.submission_id}")]


def test_bytes_without_a_ledger_row_are_swept_and_others_kept(database: Database, settings: Settings) -> None:
    send(database, settings)
    kept = files_of(settings)
    for stray in (settings.files / "2026" / "01" / str(new_uuid()), settings.files / "tmp" / str(new_uuid())):
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"left by a crash")
    with database.begin() as connection:
        assert receive.remove_orphans(connection, settings) == 0, "they may still be on their way"
        assert receive.remove_orphans(connection, settings, older_than_seconds=-1) == 2
    assert files_of(settings) == kept


def test_files_of_another_database_are_never_swept(database: Database, settings: Settings) -> None:
    folder = settings.files / "2026" / "01"
    folder.mkdir(parents=True)
    for _ in range(receive.MOST_ORPHANS + 1):
        (folder / str(new_uuid())).write_bytes(b"of a hub whose ledger is elsewhere")
    with database.begin() as connection, pytest.raises(receive.TooManyOrphans):
        receive.remove_orphans(connection, settings, older_than_seconds=-1)
    assert len(files_of(settings)) == receive.MOST_ORPHANS + 1


def test_an_idempotency_key_belongs_to_one_body(database: Database) -> None:
    mine, other = new_uuid(), new_uuid()
    with database.begin() as connection:
        assert receive.claim_key(connection, "health", "k", "a" * 64, mine) == mine
    with database.begin() as connection:
        assert receive.claim_key(connection, "health", "k", "a" * 64, other) == mine
        assert receive.claim_key(connection, "labour", "k", "b" * 64, other) == other
        with pytest.raises(KeyReused):
            receive.claim_key(connection, "health", "k", "b" * 64, other)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\报表\\11月.xlsx", "11月.xlsx"),
        ("a\x00b\n.csv", "ab.csv"),
        ("exe\u202excod.xlsx", "exexcod.xlsx"),
        ("  ", "unnamed"),
        ("x" * 500 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_a_file_name_is_only_a_label(sent: str, kept: str) -> None:
    assert receive.plain_name(sent) == kept


def test_a_receipt_number_survives_being_read_aloud_and_typed() -> None:
    number = new_receipt_number(date(2026, 11, 30))
    assert number.startswith("HR20261130-")
    assert len(number) == 21
    assert read_receipt_number(f" {number.lower().replace('-', '')} ") == number
    assert read_receipt_number(number[:11] + number[11:].replace("1", "l").replace("0", "O")) == number


def test_a_mistyped_receipt_number_is_noticed() -> None:
    number = new_receipt_number(date(2026, 11, 30))
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    wrong = [
        number[:place] + letter + number[place + 1 :]
        for place in range(11, 21)
        for letter in letters
        if letter != number[place]
    ]
    assert [each for each in wrong if read_receipt_number(each)] == []


def test_receipt_numbers_do_not_repeat() -> None:
    assert len({new_receipt_number(date(2026, 11, 30)) for _ in range(20_000)}) == 20_000


def chunks(*parts: bytes) -> BinaryIO:
    remaining: Iterator[bytes] = iter(parts)

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return next(remaining, b"")

    return Slow()  # type: ignore[return-value]


def test_a_stream_that_comes_in_pieces_is_one_file(database: Database, settings: Settings) -> None:
    with receive.stored(settings, chunks(b"a,", b"b\n", b"1,2\n")) as file:
        assert file.temporary.read_bytes() == CONTENT
        with database.begin() as connection:
            whole = receive.receive(connection, settings, CLERK, file, sending())
    assert send(database, settings).submission_id == whole.submission_id
    assert isinstance(whole.submission_id, UUID)
