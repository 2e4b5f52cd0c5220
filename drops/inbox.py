"""The folders a department drops files into: which files are finished, and taking one so that nobody else can.

    <drops>/<organisation>/in/<record type>/[YYYY-MM/]file     dropped here
    <drops>/<organisation>/.claimed/<id>/<record type>/<period or ->/file     being taken
    <drops>/<organisation>/receipts/   rejected/     the answers

Claiming is one rename. A file counts as finished when a sidecar ``file.sha256`` says so, or when nothing about it
changed for the quiet period; a closed file is not a finished one.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from hub.database import new_uuid
from hub.faults import point

_UNFINISHED = (".part", ".tmp", ".filepart", ".uploading", ".crdownload", ".swp")
_SIDECARS = (".sha256", ".ok")
_PERIOD = re.compile(r"^\d{4}-(0[1-9]|1[0-2])$")
_SHA256 = re.compile(r"\b[0-9a-fA-F]{64}\b")
_NO_PERIOD = "-"
_EXPECTED = "expected_sha256"
_MOST_SIDECAR_BYTES = 4096

Look = tuple[int, int, int]  # inode, size, modification time in ns


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A file waiting in an inbox."""

    path: Path
    organisation: str
    record_type: str
    period: str | None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is ours alone now. ``folder`` holds it and what is known of it."""

    folder: Path
    organisation: str
    record_type: str
    period: str | None
    path: Path | None  # None when its bytes are gone: an empty leftover

    @property
    def name(self) -> str:
        return self.path.name if self.path else ""

    @property
    def expected_sha256(self) -> str | None:
        note = self.folder / _EXPECTED
        return note.read_text("ascii") if note.exists() else None


class Watched:
    """What was seen when: a file is settled once it looked the same over the quiet period."""

    def __init__(self, quiet_seconds: float) -> None:
        self.quiet_seconds = quiet_seconds
        self._seen: dict[Path, tuple[Look, float]] = {}

    def is_settled(self, path: Path) -> bool:
        look, now = _look(path), time.monotonic()
        if look is None:
            return False
        before = self._seen.get(path)
        if before is None or before[0] != look:
            self._seen[path] = (look, now)
            return self.quiet_seconds <= 0
        return now - before[1] >= self.quiet_seconds

    def forget_all_but(self, paths: Iterable[Path]) -> None:
        kept = set(paths)
        self._seen = {path: seen for path, seen in self._seen.items() if path in kept}


def lay_out(drops: Path, organisation: str, record_types: Iterable[str]) -> None:
    """Make one organisation's folders."""
    for record_type in record_types:
        (drops / organisation / "in" / record_type).mkdir(parents=True, exist_ok=True)
    for name in ("receipts", "rejected"):
        (drops / organisation / name).mkdir(parents=True, exist_ok=True)
    (drops / organisation / ".claimed").mkdir(mode=0o700, parents=True, exist_ok=True)


def find_dropped(drops: Path, organisation: str) -> Iterator[Dropped]:
    """Every finished-looking name in the organisation's inbox, oldest first; links and special files never."""
    found: list[tuple[float, Dropped]] = []
    for type_folder in _folders(drops / organisation / "in"):
        record_type = type_folder.name
        periods = [(folder, folder.name) for folder in _folders(type_folder) if _PERIOD.match(folder.name)]
        for folder, period in [(type_folder, None), *periods]:
            for path, age in _files(folder):
                found.append(
                    (age, Dropped(path=path, organisation=organisation, record_type=record_type, period=period))
                )
    yield from (dropped for _, dropped in sorted(found, key=lambda pair: (pair[0], pair[1].path)))


def sidecar_of(path: Path) -> Path | None:
    """The sender's own word that the file is complete, if it is there."""
    return next((side for ending in _SIDECARS if (side := path.with_name(path.name + ending)).is_file()), None)


def claim(drops: Path, dropped: Dropped) -> Claim | None:
    """Take the file by one rename; None when somebody else was first or it went away."""
    folder = drops / dropped.organisation / ".claimed" / str(new_uuid())
    place = folder / dropped.record_type / (dropped.period or _NO_PERIOD)
    place.mkdir(mode=0o700, parents=True)
    sidecar = sidecar_of(dropped.path)
    if sidecar is not None and (digest := _read_digest(sidecar)):
        (folder / _EXPECTED).write_text(digest, "ascii")
    point("drop.before_claim")
    try:
        dropped.path.rename(place / dropped.path.name)
    except FileNotFoundError:
        release(folder)
        return None
    point("drop.claimed")
    if sidecar is not None:
        sidecar.unlink(missing_ok=True)
    return _read_claim(folder)


def find_claims(drops: Path, organisation: str) -> Iterator[Claim]:
    """Everything claimed and not yet answered, from this run or one that died."""
    for folder in sorted(_folders(drops / organisation / ".claimed")):
        yield _read_claim(folder)


def release(folder: Path) -> None:
    """Remove a claim's folder and whatever is left in it; another watcher may be doing the same."""
    with contextlib.suppress(FileNotFoundError):
        for place in sorted(folder.rglob("*"), key=lambda path: len(path.parts), reverse=True):
            place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink(missing_ok=True)
        folder.rmdir()


def _read_claim(folder: Path) -> Claim:
    files = [path for path in folder.glob("*/*/*") if path.is_file() and not path.is_symlink()]
    path = files[0] if files else None
    place = path.parent if path else next(iter(folder.glob("*/*")), folder / "unknown" / _NO_PERIOD)
    return Claim(
        folder=folder,
        organisation=folder.parent.parent.name,
        record_type=place.parent.name,
        period=None if place.name == _NO_PERIOD else place.name,
        path=path,
    )


def _look(path: Path) -> Look | None:
    try:
        state = path.lstat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _folders(folder: Path) -> list[Path]:
    """Real folders below; a link to one is not one."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> Iterator[tuple[Path, float]]:
    """Plain files with a finished name and their age."""
    with os.scandir(folder) as entries:
        for entry in entries:
            state = _plain_state(entry)
            if (
                state is not None
                and not entry.name.startswith(".")
                and not entry.name.lower().endswith((*_UNFINISHED, *_SIDECARS))
            ):
                yield Path(entry.path), state.st_mtime


def _plain_state(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Its state if it is a regular file with one name: a hard link could be another's file."""
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return state if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 else None


def _read_digest(sidecar: Path) -> str | None:
    with open(sidecar, "rb", opener=_open_plain) as file:
        found = _SHA256.search(file.read(_MOST_SIDECAR_BYTES).decode("ascii", "replace"))
    return found.group().lower() if found else None


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def open_claimed(path: Path) -> int:
    """A handle on the claimed file itself, never on what a link points to."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
