"""The requests of one SFTP client, in the order they came, each handed to the visitor's tree and answered.

paramiko closes the files of a session that was cut exactly as those of a finished one; here an explicit CLOSE is
``finish`` and everything else is ``abandon``.
"""

from __future__ import annotations

import logging
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import paramiko
from paramiko import sftp as wire
from paramiko.message import Message
from paramiko.sftp_attr import SFTPAttributes
from paramiko.sftp_server import SFTPServer

from adapters.sftp.door import BAD_MESSAGE, FAILURE, UNSUPPORTED, Call, Entry, Mode, OpenedFile, Refusal, Tree

_LARGEST_PACKET = 300_000  # OpenSSH takes 256 KiB
_LARGEST_READ = 256 * 1024
_NAMES_A_PAGE = 100
_MOST_FOLDERS = 32  # open at once: each keeps the names it has yet to tell
log = logging.getLogger("adapters.sftp")


class Line(Protocol):
    """The connection a session runs on."""

    call: Call
    last_act: float  # monotonic seconds
    session: threading.Thread | None

    def hang_up(self) -> None: ...


class Session(SFTPServer):
    """The requests of one client, in the order they came."""

    if TYPE_CHECKING:  # paramiko's stubs leave out what it keeps for its own subclasses
        _send_packet: Callable[[int, Message], None]
        _send_status: Callable[..., None]
        _response: Callable[..., None]
        _read_all: Callable[[int], bytes]
        sock: Any

    def __init__(self, channel: Any, name: str, server: Any, *, connection: Line) -> None:
        super().__init__(channel, name, server, sftp_si=_Nothing)
        self.daemon = True
        self._connection = connection
        self._files: dict[bytes, OpenedFile] = {}
        self._folders: dict[bytes, list[Entry]] = {}
        self._numbers = 0
        self._tree: Tree = None  # type: ignore[assignment]  # set before the first request
        connection.session = self

    def start_subsystem(self, name: str, transport: Any, channel: Any) -> None:
        try:
            self._tree = self._connection.call.open_tree()
        except Refusal as refused:
            log.info("a session is refused: %s", refused)
            self._connection.hang_up()
            return
        super().start_subsystem(name, transport, channel)

    def finish_subsystem(self) -> None:
        for file in self._files.values():
            self._abandon(file)
        self._files.clear()
        with suppress(OSError, EOFError):  # gone already
            self.sock.send_exit_status(0)
        super().finish_subsystem()

    def _abandon(self, file: OpenedFile) -> None:
        """One that cannot be let go of keeps no other one."""
        try:
            file.abandon()
        except Exception as wrong:
            log.error("an upload could not be left in order: %s", type(wrong).__name__)

    def _send_server_version(self) -> int:
        """Version 3, and the one extension that is served."""
        kind, _ = self._read_packet()
        if kind != wire.CMD_INIT:
            raise wire.SFTPError("no INIT")
        told = Message()
        told.add_int(3)
        told.add_string("posix-rename@openssh.com")
        told.add_string("1")
        self._send_packet(wire.CMD_VERSION, told)
        return 3

    def _read_packet(self) -> tuple[int, bytes]:
        size = int.from_bytes(self._read_all(4), "big")
        if not 1 <= size <= _LARGEST_PACKET:
            raise wire.SFTPError("a packet of a size nobody needs")
        packet = self._read_all(size)
        self._connection.last_act = time.monotonic()
        return packet[0], packet[1:]

    def _process(self, t: int, request_number: int, msg: Message) -> None:
        act = _ACTS.get(t)
        try:
            if act is None:
                raise Refusal(UNSUPPORTED, "not supported")
            act(self, request_number, msg)
        except Refusal as refused:
            self._send_status(request_number, refused.code, str(refused))
        except UnicodeDecodeError:
            self._send_status(request_number, BAD_MESSAGE, "文件名须为 UTF-8。 Names must be UTF-8.")
        except (EOFError, OSError):  # the line is gone
            raise
        except Exception as wrong:
            log.error("a request failed: %s", type(wrong).__name__, exc_info=wrong)
            self._send_status(request_number, FAILURE, "内部错误。 The request failed.")
        self._connection.last_act = time.monotonic()

    def _done(self, number: int) -> None:
        self._send_status(number, wire.SFTP_OK)

    def _open(self, number: int, asked: Message) -> None:
        path, flags = asked.get_text(), asked.get_int()
        file = self._tree.open(path, _mode_of(flags))
        self._send_handle(number, self._files, file)

    def _send_handle(self, number: int, table: dict[bytes, Any], opened: object) -> None:
        self._numbers += 1
        handle = b"%d" % self._numbers
        table[handle] = opened
        self._response(number, wire.CMD_HANDLE, handle)

    def _file(self, asked: Message) -> OpenedFile:
        file = self._files.get(asked.get_binary())
        if file is None:
            raise Refusal(BAD_MESSAGE, "no such handle")
        return file

    def _close(self, number: int, asked: Message) -> None:
        handle = asked.get_binary()
        if self._folders.pop(handle, None) is None:
            file = self._files.pop(handle, None)
            if file is None:
                raise Refusal(BAD_MESSAGE, "no such handle")
            file.finish()
        self._done(number)

    def _read(self, number: int, asked: Message) -> None:
        file, offset, length = self._file(asked), asked.get_int64(), asked.get_int()
        content = file.read(offset, min(length, _LARGEST_READ))
        if content:
            self._response(number, wire.CMD_DATA, content)
        else:
            self._send_status(number, wire.SFTP_EOF)

    def _write(self, number: int, asked: Message) -> None:
        file, offset, content = self._file(asked), asked.get_int64(), asked.get_binary()
        file.write(offset, content)
        self._done(number)

    def _list(self, number: int, asked: Message) -> None:
        path = asked.get_text()
        if len(self._folders) >= _MOST_FOLDERS:
            raise Refusal(FAILURE, "同时打开的文件夹过多。 Too many folders are open at once.")
        self._send_handle(number, self._folders, self._tree.entries(path))

    def _next_names(self, number: int, asked: Message) -> None:
        handle = asked.get_binary()
        if handle not in self._folders:
            raise Refusal(BAD_MESSAGE, "no such handle")
        page, self._folders[handle] = self._folders[handle][:_NAMES_A_PAGE], self._folders[handle][_NAMES_A_PAGE:]
        if not page:
            self._send_status(number, wire.SFTP_EOF)
            return
        told = Message()
        told.add_int(number)
        told.add_int(len(page))
        for entry in page:
            attributes: Any = _attributes_of(entry)
            told.add_string(entry.name)
            told.add_string(str(attributes))
            attributes._pack(told)
        self._send_packet(wire.CMD_NAME, told)

    def _look(self, number: int, asked: Message) -> None:
        self._response(number, wire.CMD_ATTRS, _attributes_of(self._tree.look(asked.get_text())))

    def _look_at_open(self, number: int, asked: Message) -> None:
        self._response(number, wire.CMD_ATTRS, _attributes_of(self._file(asked).entry()))

    def _set(self, number: int, asked: Message) -> None:
        path = asked.get_text()
        size, has_times = _wanted_in(asked)
        if has_times and size is None:
            self._tree.touch(path)
        else:
            self._tree.refuse("setstat", path)
        self._done(number)

    def _set_open(self, number: int, asked: Message) -> None:
        """Times are taken and mean nothing, with or without permissions beside them; a size may cut the end off."""
        file = self._file(asked)
        size, has_times = _wanted_in(asked)
        if size is not None:
            file.resize(size)
        elif not has_times:
            self._tree.refuse("fsetstat", "")
        self._done(number)

    def _remove(self, number: int, asked: Message) -> None:
        self._tree.remove(asked.get_text())
        self._done(number)

    def _rename(self, number: int, asked: Message) -> None:
        self._tree.rename(asked.get_text(), asked.get_text(), replace=False)
        self._done(number)

    def _extended(self, number: int, asked: Message) -> None:
        name = asked.get_text()
        if name != "posix-rename@openssh.com":
            self._tree.refuse(name[:60], asked.get_text())
        self._tree.rename(asked.get_text(), asked.get_text(), replace=True)
        self._done(number)

    def _make_folder(self, number: int, asked: Message) -> None:
        self._tree.make_folder(asked.get_text())
        self._done(number)

    def _remove_folder(self, number: int, asked: Message) -> None:
        self._tree.refuse("rmdir", asked.get_text())

    def _resolve(self, number: int, asked: Message) -> None:
        self._response(number, wire.CMD_NAME, 1, self._tree.resolve(asked.get_text()), "", SFTPAttributes())

    def _refuse_links(self, number: int, asked: Message) -> None:
        self._tree.refuse("link", asked.get_text())


