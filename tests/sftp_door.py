"""A hub with an open SFTP door: one district, keys of three organisations, clients that come with them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
import paramiko
from sqlalchemy import select

from drops.sftp.service import OpenDoor, open_door
from hub import jobs
from hub.database import Database
from hub.embedded import Cluster, Urls
from hub.registry.api_keys import register_ssh_key
from hub.registry.organisations import Organisation, save_organisation
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.settings import Settings, SftpPolicy, load_settings
from hub.tables import sftp_event, submission
from mappings.catalogue import Catalogue
from tests.conftest import clone_template, execute
from tests.sheets import death_row, death_sheet

QUIET = 0.2
ROOT = Path(__file__).parent.parent
TYPE = "death_certificate"
INBOX = f"/in/{TYPE}"
_numbers = count()
_SCOPES = (Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE)


@dataclass
class Door:
    """The door, the hub behind it, and the private keys of who may come."""

    settings: Settings
    worker: Database
    served: Database
    keys: dict[str, Path]
    opened: OpenDoor | None = None
    port: int = 0
    folder: Path = field(default_factory=Path)

    def connect(self, who: str = "health", key: str = "") -> paramiko.SFTPClient:
        """A signed-in client; closing it hangs up."""
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", self.port)))
        private = paramiko.PKey.from_path(self.keys[key or who])
        try:
            transport.connect(username=who, pkey=private)
            client = paramiko.SFTPClient.from_transport(transport)
        except Exception:
            transport.close()
            raise
        assert client is not None
        return client

    @contextmanager
    def visit(self, who: str = "health", key: str = "") -> Iterator[paramiko.SFTPClient]:
        client = self.connect(who, key)
        try:
            yield client
        finally:
            hang_up(client)

    def ledger(self) -> dict[str, tuple[str, str, int]]:
        """File name: door, digest, size."""
        asked = select(submission.c.file_name, submission.c.door, submission.c.file_sha256, submission.c.file_size)
        with self.worker.begin() as connection:
            return {name: (door, sha256, size) for name, door, sha256, size in connection.execute(asked)}

    def events(self, act: str = "", path: str = "") -> list[tuple[str, str, str, int | None, str]]:
        asked = select(
            sftp_event.c.act, sftp_event.c.path, sftp_event.c.outcome, sftp_event.c.size, sftp_event.c.organisation
        ).order_by(sftp_event.c.at)
        with self.worker.begin() as connection:
            seen = [tuple(row) for row in connection.execute(asked)]
        return [row for row in seen if act in ("", row[0]) and path in row[1]]

    def send_and_cut(self, path: str, content: bytes, who: str = "health") -> None:
        """Write so much of a file, then lose the connection; returns when the door has noticed."""
        before = len(self.events("cut", path))
        client = self.connect(who)
        file = client.open(path, "wb")
        file.write(content)
        cut(client)
        until(lambda: len(self.events("cut", path)) > before)

    def organisation(self, who: str = "health") -> Path:
        return self.settings.drops / who

    def work(self) -> None:
        jobs.work(self.worker, self.settings, wait=False)


def hang_up(client: paramiko.SFTPClient) -> None:
    """Either side may be the first."""
    channel = client.get_channel()
    with contextlib.suppress(OSError, EOFError):
        client.close()
    if channel is not None:
        channel.get_transport().close()


def cut(client: paramiko.SFTPClient) -> None:
    """The network goes away: a TCP reset, no goodbye."""
    transport = client.get_channel().get_transport()  # type: ignore[union-attr]
    reset(transport.sock)  # type: ignore[arg-type]
    transport.close()


def reset(plug: socket.socket) -> None:
    with contextlib.suppress(OSError):
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        plug.close()


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)


@contextmanager
def founded_door(urls: Urls, folder: Path, catalogue: Catalogue, **policy: object) -> Iterator[Door]:
    """The district and its keys; the door is not open yet. ``folder`` is the home's parent."""
    settings = settings_of_door(urls, folder / "home", **policy)
    worker, served = Database(urls.worker, settings.district), Database(urls.app, settings.district)
    keys = {name: make_key(folder / "keys", name) for name in ("health", "public_security", "stranger")}
    with served.begin() as connection:
        for code in ("health", "public_security"):
            one = Organisation(code=code, district=settings.district, name=code, kind="department")
            save_organisation(connection, SYSTEM_ACTOR, one)
            line = keys[code].with_suffix(".pub").read_text()
            register_ssh_key(connection, SYSTEM_ACTOR, code, "前置机", line, _SCOPES)
    try:
        yield Door(settings, worker, served, keys, folder=folder)
    finally:
        worker.close()
        served.close()


@contextmanager
def door_open(door: Door, catalogue: Catalogue) -> Iterator[Door]:
    with open_door(door.worker, door.served, door.settings, catalogue) as opened:
        door.opened, door.port = opened, opened.port
        yield door


def settings_of_door(urls: Urls, home: Path, **policy: object) -> Settings:
    chosen = {"port": 0, "ban_score": 1000, "free_space_floor": 1, "sessions_of_one": 12} | policy
    return load_settings(
        home,
        database_url=urls.app,
        owner_url=urls.owner,
        worker_url=urls.worker,
        fictitious_prefixes=("999001",),
        demo=True,
        drop_quiet_seconds=QUIET,
        drop_scan_seconds=0.2,
        sftp=msgspec.convert(chosen, SftpPolicy),
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port: int = plug.getsockname()[1]
        return port


def start_server(door: Door, port: int) -> subprocess.Popen[bytes]:
    """``hub sftp`` as a process of its own."""
    door.settings.home.mkdir(parents=True, exist_ok=True)
    chosen = f"drop_quiet_seconds = 0.2\ndrop_scan_seconds = 0.2\n[sftp]\nport = {port}\nfree_space_floor = 1\n"
    (door.settings.home / "hub.toml").write_text(chosen)
    urls = {
        "HUB_DATABASE_URL": door.settings.database_url or "",
        "HUB_OWNER_URL": door.settings.owner_url or "",
        "HUB_WORKER_URL": door.settings.worker_url or "",
    }
    command = [sys.executable, "-m", "hub", "sftp", "--home", str(door.settings.home)]
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **urls})
    until(lambda: answers(port), 30)
    return started


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def sheet(number: int, rows: int = 2) -> bytes:
    """A good file no other number makes: the certificates are its own, the people repeat."""
    people = (death_row((number + each) % 400).split(",", 1)[1] for each in range(rows))
    return death_sheet(*(f"SW{number:04d}{each:04d},{person}" for each, person in enumerate(people)))


def make_key(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@contextmanager
def standing_door(cluster: Cluster, folder: Path, catalogue: Catalogue, **policy: object) -> Iterator[Door]:
    """A hub of its own with its door open, for all tests of a module."""
    name = f"sftp_{next(_numbers)}"
    clone_template(cluster, name)
    try:
        with (
            founded_door(cluster.urls(name), folder, catalogue, **policy) as founded,
            door_open(founded, catalogue) as it,
        ):
            yield it
    finally:
        execute(cluster, f"DROP DATABASE {name} WITH (FORCE)")
