"""Lines that break and a server that is killed, in the middle of a file: nothing partial is taken, nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator

import paramiko
import pytest

from drops.sftp.files import UploadFile
from drops.sftp.service import SftpRunning, open_door
from hub.embedded import Cluster
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.faults.cuts import Cuts
from tests.sftp_door import INBOX, Door, door_open, founded_door, free_port, sheet, start_server, until

CUTS = int(os.environ.get("HUB_SFTP_CUTS", "50"))


@pytest.fixture(scope="module")
def founded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Door]:
    clone_template(cluster, "sftp_cuts")
    with founded_door(cluster.urls("sftp_cuts"), tmp_path_factory.mktemp("cuts"), catalogue) as door:
        yield door
    execute(cluster, "DROP DATABASE sftp_cuts WITH (FORCE)")


def test_a_server_killed_in_the_middle_takes_nothing_and_goes_on_with_it(founded: Door, catalogue: Catalogue) -> None:
    content = sheet(1, rows=20)
    lines = content.splitlines(keepends=True)
    founded.port = free_port()
    server = start_server(founded, founded.port)
    client = founded.connect()
    file = client.open(f"{INBOX}/killed.csv", "wb")
    file.write(b"".join(lines[:10]))
    file.flush()
    server.kill()
    server.wait()
    with door_open(founded, catalogue) as door:
        uploads = door.opened.door.uploads_of("health")  # type: ignore[union-attr]
        assert [(upload.place.name, upload.note.state) for upload in uploads.waiting()] == [("killed.csv", "cut")]
        with door.visit() as again:
            size = again.stat(f"{INBOX}/killed.csv").st_size or 0
            assert size == len(b"".join(lines[:10]))
            with again.open(f"{INBOX}/killed.csv", "ab") as rest:
                rest.write(content[size:])
        until(lambda: "killed.csv" in door.ledger())
        assert door.ledger()["killed.csv"][2] == len(content)


def test_cut_anywhere_nothing_partial_is_taken_and_resumed_it_lands_once(founded: Door, catalogue: Catalogue) -> None:
    with door_open(founded, catalogue) as door:
        verdict = Cuts(door, seed=1).run(CUTS)
    assert verdict.cut > CUTS // 2, verdict
    assert verdict.is_clean, verdict


def test_where_a_cut_counts_as_a_close_the_checker_sees_what_is_taken(
    founded: Door, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: paramiko's own way of ending a session."""
    monkeypatch.setattr(UploadFile, "abandon", UploadFile.finish)
    with door_open(founded, catalogue) as door:
        verdict = Cuts(door, seed=2, name="naive").run(8, resume=False)
    assert verdict.partial != []


def test_only_one_door_is_open_in_a_home(founded: Door, catalogue: Catalogue) -> None:
    second = open_door(founded.worker, founded.served, founded.settings, catalogue)
    with door_open(founded, catalogue), pytest.raises(SftpRunning), second:
        raise AssertionError
    with pytest.raises((OSError, paramiko.SSHException)):
        founded.connect()
