"""Channels' secrets: one file each in ``<home>/keys/channels``, for this account alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hub.errors import HubError
from hub.settings import Settings

_LARGEST = 16 * 1024


class BadSecret(HubError):
    """密钥文件须在 keys/channels 下，归本账号所有，权限 0600。 A secret lies in keys/channels, is ours, mode 0600."""

    problem = "bad-secret"


def read_secret(settings: Settings, name: str) -> str:
    """The text of a secret's file, without the line's end. A link, another's file or an open one is refused."""
    handle = _opened(_place(settings, name))
    with os.fdopen(handle, "rb") as file:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise BadSecret(f"{name}: {stat.S_IMODE(seen.st_mode):04o}")
        content = file.read(_LARGEST)
    text = content.decode("utf-8", "replace").strip("\r\n")
    if not text.strip() or "\ufffd" in text:
        raise BadSecret(f"{name}: 为空或不是文本 empty, or no text")
    return text


def read_public(settings: Settings, name: str) -> Path:
    """The path of a file there that is no secret; BadSecret if it is not there."""
    path = _place(settings, name)
    if not path.is_file():
        raise BadSecret(f"{name}: 没有此文件 no such file")
    return path


def _place(settings: Settings, name: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise BadSecret(f"{name}: 只写文件名 a file's name only")
    return settings.keys / "channels" / name


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as wrong:
        raise BadSecret(f"{path.name}: {wrong.strerror}") from None
