"""An upload that stopped, as the SFTP door leaves it."""

from __future__ import annotations

import os
from datetime import datetime

import msgspec

from drops.inbox import Origin
from drops.sftp.uploads import Place, State, Uploads
from hub.database import new_uuid
from hub.settings import Settings
from tests.doors import THIS_MONTH


def leave_upload(settings: Settings, organisation: str, name: str, state: State, at: datetime) -> None:
    """Eleven bytes of a file that stopped at that time."""
    place = Place("hukou_move_in", THIS_MONTH, name)
    uploads = Uploads(settings.drops, organisation)
    upload = uploads.begin(place, Origin(door="sftp", actor="key"), str(new_uuid()))
    upload.content.write_bytes(b"half a file")
    upload.save(state)
    note = msgspec.structs.replace(upload.note, at=at)
    (upload.folder / "upload.json").write_bytes(msgspec.json.encode(note))
    os.utime(upload.content, (at.timestamp(), at.timestamp()))
