"""The hub at a department's SFTP server: every settled file once, pages whole, and nobody who only poses as it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paramiko
import pytest

from adapters import outbound
from adapters.channels import sftp_client
from hub.channels.run import ChannelFailed
from hub.database import Database
from hub.embedded import Urls
from hub.errors import NotAllowed, NotFound
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import change_subscription
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.channel_hub import TERMS, ChannelHub
from tests.doors import csv_of, move_in
from tests.peer_servers import PASSWORD, USER, SftpPeer, sftp_peer

ROWS = csv_of(move_in(1), move_in(2))


@pytest.fixture
def hub(database: Database, settings: Settings, catalogue: Catalogue) -> ChannelHub:
    return ChannelHub(database, settings, catalogue)


@pytest.fixture
def peer(tmp_path: Path, hub: ChannelHub) -> Iterator[SftpPeer]:
    with sftp_peer(tmp_path / "there") as peer:
        hub.allow(f"sftp://127.0.0.1:{peer.port}")
        hub.secret("gongan.word", PASSWORD + "\n")
        yield peer


def declare(hub: ChannelHub, peer: SftpPeer, *lines: str, host_key: str = "", settle: float = 0) -> None:
    text = f'''
kind = "sftp_fetch"
organisation = "public_security"
record_type = "hukou_move_in"
host = "127.0.0.1"
port = {peer.port}
user = "{USER}"
password_file = "gongan.word"
host_keys = ["{host_key or peer.host_key}"]
pattern = "*.csv"
every_seconds = 60
settle_seconds = {settle}
'''
    hub.declare("gongan", text + "\n".join(lines))


def test_a_settled_file_becomes_a_submission_once(hub: ChannelHub, peer: SftpPeer) -> None:
    declare(hub, peer, 'period = "name"')
    peer.put("迁入2026年11月.csv", ROWS)
    ran = hub.run("gongan")
    assert (ran.taken, ran.waiting) == (1, 0)
    hub.work()
    (row,) = hub.submissions()
    assert (row.period, row.door, row.accepted, row.state) == ("2026-11", "sftp", 2, "merged")
    assert hub.run("gongan").taken == 0
    assert len(hub.submissions()) == 1
    assert hub.state("gongan").last_succeeded_at is not None


def test_a_growing_file_is_left_until_it_looks_the_same_for_a_while(hub: ChannelHub, peer: SftpPeer) -> None:
    declare(hub, peer, settle=0.4)
    peer.put("a.csv", ROWS[:90], modified=1_790_000_000)
    peer.put("b.csv.part", ROWS)
    assert (hub.run("gongan").taken, hub.run("gongan").waiting) == (0, 1)
    peer.put("a.csv", ROWS, modified=1_790_000_001)
    time.sleep(0.5)
    assert hub.run("gongan").taken == 0  # it changed since
    time.sleep(0.5)
    assert hub.run("gongan").taken == 1
    assert [row.file_size for row in hub.submissions()] == [len(ROWS)]


def test_the_same_name_with_other_bytes_is_taken_and_the_same_bytes_are_one_submission(
    hub: ChannelHub, peer: SftpPeer
) -> None:
    declare(hub, peer)
    peer.put("m.csv", ROWS)
    first = hub.run("gongan").receipts
    peer.put("m.csv", csv_of(move_in(3)), modified=1_790_000_100)
    peer.put("copy.csv", ROWS)
    again = hub.run("gongan").receipts
    assert len(again) == 2
    assert first[0] in again
    assert len(hub.submissions()) == 2


def test_a_hub_killed_before_the_file_is_put_aside_takes_it_once(hub: ChannelHub, peer: SftpPeer, urls: Urls) -> None:
    declare(hub, peer, 'after = "rename"', 'period = "current"')
    peer.put("m.csv", ROWS)
    at_rename = threading.Event()

    def hang(act: str, path: str) -> None:
        if act == "rename":
            at_rename.set()
            time.sleep(3)

    peer.before = hang
    process = subprocess.Popen(**hub.command(urls, "channels", "try", "gongan"))
    assert at_rename.wait(20)
    process.kill()
    process.wait()
    assert (len(hub.submissions()), peer.names()) == (1, ["m.csv"])
    peer.before = lambda act, path: None
    assert hub.run("gongan").taken == 1
    assert (len(hub.submissions()), peer.names(), peer.names("done")) == (1, [], ["m.csv"])
    peer.put("m.csv", csv_of(move_in(4)))
    hub.run("gongan")
    assert (len(hub.submissions()), len(peer.names("done"))) == (2, 2)


def test_a_server_with_another_host_key_gets_no_password_and_raises_the_alarm(
    hub: ChannelHub, peer: SftpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = paramiko.ECDSAKey.generate()
    declare(hub, peer, host_key=f"{other.get_name()} {other.get_base64()}")
    peer.put("m.csv", ROWS)
    with pytest.raises(ChannelFailed, match="主机密钥"):
        hub.run("gongan")
    assert (peer.acts, peer.passwords, hub.submissions()) == ([], [], [])
    state = hub.state("gongan")
    assert state.alarmed_at is not None
    assert state.failures == 1
    monkeypatch.setattr(sftp_client, "_is_pinned", lambda key, pinned: True)
    assert hub.run("gongan").taken == 1  # without the check the password and the file go to whoever answers
    assert peer.passwords == [PASSWORD]


def test_a_server_that_hangs_is_left_in_its_time(hub: ChannelHub, peer: SftpPeer) -> None:
    declare(hub, peer, "seconds = 0.7")
    peer.put("m.csv", ROWS)
    peer.before = lambda act, path: time.sleep(3)
    began = time.monotonic()
    with pytest.raises(ChannelFailed):
        hub.run("gongan")
    assert time.monotonic() - began < 3
    assert hub.submissions() == []


def test_a_file_that_is_too_large_or_grows_under_the_reader_keeps_no_other_waiting(
    hub: ChannelHub, peer: SftpPeer
) -> None:
    declare(hub, peer, f"largest_bytes = {len(ROWS)}")
    peer.put("a-large.csv", ROWS + b"x")
    peer.put("b-grows.csv", csv_of(move_in(9)))
    peer.put("c.csv", ROWS)
    peer.put("d-empty.csv", b"")
    peer.before = lambda act, path: peer.put("b-grows.csv", ROWS) if (act, path[-5:]) == ("open", "s.csv") else None
    with pytest.raises(ChannelFailed):
        hub.run("gongan")
    assert {row.file_name for row in hub.submissions()} == {
        "c.csv",
        "d-empty.csv",
    }  # an empty one is refused in its receipt
    assert hub.state("gongan").next_at is not None


def test_a_file_the_channel_may_not_send_is_not_taken_for_done(hub: ChannelHub, peer: SftpPeer) -> None:
    declare(hub, peer)
    declaration = (hub.settings.channels / "gongan.toml").read_text("utf-8")
    hub.declare("gongan", declaration.replace("hukou_move_in", "employment"))
    peer.put("m.csv", ROWS)
    with pytest.raises(NotAllowed):
        hub.run("gongan")
    hub.declare("gongan", declaration)
    assert hub.run("gongan").taken == 1


def test_an_address_that_may_not_be_called_is_not_called(
    hub: ChannelHub, peer: SftpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(hub, peer)
    peer.put("m.csv", ROWS)
    hub.tools = msgspec.structs.replace(hub.tools, settings=msgspec.structs.replace(hub.settings, outbound_networks=()))
    with pytest.raises(ChannelFailed, match=r"127\.0\.0\.1"):
        hub.run("gongan")
    assert peer.acts == []
    monkeypatch.setattr(outbound, "is_public", lambda address: True)
    assert hub.run("gongan").taken == 1  # the check is what keeps the hub from its neighbours


def test_the_hub_signs_in_with_its_private_key_and_a_file_that_is_none_is_told(hub: ChannelHub, peer: SftpPeer) -> None:
    declare(hub, peer)
    text = (hub.settings.channels / "gongan.toml").read_text("utf-8").replace("password_file", "key_file")
    hub.declare("gongan", text)
    with pytest.raises(ChannelFailed, match="不是私钥"):
        hub.run("gongan")
    written = io.StringIO()
    paramiko.ECDSAKey.generate().write_private_key(written)
    hub.secret("gongan.word", written.getvalue())
    peer.put("m.csv", ROWS)
    assert hub.run("gongan").taken == 1
    assert peer.passwords == []


@pytest.mark.parametrize("name", ["../x.csv", "a/b.csv", "..", "a\\b.csv", "a\x00.csv", "\u202ea.csv", ""])
def test_a_name_that_is_a_path_or_hides_something_is_passed_over(name: str) -> None:
    assert not sftp_client.is_plain(name)


# ---- delivering ----

DELIVER = """
kind = "sftp_deliver"
organisation = "labour"
subscription = "renshe-moves"
host = "127.0.0.1"
port = {port}
user = "hub"
password_file = "gongan.word"
host_keys = ["{host_key}"]
folder = "."
page_size = 2
every_seconds = 60
"""


def test_pages_arrive_whole_with_their_digest_and_again_as_the_same_file(hub: ChannelHub, peer: SftpPeer) -> None:
    hub.move(1, 6)
    hub.declare("renshe", DELIVER.format(port=peer.port, host_key=peer.host_key))
    renames: list[str] = []

    def cut_at_the_second_page(act: str, path: str) -> None:
        if act == "rename":
            renames.append(path)
            if len(renames) == 4:  # page, digest, page, and here the line is cut
                raise PermissionError(13, "no")

    peer.before = cut_at_the_second_page
    with pytest.raises(ChannelFailed):
        hub.run("renshe")
    before = {name: (peer.folder / name).read_bytes() for name in peer.names() if not name.startswith(".")}
    assert len(before) == 3
    peer.before = lambda act, path: None
    peer.knows_posix_rename = False
    assert hub.run("renshe").taken == 2  # the second page again, and the third
    assert {name: (peer.folder / name).read_bytes() for name in before} == before
    files = [name for name in peer.names() if name.endswith(".ndjson") and not name.startswith(".")]
    told = [json.loads(line) for name in files for line in (peer.folder / name).read_text("utf-8").splitlines()]
    assert [change["delivery_no"] for change in told] == [1, 2, 3, 4, 5]
    for name in files:
        said = (peer.folder / f"{name}.sha256").read_text("ascii").split()
        assert said == [hashlib.sha256((peer.folder / name).read_bytes()).hexdigest(), name]
    assert hub.run("renshe").taken == 0


def test_the_out_folder_gets_the_same_and_a_snapshot_when_the_slice_was_changed(hub: ChannelHub) -> None:
    hub.move(1, 4)
    hub.declare(
        "out",
        'kind = "out_folder"\norganisation = "labour"\nsubscription = "renshe-moves"\nformat = "csv"\nat = ["08:30"]',
    )
    assert hub.run("out").taken == 1
    folder = hub.settings.drops / "labour" / "out"
    (page,) = folder.glob("*.csv")
    assert page.read_text("utf-8-sig").count("王小明") == 3
    narrower = SliceDefinition((SliceType("hukou_move_in", ("id_no",)),), None)
    with hub.tools.database.begin() as connection:
        change_subscription(
            connection, SYSTEM_ACTOR, hub.tools.catalogue, "renshe-moves", definition=narrower, terms=TERMS
        )
    hub.run("out")
    (whole,) = folder.glob("*-snapshot.csv")
    assert "王小明" not in whole.read_text("utf-8-sig")
    assert hub.run("out").taken == 0


def test_anothers_subscription_is_not_delivered(hub: ChannelHub) -> None:
    hub.declare(
        "out", 'kind = "out_folder"\norganisation = "health"\nsubscription = "renshe-moves"\nevery_seconds = 60'
    )
    with pytest.raises(NotFound):
        hub.run("out")
    assert not list((hub.settings.drops / "health" / "out").glob("*"))
