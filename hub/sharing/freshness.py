"""How fresh what is shared is: slices that stand still, sources that are silent, channels that fail, copies that differ."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, true

from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.scope import is_care_only
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.registry.working_days import Calendar, load_calendar
from hub.settings import Settings
from hub.sharing import freshness_sql
from hub.sharing.alarms import Due, follow_alarms
from hub.sharing.correction_watch import watch_corrections
from hub.sharing.entries import Entry, entries_of
from hub.sharing.freshness_sql import READER, ChannelStand, Standing
from hub.sharing.slice_changes import SliceChange, changes_behind
from mappings.catalogue import Catalogue

# An expected frequency in working days; what comes as it comes is never silent.
EXPECTED_DAYS = {"realtime": 1, "daily": 1, "weekly": 5, "monthly": 22}
_NAMED = 5  # record types one notice names
_FAR_BACK = timedelta(days=90)  # whoever spoke before that is looked up by itself
_A_LOOK = 20_000  # log rows one look at one subscription may read
_ROWS_OF_ITS_OWN = 500


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription's reader: what waits for it, since when, and its target. ``more``: the count goes on."""

    code: str
    title: str
    organisation: str
    providers: tuple[str, ...]
    target_hours: int
    waiting: int = 0
    more: bool = False
    oldest_at: datetime | None = None  # of the oldest change nobody has fetched; None: nothing waits
    fetched_at: datetime | None = None
    acknowledged_at: datetime | None = None
    mismatches: int = 0
    stale: bool = False


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A source of one record type: when it spoke last, by when it should have, whether it is silent."""

    organisation: str
    record_type: str
    frequency: str
    last_at: datetime | None
    expected_on: date | None  # the last day on which it is not silent yet; None: it may be
    silent: bool


# ---- watched ----


def watch_freshness(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> int:
    """Open and close the alarms; how many changed. Every few minutes, as often as one likes, by several at once."""
    freshness_sql.watch_alone(connection)
    due = [
        *_stale_slices(connection, settings, catalogue, now),
        *_silent_sources(connection, settings, catalogue, now),
        *_failing_channels(freshness_sql.channel_stands(connection, settings), settings, now),
    ]
    changed = follow_alarms(connection, settings, SYSTEM_ACTOR, ("slice", "source", "channel"), due, now)
    return changed + watch_corrections(connection, settings, catalogue, now)


def _stale_slices(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> Iterator[Due]:
    mine = _in_force(list_subscriptions(connection, true()), settings, now)
    places = freshness_sql.standings(connection, [one.subscription_id for one in mine])
    looked, differing = freshness_sql.looked_at(connection), freshness_sql.mismatches(connection)
    untils = _overdue_until(connection, {target_of(one, settings) for one in mine}, now)
    for one in mine:
        standing = places[one.subscription_id]
        until = untils[target_of(one, settings)]
        oldest = _oldest_overdue(connection, catalogue, one, standing, looked, until, now)
        if oldest is not None:
            facts = {"target_hours": target_of(one, settings), "fetched_to": standing.fetched_to, "first": oldest.seq}
            yield _of_slice(one, f"subscription/{one.code}", "slice_stale", oldest.recorded_at, facts)
        if one.subscription_id in differing:
            count, since = differing[one.subscription_id]
            about = f"subscription/{one.code}/acknowledgement"
            yield _of_slice(one, about, "acknowledgement_differs", since, {"mismatches": count}, count)


def _in_force(subscriptions: Iterable[Subscription], settings: Settings, now: datetime) -> list[Subscription]:
    today = now.astimezone(ZoneInfo(settings.time_zone)).date()
    return [
        one for one in subscriptions if one.state == "active" and one.organisation_enabled and not one.expired(today)
    ]


def target_of(one: Subscription, settings: Settings) -> int:
    """Hours a change may wait for this subscription's reader; 0: no target."""
    return settings.sharing.freshness_hours if one.freshness_hours is None else one.freshness_hours


def _of_slice(
    one: Subscription, about: str, notice: str, since: datetime, facts: dict[str, int], items: int = 0
) -> Due:
    return Due(
        kind="slice", about=about, organisation=one.organisation, since=since, facts=facts, notice=notice,
        number=one.code, items=items, tell=one.providers,
    )  # fmt: skip


def _overdue_until(connection: Connection, targets: Iterable[int], now: datetime) -> dict[int, int]:
    """Target in hours -> the last number of the log that is older; without a target nothing is."""
    return {
        hours: freshness_sql.seq_until(connection, now - timedelta(hours=hours)) if hours else 0 for hours in targets
    }


def _oldest_overdue(
    connection: Connection, catalogue: Catalogue, one: Subscription, standing: Standing, looked: dict[str, int],
    until: int, now: datetime,
) -> SliceChange | None:  # fmt: skip
    """The oldest change of the slice that waits beyond the target, if any does. What was read in vain is not read again."""
    name = f"{READER}{one.subscription_id}"
    after = max(standing.fetched_to, looked.get(f"{name} {standing.epoch}", 0))
    if until <= after:
        return None
    upper = min(until, after + _A_LOOK)
    behind = changes_behind(connection, catalogue, one.definition, after, upper, _ROWS_OF_ITS_OWN)
    reached = behind.changes[0].seq - 1 if behind.changes else behind.reached
    if reached > after:
        freshness_sql.note_looked_at(connection, name, standing.epoch, reached, now)
    return behind.changes[0] if behind.changes else None


