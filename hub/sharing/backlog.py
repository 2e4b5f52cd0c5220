"""What of each slice is not delivered, not fetched, not acknowledged: for both sides and for who oversees.

Nothing that is undelivered is ever dropped: it waits in the change log until its reader comes. What a slice holds of
types that are clinical by existing is counted for care alone; a provider sees counts only where all of them are its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.database import run_sql
from hub.errors import NotFound
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import require
from hub.registry.scope import counting, is_care_only, oversees
from hub.registry.slice_definition import SliceDefinition
from hub.registry.working_days import Calendar, load_calendar
from hub.settings import Settings
from mappings.catalogue import Catalogue

_WARN_BEFORE = 1  # working days


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription's, in its current epoch. ``*_changes`` are None for whoever may not know how many there are."""

    subscription_id: UUID
    code: str
    title: str
    organisation: str
    organisation_kind: str
    state: str
    expires_on: date | None
    providers: list[str]
    definition: SliceDefinition
    log_behind: int | None  # rows of the change log since the last delivery, of all types: at most so many undelivered
    last_delivered_at: datetime | None
    unfetched: int  # deliveries
    unfetched_changes: int | None
    unfetched_since: datetime | None
    unacknowledged: int  # fetched, not acknowledged
    unacknowledged_changes: int | None
    unacknowledged_since: datetime | None
    mismatches: int
    mismatch_since: datetime | None

    @property
    def oldest(self) -> datetime | None:
        """Since when something that was delivered waits for its receiver."""
        return min((at for at in (self.unfetched_since, self.unacknowledged_since) if at), default=None)


def list_backlogs(connection: Connection, actor: Actor, catalogue: Catalogue, *, code: str = "") -> list[Backlog]:
    """As receiver one's own, as provider those that name one's types, for who oversees all of them; by code."""
    require(actor, Right.READ_SHARING, Right.OPERATE, Right.SYSTEM)
    rows = run_sql(
        connection, _BACKLOGS, everybody=oversees(actor), own=actor.organisation, one=code or None,
    )  # fmt: skip
    return [_for_viewer(_backlog(row), actor, catalogue) for row in rows]


def load_backlog(connection: Connection, actor: Actor, catalogue: Catalogue, code: str) -> Backlog:
    """One of those; NotFound for what is nobody's business."""
    found = list_backlogs(connection, actor, catalogue, code=code)
    if not found:
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.")
    return found[0]


def may_count(actor: Actor, catalogue: Catalogue, one: Backlog) -> bool:
    """Whether the viewer may know how many changes a delivery held."""
    if actor.organisation == one.organisation:
        return True
    types = (each.record_type for each in one.definition.record_types)
    if actor.kind != "care" and any(is_care_only(catalogue.record_types[each]) for each in types):
        return actor.may(Right.SYSTEM)
    return oversees(actor) or one.providers == [actor.organisation]


def visible_types(actor: Actor, catalogue: Catalogue, one: Backlog) -> list[str]:
    """The record types of the slice; outside care not even the name of one that is clinical by existing."""
    named = [each.record_type for each in one.definition.record_types]
    if actor.kind == "care":
        return named
    return [each for each in named if not is_care_only(catalogue.record_types[each])]


def count_undelivered(connection: Connection, actor: Actor, catalogue: Catalogue, one: Backlog) -> int | None:
    """Log rows of the slice's types and areas behind its last delivery, some of which may say nothing to the slice.

    None for whoever may not know.
    """
    if not may_count(actor, catalogue, one):
        return None
    types = [each.record_type for each in one.definition.record_types]
    everywhere, areas = one.definition.areas is None, list(one.definition.areas or ())
    with counting(connection, actor, types):
        rows = run_sql(
            connection, _UNDELIVERED, subscription=one.subscription_id, types=types, areas=areas, everywhere=everywhere
        )  # fmt: skip
    return int(str(rows[0][0]))


