"""The folders a department drops files into: which files are finished, and taking one so that nobody else can.

    <drops>/<organisation>/in/<record type>/[YYYY-MM/]file     dropped here
    <drops>/<organisation>/.claimed/<id>/<record type>/<period or ->/file     being taken
    <drops>/<organisation>/receipts/   rejected/     the answers

Claiming is one rename. A file counts as finished when a sidecar ``file.sha256`` or ``file.ok`` says so; or when nothing
about it changed for the quiet period and it has the end its format asks for; or, without that end, for ten such
periods: then its sender learns from the receipt what is wrong with it. A closed file is not a finished one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from adapters.completeness import Completeness, judge
from drops.sidecars import SIDECARS, Promise, read_promise
from hub.database import new_uuid
from hub.faults import point

UNFINISHED = (".part", ".tmp", ".filepart", ".uploading", ".crdownload", ".swp")
PERIOD = re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")
LONG_QUIET = 10  # quiet periods after which a file without its end is taken as it is, or its sender is told
_NO_PERIOD = "-"
_ORIGIN = "origin.json"

Look = tuple[int, int, int]  # inode, size, modification time in ns


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A file waiting in an inbox."""

    path: Path
    organisation: str
    record_type: str
    period: str | None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """How a claimed file came, and what its sender promised of it."""

    door: str = "folder"
    actor: str = ""  # the key's name; "": the folder itself
    address: str = ""
    promise: Promise = Promise()


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
    def origin(self) -> Origin:
        note = self.folder / _ORIGIN
        return msgspec.json.decode(note.read_bytes(), type=Origin) if note.exists() else Origin()


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
            self._seen[path] = before = (look, now)
        quiet = now - before[1]
        return quiet >= self.quiet_seconds and (quiet >= LONG_QUIET * self.quiet_seconds or _has_its_end(path))

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
        periods = [(folder, folder.name) for folder in _folders(type_folder) if PERIOD.match(folder.name)]
        for folder, period in [(type_folder, None), *periods]:
            for path, age in _files(folder):
                found.append(
                    (age, Dropped(path=path, organisation=organisation, record_type=record_type, period=period))
                )
    yield from (dropped for _, dropped in sorted(found, key=lambda pair: (pair[0], pair[1].path)))


def sidecar_of(path: Path) -> Path | None:
    """The sender's own word that the file is complete, if it is there."""
    sides = (path.with_name(path.name + ending) for ending in SIDECARS)
    return next((side for side in sides if _is_plain(side)), None)


def is_said_whole(path: Path) -> bool:
    """By a sidecar: one older than the file's last change speaks only of the very bytes or the size it names."""
    sidecar = sidecar_of(path)
    if sidecar is None:
        return False
    if sidecar.lstat().st_ctime_ns >= path.lstat().st_ctime_ns:
        return True
    return _is_kept(read_promise(sidecar, sidecar.name), path)


def _is_kept(promise: Promise, path: Path) -> bool:
    if promise == Promise() or promise.size not in (None, path.lstat().st_size):
        return False
    if promise.sha256 is None:
        return True
    with os.fdopen(open_claimed(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == promise.sha256


def claim(drops: Path, dropped: Dropped) -> Claim | None:
    """Take the file by one rename; None when somebody else was first or it went away."""
    sidecar = sidecar_of(dropped.path)
    origin = Origin(promise=read_promise(sidecar, sidecar.name) if sidecar else Promise())
    taken = take(drops, dropped, dropped.path.name, origin)
    if taken is not None and sidecar is not None:
        sidecar.unlink(missing_ok=True)
    return taken


def take(drops: Path, dropped: Dropped, name: str, origin: Origin) -> Claim | None:
    """Make ``dropped.path`` a claim called ``name``. A folder still empty may be cleared away by another: then None."""
    folder = drops / dropped.organisation / ".claimed" / str(new_uuid())
    folder.mkdir(mode=0o700, parents=True)
    with held(read_claim(folder)) as mine:  # what was promised is not cleared away before the file is there
        return _fill(folder, dropped, name, origin) if mine else None


def _fill(folder: Path, dropped: Dropped, name: str, origin: Origin) -> Claim | None:
    place = folder / dropped.record_type / (dropped.period or _NO_PERIOD)
    try:
        place.mkdir(mode=0o700, parents=True)
        (folder / _ORIGIN).write_bytes(msgspec.json.encode(origin))
        point("drop.before_claim")
        dropped.path.rename(place / name)
    except FileNotFoundError:
        release(read_claim(folder))
        return None
    point("drop.claimed")
    return Claim(
        folder=folder,
        organisation=dropped.organisation,
        record_type=dropped.record_type,
        period=dropped.period,
        path=place / name,
    )


@contextlib.contextmanager
def held(claimed: Claim) -> Iterator[bool]:
    """Whether it is ours to go on with: another watcher, in this process or another, may be at it."""
    try:
        handle = os.open(claimed.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield claimed.folder.exists()
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def find_claims(drops: Path, organisation: str) -> Iterator[Claim]:
    """Everything claimed and not yet answered, from this run or one that died."""
    yield from map(read_claim, claim_folders(drops, organisation))


def claim_folders(drops: Path, organisation: str) -> list[Path]:
    """In the order the claims were made."""
    return sorted(_folders(drops / organisation / ".claimed"))


def release(claimed: Claim) -> None:
    """Remove a claim: the file it names, then the folders, as long as nothing came into them meanwhile."""
    if claimed.path is not None:
        claimed.path.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError, OSError):
        for place in (*claimed.folder.glob("*/*/"), *claimed.folder.glob("*/")):
            place.rmdir()
        for note in claimed.folder.iterdir():
            note.unlink(missing_ok=True)
        claimed.folder.rmdir()


def read_claim(folder: Path) -> Claim:
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


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # not there, or a name longer than any
        return False


def _folders(folder: Path) -> list[Path]:
    """Real folders below; a link to one is not one."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(folder: Path) -> Iterator[tuple[Path, float]]:
    """Plain files with a finished name and their age; none when the folder went away."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        state = _plain_state(entry)
        hidden = entry.name.startswith(".")
        if state is not None and not hidden and not entry.name.lower().endswith((*UNFINISHED, *SIDECARS)):
            yield Path(entry.path), state.st_mtime


def _plain_state(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Its state if it is a regular file with one name: a hard link could be another's file."""
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return state if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 else None


def _has_its_end(path: Path) -> bool:
    try:
        return judge(path) is Completeness.WHOLE
    except OSError:
        return False


def open_claimed(path: Path) -> int:
    """A handle on the claimed file itself, never on what a link points to."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
