"""Notices: each made once, shown to its unit until somebody there has read it, laid down to be sent where that is set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, true

from hub import audit
from hub.casework.notice_words import NOTICE_KINDS, Facts, Way
from hub.database import new_uuid, run_sql, utc_now
from hub.errors import NotFound
from hub.registry.list_order import Order, behind, place_of_row
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from hub.tables import notice

READERS = (Right.READ_SUBMISSION, Right.READ_ROUND)  # every desk, and the bureau's leader
MARKERS = (Right.READ_SUBMISSION, Right.WORK_CHALLENGE)  # whoever does the work: a leader's look hides nothing


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that is due. It is made unless its unit was told of the same, at the same level, before."""

    organisation: str
    kind: str
    about: str
    level: int = 0
    facts: Facts = Facts()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One notice as its unit reads it."""

    notice_id: UUID
    organisation: str
    kind: str
    about: str
    level: int
    facts: Facts
    made_at: datetime
    read_at: datetime | None
    read_by: str | None


# ---- making them ----


def make_notices(
    connection: Connection, settings: Settings, actor: Actor, wanted: Sequence[Wanted], now: datetime
) -> int:
    """Make those that are new, with a line to send for every contact and way; how many were new."""
    made = [one for one in wanted if _make_notice(connection, settings, one, actor, now)]
    if made:
        audit.record(connection, actor, Right.SYSTEM, "notices", made=len(made))
    return len(made)


def _make_notice(connection: Connection, settings: Settings, one: Wanted, actor: Actor, now: datetime) -> bool:
    facts = msgspec.json.encode(one.facts).decode()
    told = {name: getattr(one, name) for name in ("organisation", "kind", "about", "level")}
    new = run_sql(connection, _MADE, notice_id=new_uuid(), facts=facts, now=now, **told)
    if not new:
        return False
    for way in ways_of(settings, one.kind):
        run_sql(connection, _LAID_DOWN[way], notice_id=new[0][0], organisation=one.organisation, now=now)
    return True


_MADE = """
INSERT INTO {d}.notice (notice_id, organisation, kind, about, level, facts, made_at)
VALUES (:notice_id, :organisation, :kind, :about, :level, CAST(:facts AS jsonb), :now)
ON CONFLICT ON CONSTRAINT uq_notice_once DO NOTHING RETURNING notice_id
"""
_LAID_DOWN: dict[Way, str] = {
    "mail": """
INSERT INTO {d}.notice_sending (notice_id, way, address, next_at)
SELECT DISTINCT CAST(:notice_id AS uuid), 'mail', mail, CAST(:now AS timestamptz) FROM {d}.contact
 WHERE organisation = :organisation AND mail <> ''
""",
    "sms": """
INSERT INTO {d}.notice_sending (notice_id, way, address, next_at)
SELECT DISTINCT CAST(:notice_id AS uuid), 'sms', phone, CAST(:now AS timestamptz) FROM {d}.contact
 WHERE organisation = :organisation AND phone <> ''
""",
}


def ways_of(settings: Settings, kind: str) -> list[Way]:
    """How a kind of notice goes out here: what the site has set up."""
    set_up: dict[Way, bool] = {"mail": bool(settings.mail.host), "sms": bool(settings.sms.url)}
    known = NOTICE_KINDS.get(kind)
    return [way for way in known.ways if set_up[way]] if known else []


# ---- reading them ----


def list_notices(
    connection: Connection,
    actor: Actor,
    *,
    unread: bool = False,
    before: UUID | None = None,
    limit: int = 50,
    organisation: str = "",
    sort: str = "-made_at",
) -> list[Notice]:
    """One's own unit's, newest first unless another of NOTICE_ORDERS is asked for; at the hub's own machine any unit's."""
    require(actor, *READERS, Right.OPERATE)
    own = notice.c.organisation == _unit_of(actor, organisation)
    wanted = select(notice).where(own, notice.c.read_at.is_(None) if unread else true())
    last = connection.execute(select(notice).where(own, notice.c.notice_id == before)).one_or_none() if before else None
    if before and last is None:
        return []
    place = place_of_row(last, NOTICE_ORDERS, sort, notice.c.notice_id) if last else None
    rows = connection.execute(behind(wanted, NOTICE_ORDERS, sort, notice.c.notice_id, place).limit(limit)).all()
    names = Notice.__struct_fields__
    return [msgspec.convert({name: getattr(row, name) for name in names}, Notice, strict=False) for row in rows]


NOTICE_ORDERS: dict[str, Order] = {"made_at": notice.c.made_at, "title": (notice.c.kind, notice.c.made_at)}


def count_unread(connection: Connection, actor: Actor) -> int:
    """How many of one's own unit nobody there has read; none for who has no notices."""
    if not any(actor.may(right) for right in READERS):
        return 0
    counted = run_sql(
        connection,
        "SELECT count(*) FROM {d}.notice WHERE organisation = :organisation AND read_at IS NULL",
        organisation=actor.organisation,
    )
    return int(str(counted[0][0]))


def mark_read(connection: Connection, actor: Actor, notice_id: UUID | None = None) -> int:
    """Read, for the whole unit: one notice (NotFound if it is not the unit's), or all; how many were unread."""
    require(actor, *MARKERS)
    marked = run_sql(
        connection, _MARKED, organisation=actor.organisation, one=notice_id, now=utc_now(), actor=actor.name
    )
    if notice_id is not None and not marked and not _is_there(connection, actor, notice_id):
        raise NotFound("没有这条提醒。 No such notice.")
    if marked:
        audit.record(connection, actor, Right.READ_SUBMISSION, f"notice/{notice_id or 'all'}", read=len(marked))
    return len(marked)


_MARKED = """
UPDATE {d}.notice SET read_at = :now, read_by = :actor
 WHERE organisation = :organisation AND read_at IS NULL
   AND (CAST(:one AS uuid) IS NULL OR notice_id = CAST(:one AS uuid))
RETURNING notice_id
"""


def _is_there(connection: Connection, actor: Actor, notice_id: UUID) -> bool:
    there = "SELECT 1 FROM {d}.notice WHERE notice_id = :one AND organisation = :organisation"
    return bool(run_sql(connection, there, one=notice_id, organisation=actor.organisation))


def _unit_of(actor: Actor, organisation: str) -> str:
    return organisation if organisation and actor.may(Right.OPERATE) else actor.organisation


# ---- of a round ----


def reminded(connection: Connection, month: str) -> dict[str, tuple[int, datetime]]:
    """Of each town that was reminded of the month's round: the highest level, and when it was told last."""
    rows = run_sql(connection, _REMINDED, round=f"round/{month}")
    return {str(organisation): (int(str(level)), last) for organisation, level, last in rows}  # type: ignore[misc]


_REMINDED = """
SELECT n.organisation, max(n.level), max(n.made_at) FROM {d}.notice n
 WHERE (n.about = :round OR starts_with(n.about, :round || '/')) AND n.level > 0
   AND n.kind IN ('due_soon', 'overdue', 'escalated')
 GROUP BY n.organisation
"""
