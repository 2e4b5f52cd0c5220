"""A receiver of a slice as a process of its own, which dies where it is told: cursor and changes in one transaction.

Run as ``python -m tests.faults.delivery_receiver``; one JSON request a line on stdin, the wait status on stdout.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from adapters.client import HubClient, Page

ROOT = Path(__file__).parent.parent.parent
POINTS = (
    "before_request",
    "after_headers",
    "mid_body",
    "before_write",
    "before_acknowledgement",
    "after_acknowledgement",
)
PAGE = 2
_TABLES = """CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, fields TEXT, effects INTEGER);
CREATE TABLE IF NOT EXISTS history (delivery_no INTEGER);
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY, cursor TEXT, delivery_no INTEGER, digest TEXT)"""


class Receivers:
    """The parent of the receivers, seen from a test: each run is a fork of it that may be killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.delivery_receiver"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, url: str, key: str, subscription: str, file: Path, **how: Any) -> int:
        """Exit status, or minus the signal. ``place`` and ``number``: where it dies, at which request or page."""
        assert self._process.stdin and self._process.stdout
        request = {"url": url, "key": key, "subscription": subscription, "file": str(file), **how}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return os.waitstatus_to_exitcode(int(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


class Copy(sqlite3.Connection):
    """What the receiver has: the slice, every delivery number it ever applied, and how far it is."""

    def load(self) -> str | None:
        found: str | None = self.execute("SELECT max(cursor) FROM place").fetchone()[0]
        return found

    def save(self, cursor: str) -> None:
        self.execute("UPDATE place SET cursor = ?", (cursor,))
        self.commit()

    def apply(self, page: Page) -> None:
        """The changes, where the feed goes on, and what is to be acknowledged: one transaction."""
        for one in page.changes:
            self.execute("INSERT INTO history VALUES (?)", (one.delivery_no,))
            kept = self.execute("SELECT effects FROM record WHERE id = ?", (one.record_id,)).fetchone()
            self.execute("DELETE FROM record WHERE id = ?", (one.record_id,))
            if one.op != "leave":
                row = (one.record_id, json.dumps(one.after), (kept[0] if kept else 0) + 1)
                self.execute("INSERT INTO record VALUES (?, ?, ?)", row)
        last = page.first_delivery_no + len(page.changes) - 1
        self.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?)", (page.next, last, page.digest))
        self.commit()

    def last_page(self) -> tuple[int, str] | None:
        found: tuple[int, str] | None = self.execute("SELECT delivery_no, digest FROM place").fetchone()
        return found


def open_copy(file: Path) -> Copy:
    kept = sqlite3.connect(file, factory=Copy)
    kept.executescript(_TABLES)
    return kept


class Receiver:
    """One life of the receiver. ``order`` is how it works: write_first is right, the others are broken on purpose."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.place, self.number = asked.get("place", ""), int(asked.get("number", 1))
        self.order, self.subscription = asked.get("order", "write_first"), asked["subscription"]
        self.limit, self.kept = int(asked.get("limit", PAGE)), open_copy(Path(asked["file"]))
        self.client = HubClient(asked["url"], asked["key"], verify=False)
        self.client._http._transport = _DyingTransport(self.client._http._transport, self)

    def live(self) -> None:
        if self.order == "write_first" and (last := self.kept.last_page()):
            self.client.acknowledge_to(self.subscription, *last)  # it may have died before it could
        for count, page in enumerate(self.client.changes(self.subscription, self.kept, limit=self.limit), 1):
            self.die_at("before_write", count)
            getattr(self, f"_{self.order}")(page, count)
            self.die_at("after_acknowledgement", count)

    def _write_first(self, page: Page, count: int) -> None:
        self.kept.apply(page)
        self.die_at("before_acknowledgement", count)
        self.client.acknowledge(page)

    def _acknowledge_first(self, page: Page, count: int) -> None:
        self.client.acknowledge(page)
        self.die_at("before_acknowledgement", count)
        self.kept.apply(page)

    def _save_first(self, page: Page, count: int) -> None:
        self.kept.execute("INSERT OR REPLACE INTO place VALUES (1, ?, 0, '')", (page.next,))
        self.kept.commit()
        self.die_at("before_acknowledgement", count)
        self.kept.apply(page)

    def _never_acknowledge(self, page: Page, count: int) -> None:
        self.kept.apply(page)

    def die_at(self, place: str, count: int) -> None:
        if (place, count) == (self.place, self.number):
            os.kill(os.getpid(), signal.SIGKILL)


class _DyingTransport(httpx.BaseTransport):
    """The line to the hub; what is counted are requests for changes."""

    def __init__(self, inner: httpx.BaseTransport, receiver: Receiver) -> None:
        self.inner, self.receiver, self.count = inner, receiver, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/changes"):
            return self.inner.handle_request(request)
        self.count += 1
        self.receiver.die_at("before_request", self.count)
        response = self.inner.handle_request(request)
        self.receiver.die_at("after_headers", self.count)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _DyingBody(response.stream, self)
        return response


class _DyingBody(httpx.SyncByteStream):
    """A body whose reader may die in the middle of it."""

    def __init__(self, inner: httpx.SyncByteStream, line: _DyingTransport) -> None:
        self.inner, self.line = inner, line

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.inner:
            half = len(chunk) // 2
            yield chunk[:half]
            self.line.receiver.die_at("mid_body", self.line.count)
            yield chunk[half:]

    def close(self) -> None:
        self.inner.close()


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(json.loads(line))
        print(os.waitpid(child, 0)[1], flush=True)


def _live(asked: dict[str, Any]) -> None:
    try:
        Receiver(asked).live()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    serve()
