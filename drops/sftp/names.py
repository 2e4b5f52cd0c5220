"""Paths as an SFTP client writes them: cut into names, and refused when a name could mean anything but a name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from adapters.sftp.door import BAD_MESSAGE, Refusal

LONGEST_NAME_BYTES = 255
LONGEST_UPLOAD_BYTES = 200  # its answers carry its name and an ending
_DRIVE = re.compile(r"^[A-Za-z]:")
_DEVICE = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.I)
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class BadPath(Refusal):
    """A path nobody needs: it costs its address a point."""


def names_of(path: str) -> tuple[str, ...]:
    """The names of an absolute or relative path, all harmless; BadPath."""
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    for name in names:
        if flaw := flaw_of(name):
            raise BadPath(BAD_MESSAGE, f"不能使用的文件名：{flaw}。 Not a usable name: {_ENGLISH[flaw]}.")
    return names


def upload_name(name: str) -> str:
    """The name of an upload; BadPath when its answers could not carry it."""
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_UPLOAD_BYTES:
        raise BadPath(BAD_MESSAGE, f"文件名超过 {LONGEST_UPLOAD_BYTES} 字节。 The name has more bytes than that.")
    return name


def resolved(path: str) -> tuple[str, ...]:
    """The same where a client only looks around: ``..`` goes up, never above the root."""
    walked: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del walked[-1:]
        else:
            walked += names_of(name)
    return tuple(walked)


def written(names: Iterable[str]) -> str:
    return "/" + "/".join(names)


def flaw_of(name: str) -> str:
    """What is wrong with one name; "" when nothing is."""
    return next((flaw for flaw, is_so in _FLAWS if is_so(name)), "")


def _has_hidden_characters(name: str) -> bool:
    return any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in name)


_FLAWS = (
    ("上级目录", lambda name: name == ".."),
    ("控制字符或不可见字符", _has_hidden_characters),
    ("反斜杠", lambda name: "\\" in name),
    ("以点开头", lambda name: name.startswith(".")),
    ("盘符", lambda name: _DRIVE.match(name) is not None),
    ("设备名", lambda name: _DEVICE.match(name) is not None),
    ("首尾有空格", lambda name: name != name.strip()),
    ("名称过长", lambda name: len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME_BYTES),
)
_ENGLISH = {
    "上级目录": "the folder above",
    "控制字符或不可见字符": "control or invisible characters",
    "反斜杠": "a backslash",
    "以点开头": "it begins with a dot",
    "盘符": "a drive letter",
    "设备名": "a device of Windows",
    "首尾有空格": "spaces at its ends",
    "名称过长": "too long",
}
