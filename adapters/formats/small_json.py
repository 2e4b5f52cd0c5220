"""A small JSON file is read here: no entities, formulas or references in it, so a process of its own guards nothing.

Single rows over the interface are such files; a child each would cost forty times what reading them costs.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.formats import wire
from adapters.formats.json_lines import send_json
from adapters.formats.sniff import sniff
from adapters.formats.unreadable import Limits, UnreadableFile

LARGEST = 64 * 1024  # bytes: what decoding them may take is bounded by it


class SmallJson:
    """The messages a child would send of the same bytes."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._pipe = io.BytesIO()
        try:
            send_json(io.BytesIO(content), self._pipe, limits)
            wire.send(self._pipe, wire.Done())
        except UnreadableFile as refusal:
            wire.send(self._pipe, wire.Refused(refusal.code, refusal.params))
        except RecursionError:
            wire.send(self._pipe, wire.Refused("F_UNREADABLE", {"reason": "json_nested"}))
        self._pipe.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pipe.close()

    def next_message(self) -> tuple[wire.Message, bytearray]:
        message, body = wire.receive(lambda length: bytearray(self._pipe.read(length)))
        if isinstance(message, wire.Refused):
            raise UnreadableFile(message.code, **message.params)
        return message, body


def small_json(path: Path, limits: Limits) -> SmallJson | None:
    """The file's reader if it is small and JSON."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > min(LARGEST, limits.max_bytes) or sniff(io.BytesIO(content)) != "json":
        return None
    return SmallJson(content, limits)