# ---- sources ----


def _silent_sources(connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime) -> Iterator[Due]:
    """One alarm a record type; what an organisation never sent at all is one alarm together."""
    zone, never = ZoneInfo(settings.time_zone), defaultdict[str, list[Heard]](list)
    for one in sources_heard(connection, settings, catalogue, now):
        if one.silent and one.last_at is None:
            never[one.organisation].append(one)
        elif one.silent:
            yield _of_source([one], f"source/{one.organisation}/{one.record_type}", zone)
    for organisation, silent in never.items():
        yield _of_source(silent, f"source/{organisation}", zone)


def _of_source(silent: list[Heard], about: str, zone: ZoneInfo) -> Due:
    first = min(one.expected_on for one in silent if one.expected_on is not None)
    since = datetime.combine(first + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)
    codes = [one.record_type for one in silent]
    facts = {"frequency": silent[0].frequency} if len(silent) == 1 else {"record_types": codes}
    return Due(
        kind="source", about=about, organisation=silent[0].organisation, since=since, facts=facts,
        notice="source_silent", number="、".join(codes[:_NAMED]) + (" …" if len(codes) > _NAMED else ""),
    )  # fmt: skip


def sources_heard(
    connection: Connection, settings: Settings, catalogue: Catalogue, now: datetime, *, care: bool = False
) -> list[Heard]:
    """The provider of every published entry, and when it last sent that record type; what is care's alone for care alone."""
    types = [one for one in catalogue.record_types.values() if one.enabled and (care or not is_care_only(one))]
    entries = entries_of(connection, [one.code for one in types])
    heard = freshness_sql.heard_since(connection, now - _FAR_BACK)
    heard |= freshness_sql.heard_ever(
        connection, {(one.provider, code) for code, one in entries.items()} - heard.keys()
    )
    calendar, zone = load_calendar(settings), ZoneInfo(settings.time_zone)
    found = []
    for code, entry in sorted(entries.items()):
        last = heard.get((entry.provider, code))
        found.append(_heard(entry, last, calendar, zone, settings.sharing.silence_tolerance, now))
    return found


def _heard(
    entry: Entry, last: datetime | None, calendar: Calendar, zone: ZoneInfo, tolerance: float, now: datetime
) -> Heard:
    """Silent from the day after the last one it had; who never sent anything, from its first expected day."""
    expected = EXPECTED_DAYS.get(entry.frequency)
    until = None
    if expected is not None:
        spoke = (last or entry.published_at).astimezone(zone).date()
        until = calendar.after(spoke, math.ceil(expected * tolerance) if last else expected)
    return Heard(
        organisation=entry.provider, record_type=entry.record_type, frequency=entry.frequency, last_at=last,
        expected_on=until, silent=until is not None and now.astimezone(zone).date() > until,
    )  # fmt: skip


# ---- channels ----


def _failing_channels(stands: Iterable[ChannelStand], settings: Settings, now: datetime) -> Iterator[Due]:
    for one in stands:
        failing = one.failures >= settings.sharing.channel_failures
        if failing or one.alarmed_at is not None or one.disabled:
            facts = {"failures": one.failures, "disabled": one.disabled, "last_success": one.last_succeeded_at}
            yield Due(
                kind="channel", about=f"channel/{one.name}", organisation=one.organisation,
                since=one.last_succeeded_at or one.alarmed_at or one.last_tried_at or now, facts=facts,
                notice="channel_failing", number=one.name, items=one.failures,
            )  # fmt: skip


# ---- shown ----


def lags(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    subscriptions: Iterable[Subscription],
    now: datetime,
) -> list[Lag]:
    """What waits for each of these readers, the stalest first; counted up to a bound."""
    mine = _in_force(subscriptions, settings, now)
    places = freshness_sql.standings(connection, [one.subscription_id for one in mine])
    differing = freshness_sql.mismatches(connection)
    _, last_seq = freshness_sql.head(connection)
    found = [
        _lag(connection, settings, catalogue, one, places[one.subscription_id], last_seq, differing, now)
        for one in mine
    ]
    return sorted(found, key=lambda lag: (not lag.stale, lag.oldest_at or now, lag.code))


def _lag(
    connection: Connection, settings: Settings, catalogue: Catalogue, one: Subscription,
    standing: Standing, last_seq: int, differing: dict[UUID, tuple[int, datetime]], now: datetime,
) -> Lag:  # fmt: skip
    upper = min(last_seq, standing.fetched_to + _A_LOOK)
    behind = changes_behind(connection, catalogue, one.definition, standing.fetched_to, upper, _ROWS_OF_ITS_OWN)
    oldest = behind.changes[0].recorded_at if behind.changes else None
    target = target_of(one, settings)
    return Lag(
        code=one.code, title=one.title, organisation=one.organisation, providers=one.providers, target_hours=target,
        waiting=len(behind.changes), more=behind.reached < last_seq and bool(behind.changes), oldest_at=oldest,
        fetched_at=standing.fetched_at, acknowledged_at=standing.acknowledged_at,
        mismatches=differing.get(one.subscription_id, (0, now))[0],
        stale=bool(target and oldest and now - oldest > timedelta(hours=target)),
    )  # fmt: skip
