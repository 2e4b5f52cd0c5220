"""Bytes come in: on disk, with their digest, before the ledger has a row and before anyone is told.

``store`` streams to a temporary file without any transaction; ``receive`` names it and writes the ledger row in
the caller's transaction. The same bytes again (organisation, record type, period, dry run) give the same receipt.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, FileRefused, HubError, KeyReused, NotAllowed, TooLarge
from hub.exchange.receipt_number import new_receipt_number
from hub.faults import point
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import idempotency_key, organisation, submission
from mappings.catalogue import Catalogue, RecordType

_CHUNK_BYTES = 1024 * 1024
_PERIOD = re.compile(r"^[0-9]{4}-(0[1-9]|1[0-2])\Z")
_LONGEST_NAME = 200
_TEMPORARY = "tmp"
_WEEK = 7 * 24 * 3600.0
MOST_ORPHANS = 100

# Every sending asks these: put together once, because that costs more than asking.
_KIND = select(organisation.c.kind).where(organisation.c.code == bindparam("its_code"), organisation.c.enabled)
_SAME_BYTES = and_(
    submission.c.record_type == bindparam("its_type"),
    submission.c.period.is_not_distinct_from(bindparam("its_period")),
    submission.c.file_sha256 == bindparam("its_sha256"),
    submission.c.dry_run == bindparam("its_dry_run"),
)
_KNOWN = (
    select(submission)
    .where(submission.c.organisation == bindparam("its_organisation"))
    .where(or_(submission.c.operation_id == bindparam("its_operation"), _SAME_BYTES))
    .where(submission.c.submission_id.not_in(bindparam("besides", expanding=True)))
    .order_by(submission.c.received_at)
    .limit(1)
)
_ONLY_ONCE = (
    insert(submission)
    .on_conflict_do_nothing(index_elements=["organisation", "operation_id"])
    .returning(submission.c.submission_id)
)


class NoSpace(HubError):
    """磁盘空间不足，请稍后重试或联系管理员。 The disk is full: try again later, or tell the administrator."""

    status, problem = 507, "no-space"


class TooManyOrphans(HubError):
    """大量文件不在台账中，未删除：是否连错数据库？ Many files are not in the ledger; none removed. Is it the right database?"""

    problem = "too-many-orphans"


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sends, apart from its bytes."""

    organisation: str
    record_type: str
    period: str | None  # YYYY-MM
    file_name: str
    door: str
    kind: str = "regular"
    dry_run: bool = False
    operation_id: str | None = None


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are on disk under a temporary name."""

    temporary: Path
    size: int
    sha256: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    submission_id: UUID
    receipt_number: str
    state: str
    repeated: bool
    must_run: bool  # new, or a failed one that goes once more


def admit(connection: Connection, catalogue: Catalogue, actor: Actor, sending: Sending) -> None:
    """Refuse, before a byte is stored, what this sender may not send at all."""
    if not actor.may(Right.SUBMIT) and not actor.may(Right.OPERATE):
        raise NotAllowed(Right.SUBMIT)
    if sending.organisation != actor.organisation and not actor.may(Right.OPERATE):
        raise NotAllowed(sending.organisation)
    if sending.period is not None and not _PERIOD.match(sending.period):
        raise BadRequest(f"period: {sending.period!r}; YYYY-MM")
    record_type = _known_type(catalogue, sending.record_type)
    kind = _organisation_kind(connection, sending.organisation)
    if sending.organisation not in record_type.sources and kind not in record_type.sources:
        raise NotAllowed(
            f"{sending.organisation}: {record_type.title} ({record_type.code})",
            code="F_NOT_YOUR_TYPE",
            params={"record_type": record_type.code, "organisation": sending.organisation},
        )


@contextmanager
def stored(settings: Settings, stream: BinaryIO, expected_sha256: str | None = None) -> Iterator[StoredFile]:
    """The stream's bytes as a durable temporary file; whatever is left of it afterwards is removed."""
    temporary = _folder(settings.files / _TEMPORARY) / str(new_uuid())
    try:
        yield _write(temporary, stream, settings.max_file_bytes, expected_sha256)
    except OSError as wrong:
        if wrong.errno in (28, 122):  # ENOSPC, EDQUOT
            raise NoSpace() from wrong
        raise
    finally:
        temporary.unlink(missing_ok=True)


