"""Another machine's SFTP server: a listed host, a pinned host key, small steps, soon over.

The address is checked by adapters.outbound before the connection is made to it. The whole visit has one deadline:
when it is over the connection is cut, whatever the other side is doing.
"""

from __future__ import annotations

import base64
import posixpath
import socket
import stat
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from io import BytesIO, StringIO
from typing import BinaryIO, NamedTuple

import msgspec
import paramiko

MOST_LISTED = 20_000
_CHUNK_BYTES = 64 * 1024
_STEP_SECONDS = 20.0
_KEY_KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


class SftpFailed(Exception):
    """对方 SFTP 服务器未能完成操作。 The other side's SFTP server did not do it."""


class WrongHostKey(SftpFailed):
    """对方主机密钥与登记的不符，已断开：可能被冒充。 The host key is not the pinned one: somebody may be posing as it."""


class TooMuch(SftpFailed):
    """对方的文件超过允许的大小或数量。 The other side's files are larger or more than allowed."""


class Changed(SftpFailed):
    """读取期间文件仍在变化。 The file changed while it was read."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whose server, as whom, and how it is recognised."""

    address: str  # an address that was checked
    port: int
    user: str
    host_keys: tuple[str, ...]  # "ssh-ed25519 AAAA...", several while the other side changes keys
    private_key: str = ""
    password: str = ""
    seconds: float = 300.0  # of the whole visit


class Remote(NamedTuple):
    """A file over there, as it was listed."""

    name: str
    size: int
    modified: int

    @property
    def key(self) -> str:
        return f"{self.name}|{self.size}|{self.modified}"


@contextmanager
def visiting(server: Server) -> Iterator[Visit]:
    """A connection whose other end has proved to be the pinned one; any failure of it is an SftpFailed."""
    try:
        transport = _connected(server)
        deadline = threading.Timer(server.seconds, transport.close)
        deadline.daemon = True
        deadline.start()
        try:
            _recognise(transport, server)
            _sign_in(transport, server)
            yield Visit(_opened(transport))
        finally:
            deadline.cancel()
            transport.close()
    except (paramiko.SSHException, OSError, EOFError) as wrong:
        raise SftpFailed(f"{_sentence(SftpFailed)} {type(wrong).__name__}") from None


def read_host_key(line: str) -> tuple[str, bytes]:
    """``ssh-ed25519 AAAA... comment`` as kind and bytes; ValueError for anything else."""
    kind, _, rest = line.strip().partition(" ")
    raw = base64.b64decode(rest.split(" ")[0], validate=True)
    length = int.from_bytes(raw[:4], "big")
    if not kind or raw[4 : 4 + length] != kind.encode():
        raise ValueError("not a host key")
    return kind, raw


