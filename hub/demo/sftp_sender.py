"""The demo's health office sends by SFTP with its key, each file with a sidecar that says it is whole."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko

from adapters.sftp.host_key import fingerprint_of
from hub.errors import HubError


class WrongHost(HubError):
    """SFTP 主机密钥不符。 The SFTP server is not the one that was expected."""

    problem = "wrong-sftp-host"


class SftpSender:
    """One signed-in connection, as a department's own machine keeps it."""

    def __init__(self, port: int, user: str, key: Path, fingerprint: str, folder: Path) -> None:
        self._folder = folder
        self._transport = paramiko.Transport(socket.create_connection(("127.0.0.1", port)))
        try:
            self._client = self._sign_in(user, key, fingerprint)
        except BaseException:
            self._transport.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._transport.close()

    def put(self, path: Path, target: str) -> None:
        content = path.read_bytes()
        self._write(f"{target}.sha256", f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode())
        self._write(target, content)

    def is_waiting(self) -> bool:
        """Whether anything sent has not been claimed yet."""
        uploads = self._folder / ".uploads"
        return uploads.is_dir() and any((place / "content").exists() for place in uploads.iterdir())

    def _write(self, target: str, content: bytes) -> None:
        with self._client.open(target, "wb") as file:
            file.set_pipelined(True)
            file.write(content)

    def _sign_in(self, user: str, key: Path, fingerprint: str) -> paramiko.SFTPClient:
        self._transport.start_client()
        if fingerprint_of(self._transport.get_remote_server_key()) != fingerprint:
            raise WrongHost(user)
        self._transport.auth_publickey(user, paramiko.PKey.from_path(key))
        client = paramiko.SFTPClient.from_transport(self._transport)
        assert client is not None
        return client
