"""Who did what to which: one line an act, in the act's own transaction; sealed in linked batches afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, exists, func, insert, literal, select

from hub.database import new_uuid, utc_now
from hub.tables import audit, audit_seal

ROWS_PER_SEAL = 5_000
LATEST_COMMIT = timedelta(hours=1)  # a line is committed within this time of its instant: transactions are limited
FIRST_LINK = bytes(32)
_SEALER = 7_215_001  # advisory lock: one sealer at a time
_IDENTITY_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")

Anchor = tuple[int, bytes]  # seal number and its link, as printed outside the hub


class Acting(Protocol):
    """What the audit needs to know of an actor (hub.registry.permissions.Actor)."""

    @property
    def name(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def door(self) -> str: ...


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as it is digested and exported."""

    audit_id: UUID
    at: datetime
    actor: str
    organisation: str
    door: str
    act: str
    object: str
    outcome: str
    facts: dict[str, Any]


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of lines and its link to the batch before."""

    seal_no: int
    audit_ids: tuple[UUID, ...]
    content: bytes
    link: bytes
    sealed_at: datetime


class Exported(msgspec.Struct, frozen=True):
    """One line of an exported audit file."""

    seal: Seal | None = None
    line: AuditLine | None = None


_EXPORTED = msgspec.json.Decoder(Exported)


def record(
    connection: Connection, actor: Acting, act: str, object: str, outcome: str = "done", **facts: object
) -> UUID:
    """Write one line. Facts are counts, codes and digests; an identity number among them is a programming error."""
    plain = msgspec.to_builtins(facts)
    _refuse_personal(object, plain)
    audit_id = new_uuid()
    who = {"actor": actor.name, "organisation": actor.organisation, "door": actor.door}
    what = {"act": str(act), "object": object, "outcome": outcome, "facts": plain}
    connection.execute(insert(audit), [{"audit_id": audit_id, "at": utc_now()} | who | what])
    return audit_id


def _refuse_personal(object: str, facts: object) -> None:
    written = object + " " + msgspec.json.encode(facts).decode()
    if _IDENTITY_NUMBER.search(written):
        raise AssertionError("an audit line must not carry an identity number")


def seal(connection: Connection, now: datetime) -> int:
    """Seal every committed line not yet sealed; the number of lines sealed."""
    connection.execute(select(func.pg_advisory_xact_lock(_SEALER)))
    sealed = 0
    while lines := _unsealed(connection, ROWS_PER_SEAL):
        _write_seal(connection, lines, now)
        sealed += len(lines)
    return sealed


def _write_seal(connection: Connection, lines: Sequence[AuditLine], now: datetime) -> None:
    number, link = head(connection) or (0, FIRST_LINK)
    content = content_of(lines)
    row = {
        "seal_no": number + 1,
        "audit_ids": [line.audit_id for line in lines],
        "content": content,
        "link": link_of(link, number + 1, content),
        "sealed_at": now,
    }
    connection.execute(insert(audit_seal), [row])


def head(connection: Connection) -> Anchor | None:
    """The newest seal's number and link: what the daily bulletin prints."""
    newest = select(audit_seal.c.seal_no, audit_seal.c.link).order_by(audit_seal.c.seal_no.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return (row.seal_no, bytes(row.link)) if row else None


def content_of(lines: Iterable[AuditLine]) -> bytes:
    """Digest of the lines in order, each in its canonical form."""
    digest = hashlib.sha256()
    for line in lines:
        written = msgspec.json.encode(line, order="sorted")
        digest.update(len(written).to_bytes(8, "big") + written)
    return digest.digest()


def link_of(previous: bytes, seal_no: int, content: bytes) -> bytes:
    """The seal's link: sha256 over the link before, the number and the content."""
    return hashlib.sha256(previous + seal_no.to_bytes(8, "big") + content).digest()


def verify(connection: Connection, anchor: Anchor | None = None) -> list[str]:
    """What was edited, deleted or inserted since it was sealed; empty when the audit is whole."""
    seals = _seals(connection)
    found = _broken_links(seals, anchor)
    for one in seals:
        found += _broken_content(one, _lines_by_id(connection, one.audit_ids))
    return found + [_inserted(line) for line in _smuggled(connection)]


def export(connection: Connection) -> Iterator[bytes]:
    """The sealed audit as JSON lines: each seal, then its lines. ``verify_export`` needs nothing else."""
    for one in _seals(connection):
        yield msgspec.json.encode({"seal": one})
        lines = _lines_by_id(connection, one.audit_ids)
        yield from (msgspec.json.encode({"line": lines[each]}) for each in one.audit_ids if each in lines)


def verify_export(exported: Iterable[bytes], anchor: Anchor | None = None) -> list[str]:
    """The same findings from an exported file, away from the hub."""
    seals: list[Seal] = []
    lines: dict[UUID, AuditLine] = {}
    for each in map(_EXPORTED.decode, exported):
        if each.seal:
            seals.append(each.seal)
        if each.line:
            lines[each.line.audit_id] = each.line
    found = _broken_links(seals, anchor)
    for one in seals:
        found += _broken_content(one, lines)
    return found + [_inserted(lines[each]) for each in lines.keys() - {i for one in seals for i in one.audit_ids}]


def _broken_links(seals: Sequence[Seal], anchor: Anchor | None) -> list[str]:
    found: list[str] = []
    link = FIRST_LINK
    for number, one in enumerate(seals, start=1):
        if one.seal_no != number:
            return [*found, f"存证 {number} 缺失。 Seal {number} is missing."]
        if one.link != link_of(link, number, one.content):
            found.append(f"存证 {number} 与前一存证不衔接。 Seal {number} does not follow from the one before.")
        link = one.link
    return found + _broken_anchor(seals, anchor)


def _broken_anchor(seals: Sequence[Seal], anchor: Anchor | None) -> list[str]:
    if anchor is None or any((one.seal_no, one.link) == anchor for one in seals):
        return []
    return [f"已公布的存证 {anchor[0]} 不在其中。 The published seal {anchor[0]} is not among them."]


def _broken_content(one: Seal, lines: Mapping[UUID, AuditLine]) -> list[str]:
    missing = [each for each in one.audit_ids if each not in lines]
    if missing:
        return [f"存证 {one.seal_no}：审计 {each} 已被删除。 Audit line {each} was deleted." for each in missing]
    if content_of(lines[each] for each in one.audit_ids) != one.content:
        return [f"存证 {one.seal_no} 的审计内容被改动。 A line of seal {one.seal_no} was edited."]
    return []


def _inserted(line: AuditLine) -> str:
    return f"审计 {line.audit_id}（{line.at:%Y-%m-%d %H:%M:%S}）系事后插入。 It was inserted afterwards."


# ---- the lines, in the database ----

_LINE = [audit.c[name] for name in AuditLine.__struct_fields__]


def _line(row: Row[Any]) -> AuditLine:
    line = msgspec.convert(row, AuditLine, from_attributes=True)
    return msgspec.structs.replace(line, at=line.at.astimezone(UTC))


def _last_sealed_at(connection: Connection) -> datetime | None:
    last: datetime | None = connection.execute(select(func.max(audit_seal.c.sealed_at))).scalar_one()
    return last


def _unsealed(connection: Connection, limit: int) -> list[AuditLine]:
    """Lines in no seal. Only recent ones can be: older lines in no seal are findings of ``verify``, never sealed."""
    last = _last_sealed_at(connection)
    if last is None:
        query = select(*_LINE).where(_in_no_seal(literal(True)))
    else:
        recent_seals = audit_seal.c.sealed_at >= last - 2 * LATEST_COMMIT
        query = select(*_LINE).where(audit.c.at >= last - LATEST_COMMIT, _in_no_seal(recent_seals))
    ordered = query.order_by(audit.c.at, audit.c.audit_id).limit(limit)
    return [_line(row) for row in connection.execute(ordered)]


def _in_no_seal(among: ColumnElement[bool]) -> ColumnElement[bool]:
    """NOT EXISTS, not NOT IN: an anti-join keeps its speed when the ids no longer fit into memory."""
    sealed = select(func.unnest(audit_seal.c.audit_ids).label("audit_id")).where(among).subquery()
    return ~exists().where(sealed.c.audit_id == audit.c.audit_id)


def _smuggled(connection: Connection) -> list[AuditLine]:
    """Lines in no seal, too old to be waiting for one."""
    last = _last_sealed_at(connection)
    if last is None:
        return []
    query = select(*_LINE).where(audit.c.at < last - LATEST_COMMIT, _in_no_seal(literal(True)))
    return [_line(row) for row in connection.execute(query)]


def _seals(connection: Connection) -> list[Seal]:
    rows = connection.execute(select(audit_seal).order_by(audit_seal.c.seal_no))
    return [
        Seal(
            seal_no=row.seal_no,
            audit_ids=tuple(row.audit_ids),
            content=bytes(row.content),
            link=bytes(row.link),
            sealed_at=row.sealed_at,
        )
        for row in rows
    ]


def _lines_by_id(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, AuditLine]:
    rows = connection.execute(select(*_LINE).where(audit.c.audit_id.in_(ids)))
    return {row.audit_id: _line(row) for row in rows}
