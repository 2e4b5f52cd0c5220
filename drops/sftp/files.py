"""Files open in an SFTP session: an upload that is being written, an answer that is being read."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import msgspec

from adapters.sftp.door import BAD_MESSAGE, DENIED, FAILURE, NO_SUCH_FILE, Entry, Refusal
from drops.sftp.evidence import Unwitnessed, Witness
from drops.sftp.names import flaw_of
from drops.sftp.uploads import Upload, Uploads

_LOOK_AT_DISK_EVERY = 8 * 1024 * 1024
_GRANT_BYTES = 1024 * 1024  # written before the quota is looked at again


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Where writing ends. Bytes."""

    file_bytes: int
    quota_bytes: int
    quota_files: int
    free_bytes: int


class UploadFile:
    """Writes one upload. What was refused once is never whole: closing it then leaves it cut."""

    def __init__(self, uploads: Uploads, upload: Upload, path: str, witness: Witness, bounds: Bounds) -> None:
        self._uploads, self._upload, self._path, self._witness, self._bounds = uploads, upload, path, witness, bounds
        self._handle = os.open(upload.content, os.O_WRONLY | os.O_NOFOLLOW)
        self._granted = self._unlooked = self._reached = 0
        self._failed = self._appends = False
        upload.holder, upload.touched = self, time.monotonic()

    def start_again(self) -> None:
        os.ftruncate(self._handle, 0)
        self._upload.size = 0

    def append(self) -> None:
        """From here on every write goes to the end, whatever offset it names."""
        self._appends = True

    def read(self, offset: int, length: int) -> bytes:
        raise Refusal(DENIED, "只写。 Write only.")

    def entry(self) -> Entry:
        return Entry(self._upload.place.name, is_folder=False, size=self._upload.size, modified=time.time())

    def write(self, offset: int, content: bytes) -> None:
        upload = self._upload
        at = upload.size if self._appends else offset
        try:
            self._allow(at, len(content))
            while content:
                done = os.pwrite(self._handle, content, at)
                content, at = content[done:], at + done
                self._reached = max(self._reached, at)
                upload.size = max(upload.size, at)
        except OSError as wrong:
            self._failed = True
            raise _no_space() if wrong.errno in (errno.ENOSPC, errno.EDQUOT) else _failed() from wrong
        except Refusal:
            self._failed = True
            raise
        upload.touched = time.monotonic()

    def resize(self, size: int) -> None:
        """A client may cut off an end it is not sure of."""
        if size > self._upload.size or self._upload.holder is not self:
            raise Refusal(DENIED, "不能加长文件。 A file is not made longer this way.")
        os.ftruncate(self._handle, size)
        self._upload.size, self._reached = size, min(self._reached, size)

    def finish(self) -> None:
        """On disk, in evidence, and taken when its sender has said that it is whole."""
        upload = self._upload
        is_mixed = 0 < self._reached < upload.size  # the end of earlier bytes stands behind the new ones
        if self._failed or is_mixed or upload.holder is not self:
            self._leave("incomplete")
            raise Refusal(FAILURE, "文件不完整，请重新上传。 The file is incomplete: send it again.")
        try:
            os.fsync(self._handle)
            self._witness.tell("close", self._path, size=upload.size)
        except (OSError, Unwitnessed):
            self._leave("")
            raise
        os.close(self._handle)
        with self._uploads.lock:
            upload.holder, upload.touched = None, time.monotonic()
            upload.save("closed")
        self._uploads.take_if_said(upload)

    def abandon(self) -> None:
        self._leave("cut")

    def _leave(self, outcome: str) -> None:
        """Not whole. The state comes first: even without evidence it must not be taken."""
        os.close(self._handle)
        with self._uploads.lock:
            if self._upload.holder is self:
                self._upload.holder, self._upload.touched = None, time.monotonic()
                self._upload.save("cut", durable=False)
        if outcome:
            act = "cut" if outcome == "cut" else "close"
            try:
                self._witness.tell(act, self._path, size=self._upload.size, outcome=outcome)
            except Unwitnessed:
                return

    def _allow(self, at: int, length: int) -> None:
        end = at + length
        if self._upload.holder is not self:
            raise Refusal(FAILURE, "该文件已由另一会话接着写。 Another session went on with this file.")
        if at > self._upload.size:
            raise Refusal(BAD_MESSAGE, "写入位置超出文件末尾。 Writing beyond the end leaves a hole.")
        if end > self._bounds.file_bytes:
            raise Refusal(FAILURE, f"文件超过 {self._bounds.file_bytes} 字节上限。 The file is larger than allowed.")
        if end > self._granted:
            self._grant(end)
        self._unlooked += length
        if self._unlooked >= _LOOK_AT_DISK_EVERY:
            self._unlooked = 0
            require_space(self._upload.folder, self._bounds.free_bytes)

    def _grant(self, end: int) -> None:
        """What all files of the organisation have now counts, those being written beside this one too."""
        others = self._uploads.used_bytes() - self._upload.size
        if others + end > self._bounds.quota_bytes:
            raise Refusal(FAILURE, "待处理文件已达配额，请稍后再传。 The quota of waiting files is used up: try later.")
        self._granted = min(end + _GRANT_BYTES, self._bounds.quota_bytes - others)


