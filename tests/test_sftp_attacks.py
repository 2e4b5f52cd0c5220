"""The SFTP door against guests who know the protocol better than any client does."""

from __future__ import annotations

import hashlib
import io
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import pytest
from paramiko import sftp as wire
from paramiko.message import Message

from adapters import completeness
from adapters.completeness import Completeness, judge
from adapters.sftp import requests, server
from drops.sftp import evidence as sftp_evidence
from drops.sftp.evidence import Witness
from hub.database import new_uuid, utc_now
from hub.embedded import Cluster
from hub.tables import api_key
from mappings.catalogue import Catalogue
from tests.sftp_door import INBOX, QUIET, Door, sheet, standing_door, until


@pytest.fixture(scope="module")
def door(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Door]:
    with standing_door(cluster, tmp_path_factory.mktemp("attacked"), catalogue) as opened:
        yield opened


def put(client: paramiko.SFTPClient, name: str, content: bytes) -> None:
    with client.open(f"{INBOX}/{name}", "wb") as file:
        file.write(content)


def revoke(door: Door, organisation: str, *, again: bool = False) -> None:
    at = None if again else utc_now()
    with door.served.begin() as connection:
        connection.execute(api_key.update().where(api_key.c.organisation == organisation).values(revoked_at=at))


def test_a_revoked_key_neither_finishes_nor_renames_nor_lists(door: Door) -> None:
    with door.visit("health") as client:
        put(client, "before.csv.part", sheet(700))
        opened = client.open(f"{INBOX}/during.csv", "wb")
        opened.write(sheet(702))
        opened.flush()
        revoke(door, "health")
        try:
            opened.close()
            for act in (
                lambda: client.rename(f"{INBOX}/before.csv.part", f"{INBOX}/before.csv"),
                lambda: client.remove(f"{INBOX}/before.csv.part"),
                lambda: client.listdir("/receipts"),
            ):
                with pytest.raises(OSError, match="no longer good"):
                    act()
        finally:
            revoke(door, "health", again=True)
        time.sleep(3 * QUIET)
        assert not {"before.csv", "during.csv"} & set(door.ledger())


def test_a_connection_has_one_session_however_often_it_asks(door: Door) -> None:
    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", door.port)))
    transport.connect(username="health", pkey=paramiko.PKey.from_path(door.keys["health"]))
    channel = transport.open_session()
    channel.invoke_subsystem("sftp")
    with pytest.raises(paramiko.SSHException):
        channel.invoke_subsystem("sftp")
    transport.close()
    until(lambda: not door.opened.door._guests.total())  # type: ignore[union-attr]


