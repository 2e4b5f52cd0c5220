"""The auditor checks the audit from the panel: how far it is sealed and anchored, and whether anything was changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.audit import Anchored
from hub.database import Database
from hub.keyring import Keyring
from hub.operations.audit_anchors import written_anchors
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings

LINES_AT_ONCE = 100_000  # what one request looks at; about three seconds


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far the audit is sealed, and what of it stands outside the database."""

    seal_no: int
    link: str  # hexadecimal; "": nothing sealed yet
    sealed_at: datetime | None
    anchors: int
    last_anchor: Anchored | None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One check: over which seals, and what it found."""

    after_seal: int  # 0: from the first
    since: datetime | None  # of the anchor it began behind
    to_seal: int
    lines: int
    findings: tuple[str, ...]


def audit_standing(connection: Connection, settings: Settings, keyring: Keyring, actor: Actor) -> Standing:
    """Read from the newest seal and the file of anchors; nothing is checked."""
    require(actor, Right.READ_AUDIT)
    head = audit.head(connection)
    anchors, _ = audit.read_anchors(written_anchors(settings), keyring.public_keys)
    return Standing(
        seal_no=head[0] if head else 0,
        link=head[1].hex() if head else "",
        sealed_at=audit.last_sealed_at(connection),
        anchors=len(anchors),
        last_anchor=anchors[-1] if anchors else None,
    )


def check_audit(
    database: Database, settings: Settings, keyring: Keyring, actor: Actor, at_once: int = LINES_AT_ONCE
) -> Checked:
    """Walk the newest lines from a signed anchor, or all of them where they are few; the check itself is noted."""
    require(actor, Right.READ_AUDIT)
    anchors, wrong = audit.read_anchors(written_anchors(settings), keyring.public_keys)
    with database.begin(isolation="REPEATABLE READ") as connection:
        checked = _walk(connection, keyring, anchors, wrong, at_once)
    with database.begin() as connection:
        facts: dict[str, Any] = {"after_seal": checked.after_seal, "to_seal": checked.to_seal}
        audit.record(connection, actor, Right.READ_AUDIT, "audit/verification", findings=len(checked.findings), **facts)
    return checked


def _walk(
    connection: Connection, keyring: Keyring, anchors: Sequence[Anchored], wrong: list[str], at_once: int
) -> Checked:
    start = _where_to_begin(connection, anchors, at_once)
    if start is None:
        findings = audit.verify(connection, key=keyring.audit_key, published=anchors)
    else:
        findings = audit.verify_since(connection, start, keyring.audit_key, anchors)
    after, head = start.seal_no if start else 0, audit.head(connection)
    return Checked(
        after_seal=after,
        since=start.date if start else None,
        to_seal=head[0] if head else 0,
        lines=audit.lines_after(connection, after),
        findings=tuple(wrong + findings),
    )


def _where_to_begin(connection: Connection, anchors: Sequence[Anchored], at_once: int) -> Anchored | None:
    """The oldest anchor behind which few enough lines stand; none where all of them are few, or nothing is anchored."""
    if not anchors or audit.lines_after(connection, 0) <= at_once:
        return None
    total = anchors[-1].lines
    return next((one for one in anchors if total - one.lines <= at_once), anchors[-1])
