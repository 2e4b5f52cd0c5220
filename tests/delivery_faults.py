"""Twenty ways a delivery goes wrong: what each is in a drop folder, and which test shows it at the SFTP door.

``folder`` makes the fault and asserts what came of it; a sentence there says why a folder cannot have it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from drops.answers import replace, step_aside
from drops.inbox import find_dropped
from drops.scan import Drops
from hub.tables import submission
from tests.sftp_door import sheet

QUIET = 0.1
TYPE = "death_certificate"


@dataclass
class Folder:
    """One organisation's drop folder and the hub that looks at it."""

    drops: Drops
    number: int  # of the fault: its files are its own

    @property
    def home(self) -> Path:
        return self.drops.settings.drops / "health"

    @property
    def inbox(self) -> Path:
        return self.home / "in" / TYPE

    def write(self, name: str, content: bytes) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def content(self, which: int = 0) -> bytes:
        return sheet(100 * self.number + which)

    def look_twice(self, pause: float = 1.5 * QUIET) -> None:
        self.drops.look()
        time.sleep(pause)
        self.drops.look()

    def taken(self, *contents: bytes) -> list[str]:
        """Names under which any of these bytes are in the ledger."""
        digests = [hashlib.sha256(content).hexdigest() for content in contents]
        asked = select(submission.c.file_name).where(submission.c.file_sha256.in_(digests))
        with self.drops.database.begin() as connection:
            return sorted(connection.scalars(asked))


def partial(folder: Folder) -> None:
    path = folder.write("partial.csv", folder.content()[:-9])
    folder.look_twice()
    assert path.exists()
    assert folder.taken(folder.content()[:-9]) == []
    path.unlink()


def resumed(folder: Folder) -> None:
    whole = folder.content()
    path = folder.write("resumed.csv", whole[:-9])
    folder.look_twice()
    with path.open("ab") as file:
        file.write(whole[-9:])
    folder.look_twice()
    assert folder.taken(whole, whole[:-9]) == ["resumed.csv"]
    assert folder.taken(whole) == ["resumed.csv"]


def overwritten_while_read(folder: Folder) -> None:
    path = folder.write("written.csv", folder.content())
    writer = path.open("ab")
    folder.look_twice()
    writer.write(b"too late\n")
    writer.close()
    folder.write("written.csv", folder.content(1))
    folder.look_twice()
    assert folder.taken(folder.content(), folder.content(1)) == ["written.csv"] * 2


def renamed_onto_another(folder: Folder) -> None:
    folder.write("target.csv", folder.content())
    folder.write("newer.csv.part", folder.content(1)).replace(folder.inbox / "target.csv")
    folder.look_twice()
    assert folder.taken(folder.content(), folder.content(1)) == ["target.csv"]
    assert folder.taken(folder.content(1)) == ["target.csv"]


def same_bytes_twice(folder: Folder) -> None:
    for name in ("once.csv", "again.csv"):
        folder.write(name, folder.content())
    folder.look_twice()
    assert len(folder.taken(folder.content())) == 1


def same_name_other_bytes(folder: Folder) -> None:
    for which in (0, 1):
        folder.write("同名.csv", folder.content(which))
        folder.look_twice()
    assert folder.taken(folder.content(0), folder.content(1)) == ["同名.csv", "同名.csv"]
    answers = folder.home / "receipts"
    for number in ("R-1", "R-2"):
        step_aside(answers, "同名.csv", number)
        replace(answers / "同名.csv.receipt.json", json.dumps({"receipt": number}))
    assert {path.name for path in answers.glob("同名*")} == {"同名.csv.receipt.json", "同名.csv.R-1.receipt.json"}


