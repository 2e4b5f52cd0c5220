"""Files of one's own unit that began to come over SFTP and stopped: cut, or closed without an end anybody can see.

What lies in <drops>/<organisation>/.uploads, as the SFTP door notes it; taken files and those still being written are
not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings

MOST_STOPPED = 100


class StoppedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. ``is_cut``: the connection was lost; else it was closed, and whether that is all cannot be seen."""

    name: str
    record_type: str
    period: str | None
    size: int
    is_cut: bool
    stopped_at: datetime
    removed_at: datetime  # unless it goes on


class _Place(msgspec.Struct):
    record_type: str
    period: str | None
    name: str


class _Note(msgspec.Struct):
    """What of the door's note is told."""

    place: _Place
    state: Literal["open", "closed", "cut"]
    at: datetime


def list_stopped_uploads(settings: Settings, actor: Actor, now: datetime) -> list[StoppedUpload]:
    """The newest first, no more than ``MOST_STOPPED``: those to which nothing was added for as long as a session may idle."""
    require(actor, Right.READ_OWN_DOORS)
    idle = timedelta(seconds=settings.sftp.idle_seconds)
    found = (_read(place, settings) for place in _newest(settings.drops / actor.organisation / ".uploads"))
    stopped = [one for one in found if one is not None and now - one.stopped_at >= idle]
    return sorted(stopped, key=lambda one: one.stopped_at, reverse=True)


def _newest(folder: Path) -> Iterator[Path]:
    """Their names were made in the order they came."""
    try:
        yield from sorted(folder.iterdir(), reverse=True)[:MOST_STOPPED]
    except OSError:
        return


def _read(place: Path, settings: Settings) -> StoppedUpload | None:
    """None where it was taken or resumed meanwhile."""
    try:
        note = msgspec.json.decode((place / "upload.json").read_bytes(), type=_Note)
        content = (place / "content").stat()
    except (OSError, msgspec.DecodeError):
        return None
    touched = max(note.at, datetime.fromtimestamp(content.st_mtime, UTC))
    return StoppedUpload(
        name=note.place.name,
        record_type=note.place.record_type,
        period=note.place.period,
        size=content.st_size,
        is_cut=note.state != "closed",
        stopped_at=touched,
        removed_at=note.at + timedelta(days=settings.sftp.incomplete_days),
    )