_ACTS: dict[int, Callable[[Session, int, Message], None]] = {
    wire.CMD_OPEN: Session._open,
    wire.CMD_CLOSE: Session._close,
    wire.CMD_READ: Session._read,
    wire.CMD_WRITE: Session._write,
    wire.CMD_LSTAT: Session._look,
    wire.CMD_STAT: Session._look,
    wire.CMD_FSTAT: Session._look_at_open,
    wire.CMD_SETSTAT: Session._set,
    wire.CMD_FSETSTAT: Session._set_open,
    wire.CMD_OPENDIR: Session._list,
    wire.CMD_READDIR: Session._next_names,
    wire.CMD_REMOVE: Session._remove,
    wire.CMD_MKDIR: Session._make_folder,
    wire.CMD_RMDIR: Session._remove_folder,
    wire.CMD_REALPATH: Session._resolve,
    wire.CMD_RENAME: Session._rename,
    wire.CMD_READLINK: Session._refuse_links,
    wire.CMD_SYMLINK: Session._refuse_links,
    wire.CMD_EXTENDED: Session._extended,
}


class _Nothing(paramiko.SFTPServerInterface):
    """paramiko's own way to files, which is not used."""


def _mode_of(flags: int) -> Mode:
    return Mode(
        read=bool(flags & wire.SFTP_FLAG_READ),
        write=bool(flags & wire.SFTP_FLAG_WRITE),
        append=bool(flags & wire.SFTP_FLAG_APPEND),
        create=bool(flags & wire.SFTP_FLAG_CREATE),
        truncate=bool(flags & wire.SFTP_FLAG_TRUNC),
        exclusive=bool(flags & wire.SFTP_FLAG_EXCL),
    )


def _wanted_in(asked: Message) -> tuple[int | None, bool]:
    """A size, if any, and whether times are among what a client wants set. The rest is not read: it may claim to be endless."""
    flags = asked.get_int()
    size = asked.get_int64() if flags & SFTPAttributes.FLAG_SIZE else None
    return size, bool(flags & SFTPAttributes.FLAG_AMTIME)


def _attributes_of(entry: Entry) -> SFTPAttributes:
    attributes = SFTPAttributes()
    attributes.filename = entry.name
    attributes.st_size = entry.size
    attributes.st_uid = attributes.st_gid = 0
    attributes.st_mode = (stat.S_IFDIR | 0o700) if entry.is_folder else (stat.S_IFREG | entry.mode)
    attributes.st_atime = attributes.st_mtime = int(entry.modified)
    return attributes
