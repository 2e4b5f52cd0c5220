"""Uploads on their way in, one folder each under a name the server made; the client's name is only written beside it.

    <drops>/<organisation>/.uploads/<uuid>/content     the bytes so far
    <drops>/<organisation>/.uploads/<uuid>/upload.json     whose, called what; open, closed or cut

A complete one leaves by one rename and becomes a claim like any dropped file. One process a home works here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from adapters.completeness import Completeness, judge
from adapters.sftp.door import FAILURE, NO_SUCH_FILE, Refusal
from drops.answers import answer_name
from drops.inbox import LONG_QUIET, UNFINISHED, Dropped, Origin, take
from drops.sftp.notes import tell_it_waits, untell
from drops.sidecars import SIDECARS, Promise, described_by, read_promise, sidecar_kind
from hub.database import new_uuid, utc_now

State = Literal["open", "closed", "cut"]
_TAKEOVER_SECONDS = 5.0
_TAKEN_SECONDS = 600.0


class Place(msgspec.Struct, frozen=True):
    """Where an upload goes and what its client calls it."""

    record_type: str
    period: str | None
    name: str


class Note(msgspec.Struct, kw_only=True):
    """``upload.json``."""

    place: Place
    state: State
    session: str
    actor: str
    address: str
    at: datetime
    is_promised: bool = False  # renamed from an unfinished name: once closed it is complete


class Upload:
    """One upload, in memory and on disk."""

    def __init__(self, folder: Path, note: Note, size: int = 0) -> None:
        self.folder, self.note, self.size = folder, note, size
        self.holder: object | None = None  # the open file that may write
        self.touched = time.monotonic()
        self.judged: tuple[int, Completeness] | None = None
        self.hashed: tuple[int, str] | None = None  # of so many bytes
        self.is_told = False

    @property
    def content(self) -> Path:
        return self.folder / "content"

    @property
    def place(self) -> Place:
        return self.note.place

    def save(self, state: State, *, durable: bool = True) -> None:
        """Note the state: after a crash the bytes are what it says.

        Durably where the disk may still say "closed", or is to. Open and cut are the same to the next process.
        """
        note = msgspec.structs.replace(self.note, state=state, at=utc_now())
        partial = self.folder / ".upload.json"
        with partial.open("wb") as file:
            file.write(msgspec.json.encode(note))
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(self.folder / "upload.json")
        self.note = note


class Uploads:
    """All uploads of one organisation that are not yet taken."""

    def __init__(self, drops: Path, organisation: str, on_taken: Callable[[], None] = lambda: None) -> None:
        self.drops, self.organisation, self.on_taken = drops, organisation, on_taken
        self.lock = threading.RLock()
        self._uploads: dict[Place, Upload] = {}
        self._taken: dict[Place, tuple[int, float]] = {}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for upload in self._load():
            self._uploads[upload.place] = upload

    @property
    def _folder(self) -> Path:
        return self.drops / self.organisation / ".uploads"

    # ---- looking ----

    def find(self, place: Place) -> Upload | None:
        return self._uploads.get(place)

    def size_of_taken(self, place: Place) -> int | None:
        """Taken a moment ago: a client that looks after its upload still finds its size."""
        size, at = self._taken.get(place, (0, float("-inf")))
        return size if time.monotonic() - at < _TAKEN_SECONDS else None

    def waiting_in(self, record_type: str, period: str | None) -> list[Upload]:
        return [each for each in self.waiting() if (each.place.record_type, each.place.period) == (record_type, period)]

    def waiting(self) -> list[Upload]:
        with self.lock:
            return list(self._uploads.values())

    def used_bytes(self) -> int:
        return sum(upload.size for upload in tuple(self._uploads.values()))

    def __len__(self) -> int:
        return len(self._uploads)

    # ---- changing ----

    def begin(self, place: Place, origin: Origin, session: str) -> Upload:
        """A new upload, empty and open."""
        with self.lock:
            note = Note(
                place=place, state="open", session=session, actor=origin.actor, address=origin.address, at=utc_now()
            )
            upload = Upload(self._folder / str(new_uuid()), note)
            upload.folder.mkdir(mode=0o700)
            upload.content.touch(mode=0o600)
            upload.save("open", durable=False)
            self._uploads[place] = upload
            self._taken.pop(place, None)
            return upload

    def reopen(self, upload: Upload, origin: Origin, session: str) -> None:
        """Go on with one that is closed or cut; one that is being written only when its writer fell silent."""
        with self.lock:
            if self._uploads.get(upload.place) is not upload:
                raise Refusal(NO_SUCH_FILE, "文件已被接收。 It has just been taken.")
            if upload.holder is not None and time.monotonic() - upload.touched < _TAKEOVER_SECONDS:
                raise Refusal(FAILURE, "另一会话正在写入该文件。 Another session is writing this file.")
            upload.holder, upload.is_told, upload.judged, upload.hashed = None, False, None, None
            upload.note.session, upload.note.actor, upload.note.address = session, origin.actor, origin.address
            upload.note.is_promised = False  # what was said of fewer bytes says nothing of these
            upload.save("open")
            untell(self.drops, self.organisation, upload.place.name)

    def rename(self, old: Place, new: Place, *, replace: bool) -> None:
        """Give an upload another name or month. From an unfinished name to a finished one: its sender says it is whole."""
        with self.lock:
            upload = self._require(old)
            there = self._uploads.get(new)
            if there is upload:
                return
            if there is not None and (not replace or there.holder is not None):
                raise Refusal(FAILURE, "目标文件已存在。 The target is there already.")
            if there is not None:
                self._discard(there)
            upload.note.place = new
            upload.note.is_promised = upload.note.is_promised or (
                is_unfinished(old.name) and not is_unfinished(new.name)
            )
            upload.save(upload.note.state)
            self._uploads[new] = self._uploads.pop(old)
            untell(self.drops, self.organisation, old.name)
        self.take_if_said(upload)

    def remove(self, place: Place) -> int:
        """Its size."""
        with self.lock:
            upload = self._require(place)
            self._discard(upload)
            return upload.size

    def remove_left(self, upload: Upload) -> None:
        """Unless somebody went on with it meanwhile."""
        with self.lock:
            if self._uploads.get(upload.place) is upload and upload.holder is None:
                self._discard(upload)

    def older_than(self, earliest: datetime) -> list[Upload]:
        """What nobody touched since and nobody is writing."""
        return [upload for upload in self.waiting() if upload.holder is None and upload.note.at < earliest]

    def _require(self, place: Place) -> Upload:
        upload = self._uploads.get(place)
        if upload is None:
            raise Refusal(NO_SUCH_FILE, "没有这个文件，或已被接收。 No such file, or it has been taken.")
        return upload

    def _discard(self, upload: Upload) -> None:
        self._uploads.pop(upload.place, None)
        upload.holder = None
        _clear(upload.folder)
        untell(self.drops, self.organisation, upload.place.name)

    # ---- completion ----

    def take_if_said(self, upload: Upload) -> bool:
        """Take a closed file whose sender said that it is whole: by a sidecar, or by renaming it."""
        if sidecar_kind(upload.place.name):
            return self._take_described_by(upload)
        sidecar = self._sidecar_of(upload)
        promise = read_promise(sidecar.content, sidecar.place.name) if sidecar else Promise()
        if sidecar is not None and _speaks_of(sidecar, promise, upload):
            return self._take(upload, promise, sidecar)
        said = upload.note.is_promised and not is_unfinished(upload.place.name)
        return said and upload.note.state == "closed" and self._take(upload, Promise())

    def _take_described_by(self, sidecar: Upload) -> bool:
        """What a sidecar speaks of. A sidecar that comes after its file was taken has nothing more to say."""
        place = msgspec.structs.replace(sidecar.place, name=described_by(sidecar.place.name))
        described = self.find(place)
        if described is None and self.size_of_taken(place) is not None and sidecar.note.state == "closed":
            self.remove(sidecar.place)
        return described is not None and self.take_if_said(described)

    def settle(self, quiet_seconds: float) -> bool:
        """Take what was closed, left alone since and has its end; tell the sender of what does not go on. Whether any waits."""
        waits = False
        for upload in self.waiting():
            if upload.holder is not None or sidecar_kind(upload.place.name) or self.take_if_said(upload):
                continue
            quiet = time.monotonic() - upload.touched
            if quiet >= quiet_seconds and self._has_its_end(upload) and self._take_as_it_is(upload):
                continue
            waits = True
            if quiet >= LONG_QUIET * quiet_seconds and not upload.is_told:
                upload.is_told = True
                tell_it_waits(self.drops, self.organisation, upload.place.name, upload.size, upload.note.state)
        return waits

    def _take_as_it_is(self, upload: Upload) -> bool:
        return self._take(upload, Promise(), self._sidecar_of(upload))

    def _has_its_end(self, upload: Upload) -> bool:
        if upload.note.state != "closed" or is_unfinished(upload.place.name):
            return False
        if upload.judged is None or upload.judged[0] != upload.size:
            try:
                upload.judged = (upload.size, judge(upload.content))
            except OSError:
                return False
        return upload.judged[1] is Completeness.WHOLE

    def _sidecar_of(self, upload: Upload) -> Upload | None:
        for ending in SIDECARS:
            sidecar = self.find(msgspec.structs.replace(upload.place, name=upload.place.name + ending))
            if sidecar is not None and sidecar.note.state == "closed":
                return sidecar
        return None

    def _take(self, upload: Upload, promise: Promise, sidecar: Upload | None = None) -> bool:
        """One rename makes it a claim. False when it was opened again or taken meanwhile."""
        with self.lock:
            place, state = upload.place, upload.note.state
            if self._uploads.get(place) is not upload or upload.holder is not None or state == "open":
                return False
            origin = Origin(door="sftp", actor=upload.note.actor, address=upload.note.address, promise=promise)
            dropped = Dropped(
                path=upload.content, organisation=self.organisation, record_type=place.record_type, period=place.period
            )
            if take(self.drops, dropped, answer_name(place.name), origin) is None:
                return False
            self._taken[place] = (upload.size, time.monotonic())
            self._discard(upload)
            if sidecar is not None:
                self._taken[sidecar.place] = (sidecar.size, time.monotonic())
                self._discard(sidecar)
        self.on_taken()
        return True

    def forget_long_taken(self) -> None:
        with self.lock:
            now = time.monotonic()
            self._taken = {place: seen for place, seen in self._taken.items() if now - seen[1] < _TAKEN_SECONDS}

    # ---- starting ----

    def _load(self) -> Iterator[Upload]:
        """What an earlier process left. What it had open is cut; what has no bytes was taken."""
        for folder in sorted(self._folder.iterdir()):
            try:
                note = msgspec.json.decode((folder / "upload.json").read_bytes(), type=Note)
                upload = Upload(folder, note, (folder / "content").stat().st_size)
            except (OSError, msgspec.DecodeError):
                _clear(folder)
                continue
            if note.state == "open":
                upload.save("cut")
            yield upload


def is_unfinished(name: str) -> bool:
    return name.lower().endswith(UNFINISHED)


def _speaks_of(sidecar: Upload, promise: Promise, upload: Upload) -> bool:
    """A digest or a size may come first. One that only says "whole" says it of what was there by then."""
    if upload.note.state == "cut":
        return _is_kept(promise, upload)
    is_late = promise != Promise() or sidecar.note.at >= upload.note.at
    return upload.note.state == "closed" and is_late


def _is_kept(promise: Promise, upload: Upload) -> bool:
    """Of a cut upload nothing is believed but its digest."""
    if promise.sha256 is None or promise.size not in (None, upload.size):
        return False
    if upload.hashed is None or upload.hashed[0] != upload.size:
        with upload.content.open("rb") as file:
            upload.hashed = (upload.size, hashlib.file_digest(file, "sha256").hexdigest())
    return upload.hashed[1] == promise.sha256


def _clear(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for name in ("content", "upload.json", ".upload.json"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
