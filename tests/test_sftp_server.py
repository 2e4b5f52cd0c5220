"""The SFTP door: what its guests see, when a file counts as whole, and what is written down about it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import paramiko
import pytest
from sqlalchemy import select

from adapters.sftp import server
from drops.sftp import evidence as sftp_evidence
from drops.sftp.files import Bounds
from drops.sftp.uploads import Uploads
from hub.database import utc_now
from hub.embedded import Cluster
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.sftp_door import INBOX, QUIET, Door, hang_up, sheet, standing_door, until


@pytest.fixture(scope="module")
def door(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Door]:
    """One hub and one open door for all tests here; every test names its files itself."""
    with standing_door(cluster, tmp_path_factory.mktemp("door"), catalogue) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(door: Door) -> Iterator[paramiko.SFTPClient]:
    with door.visit() as client:
        yield client


def put(client: paramiko.SFTPClient, name: str, content: bytes) -> None:
    with client.open(f"{INBOX}/{name}", "wb") as file:
        file.write(content)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_taken(door: Door, name: str) -> bool:
    return name in door.ledger()


def is_there(client: paramiko.SFTPClient, path: str) -> bool:
    folder, name = path.rsplit("/", 1)
    return name in client.listdir(folder)


def stays(door: Door, client: paramiko.SFTPClient, name: str, seconds: float = 3 * QUIET) -> None:
    """Not taken, though there was time enough."""
    time.sleep(seconds)
    assert name not in door.ledger()
    assert client.stat(f"{INBOX}/{name}").st_size is not None


# ---- taking ----


def test_a_file_put_is_taken_and_answered_with_a_receipt(door: Door, client: paramiko.SFTPClient) -> None:
    put(client, "2026-11/first.csv", sheet(10))
    until(lambda: "first.csv" in door.ledger())
    assert door.ledger()["first.csv"] == ("sftp", digest(sheet(10)), len(sheet(10)))
    assert client.stat(f"{INBOX}/2026-11/first.csv").st_size == len(sheet(10)), "a client looks after its upload"
    door.work()
    until(lambda: "first.csv.receipt.json" in client.listdir("/receipts"))
    with client.open("/receipts/first.csv.receipt.json") as file:
        assert json.loads(file.read())["state"] == "merged"
    assert client.listdir(f"{INBOX}/2026-11") == []


def test_a_cut_upload_is_never_taken_and_resumed_it_lands_once(door: Door, client: paramiko.SFTPClient) -> None:
    content = sheet(20)
    door.send_and_cut(f"{INBOX}/cut.csv", content[:-30])
    stays(door, client, "cut.csv")
    size = client.stat(f"{INBOX}/cut.csv").st_size
    assert size == len(content) - 30
    with client.open(f"{INBOX}/cut.csv", "ab") as rest:
        rest.write(content[size:])
    until(lambda: "cut.csv" in door.ledger())
    assert door.ledger()["cut.csv"][1] == digest(content)


def test_a_file_closed_without_its_end_waits_and_its_sender_is_told(door: Door, client: paramiko.SFTPClient) -> None:
    put(client, "endless.csv", sheet(24)[:-5])
    until(lambda: "endless.csv.waiting.txt" in client.listdir("/rejected"))
    assert "endless.csv" not in door.ledger()
    put(client, "endless.csv", sheet(24))
    assert "endless.csv.waiting.txt" not in client.listdir("/rejected")
    until(lambda: "endless.csv" in door.ledger())


@pytest.mark.parametrize("ending", [".part", ".tmp", ".filepart", ".uploading"])
def test_an_unfinished_name_waits_until_it_is_renamed(door: Door, client: paramiko.SFTPClient, ending: str) -> None:
    name = f"renamed{ending[1:]}.bin"
    content = b"\x00\x01 no format we know " + ending.encode()
    put(client, name + ending, content)
    if ending == ".part":
        stays(door, client, name + ending)
    client.rename(f"{INBOX}/{name}{ending}", f"{INBOX}/{name}")
    until(lambda: name in door.ledger())
    assert door.ledger()[name][1] == digest(content)


def test_a_sidecar_completes_a_file_whichever_comes_first(door: Door, client: paramiko.SFTPClient) -> None:
    for number, order in ((30, "data first"), (32, "sidecar first")):
        name, content = f"sidecar{number}.csv", sheet(number)[:-1]  # without the line end
        said = f"{digest(content)}  {name}\n".encode()
        both = [(name, content), (f"{name}.sha256", said)]
        for part, bytes_of_it in both if order == "data first" else reversed(both):
            put(client, part, bytes_of_it)
        until(partial(is_taken, door, name))
        assert not {name, f"{name}.sha256"} & set(client.listdir(INBOX))


def test_a_wrong_digest_or_size_is_rejected_with_the_reason(door: Door, client: paramiko.SFTPClient) -> None:
    for name, side, said in (
        ("wrong-digest.csv", ".sha256", "0" * 64),
        ("wrong-size.csv", ".ok", "size=17\n"),
    ):
        put(client, name, sheet(34))
        put(client, name + side, said.encode())
        until(partial(is_there, client, f"/rejected/{name}.error.json"))
        with client.open(f"/rejected/{name}.error.json") as file:
            assert json.loads(file.read())["code"] == "F_DIGEST_MISMATCH"
        assert name not in door.ledger()


def test_a_cut_file_is_believed_by_its_digest_alone(door: Door, client: paramiko.SFTPClient) -> None:
    content = sheet(36)
    door.send_and_cut(f"{INBOX}/believed.csv", content)
    put(client, "believed.csv.ok", f"size={len(content)}".encode())
    stays(door, client, "believed.csv")
    client.remove(f"{INBOX}/believed.csv.ok")
    put(client, "believed.csv.sha256", digest(content).encode())
    until(lambda: "believed.csv" in door.ledger())


def test_half_a_workbook_waits_and_a_whole_one_is_taken(door: Door, client: paramiko.SFTPClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>" * 400)
    put(client, "half.xlsx", packed.getvalue()[:-30])
    put(client, "whole.xlsx", packed.getvalue())
    until(lambda: "whole.xlsx" in door.ledger())
    stays(door, client, "half.xlsx", 0.0)
    client.remove(f"{INBOX}/half.xlsx")


# ---- the tree ----


def test_nobody_sees_more_than_their_own_tree(door: Door, client: paramiko.SFTPClient) -> None:
    put(client, "private.csv.part", b"of health")
    with door.visit("public_security") as other:
        assert sorted(other.listdir("/")) == ["in", "out", "receipts", "rejected"]
        assert "death_certificate" not in other.listdir("/in")
        for path in (f"{INBOX}/private.csv.part", "/in/../../health", "/health", "/../../../etc/passwd", "/.uploads"):
            with pytest.raises(OSError, match=r"No such|Not a usable"):
                other.stat(path)
    client.remove(f"{INBOX}/private.csv.part")


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.csv",
        "a\x00b.csv",
        "\u202egnp.csv",
        "a\\b.csv",
        "..",
        ".htaccess",
        "C:x.csv",
        "字" * 70,
        "con.csv",
        " a.csv",
    ],
)
def test_a_name_that_could_mean_more_than_a_name_is_refused(client: paramiko.SFTPClient, door: Door, name: str) -> None:
    door.opened.door.scores.forgive("127.0.0.1")  # type: ignore[union-attr]  # it would answer ever later
    before = len(door.events("refused"))
    with pytest.raises(OSError, match=r"Not a usable|name|beyond|Bad|写入"):
        put(client, name, b"x")
    assert len(door.events("refused")) == before + 1


def test_answers_are_read_only_and_links_are_not_followed(
    door: Door, client: paramiko.SFTPClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("of the machine")
    out = door.organisation() / "out" / "monthly"
    out.mkdir(parents=True)
    (out / "slice.csv").write_text("a,b\n")
    (out / "link.txt").symlink_to(secret)
    os.link(secret, out / "hard.txt")
    os.mkfifo(out / "pipe")
    (out.parent / "away").symlink_to(secret.parent)
    assert client.listdir("/out") == ["monthly"]
    assert client.listdir("/out/monthly") == ["slice.csv"]
    with client.open("/out/monthly/slice.csv") as file:
        assert file.read() == b"a,b\n"
    for path in ("/out/monthly/link.txt", "/out/monthly/hard.txt", "/out/monthly/pipe", "/out/away/secret.txt"):
        with pytest.raises(OSError, match="No such"):
            client.open(path)
    with pytest.raises(OSError, match="Only"):
        client.open("/out/monthly/slice.csv", "wb")


def test_a_hole_is_refused_and_the_file_is_not_whole(door: Door, client: paramiko.SFTPClient) -> None:
    file = client.open(f"{INBOX}/hole.csv", "wb")
    file.write(b"a,b\n")
    file.seek(1000)
    with pytest.raises(OSError, match=r"hole|incomplete"):
        file.write(b"c,d\n")
        file.close()
    stays(door, client, "hole.csv")
    client.remove(f"{INBOX}/hole.csv")


def test_two_sessions_do_not_write_one_file(door: Door, client: paramiko.SFTPClient) -> None:
    with client.open(f"{INBOX}/both.csv", "wb") as first, door.visit() as other:
        first.write(sheet(40)[:50])
        with pytest.raises(OSError, match="Another session"):
            other.open(f"{INBOX}/both.csv", "wb")
        first.write(sheet(40)[50:])
    until(lambda: "both.csv" in door.ledger())
    assert door.ledger()["both.csv"][1] == digest(sheet(40))


def test_a_rename_replaces_only_when_asked_to(door: Door, client: paramiko.SFTPClient) -> None:
    put(client, "old.csv.part", b"old\n")
    put(client, "new.csv.part", b"new, and longer\n")
    with pytest.raises(OSError, match="there already"):
        client.rename(f"{INBOX}/new.csv.part", f"{INBOX}/old.csv.part")
    client.posix_rename(f"{INBOX}/new.csv.part", f"{INBOX}/old.csv.part")
    assert client.stat(f"{INBOX}/old.csv.part").st_size == 16
    client.remove(f"{INBOX}/old.csv.part")


def test_the_same_bytes_again_are_one_submission(door: Door, client: paramiko.SFTPClient) -> None:
    for name, content in (("same.csv", sheet(60)), ("same.csv", sheet(60)), ("same.csv", sheet(62))):
        put(client, f"{name}.part", content)
        client.rename(f"{INBOX}/{name}.part", f"{INBOX}/{name}")
        until(lambda: not list((door.organisation() / ".claimed").glob("*/*/*/same.csv")) or is_taken(door, "same.csv"))
    with door.worker.begin() as connection:
        asked = select(submission.c.file_sha256).where(submission.c.file_name == "same.csv")
        until(lambda: len(connection.scalars(asked).all()) == 2)


# ---- limits ----


@contextmanager
def bounded(door: Door, **changes: int) -> Iterator[paramiko.SFTPClient]:
    """A session for which the house is smaller."""
    hub_door = door.opened.door  # type: ignore[union-attr]
    usual = hub_door.bounds
    hub_door.bounds = msgspec.structs.replace(usual, **changes)
    try:
        with door.visit() as client:
            yield client
    finally:
        hub_door.bounds = usual


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"file_bytes": 40_000}, "larger than allowed"),
        ({"quota_bytes": 50_000}, "quota"),
        ({"quota_files": 0}, "quota"),
        ({"free_bytes": 1 << 60}, "disk is full"),
    ],
)
def test_a_limit_refuses_while_writing_and_nothing_is_taken(door: Door, limit: dict[str, int], said: str) -> None:
    assert set(limit) <= set(Bounds.__struct_fields__)
    with bounded(door, **limit) as client:
        with pytest.raises(OSError, match=f"{said}|incomplete"):
            put(client, "large.csv", b"a,b\n" * 20_000)
        if "large.csv" in client.listdir(INBOX):
            stays(door, client, "large.csv", 2 * QUIET)
            client.remove(f"{INBOX}/large.csv")


def test_a_session_opens_only_so_many_files(client: paramiko.SFTPClient) -> None:
    several = [client.open(f"{INBOX}/many{number}.part", "wb") for number in range(16)]
    with pytest.raises(OSError, match="Too many"):
        client.open(f"{INBOX}/many16.part", "wb")
    for file in several:
        file.close()
    for number in range(16):
        client.remove(f"{INBOX}/many{number}.part")


def test_an_organisation_has_only_so_many_sessions(door: Door) -> None:
    guests = []
    try:
        with pytest.raises((OSError, EOFError, paramiko.SSHException)):
            for _ in range(door.settings.sftp.sessions_of_one + 1):
                guests.append(door.connect())
                guests[-1].listdir("/")
    finally:
        for guest in guests:
            hang_up(guest)
    assert len(guests) >= 10
    until(lambda: not door.opened.door._guests["health"] > 1)  # type: ignore[union-attr]


# ---- evidence ----


def test_every_act_leaves_its_row(door: Door) -> None:
    with door.visit() as client:
        put(client, "seen.csv.part", b"a,b\n")
        client.rename(f"{INBOX}/seen.csv.part", f"{INBOX}/seen2.csv.part")
        client.remove(f"{INBOX}/seen2.csv.part")
    until(lambda: [row[0] for row in door.events()][-1] == "end")
    assert [(act, size) for act, path, _, size, _ in door.events() if "seen" in path] == [
        ("open", 0),
        ("close", 4),
        ("rename", None),
        ("remove", 4),
    ]
    assert {row[4] for row in door.events() if "seen" in row[1]} == {"health"}


def test_what_cannot_be_written_down_does_not_happen(
    door: Door, client: paramiko.SFTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    opened = client.open(f"{INBOX}/unseen.csv", "wb")
    opened.write(sheet(50))
    opened.flush()
    monkeypatch.setattr(sftp_evidence, "insert_events", fail)
    opened.close()  # the client here does not look at the answer
    with pytest.raises(OSError, match="cannot be recorded"):
        client.open(f"{INBOX}/unseen2.csv", "wb")
    with pytest.raises(OSError, match="cannot be recorded"):
        client.remove(f"{INBOX}/unseen.csv")
    monkeypatch.undo()
    stays(door, client, "unseen.csv")
    client.remove(f"{INBOX}/unseen.csv")


def test_old_cut_uploads_are_removed(door: Door, client: paramiko.SFTPClient) -> None:
    door.send_and_cut(f"{INBOX}/old.csv", b"a")
    uploads: Uploads = door.opened.door.uploads_of("health")  # type: ignore[union-attr]
    assert "old.csv" not in [each.place.name for each in uploads.older_than(utc_now() - timedelta(days=7))]
    assert "old.csv" in [each.place.name for each in uploads.older_than(utc_now())]
    client.remove(f"{INBOX}/old.csv")
    assert len(list((door.organisation() / ".uploads").iterdir())) == len(uploads)


def test_many_small_files_from_four_clients_are_all_taken_once(door: Door) -> None:
    wanted = {f"burst{number}.csv": sheet(100 + 2 * number) for number in range(40)}

    def send(part: int) -> None:
        with door.visit() as mine:
            for name in sorted(wanted)[part::4]:
                put(mine, name, wanted[name])

    threads = [threading.Thread(target=send, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: wanted.keys() <= door.ledger().keys())
    assert {name: door.ledger()[name][1] for name in wanted} == {name: digest(it) for name, it in wanted.items()}
    with door.worker.begin() as connection:
        numbers = set(connection.scalars(select(submission.c.receipt_number).where(submission.c.file_name.in_(wanted))))
    assert len(numbers) == len(wanted)


def test_who_never_signs_in_or_falls_silent_is_hung_up_on(
    cluster: Cluster, tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LOGIN_GRACE_SECONDS", 4.0)
    with standing_door(cluster, tmp_path, catalogue, idle_seconds=2.0) as door:
        stranger = socket.create_connection(("127.0.0.1", door.port))
        client = door.connect()
        file = client.open(f"{INBOX}/silent.csv", "wb")
        file.write(sheet(1))
        until(lambda: door.events("cut", "silent.csv"))
        assert not is_taken(door, "silent.csv")
        stranger.settimeout(20.0)
        while stranger.recv(4096):  # its greeting, then the end
            pass
        stranger.close()
        hang_up(client)
