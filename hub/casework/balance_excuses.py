"""Differences of the month's account are let pass with a reason, and taken back, as long as the month is open."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from hub import audit
from hub.casework import balance_sql as statements
from hub.casework.balance import district_area, refuse_unless_drawn
from hub.database import run_sql
from hub.errors import BadRequest, NotFound
from hub.registry.areas import load_area_index
from hub.registry.masking import mask_within
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import balance_movement

_LEAST, _MOST = 4, 200  # characters of a reason


def excuse(
    connection: Connection,
    actor: Actor,
    month: str,
    reason: str,
    now: datetime,
    *,
    person_id: UUID | None = None,
    town: int | None = None,
) -> int:
    """Let the unexplained lines of one person, or all that touch one town, pass with a reason; how many."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    said = said_reason(reason)
    if (person_id is None) == (town is None):
        raise BadRequest("请指定一人或一个镇街。 Name one person or one town.")
    refuse_unless_drawn(connection, month)
    excused = _mark_excused(connection, actor, month, said, now, person_id, town)
    if not excused:
        raise NotFound("没有需要说明的差异。 There is no difference of theirs to explain.")
    statements.let_pass(connection, month, district_area(load_area_index(connection)))
    facts = {"person": str(person_id) if person_id else None, "town": town, "reason": said}
    audit.record(connection, actor, Right.MANAGE_ROUND, f"balance/{month}", "done", excused=excused, **facts)
    return excused


def take_back_excuse(connection: Connection, actor: Actor, month: str, reason: str, person_id: UUID | None) -> int:
    """What was let pass of one person stands unexplained again, as long as the month is open; how many lines."""
    require(actor, Right.MANAGE_ROUND, Right.OPERATE)
    said = said_reason(reason)
    refuse_unless_drawn(connection, month)
    refuse_unless_there(connection, month, person_id, "excused")
    rows = run_sql(
        connection,
        "UPDATE {d}.balance_movement SET kind = 'unexplained', reason = split_part(reason, ' ', 1), excused_by = NULL,"
        " excused_at = NULL WHERE month = :month AND kind = 'excused' AND person_id = CAST(:person AS uuid) RETURNING 1",
        month=month, person=person_id,
    )  # fmt: skip
    if not rows:  # closed between the look and this statement
        raise NotFound("没有此人的这种差异，可能已经办过，请刷新。 There is no such difference of theirs: reload.")
    statements.let_pass(connection, month, district_area(load_area_index(connection)))
    facts = {"person": str(person_id), "reason": said}
    audit.record(connection, actor, Right.MANAGE_ROUND, f"balance/{month}", "done", taken_back=len(rows), **facts)
    return len(rows)


def refuse_unless_there(connection: Connection, month: str, person_id: UUID | None, kind: str) -> None:
    """NotFound unless the person has a line of this kind in the month: somebody else was quicker, or it is settled."""
    its = balance_movement.c
    mine = select(its.movement_id).where(its.month == month, its.kind == kind, its.person_id == person_id)
    if person_id is None or connection.execute(mine.limit(1)).first() is None:
        raise NotFound(
            "没有此人的这种差异，可能已经办过，请刷新。 There is no such difference of theirs: reload.", person=""
        )


def said_reason(reason: str) -> str:
    """The reason as it is kept; BadRequest where it is none."""
    said = mask_within(" ".join(reason.split()))
    if not _LEAST <= len(said) <= _MOST:
        raise BadRequest("请用 4 至 200 个字写明理由。 Say why, in 4 to 200 characters.", reason="")
    return said


def _mark_excused(
    connection: Connection, actor: Actor, month: str, said: str, now: datetime, person: UUID | None, town: int | None
) -> int:
    rows = run_sql(
        connection,
        """
        UPDATE {d}.balance_movement m SET kind = 'excused', reason = m.reason || ' ' || :said, excused_by = :by,
               excused_at = :now
        WHERE m.month = :month AND m.kind = 'unexplained'
          AND (m.person_id = CAST(:person AS uuid) OR EXISTS (
                SELECT 1 FROM {d}.area_place p
                WHERE p.area_id IN (m.from_area, m.to_area) AND p.town_id = CAST(:town AS integer)))
        RETURNING 1
        """,
        said=said,
        by=actor.name,
        now=now,
        month=month,
        person=person,
        town=town,
    )
    return len(rows)
