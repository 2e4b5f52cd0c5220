"""What happened at the SFTP door, row by row, before the client hears of it: acts that come together share a commit.

Who tells waits until its row is in the database. If it cannot be written, Unwitnessed: the act must not happen.
"""

from __future__ import annotations

import logging
import queue
import threading
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert

from adapters.sftp.door import FAILURE, Refusal
from hub.database import Database, new_uuid, set_reach, utc_now
from hub.tables import sftp_event

_MOST_AT_ONCE = 200
_LONGEST_WAIT_SECONDS = 30.0
_LONGEST_PATH = 1_000
log = logging.getLogger("drops.sftp")


class Unwitnessed(Refusal):
    """The act is refused because nobody could write down that it happened."""

    def __init__(self) -> None:
        super().__init__(FAILURE, "无法留痕，操作未执行，请稍后重试。 It cannot be recorded now, so it was not done.")


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """One session, as its events name it."""

    evidence: Evidence
    session: UUID
    address: str
    organisation: str = ""
    actor: str = ""

    def tell(
        self, act: str, path: str = "", *, size: int | None = None, outcome: str = "done", **facts: object
    ) -> None:
        """Written when this returns; Unwitnessed."""
        self.evidence.write(
            {
                "event_id": new_uuid(),
                "at": utc_now(),
                "session_id": self.session,
                "organisation": self.organisation,
                "actor": _shown(self.actor)[:200],
                "address": self.address,
                "act": act,
                "path": _shown(path)[:_LONGEST_PATH],
                "size": size,
                "outcome": _shown(outcome),
                "facts": {name: _shown(told) if isinstance(told, str) else told for name, told in facts.items()},
            }
        )


class _Waiting:
    """One row on its way."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row, self.is_written, self.done = row, False, threading.Event()


class Evidence:
    """One thread writes for all sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._keep_writing, name="sftp-evidence", daemon=True)
        self._thread.start()

    def write(self, row: dict[str, Any]) -> None:
        waiting = _Waiting(row)
        self._rows.put(waiting)
        if not waiting.done.wait(_LONGEST_WAIT_SECONDS) or not waiting.is_written:
            raise Unwitnessed()

    def close(self) -> None:
        """After the last session has ended."""
        self._rows.put(None)
        self._thread.join(_LONGEST_WAIT_SECONDS)

    def _keep_writing(self) -> None:
        while True:
            group = self._next_group()
            rows = [waiting for waiting in group if waiting is not None]
            if rows:
                self._write(rows)
            if len(rows) < len(group):
                return

    def _next_group(self) -> list[_Waiting | None]:
        """Wait for one, then take whatever else has come."""
        group = [self._rows.get()]
        while len(group) < _MOST_AT_ONCE and group[-1] is not None:
            try:
                group.append(self._rows.get_nowait())
            except queue.Empty:
                break
        return group

    def _write(self, group: list[_Waiting]) -> None:
        """Together; where that fails, one by one: the row of one session keeps nobody else's back."""
        if not self._is_inserted(group) and len(group) > 1:
            for waiting in group:
                self._is_inserted([waiting])
        for waiting in group:
            waiting.done.set()

    def _is_inserted(self, group: list[_Waiting]) -> bool:
        try:
            insert_events(self._database, [waiting.row for waiting in group])
        except Exception as wrong:  # whatever it was: nobody may believe it was written
            log.error("evidence of the SFTP door cannot be written: %s", type(wrong).__name__)
            return False
        for waiting in group:
            waiting.is_written = True
        return True


def _shown(text: str) -> str:
    """What a client wrote, as PostgreSQL can keep it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\\0")


def insert_events(database: Database, rows: list[dict[str, Any]]) -> None:
    """All of them or none. Row security lets through one organisation at a time."""
    by_organisation = sorted(rows, key=lambda row: str(row["organisation"]))
    reach = {"organisation": str(by_organisation[0]["organisation"])}
    with database.begin(reach) as connection:
        for organisation, those in groupby(by_organisation, key=lambda row: str(row["organisation"])):
            if organisation != reach["organisation"]:
                set_reach(connection, {"organisation": organisation})
            connection.execute(insert(sftp_event), list(those))