class Visit:
    """What can be done over there. Names are plain names in one folder, never paths."""

    def __init__(self, client: paramiko.SFTPClient) -> None:
        self._client = client

    def list(self, folder: str, pattern: str) -> list[Remote]:
        """Regular files that match, oldest first. Names with separators or control characters are passed over."""
        found = []
        for number, one in enumerate(self._client.listdir_iter(folder, read_aheads=10)):
            if number >= MOST_LISTED:
                raise TooMuch(f"{_sentence(TooMuch)} > {MOST_LISTED}")
            if stat.S_ISREG(one.st_mode or 0) and is_plain(one.filename) and fnmatchcase(one.filename, pattern):
                found.append(Remote(one.filename, one.st_size or 0, one.st_mtime or 0))
        return sorted(found, key=lambda remote: (remote.modified, remote.name))

    def read(self, folder: str, remote: Remote, into: BinaryIO, largest: int) -> None:
        """Its bytes, whole and unchanged since it was listed; Changed or TooMuch otherwise."""
        if remote.size > largest:
            raise TooMuch(f"{_sentence(TooMuch)} {remote.size} > {largest}")
        path = posixpath.join(folder, remote.name)
        if self._copy(path, remote.size, into) != remote.size or self._look(path) != (remote.size, remote.modified):
            raise Changed(_sentence(Changed))

    def _copy(self, path: str, size: int, into: BinaryIO) -> int:
        """No further than one byte beyond what was listed: that byte says it has grown."""
        copied = 0
        with self._client.open(path, "rb") as file:
            file.prefetch(size, max_concurrent_requests=32)
            while copied <= size and (chunk := file.read(min(_CHUNK_BYTES, size + 1 - copied))):
                copied += into.write(chunk)
        return copied

    def _look(self, path: str) -> tuple[int, int]:
        seen = self._client.stat(path)
        return seen.st_size or 0, seen.st_mtime or 0

    def put_aside(self, folder: str, remote: Remote, aside: str) -> None:
        """Into the folder ``aside``; beside one of the same name there, under a name of its own."""
        source, target = posixpath.join(folder, remote.name), posixpath.join(folder, aside)
        with suppress(OSError):
            self._client.mkdir(target)
        place = posixpath.join(target, remote.name)
        if self._is_there(place):
            place = f"{place}.{remote.modified}-{remote.size}"
        self._client.rename(source, place)  # never over another file

    def write(self, folder: str, name: str, content: bytes) -> None:
        """Whole or not at all: under a temporary name first, then renamed over what has the name."""
        partial, final = posixpath.join(folder, f".{name}.part"), posixpath.join(folder, name)
        self._client.putfo(BytesIO(content), partial, confirm=True)
        self._rename_over(partial, final)

    def _rename_over(self, partial: str, final: str) -> None:
        """A server without OpenSSH's extension (its refusal has no errno) renames only to a name that is free."""
        try:
            self._client.posix_rename(partial, final)
        except OSError as wrong:
            if wrong.errno is not None:
                raise
            with suppress(OSError):
                self._client.remove(final)
            self._client.rename(partial, final)

    def _is_there(self, path: str) -> bool:
        try:
            self._client.stat(path)
        except FileNotFoundError:
            return False
        return True


def is_plain(name: str) -> bool:
    """A name that means the same to everybody who reads it."""
    hidden = any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in name)
    return name not in ("", ".", "..") and not hidden and not {"/", "\\"} & set(name)


def _connected(server: Server) -> paramiko.Transport:
    there = socket.create_connection((server.address, server.port), timeout=min(_STEP_SECONDS, server.seconds))
    transport = paramiko.Transport(there)
    transport.banner_timeout = transport.handshake_timeout = min(_STEP_SECONDS, server.seconds)
    transport.auth_timeout = min(_STEP_SECONDS, server.seconds)
    return transport


def _recognise(transport: paramiko.Transport, server: Server) -> None:
    """Only the kinds of key that are pinned are negotiated, and only a pinned key is believed."""
    pinned = dict.fromkeys(read_host_key(line) for line in server.host_keys)
    kinds = dict.fromkeys(name for kind, _ in pinned for name in _signatures(kind))
    options = transport.get_security_options()
    options.key_types = [kind for kind in kinds if kind in options.key_types]
    try:
        transport.start_client(timeout=min(_STEP_SECONDS, server.seconds))
    except paramiko.ssh_exception.IncompatiblePeer:
        raise WrongHostKey(_sentence(WrongHostKey)) from None
    if not _is_pinned(transport.get_remote_server_key(), pinned):
        raise WrongHostKey(_sentence(WrongHostKey))


def _is_pinned(key: paramiko.PKey, pinned: Iterable[tuple[str, bytes]]) -> bool:
    return any(key.asbytes() == raw for _, raw in pinned)


def _signatures(kind: str) -> tuple[str, ...]:
    return _RSA_SIGNATURES if kind == "ssh-rsa" else (kind,)


def _sign_in(transport: paramiko.Transport, server: Server) -> None:
    if server.private_key:
        transport.auth_publickey(server.user, read_private_key(server.private_key))
    else:
        transport.auth_password(server.user, server.password, fallback=False)


def read_private_key(text: str) -> paramiko.PKey:
    """An OpenSSH or PEM key without a passphrase; ValueError."""
    for kind in _KEY_KINDS:
        with suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(StringIO(text))
    raise ValueError("not a private key")


def _opened(transport: paramiko.Transport) -> paramiko.SFTPClient:
    client = paramiko.SFTPClient.from_transport(transport)
    if client is None:
        raise SftpFailed(_sentence(SftpFailed))
    channel = client.get_channel()
    if channel is not None:
        channel.settimeout(_STEP_SECONDS)
    return client


def _sentence(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").strip()
