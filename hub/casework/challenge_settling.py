"""Challenges that settle themselves: the source has sent the record anew, or voided it, or registered what was missing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, case, func, update

from hub import audit
from hub.casework.challenges import STANDING
from hub.casework.town_finds import find_registered
from hub.database import run_sql
from hub.registry.permissions import Actor, Right
from hub.tables import challenge
from mappings.catalogue import Catalogue, RecordType


def settle_by_itself(connection: Connection, actor: Actor, catalogue: Catalogue, now: datetime) -> int:
    """Close what the register itself has answered since; how many challenges."""
    settled: dict[str, set[UUID]] = {
        "registered": find_registered(connection, catalogue),
        "corrected": set(),
        "voided": set(),
    }
    for record_type in _challenged_types(connection, catalogue):
        for challenge_id, voided in _find_answered(connection, record_type):
            settled["voided" if voided else "corrected"].add(challenge_id)
    counts: dict[str, Any] = {
        how: _close_settled(connection, those, how, now) for how, those in settled.items() if those
    }
    if counts:
        audit.record(connection, actor, Right.WORK_CHALLENGE, "challenges", what="settled", **counts)
    return sum(counts.values())


def _challenged_types(connection: Connection, catalogue: Catalogue) -> list[RecordType]:
    rows = run_sql(
        connection,
        "SELECT DISTINCT record_type FROM {d}.challenge WHERE record_id IS NOT NULL AND state = ANY(:states)",
        states=list(STANDING),
    )
    known = (catalogue.record_types.get(str(code)) for (code,) in rows)
    return [one for one in known if one is not None and one.enabled]


def _find_answered(connection: Connection, record_type: RecordType) -> list[tuple[UUID, bool]]:
    """Challenges of records whose source has spoken since they were marked, and whether it voided them.

    What the hub does to a record by itself (its person, its areas) leaves the digest of its content as it was.
    """
    code = record_type.code
    another = [f"r.{role.role}_ref IS DISTINCT FROM b.{role.role}_ref" for role in record_type.people[:1]]
    rows = run_sql(
        connection,
        f"""
        SELECT c.challenge_id, r.voided FROM {{d}}.challenge c
        JOIN {{d}}.rec_{code} r ON r.record_id = c.record_id AND r.version > c.opened_version
        JOIN {{d}}.ver_{code} b ON b.record_id = c.record_id AND b.version = c.opened_version
        WHERE c.record_type = '{code}' AND c.state = ANY(:states) AND CASE
            WHEN r.voided THEN EXISTS (
                SELECT 1 FROM {{d}}.ver_{code} v WHERE v.record_id = r.record_id AND v.version > c.opened_version
                AND v.voided AND v.row_no > 0)
            WHEN r.content_digest = b.content_digest THEN false
            WHEN c.kind = 'value' THEN c.field = '' OR to_jsonb(r) ->> c.field IS DISTINCT FROM to_jsonb(b) ->> c.field
            WHEN c.kind = 'elsewhere' THEN r.areas <> b.areas
            WHEN c.kind = 'nobody' THEN {" OR ".join(another) or "true"}
            ELSE true END
        """,
        states=list(STANDING),
    )
    return cast(list[tuple[UUID, bool]], rows)


def _close_settled(connection: Connection, challenges: Collection[UUID], how: str, now: datetime) -> int:
    """An answer the source gave itself stays; where it gave none, what it did is the answer."""
    its = challenge.c
    silent = its.state == "open"
    done = connection.execute(
        update(challenge)
        .where(its.challenge_id.in_(list(challenges)), its.state.in_(STANDING))
        .values(
            state="closed", closed_at=now, closed_by="hub", answer=case((silent, how), else_=its.answer),
            answered_at=func.coalesce(its.answered_at, now), answered_by=func.coalesce(its.answered_by, "hub"),
        )
        .returning(its.challenge_id)
    )  # fmt: skip
    return len(done.all())