def test_a_packet_of_absurd_length_ends_the_connection_before_it_is_read(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as plug:
        plug.settimeout(10)
        plug.sendall(b"SSH-2.0-x\r\n" + (0x7FFF_FFF4).to_bytes(4, "big") + b"\x04" + bytes(64))
        started = time.monotonic()
        while plug.recv(65_536):
            pass
        assert time.monotonic() - started < server.LOGIN_GRACE_SECONDS / 2


def test_attributes_that_claim_to_be_endless_are_not_read(door: Door) -> None:
    with door.visit("health") as client:
        asked = Message()
        asked.add_int(0x8000_0008)  # times, and four thousand million more attributes
        for number in (1, 1, 0xFFFF_FFFF):
            asked.add_int(number)
        client.get_channel().settimeout(10)  # type: ignore[union-attr]
        client._request(wire.CMD_SETSTAT, f"{INBOX}/x".encode(), _Raw(asked.asbytes()))  # type: ignore[attr-defined]


class _Raw(paramiko.SFTPAttributes):
    """Attributes as they are written on the wire, well made or not."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    def _pack(self, packet: Message) -> None:
        packet.add_bytes(self._content)


def test_folders_opened_and_never_closed_have_an_end(door: Door) -> None:
    with door.visit("health") as client, pytest.raises(OSError, match="folders are open"):
        for _ in range(requests._MOST_FOLDERS + 1):
            client._request(wire.CMD_OPENDIR, b"/")  # type: ignore[attr-defined]


def test_files_written_side_by_side_share_one_quota(door: Door) -> None:
    hub_door = door.opened.door  # type: ignore[union-attr]
    usual = hub_door.bounds
    hub_door.bounds = msgspec.structs.replace(usual, quota_bytes=50_000)
    try:
        with door.visit("health") as client:
            both = [client.open(f"{INBOX}/side{number}.part", "wb") for number in range(2)]
            both[0].write(b"x" * 30_000)
            both[0].flush()
            with pytest.raises(OSError, match="quota"):
                both[1].write(b"x" * 30_000)
                both[1].stat()
                client._request(  # type: ignore[attr-defined]
                    wire.CMD_WRITE, both[1].handle, wire.int64(0), b"x" * 30_000
                )
            for number, file in enumerate(both):
                file.close()
                client.remove(f"{INBOX}/side{number}.part")
    finally:
        hub_door.bounds = usual


def test_a_stranger_whose_name_no_database_keeps_is_written_down_all_the_same(door: Door) -> None:
    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", door.port)))
    with pytest.raises(paramiko.SSHException):
        transport.connect(username="hea\0lth", pkey=paramiko.PKey.from_path(door.keys["health"]))
    transport.close()
    assert [row for row in door.events("refused") if row[2] == "sign-in"]


def test_one_row_that_cannot_be_kept_keeps_no_other_back(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = door.opened.door.evidence  # type: ignore[union-attr]
    rows: list[dict[str, Any]] = []
    for organisation, facts in (("health", {}), ("civil_affairs", {"user": "\0"})):
        witness = Witness(evidence=evidence, session=new_uuid(), address="", organisation=organisation, actor="k")
        monkeypatch.setattr(evidence, "write", rows.append)
        witness.tell("open", f"/{organisation}")
        rows[-1]["facts"] = facts
    monkeypatch.undo()
    waiting = [sftp_evidence._Waiting(row) for row in rows]
    evidence._write(waiting)
    assert [each.is_written for each in waiting] == [True, False]


def test_a_bare_ok_that_came_first_says_nothing_of_what_came_later(door: Door) -> None:
    """A client stopped by hand closes what it has; only the digest or the size of an early sidecar would tell."""
    half = sheet(710)[:-5]
    with door.visit("health") as client:
        put(client, "early.csv.ok", b"")
        put(client, "early.csv", half)
        time.sleep(3 * QUIET)
        assert "early.csv" not in door.ledger()
        put(client, "early.csv", sheet(710))
        put(client, "early.csv.ok", b"")
        until(lambda: "early.csv" in door.ledger())


def test_the_name_given_to_a_cut_file_promises_nothing_of_its_next_piece(door: Door) -> None:
    content = sheet(714)
    door.send_and_cut(f"{INBOX}/renamed.csv.part", content[:20])
    with door.visit("health") as client:
        client.rename(f"{INBOX}/renamed.csv.part", f"{INBOX}/renamed.csv")
        with client.open(f"{INBOX}/renamed.csv", "ab") as file:
            file.write(content[20:40])
        time.sleep(3 * QUIET)
        assert "renamed.csv" not in door.ledger()
        client.remove(f"{INBOX}/renamed.csv")


def test_new_bytes_over_the_head_of_old_ones_are_no_file(door: Door) -> None:
    long, short = sheet(718, rows=6), sheet(730)
    with door.visit("health") as client:
        put(client, "mixed.csv.part", long)
        handle = client._request(  # type: ignore[attr-defined]
            wire.CMD_OPEN, f"{INBOX}/mixed.csv.part".encode(), wire.SFTP_FLAG_WRITE, paramiko.SFTPAttributes()
        )[1].get_binary()
        client._request(wire.CMD_WRITE, handle, wire.int64(0), short)  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="incomplete"):
            client._request(wire.CMD_CLOSE, handle)  # type: ignore[attr-defined]
        client.rename(f"{INBOX}/mixed.csv.part", f"{INBOX}/mixed.csv")
        time.sleep(3 * QUIET)
        assert "mixed.csv" not in door.ledger()
        client.remove(f"{INBOX}/mixed.csv")


def test_a_cut_file_is_hashed_once_however_long_it_waits(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = hashlib.file_digest

    def count(file: Any, kind: str) -> Any:
        hashed.append(file.name)
        return real(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", count)
    door.send_and_cut(f"{INBOX}/waits.csv", sheet(716))
    with door.visit("health") as client:
        put(client, "waits.csv.sha256", b"0" * 64)
        time.sleep(8 * QUIET)
        assert len(hashed) == 1
        client.remove(f"{INBOX}/waits.csv")
        client.remove(f"{INBOX}/waits.csv.sha256")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_inflates_without_bounds_is_left_to_the_parser(tmp_path: Path, method: int) -> None:
    """And no broken entry of such a kind stops the looks at everybody's folders."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("a", bytes(3_000_000))
    broken = packed.getvalue().replace(packed.getvalue()[40:60], b"\xff" * 20, 1)
    path = tmp_path / "bomb.xlsx"
    path.write_bytes(broken)
    assert judge(path) is Completeness.WHOLE
    assert method not in completeness._METHODS