_BACKLOGS = """
SELECT s.subscription_id, s.code, s.title, s.organisation, o.kind, s.state, v.expires_on, s.providers, v.definition,
       greatest(h.last_seq - coalesce(d.to_seq, s.start_seq), 0), d.delivered_at,
       coalesce(d.unfetched, 0), coalesce(d.unfetched_changes, 0), d.unfetched_since,
       coalesce(d.unacknowledged, 0), coalesce(d.unacknowledged_changes, 0), d.unacknowledged_since,
       coalesce(d.mismatches, 0), d.mismatch_since
  FROM {d}.subscription s
  JOIN {d}.subscription_version v ON v.subscription_id = s.subscription_id AND v.version = s.version
  JOIN shared.organisation o ON o.code = s.organisation
 CROSS JOIN {d}.feed_head h
  LEFT JOIN LATERAL (
       SELECT max(to_seq) AS to_seq, max(delivered_at) AS delivered_at,
              count(*) FILTER (WHERE fetched_at IS NULL AND count > 0) AS unfetched,
              sum(count) FILTER (WHERE fetched_at IS NULL AND count > 0) AS unfetched_changes,
              min(delivered_at) FILTER (WHERE fetched_at IS NULL AND count > 0) AS unfetched_since,
              count(*) FILTER (WHERE waits) AS unacknowledged, sum(count) FILTER (WHERE waits) AS unacknowledged_changes,
              min(delivered_at) FILTER (WHERE waits) AS unacknowledged_since,
              count(*) FILTER (WHERE mismatch) AS mismatches, min(delivered_at) FILTER (WHERE mismatch) AS mismatch_since
         FROM (SELECT *, fetched_at IS NOT NULL AND acknowledged_at IS NULL AND count > 0 AS waits FROM {d}.delivery) p
        WHERE p.subscription_id = s.subscription_id AND p.epoch = h.epoch || '.' || s.epoch
       ) d ON true
 WHERE (:everybody OR s.organisation = :own OR :own = ANY (s.providers))
   AND s.code = coalesce(CAST(:one AS text), s.code)
 ORDER BY s.code
"""
_UNDELIVERED = """
SELECT count(*) FROM {d}.change_log l
 WHERE l.seq > (SELECT coalesce(max(d.to_seq), s.start_seq) FROM {d}.subscription s CROSS JOIN {d}.feed_head h
                  LEFT JOIN {d}.delivery d ON d.subscription_id = s.subscription_id
                       AND d.epoch = h.epoch || '.' || s.epoch
                 WHERE s.subscription_id = :subscription GROUP BY s.start_seq)
   AND l.record_type = ANY (CAST(:types AS text[]))
   AND (:everywhere OR l.areas_before && CAST(:areas AS integer[]) OR l.areas_after && CAST(:areas AS integer[]))
"""


def _backlog(row: tuple[Any, ...]) -> Backlog:
    return msgspec.convert(dict(zip(Backlog.__struct_fields__, row, strict=True)), Backlog, strict=False)


def _for_viewer(one: Backlog, actor: Actor, catalogue: Catalogue) -> Backlog:
    if may_count(actor, catalogue, one):
        return one
    return msgspec.structs.replace(one, log_behind=None, unfetched_changes=None, unacknowledged_changes=None)


# ---- notices: one working day before it is too late ----


def make_backlog_notices(connection: Connection, settings: Settings, now: datetime, catalogue: Catalogue) -> int:
    """Warn receiver and providers of deliveries that are about to wait too long; each once. How many were new. Hourly."""
    calendar, zone = load_calendar(settings), ZoneInfo(settings.time_zone)
    wanted = [
        notice
        for one in list_backlogs(connection, SYSTEM_ACTOR, catalogue)
        if one.state == "active"
        for notice in _warnings(one, calendar, settings.sharing.acknowledge_days, zone, now)
    ]
    return make_notices(connection, settings, SYSTEM_ACTOR, wanted, now)


def _warnings(one: Backlog, calendar: Calendar, days: int, zone: ZoneInfo, now: datetime) -> Iterator[Wanted]:
    today = now.astimezone(zone).date()
    for kind, since, items in (
        ("deliveries_unfetched", one.unfetched_since, one.unfetched),
        ("deliveries_unacknowledged", one.unacknowledged_since, one.unacknowledged),
    ):
        if since is None:
            continue
        delivered = since.astimezone(zone).date()
        if today >= calendar.after(delivered, max(days - _WARN_BEFORE, 0)):
            facts = Facts(items=items, due_on=calendar.after(delivered, days), number=one.code)
            for told in dict.fromkeys((one.organisation, *one.providers)):
                yield Wanted(organisation=told, kind=kind, about=f"{kind}/{one.code}/{delivered}", facts=facts)
