"""One audit line: how an act is recorded, how the line is digested, what marks it as the hub's own."""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, TextClause, func, literal, text
from sqlalchemy.exc import SQLAlchemyError

from hub.database import district_of, new_uuid, utc_now
from hub.errors import HubError
from hub.tables import audit

# No pattern for telephone numbers: eleven digits may as well be a size or a count.
_IDENTITY_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")
_EARLIEST, _LATEST = (literal(datetime(year, 1, 1, tzinfo=UTC)) for year in (1000, 9000))


class AuditUnavailable(HubError):
    """无法写入审计，操作未执行，请通知信息中心。 The audit cannot be written, so nothing was done: tell the operators."""

    status, problem = 503, "audit-unavailable"


class Acting(Protocol):
    """What the audit needs to know of an actor (hub.registry.permissions.Actor)."""

    @property
    def name(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def door(self) -> str: ...


class AuditLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line as it is digested and exported. Left at its default, a field is not written: so lines from before there
    were addresses and marks keep their digest."""

    audit_id: UUID
    at: datetime
    actor: str
    organisation: str
    door: str
    act: str
    object: str
    outcome: str
    facts: Any  # an object, unless somebody edited it
    address: str = ""
    mac: bytes | None = None


def record(
    connection: Connection, actor: Acting, act: str, object: str, outcome: str = "done", **facts: object
) -> UUID:
    """Write one line, or raise AuditUnavailable: what cannot be recorded is not done.

    Facts are counts, codes and digests; an identity number among them is a programming error.
    """
    plain = msgspec.to_builtins(facts, str_keys=True)
    _refuse_personal(object, plain)
    line = AuditLine(
        audit_id=new_uuid(),
        at=utc_now(),
        actor=actor.name,
        organisation=actor.organisation,
        door=actor.door,
        act=str(act),
        object=object,
        outcome=outcome,
        facts=plain,
        address=getattr(actor, "address", ""),
    )
    _insert(connection, line)
    return line.audit_id


def _insert(connection: Connection, line: AuditLine) -> None:
    key: bytes | None = connection.get_execution_options().get("audit_key")
    mac = mac_of(key, line) if key else None
    written = msgspec.structs.asdict(line) | {"mac": mac, "facts": msgspec.json.encode(line.facts).decode()}
    try:
        connection.execute(_statement(district_of(connection)), written)
    except SQLAlchemyError as wrong:
        raise AuditUnavailable() from wrong


@functools.cache
def _statement(district: str) -> TextClause:
    """Every act pays for this statement: written once, not built anew for each line."""
    names = AuditLine.__struct_fields__
    values = ", ".join("CAST(:facts AS jsonb)" if name == "facts" else f":{name}" for name in names)
    return text(f"INSERT INTO {district}.audit ({', '.join(names)}) VALUES ({values})")


def _refuse_personal(object: str, facts: object) -> None:
    written = object + " " + msgspec.json.encode(facts).decode()
    if _IDENTITY_NUMBER.search(written):
        raise AssertionError("an audit line must not carry an identity number")


def digest_of(ids: Iterable[object]) -> str:
    """Which records were read, without naming them: sha256 of their ids, sorted, a line each."""
    return hashlib.sha256("\n".join(sorted(map(str, ids))).encode()).hexdigest()


def canonical(line: AuditLine) -> bytes:
    """The one way to write a line: what is digested, marked and exported."""
    return msgspec.json.encode(line, order="sorted")


def mac_of(key: bytes, line: AuditLine) -> bytes:
    """The hub's mark on a line: HMAC-SHA256 over all of it but the mark. Who has the database alone cannot make it."""
    bare = line if line.mac is None else msgspec.structs.replace(line, mac=None)
    return hmac.digest(key, canonical(bare), "sha256")


# ---- lines as the database gives them ----


def readable(instant: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """An edited instant may be one that Python has no datetime for; it is verified like any other edit."""
    return func.least(func.greatest(instant, _EARLIEST), _LATEST)


LINE = [readable(audit.c.at).label("at") if name == "at" else audit.c[name] for name in AuditLine.__struct_fields__]


def line_of(row: Row[Any]) -> AuditLine:
    return AuditLine(**{**row._mapping, "at": row.at.astimezone(UTC)})
