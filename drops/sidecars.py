"""The small file beside a file in which its sender says what it should be: ``name.sha256`` or ``name.ok``.

``.sha256`` is what sha256sum prints. ``.ok`` may be empty, or say ``sha256`` and ``size`` (bytes) in JSON, as
``size=123``, or as a bare number on a line.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

SIDECARS = (".sha256", ".ok")
MOST_SIDECAR_BYTES = 4096
_SHA256 = re.compile(r"\b[0-9a-fA-F]{64}\b")
_SIZE = re.compile(r"\bsize\W{0,4}(\d{1,15})\b|^\s*(\d{1,15})\s*$", re.I | re.M)


class Promise(msgspec.Struct, frozen=True):
    """What the sender said; None where nothing was said."""

    sha256: str | None = None
    size: int | None = None


def read_promise(sidecar: Path, name: str) -> Promise:
    """What a sidecar of this name says. Never follows a link, never reads more than a sidecar has."""
    try:
        handle = os.open(sidecar, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return Promise()
    with os.fdopen(handle, "rb") as file:
        text = file.read(MOST_SIDECAR_BYTES).decode("ascii", "replace")
    digest = _SHA256.search(text)
    size = _SIZE.search(_SHA256.sub(" ", text)) if sidecar_kind(name) == ".ok" else None
    return Promise(digest.group().lower() if digest else None, int(size[1] or size[2]) if size else None)


def sidecar_kind(name: str) -> str:
    """ ".sha256", ".ok", or "" for a file that is none."""
    return next((ending for ending in SIDECARS if name.lower().endswith(ending)), "")


def described_by(name: str) -> str:
    """The file a sidecar speaks of."""
    return name[: -len(sidecar_kind(name))]