def receive(connection: Connection, settings: Settings, actor: Actor, file: StoredFile, sending: Sending) -> Received:
    """Give the stored bytes their lasting place and their ledger row; or find the submission they already are."""
    operation_id = sending.operation_id or operation_of(sending, file.sha256)
    operation_id, known = _known_or_free(connection, sending, operation_id, file.sha256)
    if known is not None:
        return _repeat(connection, actor, known, file)
    submission_id, now = new_uuid(), utc_now()
    place = f"{now:%Y}/{now:%m}/{submission_id}"
    _keep(file.temporary, settings.files / place)
    number = new_receipt_number(now.astimezone(ZoneInfo(settings.time_zone)).date())
    point("receive.before_ledger")
    if not _enter(connection, actor, file, sending, operation_id, submission_id, number, place, now):
        (settings.files / place).unlink()
        winner = _find_known(connection, sending, operation_id, file.sha256)
        assert winner is not None
        return _repeat(connection, actor, winner, file)
    point("receive.after_ledger")
    _write_audit(connection, actor, sending, submission_id, file, repeated=False)
    return Received(submission_id=submission_id, receipt_number=number, state="received", repeated=False, must_run=True)


def operation_of(sending: Sending, sha256: str) -> str:
    """What makes two sendings the same one, when the client names no operation of its own."""
    parts = (sending.organisation, sending.record_type, sending.period or "", sha256, "dry" if sending.dry_run else "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def claim_key(connection: Connection, organisation: str, key: str, body_sha256: str, submission_id: UUID) -> UUID:
    """Bind an Idempotency-Key to a submission; the submission it is bound to. Another body under the same key: KeyReused."""
    values = {
        "organisation": organisation,
        "key": key,
        "body_sha256": body_sha256,
        "submission_id": submission_id,
        "used_at": utc_now(),
    }
    connection.execute(insert(idempotency_key).values(values).on_conflict_do_nothing())
    bound = find_key(connection, organisation, key)
    assert bound is not None
    if bound.body_sha256 != body_sha256:
        raise KeyReused(key)
    owner: UUID = bound.submission_id
    return owner


def find_key(connection: Connection, organisation: str, key: str) -> Row[Any, Any] | None:
    """The body digest and submission an Idempotency-Key is bound to, if it is."""
    asked = and_(idempotency_key.c.organisation == organisation, idempotency_key.c.key == key)
    return connection.execute(
        select(idempotency_key.c.body_sha256, idempotency_key.c.submission_id).where(asked)
    ).first()


def remove_orphans(connection: Connection, settings: Settings, older_than_seconds: float = 3600.0) -> int:
    """Remove bytes a crash left without a ledger row: temporary files and files no submission names. How many.

    Crashes leave few, and recent ones. Many, or old ones, mean the wrong database: those are left alone.
    """
    latest = utc_now().timestamp() - older_than_seconds
    names = {str(path.relative_to(settings.files)): path for path in _files_between(settings, latest - _WEEK, latest)}
    known = set(connection.scalars(select(submission.c.stored_as).where(submission.c.stored_as.in_(list(names)))))
    orphans = [path for name, path in names.items() if name not in known]
    if len(orphans) > MOST_ORPHANS:
        raise TooManyOrphans(str(len(orphans)))
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def _files_between(settings: Settings, earliest: float, latest: float) -> Iterator[Path]:
    for path in settings.files.rglob("*"):
        if path.is_file() and earliest < path.stat().st_mtime < latest:
            yield path


def _known_type(catalogue: Catalogue, code: str) -> RecordType:
    record_type = catalogue.record_types.get(code)
    if record_type is None:
        raise FileRefused(code, code="F_UNKNOWN_TYPE", params={"record_type": code})
    if not record_type.enabled:
        raise FileRefused(code, code="F_TYPE_DISABLED", params={"record_type": code})
    return record_type


def _organisation_kind(connection: Connection, code: str) -> str:
    kind = connection.scalar(_KIND, {"its_code": code})
    if kind is None:
        raise NotAllowed(code)
    return str(kind)


def _write(path: Path, stream: BinaryIO, limit: int, expected_sha256: str | None) -> StoredFile:
    """Copy to disk, counting and digesting on the way, and make it durable."""
    digest, size = hashlib.sha256(), 0
    with _create(path) as file:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"> {limit // (1024 * 1024)} MB", limit=limit)
            digest.update(chunk)
            file.write(chunk)
            point("receive.first_bytes" if size == len(chunk) else "receive.mid_stream")
        file.flush()
        point("receive.before_fsync")
        os.fsync(file.fileno())
        point("receive.after_fsync")
    sha256 = digest.hexdigest()
    if expected_sha256 and expected_sha256.lower() != sha256:
        raise FileRefused(
            sha256, code="F_DIGEST_MISMATCH", params={"expected": expected_sha256.lower(), "value": sha256}
        )
    return StoredFile(temporary=path, size=size, sha256=sha256)


