"""Freshness as one organisation may see it: its own slices and sources; who oversees, all of them. Counts and times."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, true

from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.slice_definition import SliceDefinition
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.settings import Settings
from hub.sharing.alarms import Alarm, list_alarms
from hub.sharing.freshness import Heard, Lag, lags, sources_heard
from hub.sharing.freshness_sql import ChannelStand, channel_stands
from hub.sharing.slice_changes import open_sharing, types_for
from mappings.catalogue import Catalogue


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What one reader sees. ``channels`` only at the hub's own machine; elsewhere those that alarm."""

    lags: tuple[Lag, ...]
    sources: tuple[Heard, ...]
    alarms: tuple[Alarm, ...]
    channels: tuple[ChannelStand, ...] = ()


def read_freshness(
    connection: Connection, actor: Actor, settings: Settings, catalogue: Catalogue, now: datetime
) -> Freshness:
    """Lags, sources and open alarms that are this actor's business. The transaction is widened: nothing else belongs in it."""
    require(actor, Right.READ_SHARING, Right.OPERATE)
    shown = _open_shown(connection, actor, catalogue)
    sources = sources_heard(connection, settings, catalogue, now, care=actor.kind == "care")
    return Freshness(
        lags=tuple(lags(connection, settings, catalogue, shown, now)),
        sources=tuple(one for one in sources if sees_all_sources(actor) or one.organisation == actor.organisation),
        alarms=tuple(_shown_alarms(connection, actor, shown)),
        channels=tuple(channel_stands(connection, settings)) if actor.may(Right.OPERATE) else (),
    )


def read_alarms(connection: Connection, actor: Actor, catalogue: Catalogue) -> list[Alarm]:
    """Only the alarms that ``read_freshness`` shows, at a fraction of its cost. The transaction is widened likewise."""
    require(actor, Right.READ_SHARING, Right.OPERATE)
    return _shown_alarms(connection, actor, _open_shown(connection, actor, catalogue))


def _open_shown(connection: Connection, actor: Actor, catalogue: Catalogue) -> list[Subscription]:
    types = types_for(actor, catalogue)
    open_sharing(connection, actor, types)
    mine = [one for one in list_subscriptions(connection, true()) if _concerns(actor, one.organisation, *one.providers)]
    return [cut for one in mine if (cut := _without_care(one, types))]


def _shown_alarms(connection: Connection, actor: Actor, shown: list[Subscription]) -> list[Alarm]:
    codes = {one.code for one in shown}
    return [one for one in list_alarms(connection) if _is_shown(actor, one, codes)]


def sees_all_sources(actor: Actor) -> bool:
    return actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)


def sees_all(actor: Actor) -> bool:
    """Who oversees, and who runs the machines: lags and channels of everybody."""
    return sees_all_sources(actor) or actor.kind == "information_centre"


def _concerns(actor: Actor, *organisations: str) -> bool:
    return sees_all(actor) or actor.organisation in organisations


def _without_care(one: Subscription, types: list[str]) -> Subscription | None:
    """The subscription as this reader may know of it; None where nothing of it is left."""
    left = tuple(each for each in one.definition.record_types if each.record_type in types)
    return msgspec.structs.replace(one, definition=SliceDefinition(left, one.definition.areas)) if left else None


def _is_shown(actor: Actor, one: Alarm, codes: set[str]) -> bool:
    if one.kind == "source" and not sees_all_sources(actor):
        return one.organisation == actor.organisation
    parts = one.about.split("/")
    return _concerns(actor, one.organisation) or (one.kind != "channel" and parts[1] in codes)
