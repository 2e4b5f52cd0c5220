"""Sealing: the committed lines not yet sealed are digested in batches, each batch linked to the one before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, Uuid, any_, exists, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from hub.audit.lines import LINE, AuditLine, canonical, line_of, readable
from hub.tables import audit, audit_seal

ROWS_PER_SEAL = 5_000
LATEST_COMMIT = timedelta(hours=1)  # a line is committed within this time of its instant: transactions are limited
FIRST_LINK = bytes(32)
_SEALER = 7_215_001  # advisory lock: one sealer at a time
_SEALS_AT_ONCE = 20
_NO_ID = UUID(int=0)

Anchor = tuple[int, bytes]  # seal number and its link, as printed outside the hub


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of lines and its link to the batch before."""

    seal_no: int
    audit_ids: tuple[UUID, ...]
    content: bytes
    link: bytes
    sealed_at: datetime

    def follows(self, previous: bytes) -> bool:
        """Whether it was linked to that one. The first hubs did not link the instant of sealing."""
        links = (link_of(previous, self.seal_no, self.content, at) for at in (self.sealed_at, None))
        return self.link in links


def seal(connection: Connection, now: datetime) -> int:
    """Seal every committed line not yet sealed; the number of lines sealed."""
    connection.execute(select(func.pg_advisory_xact_lock(_SEALER)))
    sealed = 0
    with connection.execute(_unsealed(connection), execution_options={"yield_per": ROWS_PER_SEAL}) as rows:
        for some in rows.partitions():
            _write_seal(connection, [line_of(row) for row in some], now)
            sealed += len(some)
    return sealed


def _write_seal(connection: Connection, lines: Sequence[AuditLine], now: datetime) -> None:
    number, link = head(connection) or (0, FIRST_LINK)
    content = content_of(canonical(line) for line in lines)
    sealed_at = max(now, last_sealed_at(connection) or now)  # a clock set back does not put seals out of order
    row = {
        "seal_no": number + 1,
        "audit_ids": [line.audit_id for line in lines],
        "content": content,
        "link": link_of(link, number + 1, content, sealed_at),
        "sealed_at": sealed_at,
    }
    connection.execute(insert(audit_seal), [row])


def head(connection: Connection) -> Anchor | None:
    """The newest seal's number and link: what the daily bulletin prints."""
    newest = select(audit_seal.c.seal_no, audit_seal.c.link).order_by(audit_seal.c.seal_no.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return (row.seal_no, bytes(row.link)) if row else None


def lines_sealed(connection: Connection) -> int:
    """How many lines all seals hold together, archived ones included."""
    total = select(func.coalesce(func.sum(func.cardinality(audit_seal.c.audit_ids)), 0))
    return int(connection.execute(total).scalar_one())


def content_of(lines: Iterable[bytes]) -> bytes:
    """Digest of the lines in order, each in its canonical form."""
    digest = hashlib.sha256()
    for written in lines:
        digest.update(len(written).to_bytes(8, "big"))
        digest.update(written)
    return digest.digest()


def link_of(previous: bytes, seal_no: int, content: bytes, sealed_at: datetime | None = None) -> bytes:
    """The seal's link: sha256 over the link before, the number, the content and the instant of sealing."""
    instant = sealed_at.astimezone(UTC).isoformat(timespec="microseconds").encode() if sealed_at else b""
    return hashlib.sha256(previous + seal_no.to_bytes(8, "big", signed=True) + content + instant).digest()


# ---- what is sealed and what is not ----


def last_sealed_at(connection: Connection) -> datetime | None:
    last: datetime | None = connection.execute(select(func.max(readable(audit_seal.c.sealed_at)))).scalar_one()
    return last


def _unsealed(connection: Connection) -> Select[Any]:
    """Lines in no seal. Only recent ones can be: older lines in no seal are findings of ``verify``, never sealed."""
    last = last_sealed_at(connection)
    if last is None:
        query = select(*LINE)
    else:
        recent_seals = audit_seal.c.sealed_at >= last - 2 * LATEST_COMMIT
        query = select(*LINE).where(audit.c.at >= last - LATEST_COMMIT, _in_no_seal(recent_seals))
    return query.order_by(audit.c.at, audit.c.audit_id)


def _in_no_seal(among: ColumnElement[bool]) -> ColumnElement[bool]:
    """NOT EXISTS, not NOT IN: an anti-join keeps its speed when the ids no longer fit into memory."""
    sealed = select(func.unnest(audit_seal.c.audit_ids).label("audit_id")).where(among).subquery()
    return ~exists().where(sealed.c.audit_id == audit.c.audit_id)


def loose_lines(connection: Connection) -> Iterator[AuditLine]:
    """Every line in no seal, waiting or smuggled in."""
    query = select(*LINE).where(_in_no_seal(literal(True))).order_by(audit.c.at)
    yield from map(line_of, connection.execute(query, execution_options={"yield_per": ROWS_PER_SEAL}))


def waiting_lines(connection: Connection) -> Iterator[AuditLine]:
    """Lines that the next seal will take."""
    yield from map(line_of, connection.execute(_unsealed(connection), execution_options={"yield_per": ROWS_PER_SEAL}))


def lines_after(connection: Connection, seal_no: int) -> int:
    """How many lines the seals behind this one hold."""
    total = select(func.coalesce(func.sum(func.cardinality(audit_seal.c.audit_ids)), 0))
    return int(connection.execute(total.where(audit_seal.c.seal_no > seal_no)).scalar_one())


def is_too_old(line: AuditLine, last: datetime | None) -> bool:
    """Too old to be waiting for a seal."""
    return last is not None and line.at < last - LATEST_COMMIT


def seals(connection: Connection, after: int | None = None) -> Iterator[Seal]:
    """Every seal in order, a few at a time."""
    last = after
    while some := _some_seals(connection, last):
        yield from map(_seal, some)
        last = some[-1].seal_no


def _some_seals(connection: Connection, after: int | None) -> Sequence[Any]:
    columns = [each for each in audit_seal.c if each is not audit_seal.c.sealed_at]
    query = (
        select(*columns, readable(audit_seal.c.sealed_at).label("sealed_at"))
        .order_by(audit_seal.c.seal_no)
        .limit(_SEALS_AT_ONCE)
    )
    further = query if after is None else query.where(audit_seal.c.seal_no > after)
    return connection.execute(further).all()


def _seal(row: Row[Any]) -> Seal:
    return Seal(
        seal_no=row.seal_no,
        audit_ids=tuple(each if isinstance(each, UUID) else _NO_ID for each in row.audit_ids),
        content=bytes(row.content),
        link=bytes(row.link),
        sealed_at=row.sealed_at,
    )


def written_lines(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """The lines of a seal that are there, each in its canonical form."""
    rows = connection.execute(select(*LINE).where(audit.c.audit_id == any_(literal(list(ids), ARRAY(Uuid)))))
    return {row.audit_id: canonical(line_of(row)) for row in rows}
