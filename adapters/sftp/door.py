"""What an SFTP server asks of whoever stands behind it: who may come in, and what each visitor sees.

Sizes in bytes, times in seconds since 1970.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from paramiko import sftp as wire

NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = (
    wire.SFTP_NO_SUCH_FILE,
    wire.SFTP_PERMISSION_DENIED,
    wire.SFTP_FAILURE,
    wire.SFTP_BAD_MESSAGE,
    wire.SFTP_OP_UNSUPPORTED,
)


class Refusal(Exception):
    """A request is answered with this status and sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Entry(msgspec.Struct, frozen=True):
    """One name in a folder."""

    name: str
    is_folder: bool
    size: int = 0
    modified: float = 0.0
    mode: int = 0o600


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be opened."""

    read: bool = False
    write: bool = False
    append: bool = False
    create: bool = False
    truncate: bool = False
    exclusive: bool = False


class OpenedFile(Protocol):
    """A file of a visitor. Every method may raise Refusal, except ``abandon``."""

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, content: bytes) -> None: ...

    def entry(self) -> Entry: ...

    def resize(self, size: int) -> None: ...

    def finish(self) -> None:
        """The client closed it."""

    def abandon(self) -> None:
        """The session ended while it was open."""


class Tree(Protocol):
    """What one visitor sees. Every method may raise Refusal."""

    def resolve(self, path: str) -> str: ...

    def look(self, path: str) -> Entry: ...

    def entries(self, path: str) -> list[Entry]: ...

    def open(self, path: str, mode: Mode) -> OpenedFile: ...

    def rename(self, old: str, new: str, *, replace: bool) -> None: ...

    def remove(self, path: str) -> None: ...

    def make_folder(self, path: str) -> None: ...

    def touch(self, path: str) -> None:
        """The client sets times; they mean nothing here."""

    def refuse(self, act: str, path: str) -> None:
        """The client asked for what nobody may do; raises Refusal."""


class Call(Protocol):
    """One connection, from its first byte to its last."""

    takes_passwords: bool

    def by_key(self, user: str, blob: bytes) -> bool: ...

    def by_password(self, user: str, password: str) -> bool: ...

    def open_tree(self) -> Tree: ...

    def left(self) -> None: ...


class Door(Protocol):
    """Who may connect at all."""

    def answer(self, address: str) -> Call | None: ...
