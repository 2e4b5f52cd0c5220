"""Alarms of what is shared: opened once, told once, closed by themselves when what they say is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.casework.reminders import bureaus
from hub.database import new_uuid, run_sql
from hub.registry.permissions import Actor, Right
from hub.settings import Settings

AlarmKind = Literal["slice", "backlog", "source", "channel", "correction"]


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong now; ``tell``: who else is told, beside whose business it is."""

    kind: AlarmKind
    about: str  # subscription/<code>, source/<organisation>/<type>, channel/<name>, correction/<code>
    organisation: str
    since: datetime
    facts: dict[str, Any] = {}  # counts and times, never a person
    notice: str  # its kind of notice
    number: str = ""  # what the notice names
    items: int = 0
    tell: tuple[str, ...] = ()


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it is kept."""

    alarm_id: UUID
    kind: AlarmKind
    about: str
    organisation: str
    facts: dict[str, Any]
    since: datetime
    opened_at: datetime
    closed_at: datetime | None


def follow_alarms(
    connection: Connection,
    settings: Settings,
    actor: Actor,
    kinds: Sequence[AlarmKind],
    due: Sequence[Due],
    now: datetime,
) -> int:
    """Open what is new among ``due``, close what is no more of these kinds; how many were opened or closed.

    Two who look at the same time open it once: the index of open alarms lets one of them through.
    """
    opened = [alarm_id for one in due if (alarm_id := open_alarm(connection, settings, actor, one, now))]
    standing = [f"{one.kind} {one.about}" for one in due]
    closed = run_sql(connection, _OVER, kinds=list(kinds), standing=standing, now=now)
    if opened or closed:
        audit.record(connection, actor, Right.SYSTEM, "freshness", opened=len(opened), closed=len(closed))
    return len(opened) + len(closed)


_OVER = """
UPDATE {d}.freshness_alarm SET closed_at = :now
 WHERE closed_at IS NULL AND kind = ANY(CAST(:kinds AS text[])) AND kind || ' ' || about <> ALL(CAST(:standing AS text[]))
RETURNING alarm_id
"""


def open_alarm(connection: Connection, settings: Settings, actor: Actor, one: Due, now: datetime) -> UUID | None:
    """Open it and tell who is concerned; None where it is open already: then its facts are brought up to date."""
    kept = {"kind": one.kind, "about": one.about, "facts": msgspec.json.encode(one.facts).decode()}
    new = run_sql(
        connection, _OPENED, alarm_id=new_uuid(), organisation=one.organisation, since=one.since, now=now, **kept
    )
    if not new:
        run_sql(connection, _KEPT_UP, **kept)
        return None
    facts = Facts(number=one.number, items=one.items)
    told = dict.fromkeys((one.organisation, *one.tell, *bureaus(connection)))
    wanted = [Wanted(organisation=each, kind=one.notice, about=f"alarm/{new[0][0]}", facts=facts) for each in told]
    make_notices(connection, settings, actor, wanted, now)
    return UUID(str(new[0][0]))


_OPENED = """
INSERT INTO {d}.freshness_alarm (alarm_id, kind, about, organisation, facts, since, opened_at)
VALUES (:alarm_id, :kind, :about, :organisation, CAST(:facts AS jsonb), :since, :now)
ON CONFLICT (kind, about) WHERE closed_at IS NULL DO NOTHING RETURNING alarm_id
"""
_KEPT_UP = """
UPDATE {d}.freshness_alarm SET facts = CAST(:facts AS jsonb)
 WHERE closed_at IS NULL AND kind = :kind AND about = :about AND facts <> CAST(:facts AS jsonb)
"""


def list_alarms(connection: Connection, kinds: Sequence[AlarmKind] = (), *, most: int = 200) -> list[Alarm]:
    """Open alarms that row security lets through, the longest standing first."""
    rows = run_sql(connection, _OPEN, kinds=list(kinds), most=most)
    names = Alarm.__struct_fields__
    return [msgspec.convert(dict(zip(names, row, strict=True)), Alarm) for row in rows]


_OPEN = """
SELECT alarm_id, kind, about, organisation, facts, since, opened_at, closed_at FROM {d}.freshness_alarm
 WHERE closed_at IS NULL AND (cardinality(CAST(:kinds AS text[])) = 0 OR kind = ANY(CAST(:kinds AS text[])))
 ORDER BY since, alarm_id LIMIT :most
"""


def count_alarms(connection: Connection) -> list[tuple[str, int, datetime]]:
    """Open alarms by kind, and since when the oldest of them stands."""
    rows = run_sql(
        connection,
        "SELECT kind, count(*), min(since) FROM {d}.freshness_alarm WHERE closed_at IS NULL GROUP BY kind ORDER BY kind",
    )
    return [(str(kind), int(str(count)), since) for kind, count, since in rows]  # type: ignore[misc]
