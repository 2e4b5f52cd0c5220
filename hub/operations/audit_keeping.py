"""Keeping the audit: numbered exports, and old lines moved into archive files that were read back before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import BinaryIO
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Connection, any_, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from hub import audit
from hub.audit.archives import Archive, archives, mac_of_archive
from hub.audit.seals import seals
from hub.database import Database
from hub.errors import BadRequest, Conflict, HubError
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from hub.tables import audit as audit_table
from hub.tables import audit_archive

_ARCHIVER = 7_215_003  # advisory lock: one archiver at a time


class TooYoung(BadRequest):
    """审计未到归档年限。 These audit lines are too young to be archived."""

    problem = "audit-too-young"


class ArchiveUnsound(HubError):
    """归档文件读回检查未通过，审计未删除。 The archive file did not pass its check: nothing was deleted."""

    status, problem = 409, "archive-unsound"


class NoOwner(HubError):
    """归档需要数据库所有者的地址，请设置 HUB_OWNER_URL。 Archiving needs the owner's database URL: set HUB_OWNER_URL."""

    status, problem = 503, "missing-url"


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """One export: its number is in its header and in the audit line that says who took it."""

    number: str
    from_seal: int
    to_seal: int
    sha256: str


def number_of(audit_id: UUID, now: datetime) -> str:
    """The number of an export: its day, and the end of the id of the audit line that records it."""
    return f"{now:%Y%m%d}-{audit_id.hex[-8:]}"


# ---- export ----


def export_audit(database: Database, keyring: Keyring, actor: Actor, path: Path, now: datetime) -> ExportFile:
    """Every sealed line still here, into a file of its own. The act is recorded before anything leaves."""
    require(actor, Right.OPERATE, Right.READ_AUDIT)
    with database.begin() as connection:
        ends = audit.exported_range(connection)
        first, last = ends.from_seal, ends.to_seal
        audit_id = audit.record(connection, actor, Right.READ_AUDIT, "audit/export", from_seal=first, to_seal=last)
    number = number_of(audit_id, now)
    with database.read() as connection:
        sha256 = _write(path, audit.export(connection, keyring, ends, number=number, by=actor.name, now=now))
    return ExportFile(number=number, sha256=sha256, from_seal=first, to_seal=last)


def _write(path: Path, lines: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    with _new_file(path) as file:
        for line in lines:
            digest.update(line + b"\n")
            file.write(line + b"\n")
    return digest.hexdigest()


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Readable by its owner alone, whole on the disk or not there; never over another file."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise Conflict(f"{path}: 文件已存在。 The file is there already.") from None
    finally:
        unfinished.unlink()


# ---- archive ----


def archive(
    settings: Settings, keyring: Keyring, actor: Actor, before: date, folder: Path, now: datetime
) -> Archive | None:
    """Move the oldest seals, all of whose lines are from before that day, into a file; None when there are none."""
    require(actor, Right.OPERATE)
    _refuse_young(settings, before, now)
    if settings.owner_url is None:
        raise NoOwner()
    owner = Database(settings.owner_url, settings.district, audit_key=keyring.audit_key)
    with closing(owner), owner.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_ARCHIVER)))
        cut = datetime.combine(before, time(), ZoneInfo(settings.time_zone))
        ends = _oldest_before(connection, cut)
        if ends is None:
            return None
        made = _write_archive(connection, keyring, actor, ends, folder, now)
        _replace_lines(connection, actor, made)
    return made


def _refuse_young(settings: Settings, before: date, now: datetime) -> None:
    today = now.astimezone(ZoneInfo(settings.time_zone)).date()
    youngest = _years_before(today, settings.audit_years)
    if before > youngest:
        raise TooYoung(
            f"须保存 {settings.audit_years} 年，日期不得晚于 {youngest}。"
            f" Kept for {settings.audit_years} years: {youngest} at the latest."
        )


def _years_before(day: date, years: int) -> date:
    is_leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - years, day=28 if is_leap_day else day.day)


def _oldest_before(connection: Connection, cut: datetime) -> audit.Ends | None:
    """Whole seals only, from the first not yet archived."""
    first = audit.exported_range(connection).from_seal
    last = first - 1
    for one in seals(connection, after=first - 1):
        younger = select(func.count()).where(_among(one.audit_ids), audit_table.c.at >= cut)
        if connection.execute(younger).scalar_one():
            break
        last = one.seal_no
    return audit.Ends(from_seal=first, to_seal=last) if last >= first else None


def _among(ids: Iterable[UUID]) -> ColumnElement[bool]:
    return audit_table.c.audit_id == any_(literal(list(ids), ARRAY(Uuid)))


def _write_archive(
    connection: Connection, keyring: Keyring, actor: Actor, ends: audit.Ends, folder: Path, now: datetime
) -> Archive:
    number = len(archives(connection)) + 1
    name = f"audit-archive-{number:04d}-{ends.from_seal}-{ends.to_seal}.ndjson"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = audit.export(connection, keyring, ends, number=f"archive/{number}", by=actor.name, now=now)
    sha256 = _write(folder / name, lines)
    count = _read_back(folder / name, keyring, sha256)
    made = Archive(
        archive_no=number, lines=count, file_name=name, sha256=sha256, archived_at=now.astimezone(UTC),
        from_seal=ends.from_seal, to_seal=ends.to_seal,
    )  # fmt: skip
    return msgspec.structs.replace(made, mac=mac_of_archive(keyring.audit_key, made))


def _read_back(path: Path, keyring: Keyring, sha256: str) -> int:
    """How many lines the file holds, once it is found whole, as written, and all of it the hub's own."""
    with path.open("rb") as file:
        found = audit.verify_export(file, key=keyring.audit_key, public_keys=keyring.public_keys)
    if found or sha256_of(path) != sha256:
        raise ArchiveUnsound(f"{path}\n" + "\n".join(found))
    with path.open("rb") as file:
        return sum(1 for line in file if line.startswith(b'{"line":'))


def _replace_lines(connection: Connection, actor: Actor, made: Archive) -> None:
    """The entry, the audit line, and then the deletion of exactly what the file holds."""
    connection.execute(insert(audit_archive), [msgspec.structs.asdict(made)])
    audit.record(
        connection, actor, Right.OPERATE, f"audit/archive/{made.archive_no}",
        from_seal=made.from_seal, to_seal=made.to_seal, lines=made.lines, sha256=made.sha256,
    )  # fmt: skip
    deleted = 0
    for one in seals(connection, after=made.from_seal - 1):
        if one.seal_no > made.to_seal:
            break
        gone = delete(audit_table).where(_among(one.audit_ids)).returning(audit_table.c.audit_id)
        deleted += len(connection.execute(gone).all())
    if deleted != made.lines:
        raise ArchiveUnsound(f"{deleted} / {made.lines}")


def check_archive(
    connection: Connection, path: Path, key: bytes | None, public_keys: Mapping[str, bytes] | None
) -> list[str]:
    """An archive file against the hub that wrote it: whole in itself, and the very file that was entered."""
    with path.open("rb") as file:
        found = audit.verify_export(file, key=key, public_keys=public_keys)
    if sha256_of(path) not in {one.sha256 for one in archives(connection)}:
        found.append("此文件未登记为归档。 No archive is entered with this content.")
    return [f"{path.name}: {each}" for each in found]


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
