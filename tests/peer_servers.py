"""Departments' machines on 127.0.0.1: an SFTP server over a folder, an HTTP interface that answers as it is told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import paramiko
from paramiko.sftp import SFTP_FAILURE, SFTP_OK, SFTP_OP_UNSUPPORTED

USER, PASSWORD = "hub", "a-shared-word"


class _SignsIn(paramiko.ServerInterface):
    """One user, by password or by any key."""

    def __init__(self, peer: SftpPeer) -> None:
        self.peer = peer

    def check_auth_password(self, username: str, password: str) -> int:
        self.peer.passwords.append(password)
        right = (username, password) == (USER, PASSWORD)
        return paramiko.common.AUTH_SUCCESSFUL if right else paramiko.common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL if username == USER else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED


class _Folder(paramiko.SFTPServerInterface):
    """The files of one folder; ``peer.before`` is called with every act and may hang or refuse."""

    def __init__(self, server: paramiko.ServerInterface, peer: SftpPeer) -> None:
        super().__init__(server)
        self.peer = peer

    def _path(self, name: str) -> Path:
        return self.peer.folder / name.lstrip("/")

    def _do(self, act: str, path: str, work: Callable[[], object]) -> Any:
        try:
            self.peer.acts.append((act, path))
            self.peer.before(act, path)
            return work()
        except OSError as wrong:
            return paramiko.SFTPServer.convert_errno(wrong.errno or 5)

    def list_folder(self, path: str) -> Any:
        return self._do("list", path, lambda: [_attributes(each) for each in self._path(path).iterdir()])

    def stat(self, path: str) -> Any:
        return self._do("stat", path, lambda: paramiko.SFTPAttributes.from_stat(self._path(path).stat()))

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        def opened() -> paramiko.SFTPHandle:
            handle = paramiko.SFTPHandle(flags)
            writes = flags & (os.O_WRONLY | os.O_RDWR)
            file = os.fdopen(os.open(self._path(path), flags, 0o600), "wb" if writes else "rb")
            handle.readfile = handle.writefile = file  # type: ignore[attr-defined]
            return handle

        return self._do("open", path, opened)

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        if not self.peer.knows_posix_rename:
            return SFTP_OP_UNSUPPORTED

        def renamed() -> int:
            self._path(oldpath).replace(self._path(newpath))
            return SFTP_OK

        return self._do("rename", newpath, renamed)

    def rename(self, oldpath: str, newpath: str) -> Any:
        def renamed() -> int:
            if self._path(newpath).exists():
                return SFTP_FAILURE
            self._path(oldpath).rename(self._path(newpath))
            return SFTP_OK

        return self._do("rename", newpath, renamed)

    def remove(self, path: str) -> Any:
        def removed() -> int:
            self._path(path).unlink()
            return SFTP_OK

        return self._do("remove", path, removed)

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> Any:
        def made() -> int:
            if self._path(path).exists():
                return SFTP_FAILURE
            self._path(path).mkdir()
            return SFTP_OK

        return self._do("mkdir", path, made)


def _attributes(path: Path) -> paramiko.SFTPAttributes:
    attributes = paramiko.SFTPAttributes.from_stat(path.stat())
    attributes.filename = path.name
    return attributes


class SftpPeer:
    """A department's SFTP server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = paramiko.ECDSAKey.generate()
        self.acts: list[tuple[str, str]] = []
        self.passwords: list[str] = []
        self.knows_posix_rename = True
        self.before: Callable[[str, str], None] = lambda act, path: None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[paramiko.Transport] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def host_key(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"

    def put(self, name: str, content: bytes, modified: int = 1_790_000_000) -> None:
        path = self.folder / name
        path.write_bytes(content)
        os.utime(path, (modified, modified))

    def names(self, below: str = "") -> list[str]:
        return sorted(path.name for path in (self.folder / below).iterdir() if path.is_file())

    def close(self) -> None:
        self._socket.close()
        for transport in self._open:
            transport.close()

    def _serve(self) -> None:
        while True:
            try:
                there, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(there)
            self._open.append(transport)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Folder, peer=self)
            try:
                transport.start_server(server=_SignsIn(self))
            except (paramiko.SSHException, EOFError):
                transport.close()


@contextmanager
def sftp_peer(folder: Path) -> Iterator[SftpPeer]:
    folder.mkdir(parents=True, exist_ok=True)
    peer = SftpPeer(folder)
    try:
        yield peer
    finally:
        peer.close()


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes


class Answering(NamedTuple):
    status: int = 200
    content: bytes = b"{}"
    headers: dict[str, str] = {}  # noqa: RUF012


class _Interface(BaseHTTPRequestHandler):
    """Notes what arrives and answers what the peer says."""

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self.rfile.read(length))
        peer: HttpPeer = self.server  # type: ignore[assignment]
        peer.asked.append(asked)
        status, content, more = peer.answer(asked)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            return  # the hub has hung up

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""


class HttpPeer(ThreadingHTTPServer):
    """A department's interface, or its receiver of webhooks."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Asked], Answering]) -> None:
        super().__init__(("127.0.0.1", 0), _Interface)
        self.answer, self.asked = answer, list[Asked]()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def http_peer(answer: Callable[[Asked], Answering]) -> Iterator[HttpPeer]:
    peer = HttpPeer(answer)
    try:
        yield peer
    finally:
        peer.shutdown()
        peer.server_close()
