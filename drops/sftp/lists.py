"""/out/change_list: the month's workbook of a town, made when it is looked at; no such file lies on any disk."""

from __future__ import annotations

import time
from typing import NamedTuple

from adapters.sftp.door import DENIED, NO_SUCH_FILE, Entry, Refusal
from drops.sftp.evidence import Witness
from hub.casework.list_delivery import DeliveredList, hand_out, make_list, offered_months
from hub.database import Database
from hub.registry.permissions import Actor
from hub.registry.scope import reach_of
from hub.settings import Settings
from mappings.catalogue import Catalogue

FOLDER = ("out", "change_list")
_ENDING = ".xlsx"
_KEPT_SECONDS = 60.0  # a client asks for the size, then for the bytes: both are of one workbook


class _Made(NamedTuple):
    delivered: DeliveredList
    at: float


class ChangeLists:
    """What one visitor finds there: a file a month, as long as its round is open."""

    def __init__(self, database: Database, settings: Settings, catalogue: Catalogue, actor: Actor) -> None:
        self._database, self._settings, self._catalogue, self._actor = database, settings, catalogue, actor
        self._made: dict[str, _Made] = {}

    def months(self) -> list[str]:
        with self._database.begin(reach_of(self._actor)) as connection:
            return offered_months(connection, self._actor)

    def entries(self) -> list[Entry]:
        return [self._entry(month) for month in self.months()]

    def look(self, name: str) -> Entry:
        return self._entry(self._month_of(name))

    def open(self, name: str, path: str, witness: Witness) -> ListFile:
        delivered = self._deliver(self._month_of(name))
        witness.tell("open", path, size=len(delivered.content), mode="read")
        with self._database.begin(reach_of(self._actor)) as connection:
            hand_out(connection, self._actor, delivered)
        return ListFile(name, delivered.content, path, witness)

    def _month_of(self, name: str) -> str:
        month = name.removesuffix(_ENDING)
        if month == name or month not in self.months():
            raise Refusal(NO_SUCH_FILE, "没有这个文件或文件夹。 No such file or folder.")
        return month

    def _entry(self, month: str) -> Entry:
        return Entry(f"{month}{_ENDING}", False, len(self._deliver(month).content), time.time(), 0o400)

    def _deliver(self, month: str) -> DeliveredList:
        made = self._made.get(month)
        if made is None or time.monotonic() - made.at > _KEPT_SECONDS:
            with self._database.begin(reach_of(self._actor)) as connection:
                found = make_list(connection, self._settings, self._catalogue, self._actor, month)
            made = self._made[month] = _Made(found, time.monotonic())
        return made.delivered


class ListFile:
    """A workbook being read."""

    def __init__(self, name: str, content: bytes, path: str, witness: Witness) -> None:
        self._name, self._content, self._path, self._witness, self._read = name, content, path, witness, 0

    def read(self, offset: int, length: int) -> bytes:
        piece = self._content[offset : offset + length]
        self._read += len(piece)
        return piece

    def entry(self) -> Entry:
        return Entry(self._name, False, len(self._content), time.time(), 0o400)

    def write(self, offset: int, content: bytes) -> None:
        raise Refusal(DENIED, "只读。 Read only.")

    def resize(self, size: int) -> None:
        raise Refusal(DENIED, "只读。 Read only.")

    def finish(self) -> None:
        self._witness.tell("close", self._path, size=self._read)

    def abandon(self) -> None:
        self._content = b""
