"""A secret's file: read only if it is a plain file of this account that nobody else may open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_LARGEST = 16 * 1024


class NotPrivate(Exception):
    """密钥文件须归本账号所有，权限 0600，内容为一行文本。 A secret's file is ours, mode 0600, one line of text."""


def read_private(path: Path) -> str:
    """Its text without the line's end. A link, another's file or an open one is refused: NotPrivate."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as wrong:
        raise NotPrivate(f"{path.name}: {wrong.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise NotPrivate(f"{path.name}: {stat.S_IMODE(seen.st_mode):04o}")
        text = file.read(_LARGEST).decode("utf-8", "replace").strip("\r\n")
    if not text.strip() or "\ufffd" in text or "\n" in text:
        raise NotPrivate(f"{path.name}: 为空或不是一行文本 empty, or not one line")
    return text
