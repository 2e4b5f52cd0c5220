"""Archives: seals whose lines were moved into a numbered file when they were old enough. The table says which."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, select

from hub.tables import audit_archive


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """One archive file; ``mac`` marks the row as the hub's own."""

    archive_no: int
    from_seal: int
    to_seal: int
    lines: int
    file_name: str
    sha256: str
    archived_at: datetime
    mac: bytes = b""


def archives(connection: Connection) -> list[Archive]:
    """Every archive there is, in order."""
    rows = connection.execute(select(audit_archive).order_by(audit_archive.c.archive_no))
    return [msgspec.convert(row, Archive, from_attributes=True) for row in rows]


def mac_of_archive(key: bytes, archive: Archive) -> bytes:
    """Who deletes lines and writes an archive for them by hand has not got this."""
    at = archive.archived_at.astimezone(UTC)
    bare = msgspec.structs.replace(archive, mac=b"", archived_at=at)
    return hmac.digest(key, b"archive" + msgspec.json.encode(bare, order="sorted"), "sha256")


def broken_archives(known: Sequence[Archive], key: bytes | None) -> list[str]:
    """Archives out of order, or not of the hub's making."""
    found, last = [], 0
    for number, one in enumerate(known, start=1):
        if (one.archive_no, one.from_seal) != (number, last + 1) or one.to_seal < one.from_seal:
            found.append(f"归档 {one.archive_no} 与前一归档不衔接。 Archive {one.archive_no} does not follow on.")
        if key is not None and not hmac.compare_digest(one.mac, mac_of_archive(key, one)):
            found.append(
                f"归档 {one.archive_no} 的登记不是枢纽所写。 Archive {one.archive_no} was not entered by the hub."
            )
        last = one.to_seal
    return found
