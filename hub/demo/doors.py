"""The demo's files go in through the real doors: the command, the drop folder, SFTP and the HTTP interface with keys."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import uvicorn

from drops.scan import Drops
from drops.sftp.service import open_door
from hub import jobs
from hub.app import create_app
from hub.database import Database, run_sql
from hub.demo.founding import KINDS
from hub.demo.plan import Parcel
from hub.demo.sftp_sender import SftpSender
from hub.errors import HubError
from hub.keyring import Keyring
from hub.registry.permissions import ROLES, Actor
from hub.settings import Settings
from mappings.catalogue import Catalogue

DOORS = {"labour": "api", "civil_affairs": "folder", "health": "sftp"}  # everybody else: the command
_PATIENCE_SECONDS = 60.0
_KEPT_OPEN_SECONDS = 600  # longer than any pause between two files: a line just closed looks like a failure
_PATIENCE_WITHOUT_PROGRESS = 120.0


@dataclass(slots=True)
class Sent:
    """A parcel that went in: through which door, and under which receipt number."""

    parcel: Parcel
    door: str
    receipt: str = ""


class DoorShut(HubError):
    """演示文件未能送入。 A file of the demo did not get in."""

    problem = "demo-door-shut"


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything needed to send through any door."""

    database: Database
    settings: Settings
    catalogue: Catalogue
    client: httpx.Client
    keys: dict[str, str]
    sftp: SftpSender

    def send(self, parcel: Parcel) -> Sent:
        door = DOORS.get(parcel.sender, "command")
        sent = Sent(parcel, door)
        if door == "api":
            sent.receipt = self._post(parcel)
        elif door == "folder":
            self._drop(parcel)
        elif door == "sftp":
            self.sftp.put(parcel.path, f"/in/{parcel.record_type}/{parcel.period}/{parcel.path.name}")
        else:
            sent.receipt = self._submit(parcel)
        return sent

    def _submit(self, parcel: Parcel) -> str:
        with parcel.path.open("rb") as stream:
            accepted = jobs.accept(
                self.database, self.settings, _actor(parcel.sender), stream=stream, file_name=parcel.path.name,
                record_type=parcel.record_type, organisation=parcel.sender, period=parcel.period, door="command",
                catalogue=self.catalogue,
            )  # fmt: skip
        return accepted.receipt_number

    def _post(self, parcel: Parcel) -> str:
        body = parcel.path.read_bytes()
        answer = self.client.post(
            "/v1/submissions",
            params={"type": parcel.record_type, "period": parcel.period, "file_name": parcel.path.name},
            headers={
                "Authorization": f"Bearer {self.keys[parcel.sender]}",
                "Idempotency-Key": hashlib.sha256(parcel.path.name.encode() + body).hexdigest(),
                "Content-Type": "application/octet-stream",
            },
            content=body,
        )
        if answer.status_code not in (200, 202):
            raise DoorShut(f"{parcel.path.name}: HTTP {answer.status_code} {answer.text[:300]}")
        return str(answer.json()["receipt"])

    def _drop(self, parcel: Parcel) -> None:
        """Under a name nobody takes until it is whole, the sidecar with its digest, then the real name."""
        folder = self.settings.drops / parcel.sender / "in" / parcel.record_type / parcel.period
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / parcel.path.name
        partial = target.with_name(f"{target.name}.part")
        shutil.copyfile(parcel.path, partial)
        digest = hashlib.sha256(parcel.path.read_bytes()).hexdigest()
        target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n", "utf-8")
        now = time.time_ns()
        os.utime(partial, ns=(now, now))
        partial.rename(target)

    def let_in(self, folder: Drops) -> None:
        """Look until what was dropped or came by SFTP has its submission."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while folder.look().unsettled or self.sftp.is_waiting() or self._is_being_taken():
            if time.monotonic() > deadline:
                raise DoorShut("SFTP 收到的文件没有入账。 A file that came by SFTP was not taken.")
            time.sleep(0.05)

    def _is_being_taken(self) -> bool:
        """Whether a claim has no submission yet: two loops look, and one may hold what the other asks about."""
        claims = self.settings.drops.glob("*/.claimed/*")
        return any(claim.is_dir() and not (claim / "submission.json").exists() for claim in claims)

    def work_off(self) -> None:
        """Run the jobs until every submission is final. A worker leaves while a job waits for another's lock: call again."""
        deadline = time.monotonic() + _PATIENCE_WITHOUT_PROGRESS
        left = self._waiting()
        while left:
            jobs.work(self.database, self.settings, wait=False)
            now_left = self._waiting()
            if now_left < left:
                deadline = time.monotonic() + _PATIENCE_WITHOUT_PROGRESS
            if time.monotonic() > deadline:
                raise DoorShut(f"{now_left} 份报送没有处理完。 {now_left} submissions are not done; see the log.")
            left = now_left

    def _waiting(self) -> int:
        with self.database.begin() as connection:
            rows = run_sql(connection, "SELECT count(*) FROM {d}.submission WHERE state IN ('received', 'checked')")
        return int(str(rows[0][0]))

    def collect(self, folder: Drops, sent: list[Sent]) -> None:
        """Read the receipts that are written beside the inboxes, by this loop or the SFTP door's."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for one in sent:
            while one.door in ("folder", "sftp") and not one.receipt:
                one.receipt = _receipt_beside(self.settings.drops / one.parcel.sender, one.parcel.path.name)
                if not one.receipt:
                    folder.look()
                if time.monotonic() > deadline:
                    raise DoorShut(f"{one.parcel.path.name}: 没有回执 no receipt")


def _receipt_beside(folder: Path, name: str) -> str:
    """The number on it; "" while there is none."""
    written = folder / "receipts" / f"{name}.receipt.json"
    return str(json.loads(written.read_text("utf-8"))["receipt"]) if written.exists() else ""


def _actor(sender: str) -> Actor:
    kind = KINDS.get(sender, "town")
    role = {"town": "town_officer", "care": "care_worker"}.get(kind, "department_clerk")
    return Actor(name="command:demo", organisation=sender, kind=kind, door="command", rights=ROLES[role])


@contextmanager
def sftp_open(
    database: Database, settings: Settings, catalogue: Catalogue, sender: str, key: Path
) -> Iterator[SftpSender]:
    """The real SFTP door on a free port of 127.0.0.1, and a sender with its key."""
    policy = msgspec.structs.replace(settings.sftp, host="127.0.0.1", port=0, free_space_floor=0)
    at_any_port = msgspec.structs.replace(settings, sftp=policy, drop_scan_seconds=0.5)
    served = Database(settings.database_url or "", settings.district, audit_key=Keyring.load(settings.home).audit_key)
    try:
        with (
            open_door(database, served, at_any_port, catalogue) as door,
            SftpSender(door.port, sender, key, door.fingerprint, settings.drops / sender) as connected,
        ):
            yield connected
    finally:
        served.close()


@contextmanager
def serving(settings: Settings, catalogue: Catalogue) -> Iterator[httpx.Client]:
    """The real web application on a free port of 127.0.0.1, for as long as the files go in."""
    keyring = Keyring.load(settings.home)
    database = Database(settings.database_url or "", settings.district, audit_key=keyring.audit_key)
    app = create_app(settings, database, catalogue, keyring)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="on", timeout_keep_alive=_KEPT_OPEN_SECONDS)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            _await_start(server)
            with httpx.Client(base_url=address, timeout=_PATIENCE_SECONDS) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_SECONDS)
            database.close()


def _await_start(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise DoorShut("网页服务没有启动。 The web application did not start.")
        time.sleep(0.02)


def at_once(settings: Settings) -> Settings:
    """The same settings for a year in minutes: sidecars settle files, and no round opens on today's own day."""
    rounds = msgspec.structs.replace(settings.rounds, automatic=False)
    return msgspec.structs.replace(settings, drop_quiet_seconds=0.0, rounds=rounds)
