"""Many senders at the same moment, through mixed doors: every one gets the right receipt, nothing is lost or doubled."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import paramiko
from sqlalchemy import select

from hub import jobs
from hub.demo.doors import serving
from hub.registry.api_keys import issue_key
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.tables import submission
from mappings.catalogue import Catalogue
from tests.sftp_door import TYPE, Door, sheet, until

SENDER = "health"
_PATIENCE_SECONDS = 240.0
_TRIES = 4


@dataclass
class Crowd:
    """Who sends what through which door, and what came of it."""

    door: Door
    catalogue: Catalogue
    size: int
    receipts: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def send(self) -> None:
        """Everybody at once."""
        with self.door.served.begin() as connection:
            key = issue_key(
                connection, SYSTEM_ACTOR, organisation=SENDER, title="接口", scopes=ROLES["integrator"]
            ).text
        settings = msgspec.structs.replace(self.door.settings, requests_per_minute=100_000)
        with serving(settings, self.catalogue) as client:
            ways = (self._by_sftp, self._by_folder, lambda number: self._by_api(client, key, number), self._by_command)
            start = threading.Barrier(self.size)
            senders = [
                threading.Thread(target=self._send, args=(start, ways[number % len(ways)], number))
                for number in range(self.size)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join(_PATIENCE_SECONDS)

    def _send(self, start: threading.Barrier, way: Callable[[int], None], number: int) -> None:
        """Whoever is not served in this press tries again, as everybody does."""
        start.wait(_PATIENCE_SECONDS)
        for tried in range(1, _TRIES + 1):
            try:
                way(number)
                break
            except (OSError, EOFError, paramiko.SSHException, httpx.HTTPError) as wrong:
                if tried == _TRIES:
                    self.failures.append(f"{number}: {type(wrong).__name__} {wrong}")
                time.sleep(tried)

    def _by_sftp(self, number: int) -> None:
        with self.door.visit(SENDER) as client, client.open(f"/in/{TYPE}/{_name(number)}", "wb") as file:
            file.write(sheet(number))

    def _by_folder(self, number: int) -> None:
        inbox = self.door.organisation(SENDER) / "in" / TYPE
        until(inbox.is_dir)
        (inbox / f"{_name(number)}.sha256").write_text(_digest(number), "ascii")
        (inbox / f"{_name(number)}.part").write_bytes(sheet(number))
        (inbox / f"{_name(number)}.part").rename(inbox / _name(number))

    def _by_api(self, client: httpx.Client, key: str, number: int) -> None:
        answer = client.post(
            "/v1/submissions",
            params={"type": TYPE, "file_name": _name(number)},
            headers={"Authorization": f"Bearer {key}", "Idempotency-Key": str(number), "Content-Type": "text/csv"},
            content=sheet(number),
        )
        answer.raise_for_status()
        self.receipts[number] = answer.json()["receipt"]

    def _by_command(self, number: int) -> None:
        accepted = jobs.accept(
            self.door.worker, self.door.settings, _clerk(), stream=io.BytesIO(sheet(number)), file_name=_name(number),
            record_type=TYPE, organisation=SENDER, period=None, door="command", catalogue=self.catalogue,
        )  # fmt: skip
        self.receipts[number] = accepted.receipt_number

    def all_done(self) -> bool:
        """One look at the jobs; whether every file is in the ledger and final."""
        self.door.work()
        with self.door.worker.begin() as connection:
            states = list(connection.scalars(select(submission.c.state)))
        return len(states) >= self.size and not {"received", "checked"} & set(states)

    def judge(self) -> list[str]:
        """Against the ledger: each file once, whole, merged, with the receipt its sender was told."""
        with self.door.worker.begin() as connection:
            rows = connection.execute(select(submission)).all()
        by_digest: dict[str, list[Any]] = {}
        for row in rows:
            by_digest.setdefault(row.file_sha256, []).append(row)
        wrong = [] if len(rows) == self.size else [f"{len(rows)} submissions of {self.size} files"]
        for number in range(self.size):
            found = by_digest.get(_digest(number), [])
            if [(row.state, row.file_name, row.accepted) for row in found] != [("merged", _name(number), 2)]:
                told = [(row.state, row.file_name, row.accepted, row.refusal) for row in found]
                wrong.append(f"{number}: {told}")
            elif self.receipts.get(number, found[0].receipt_number) != found[0].receipt_number:
                wrong.append(f"{number}: another receipt than told")
        return wrong


def wrong_in_a_crowd(door: Door, catalogue: Catalogue, size: int) -> list[str]:
    """Send ``size`` files at once, let the hub finish, and say what is wrong; nothing if all is right."""
    crowd = Crowd(door, catalogue, size)
    crowd.send()
    until(lambda: crowd.all_done() or crowd.failures, _PATIENCE_SECONDS)
    return [*crowd.failures, *crowd.judge()]


def _name(number: int) -> str:
    return f"死亡{number:04d}.csv"


def _digest(number: int) -> str:
    return hashlib.sha256(sheet(number)).hexdigest()


def _clerk() -> Actor:
    return Actor(
        name="command:test", organisation=SENDER, kind="department", door="command", rights=ROLES["department_clerk"]
    )