def require_space(folder: Path, free_bytes: int) -> None:
    state = os.statvfs(folder)
    if state.f_bavail * state.f_frsize < free_bytes:
        raise _no_space()


def _no_space() -> Refusal:
    return Refusal(FAILURE, "枢纽磁盘空间不足，请联系管理员。 The hub's disk is full: tell its administrator.")


def _failed() -> Refusal:
    return Refusal(FAILURE, "写入失败，请稍后重试。 Writing failed: try again later.")


class AnswerFile:
    """Reads one file of ``out``, ``receipts`` or ``rejected``."""

    def __init__(self, handle: int, path: str, witness: Witness) -> None:
        self._handle, self._path, self._witness = handle, path, witness
        self._read = 0

    def read(self, offset: int, length: int) -> bytes:
        content = os.pread(self._handle, length, offset)
        self._read += len(content)
        return content

    def entry(self) -> Entry:
        state = os.fstat(self._handle)
        return Entry(self._path.rsplit("/", 1)[-1], False, state.st_size, state.st_mtime, 0o400)

    def write(self, offset: int, content: bytes) -> None:
        raise Refusal(DENIED, "只读。 Read only.")

    def resize(self, size: int) -> None:
        raise Refusal(DENIED, "只读。 Read only.")

    def finish(self) -> None:
        os.close(self._handle)
        self._witness.tell("close", self._path, size=self._read)

    def abandon(self) -> None:
        os.close(self._handle)


# ---- folders of answers, walked name by name; a link is never followed ----


def open_answer(drops: Path, names: tuple[str, ...]) -> int:
    """A handle on a regular file below ``drops``; Refusal."""
    folder = _walk(drops, names[:-1])
    try:
        handle = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as wrong:
        raise _missing() from wrong
    finally:
        os.close(folder)
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
        os.close(handle)
        raise _missing()
    return handle


def look_at_answer(drops: Path, names: tuple[str, ...]) -> Entry:
    folder = _walk(drops, names[:-1])
    try:
        state = os.stat(names[-1], dir_fd=folder, follow_symlinks=False)
    except OSError as wrong:
        raise _missing() from wrong
    finally:
        os.close(folder)
    entry = _entry_of(names[-1], state)
    if entry is None:
        raise _missing()
    return entry


def list_answers(drops: Path, names: tuple[str, ...]) -> list[Entry]:
    """Regular files and folders; hidden names and anything special are not there."""
    try:
        folder = _walk(drops, names)
    except Refusal:
        if len(names) == 2:  # nothing was answered yet
            return []
        raise
    try:
        with os.scandir(folder) as found:
            seen = [_entry_in(folder, one.name) for one in found if not flaw_of(one.name)]
    finally:
        os.close(folder)
    return sorted((entry for entry in seen if entry is not None), key=lambda entry: entry.name)


def _entry_in(folder: int, name: str) -> Entry | None:
    try:
        return _entry_of(name, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:  # an answer is being replaced
        return None


def _entry_of(name: str, state: os.stat_result) -> Entry | None:
    if stat.S_ISDIR(state.st_mode):
        return Entry(name, True, 0, state.st_mtime)
    if stat.S_ISREG(state.st_mode) and state.st_nlink == 1:
        return Entry(name, False, state.st_size, state.st_mtime, 0o400)
    return None


def _walk(drops: Path, names: tuple[str, ...]) -> int:
    handle = os.open(drops, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        except OSError as wrong:
            raise _missing() from wrong
        finally:
            os.close(handle)
        handle = below
    return handle


def _missing() -> Refusal:
    return Refusal(NO_SUCH_FILE, "没有这个文件或文件夹。 No such file or folder.")