def two_users_at_once(folder: Folder) -> None:
    writers = [
        threading.Thread(target=folder.write, args=(f"user{which}.csv", folder.content(which))) for which in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    folder.look_twice()
    assert folder.taken(folder.content(0), folder.content(1)) == ["user0.csv", "user1.csv"]


def strange_names(folder: Folder) -> None:
    names = ("line\nbreak.csv", "字" * 83 + ".csv", "NUL.csv", "C:odd.csv", os.fsdecode(b"gbk\xd0\xd5.csv"))
    for which, name in enumerate(names):
        folder.write(name, folder.content(which))
    folder.look_twice()
    assert len(folder.taken(*(folder.content(which) for which in range(5)))) == 5


def symbolic_link(folder: Folder) -> None:
    secret = folder.home.parent / "secret.csv"
    secret.write_bytes(folder.content())
    (folder.inbox / "link.csv").symlink_to(secret)
    folder.look_twice()
    assert folder.taken(folder.content()) == []
    (folder.inbox / "link.csv").unlink()


def pipe(folder: Folder) -> None:
    os.mkfifo(folder.inbox / "pipe.csv")
    started = time.monotonic()
    folder.look_twice()
    assert time.monotonic() - started < 5, "it waited for a writer"
    (folder.inbox / "pipe.csv").unlink()


def clock_back(folder: Folder) -> None:
    real = time.time
    folder.write("back.csv", folder.content())
    folder.drops.look()
    try:
        time.time = lambda: real() - 86_400
        time.sleep(1.5 * QUIET)
        folder.drops.look()
    finally:
        time.time = real
    assert folder.taken(folder.content()) == ["back.csv"]


def mtime_in_future(folder: Folder) -> None:
    path = folder.write("future.csv", folder.content())
    os.utime(path, (time.time() + 86_400, time.time() + 86_400))
    folder.look_twice()
    assert folder.taken(folder.content()) == ["future.csv"]


def month_boundary(folder: Folder) -> None:
    folder.write("2025-12/december.csv", folder.content())
    folder.look_twice()
    with folder.drops.database.begin() as connection:
        asked = select(submission.c.period).where(submission.c.file_name == "december.csv")
        assert connection.scalars(asked).all() == ["2025-12"], "the folder says the month, never the clock"


def folder_deleted(folder: Folder) -> None:
    folder.write("lost.csv", folder.content())
    folder.drops.look()
    shutil.rmtree(folder.home / "in")
    folder.drops.look()
    folder.drops.lay_out()
    folder.write("found.csv", folder.content(1))
    folder.look_twice()
    assert folder.taken(folder.content(), folder.content(1)) == ["found.csv"]


def ten_thousand(folder: Folder) -> None:
    heap = folder.inbox / "2026-10"
    heap.mkdir()
    for number in range(10_000):
        os.close(os.open(heap / f"{number}.csv", os.O_CREAT | os.O_WRONLY))
    started = time.monotonic()
    assert sum(1 for _ in find_dropped(folder.drops.settings.drops, "health")) == 10_000
    assert time.monotonic() - started < 10
    shutil.rmtree(heap)


def sidecar_first(folder: Folder) -> None:
    content = folder.content()[:-1]
    folder.write("early.csv.sha256", hashlib.sha256(content).hexdigest().encode())
    folder.drops.look()
    folder.write("early.csv", content)
    folder.drops.look()
    assert folder.taken(content) == ["early.csv"]


def wrong_digest(folder: Folder) -> None:
    folder.write("wrong.csv", folder.content())
    folder.write("wrong.csv.ok", b'{"size": 3}')
    folder.drops.look()
    assert folder.taken(folder.content()) == []
    reason = json.loads((folder.home / "rejected" / "wrong.csv.error.json").read_text("utf-8"))
    assert reason["code"] == "F_DIGEST_MISMATCH"


_CUT = "test_sftp_cuts.py::test_cut_anywhere_nothing_partial_is_taken_and_resumed_it_lands_once"
_LIMIT = "test_sftp_server.py::test_a_limit_refuses_while_writing_and_nothing_is_taken"
_NAMES = "test_sftp_server.py::test_a_name_that_could_mean_more_than_a_name_is_refused"
_WRITER = "the file system's own writer meets it, and leaves a partial file"
_VIRTUAL = "the door has no such thing: what a client may name is an upload or a folder that is always there"

FAULTS: dict[str, tuple[Callable[[Folder], None] | str, str]] = {
    "partial upload": (partial, "test_sftp_server.py::test_a_file_closed_without_its_end_waits_and_its_sender_is_told"),
    "resume": (resumed, "test_sftp_clients.py::test_openssh_resumes_what_was_cut"),
    "overwrite during read": (
        overwritten_while_read,
        "test_sftp_server.py::test_two_sessions_do_not_write_one_file",
    ),
    "rename onto existing": (renamed_onto_another, "test_sftp_server.py::test_a_rename_replaces_only_when_asked_to"),
    "same bytes twice": (same_bytes_twice, "test_sftp_server.py::test_the_same_bytes_again_are_one_submission"),
    "same name, other bytes": (
        same_name_other_bytes,
        "test_sftp_server.py::test_the_same_bytes_again_are_one_submission",
    ),
    "two users at once": (two_users_at_once, "test_sftp_server.py::test_two_sessions_do_not_write_one_file"),
    "strange names": (strange_names, _NAMES),
    "symlink": (symbolic_link, "test_sftp_server.py::test_answers_are_read_only_and_links_are_not_followed"),
    "FIFO or device": (pipe, "test_sftp_server.py::test_answers_are_read_only_and_links_are_not_followed"),
    "quota hit mid-file": (_WRITER, _LIMIT),
    "disk full mid-file": (_WRITER, _LIMIT),
    "session cut mid-file": ("a folder has no sessions", _CUT),
    "clock back one day": (clock_back, "the door asks the monotonic clock alone"),
    "mtime in future": (mtime_in_future, "test_sftp_clients.py::test_lftp_mirrors_a_folder_once"),
    "upload at month boundary": (
        month_boundary,
        "test_sftp_server.py::test_a_file_put_is_taken_and_answered_with_a_receipt",
    ),
    "folder deleted under watcher": (folder_deleted, _VIRTUAL),
    "10,000 small files at once": (
        ten_thousand,
        "test_sftp_server.py::test_many_small_files_from_four_clients_are_all_taken_once",
    ),
    "sidecar before data": (
        sidecar_first,
        "test_sftp_server.py::test_a_sidecar_completes_a_file_whichever_comes_first",
    ),
    "wrong digest sidecar": (
        wrong_digest,
        "test_sftp_server.py::test_a_wrong_digest_or_size_is_rejected_with_the_reason",
    ),
}
