"""Corrections nobody acknowledged in time become alarms; who has the old value in a file alone is told so.

Two readers of the change log inside the hub: one at its head, for the files; one as many working days behind as a
receiver has. Each looks at a change once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, true

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted as WantedNotice
from hub.casework.notices import make_notices
from hub.database import run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing import freshness_sql
from hub.sharing.alarms import Due, follow_alarms, list_alarms
from hub.sharing.correction_log import Wanted, find_corrections, open_types
from hub.sharing.corrections import FanOut, Receiver, fan_out
from mappings.catalogue import Catalogue

LATE, FILES = "corrections/late", "corrections/files"
AT_ONCE = 500  # corrections one look may follow
_ROWS = 50_000  # of the log


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """Corrections of one subscription that are not acknowledged in time: how many were found so, the first and the last."""

    items: int
    first_seq: int
    last_seq: int


def watch_corrections(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> int:
    """Follow what is new for both readers; how many alarms and notices that made or ended."""
    freshness_sql.watch_alone(connection)
    return _watch_late(connection, settings, catalogue, now) + _watch_files(connection, settings, catalogue, now)


# ---- not acknowledged in time ----


def open_corrections(
    connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime, older_than: int | None = None
) -> list[FanOut]:
    """Corrections that some receiver of the old value has not acknowledged after so many working days, the newest first.

    Looks at the newest ``AT_ONCE`` among the last ``_ROWS`` changes before that day.
    """
    upto = freshness_sql.seq_until(connection, _days_ago(settings, now, older_than))
    wanted = Wanted(types=open_types(catalogue), after=max(0, upto - _ROWS), upto=upto, newest_first=True, most=AT_ONCE)
    return [one for one in fan_out(connection, catalogue, find_corrections(connection, catalogue, wanted)) if one.open]


def _watch_late(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> int:
    subscriptions = {one.code: one for one in list_subscriptions(connection, true()) if one.state != "ended"}
    acknowledged = {
        standing.subscription_id: standing.acknowledged_to
        for standing in freshness_sql.standings(
            connection, (one.subscription_id for one in subscriptions.values())
        ).values()
    }
    late = _still_late(connection, subscriptions, acknowledged)
    for code, found in _newly_late(connection, settings, catalogue, subscriptions, acknowledged, now).items():
        late[code] = _together(late.get(code), found)
    due = [_due(subscriptions[code], one, now) for code, one in late.items()]
    return follow_alarms(connection, settings, SYSTEM_ACTOR, ("correction",), due, now)


def _still_late(
    connection: Connection, subscriptions: dict[str, Subscription], acknowledged: dict[UUID, int]
) -> dict[str, Late]:
    """Open alarms whose last correction is not acknowledged yet."""
    standing = {}
    for one in list_alarms(connection, ("correction",), most=10_000):
        code = one.about.removeprefix("correction/")
        late = msgspec.convert(one.facts, Late)
        if code in subscriptions and acknowledged[subscriptions[code].subscription_id] < late.last_seq:
            standing[code] = late
    return standing


def _newly_late(
    connection: Connection, settings: Settings, catalogue: Catalogue, subscriptions: dict[str, Subscription],
    acknowledged: dict[UUID, int], now: datetime,
) -> dict[str, Late]:  # fmt: skip
    """What has become too old since the last look, by subscription. Who has acknowledged all of it is not asked about."""
    until = freshness_sql.seq_until(connection, _days_ago(settings, now, None))
    behind = {one.subscription_id for one in subscriptions.values() if acknowledged[one.subscription_id] < until}
    found: dict[str, Late] = {}
    for each in _look_once(connection, catalogue, LATE, until, behind, now):
        for receiver in each.receivers:
            if receiver.is_open and receiver.way == "feed":
                seq = each.correction.seq
                found[receiver.code] = _together(found.get(receiver.code), Late(items=1, first_seq=seq, last_seq=seq))
    return found


def _together(known: Late | None, more: Late) -> Late:
    if known is None:
        return more
    first, last = min(known.first_seq, more.first_seq), max(known.last_seq, more.last_seq)
    return Late(items=known.items + more.items, first_seq=first, last_seq=last)


def _due(one: Subscription, late: Late, now: datetime) -> Due:
    return Due(
        kind="correction", about=f"correction/{one.code}", organisation=one.organisation, since=now,
        facts=msgspec.to_builtins(late), notice="correction_unacknowledged", number=one.code, items=late.items,
        tell=one.providers,
    )  # fmt: skip


def _days_ago(settings: Settings, now: datetime, days: int | None) -> datetime:
    """The end of the last day after which more than so many working days have passed by now."""
    calendar, zone = load_calendar(settings), ZoneInfo(settings.time_zone)
    today = day = now.astimezone(zone).date()
    allowed = settings.sharing.correction_days if days is None else days
    while calendar.between(day, today) <= allowed:
        day -= timedelta(days=1)
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)


# ---- received by a file alone ----


def _watch_files(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> int:
    """Who has exported the old value and does not get the change by the feed: which file, how many of its records."""
    exporting = {one for (one,) in run_sql(connection, "SELECT DISTINCT subscription_id FROM {d}.slice_export")}
    _, last_seq = freshness_sql.head(connection)
    counts: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    upto = 0
    for each in _look_once(connection, catalogue, FILES, last_seq, exporting, now):  # type: ignore[arg-type]
        upto = max(upto, each.correction.seq)
        for one in _by_file(each.receivers):
            counts[one.organisation, one.export_no].add(each.correction.record_id)
    wanted = [
        WantedNotice(
            organisation=organisation, kind="export_corrected", about=f"export/{export_no}/{upto}",
            facts=Facts(number=export_no, items=len(records)),
        )
        for (organisation, export_no), records in counts.items()
    ]  # fmt: skip
    return make_notices(connection, settings, SYSTEM_ACTOR, wanted, now)


def _by_file(receivers: Iterable[Receiver]) -> list[Receiver]:
    return [one for one in receivers if one.way == "export"]


# ---- both ----


def _look_once(
    connection: Connection, catalogue: Catalogue, reader: str, until: int, subscriptions: set[UUID], now: datetime
) -> list[FanOut]:
    """Corrections behind the reader's place up to ``until``, with these subscriptions as receivers; then it moves on."""
    epoch, _ = freshness_sql.head(connection)
    after = freshness_sql.reader_position(connection, reader)
    upto = min(until, after + _ROWS) if subscriptions else until
    if upto <= after:
        return []
    found = []
    if subscriptions:
        found = find_corrections(
            connection, catalogue, Wanted(types=open_types(catalogue), after=after, upto=upto, most=AT_ONCE)
        )
    reached = found[-1].seq if len(found) == AT_ONCE else upto
    freshness_sql.note_looked_at(connection, reader, epoch, reached, now)
    return fan_out(connection, catalogue, found, only=lambda one: one.subscription_id in subscriptions)