def _create(path: Path) -> BinaryIO:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    return os.fdopen(handle, "wb")


def _keep(temporary: Path, final: Path) -> None:
    """Rename into the lasting place, durably: the folder's entry too."""
    folder = _folder(final.parent)
    point("receive.before_rename")
    temporary.rename(final)
    _sync_folder(folder)
    point("receive.after_rename")


def _folder(path: Path) -> Path:
    """The folder, made if missing: for the hub's account only, and durable up to the root of it."""
    if path.is_dir():
        return path
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(place.parent)
    return path


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _known_or_free(
    connection: Connection, sending: Sending, operation_id: str, sha256: str
) -> tuple[str, Row[tuple[object, ...]] | None]:
    """The operation and what is known of it. The same bytes are something new once they were withdrawn or undone."""
    known, taken_back = _find_known(connection, sending, operation_id, sha256), []
    while known is not None and sending.operation_id is None and _was_taken_back(connection, known):
        taken_back.append(known.submission_id)
        operation_id = hashlib.sha256(f"{operation_id}\n{known.submission_id}".encode()).hexdigest()
        known = _find_known(connection, sending, operation_id, sha256, taken_back)
    return operation_id, known


def _was_taken_back(connection: Connection, known: Row[Any]) -> bool:
    if known.state == "refused":
        return bool(known.refusal["code"] == "F_WITHDRAWN")
    undo, redo = submission.alias("undo"), submission.alias("redo")
    redone = exists().where(redo.c.undoes == undo.c.submission_id, redo.c.state == "merged")
    undone = select(undo.c.submission_id).where(undo.c.undoes == known.submission_id, undo.c.state == "merged", ~redone)
    return connection.scalar(undone) is not None


def _find_known(
    connection: Connection, sending: Sending, operation_id: str, sha256: str, besides: Sequence[UUID] = ()
) -> Row[tuple[object, ...]] | None:
    """The submission of the same operation, or of the same bytes in the same place."""
    sent = {
        "its_organisation": sending.organisation, "its_type": sending.record_type, "its_period": sending.period,
        "its_dry_run": sending.dry_run, "its_operation": operation_id, "its_sha256": sha256, "besides": list(besides),
    }  # fmt: skip
    return connection.execute(_KNOWN, sent).first()


def _repeat(connection: Connection, actor: Actor, known: Row[tuple[object, ...]], file: StoredFile) -> Received:
    """The same again: nothing is kept. What the hub itself failed at (never the sender) goes once more."""
    if known.file_sha256 != file.sha256:
        raise KeyReused(known.operation_id)
    again = known.state == "failed"
    if again:
        revived = submission.c.submission_id == known.submission_id
        connection.execute(
            update(submission).where(revived, submission.c.state == "failed").values(state="received", receipt=None)
        )
    audit.record(
        connection, actor, Right.SUBMIT, f"submission/{known.submission_id}", repeated=True, sha256=file.sha256
    )
    return Received(
        submission_id=known.submission_id,
        receipt_number=known.receipt_number,
        state="received" if again else known.state,
        repeated=True,
        must_run=again,
    )


def _enter(
    connection: Connection,
    actor: Actor,
    file: StoredFile,
    sending: Sending,
    operation_id: str,
    submission_id: UUID,
    number: str,
    place: str,
    now: datetime,
) -> bool:
    """Write the ledger row; False when a simultaneous sending of the same operation was first."""
    values = {
        "submission_id": submission_id,
        "receipt_number": number,
        "operation_id": operation_id,
        "organisation": sending.organisation,
        "record_type": sending.record_type,
        "period": sending.period,
        "kind": sending.kind,
        "door": sending.door,
        "actor": actor.name,
        "file_name": plain_name(sending.file_name),
        "file_size": file.size,
        "file_sha256": file.sha256,
        "stored_as": place,
        "dry_run": sending.dry_run,
        "state": "received",
        "received_at": now,
    }
    return connection.execute(_ONLY_ONCE, values).first() is not None


def plain_name(name: str) -> str:
    """A client's file name as a label: no folders, no control or direction characters, not too long. Never a path."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join(character for character in last if unicodedata.category(character) not in ("Cc", "Cf", "Cs"))
    return shown.strip()[-_LONGEST_NAME:] or "unnamed"


def _write_audit(
    connection: Connection, actor: Actor, sending: Sending, submission_id: UUID, file: StoredFile, *, repeated: bool
) -> None:
    audit.record(
        connection,
        actor,
        Right.SUBMIT,
        f"submission/{submission_id}",
        organisation=sending.organisation,
        record_type=sending.record_type,
        period=sending.period,
        size=file.size,
        sha256=file.sha256,
        repeated=repeated,
    )
