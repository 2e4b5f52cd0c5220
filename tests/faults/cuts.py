"""Connections to the SFTP door cut at a random byte, then resumed: nothing partial is ever taken, everything lands once."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import paramiko
from sqlalchemy import select

from hub.tables import submission
from tests.sftp_door import INBOX, QUIET, Door, reset, sheet, until

_ROWS = 30
_MARGIN_BYTES = 2_500  # beyond a file's own bytes: now and then the close gets through


class Fuse:
    """A socket that is reset after so many more bytes have been sent."""

    def __init__(self, plug: socket.socket) -> None:
        self._plug, self.left, self.is_blown = plug, float("inf"), False

    def send(self, content: bytes) -> int:
        if self.left <= 0:
            self.is_blown = True
            reset(self._plug)
            raise OSError("cut")
        sent = self._plug.send(content[: int(min(self.left, len(content)))])
        self.left -= sent
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plug, name)


@dataclass
class Verdict:
    """What came of it."""

    sent: int = 0
    cut: int = 0
    partial: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.partial or self.lost or self.doubled)


class Cuts:
    """Files sent over lines that break; every file is named once in the hub's life."""

    def __init__(self, door: Door, seed: int, name: str = "cut") -> None:
        self.door, self.chance, self.name = door, random.Random(seed), name
        self.files: dict[str, bytes] = {}

    def run(self, cuts: int, *, resume: bool = True) -> Verdict:
        """So many connections that may break; then all that is not there is resumed over one that holds."""
        verdict = Verdict()
        for number in range(len(self.files), len(self.files) + cuts):
            name = f"{self.name}{number}.csv"
            self.files[name] = sheet(number % 10_000, _ROWS)
            verdict.sent += 1
            verdict.cut += self._send(name, self.files[name])
        self._wait_until_noticed()
        time.sleep(4 * QUIET)
        verdict.partial = self._partial()
        if resume:
            self._resume()
            verdict.partial, verdict.lost, verdict.doubled = self._partial(), self._lost(), self._doubled()
        return verdict

    def _send(self, name: str, content: bytes) -> bool:
        """Line by line, so that most cuts leave a file that ends like a whole one. Whether the line broke."""
        plug = socket.create_connection(("127.0.0.1", self.door.port))
        fuse = Fuse(plug)
        transport = paramiko.Transport(fuse)  # type: ignore[arg-type]
        try:
            transport.connect(username="health", pkey=paramiko.PKey.from_path(self.door.keys["health"]))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            fuse.left = self.chance.randrange(2 * len(content) + _MARGIN_BYTES)
            self._write(client, name, content)
        except (OSError, EOFError, paramiko.SSHException):
            fuse.is_blown = True
        finally:
            with contextlib.suppress(OSError):
                reset(plug)
            transport.close()
        return fuse.is_blown

    def _write(self, client: paramiko.SFTPClient, name: str, content: bytes) -> None:
        file = client.open(f"{INBOX}/{name}", "wb")
        file.set_pipelined(True)
        for line in content.splitlines(keepends=True):
            file.write(line)
            file.flush()
        file.close()

    def _wait_until_noticed(self) -> None:
        uploads = self.door.opened.door.uploads_of("health")  # type: ignore[union-attr]
        until(lambda: not any(upload.holder for upload in uploads.waiting()))

    def _resume(self) -> None:
        with self.door.visit() as client:
            there = {entry.filename: entry.st_size or 0 for entry in client.listdir_attr(INBOX)}
            taken = self.door.ledger()
            for name, content in self.files.items():
                if name in there or name not in taken:
                    with client.open(f"{INBOX}/{name}", "ab") as file:
                        file.write(content[there.get(name, 0) :])
        until(lambda: not self._lost_now(), 60)

    def _taken(self) -> list[tuple[str, str]]:
        asked = select(submission.c.file_name, submission.c.file_sha256)
        with self.door.worker.begin() as connection:
            return [(name, digest) for name, digest in connection.execute(asked) if name in self.files]

    def _partial(self) -> list[str]:
        whole = {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}
        return [name for name, digest in self._taken() if whole[name] != digest]

    def _lost_now(self) -> bool:
        return bool(self._lost())

    def _lost(self) -> list[str]:
        return sorted(self.files.keys() - {name for name, _ in self._taken()})

    def _doubled(self) -> list[str]:
        names = [name for name, _ in self._taken()]
        return sorted({name for name in names if names.count(name) > 1})
