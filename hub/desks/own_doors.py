"""A unit's own doors at a glance: its keys, its folder, its channels, and what came through which door of late.

Names, dates, states and counts: no secret, no file's content, nobody's data; another unit's doors are not there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import Connection, any_, func, select

from hub.channels.declarations import BadChannel, Channel, load_channels
from hub.channels.loop import Shown
from hub.channels.standing import channels_standing
from hub.registry.machine_identity import ApiKey, key_of
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from hub.tables import account, api_key, submission
from mappings.catalogue import Catalogue

DAYS = 30
SOON = timedelta(days=30)
_ENDED_SHOWN = timedelta(days=90)

KeyState = Literal["usable", "ending", "expired", "revoked"]


class DoorKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key and how it stands; ``days``: until it ends, where that is soon."""

    key: ApiKey
    state: KeyState
    days: int | None


class OwnChannel(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as it stands; ``about``: the record type or the subscription it serves."""

    shown: Shown
    about: str
    every_seconds: int | None
    at: tuple[str, ...]
    silent_after_hours: float


class DoorCount(msgspec.Struct, frozen=True, kw_only=True):
    """What came through one door within the last thirty days."""

    door: str
    files: int
    rows: int
    refused: int  # whole files
    bad_rows: int
    last_at: datetime


class OwnDoors(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one unit's doors. ``channels_unread``: the declarations are wrong, nobody knows how they stand."""

    keys: list[DoorKey]
    ended: list[DoorKey]
    channels: list[OwnChannel]
    channels_unread: bool
    came: list[DoorCount]
    officers: list[str]  # who of the unit may ask for keys
    folders: list[str]  # below the unit's own drop folder, a record type each


def see_own_doors(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, now: datetime
) -> OwnDoors:
    """The doors of the actor's own organisation."""
    require(actor, Right.READ_OWN_DOORS)
    keys = [_standing(key, now) for key in _keys(connection, actor)]
    channels = _channels(connection, settings, catalogue, actor)
    return OwnDoors(
        keys=[one for one in keys if one.state in ("usable", "ending")],
        ended=[one for one in keys if one.state not in ("usable", "ending") and _lately(one.key, now)],
        channels=channels or [],
        channels_unread=channels is None,
        came=_came(connection, actor, now - timedelta(days=DAYS)),
        officers=_officers(connection, actor),
        folders=[one.code for one in catalogue.record_types.values() if one.enabled and _sends(actor, one.sources)],
    )


def _sends(actor: Actor, sources: tuple[str, ...] | list[str]) -> bool:
    return actor.organisation in sources or actor.kind in sources


def _keys(connection: Connection, actor: Actor) -> list[ApiKey]:
    own = select(api_key).where(api_key.c.organisation == actor.organisation)
    return [key_of(row) for row in connection.execute(own.order_by(api_key.c.kind, api_key.c.created_at.desc()))]


def _standing(key: ApiKey, now: datetime) -> DoorKey:
    left = key.expires_at - now if key.expires_at else None
    state: KeyState = "usable"
    if key.revoked_at is not None:
        state = "revoked"
    elif left is not None and left <= timedelta(0):
        state = "expired"
    elif left is not None and left <= SOON:
        state = "ending"
    return DoorKey(key=key, state=state, days=left.days if left is not None and state == "ending" else None)


def _lately(key: ApiKey, now: datetime) -> bool:
    ended = key.revoked_at or key.expires_at
    return ended is not None and now - ended <= _ENDED_SHOWN


def _channels(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor
) -> list[OwnChannel] | None:
    try:
        shown = channels_standing(connection, settings, catalogue, actor.organisation)
        declared = load_channels(settings, catalogue)
    except BadChannel:
        return None
    return [_channel(one, declared[one.channel]) for one in shown]


def _channel(shown: Shown, declared: Channel) -> OwnChannel:
    about = getattr(declared, "record_type", "") or getattr(declared, "subscription", "")
    return OwnChannel(
        shown=shown,
        about=about,
        every_seconds=declared.every_seconds,
        at=declared.at,
        silent_after_hours=declared.silent_after_hours,
    )


def _came(connection: Connection, actor: Actor, since: datetime) -> list[DoorCount]:
    its = submission.c
    query = (
        select(
            its.door,
            func.count().label("files"),
            func.coalesce(func.sum(its.received), 0).label("rows"),
            func.count().filter(its.state.in_(("refused", "failed"))).label("refused"),
            func.coalesce(func.sum(its.refused + its.held).filter(its.state == "merged"), 0).label("bad_rows"),
            func.max(its.received_at).label("last_at"),
        )
        .where(its.organisation == actor.organisation, its.received_at >= since, its.kind.in_(("regular", "backfill")))
        .group_by(its.door)
        .order_by(func.count().desc(), its.door)
    )
    return [DoorCount(**row._mapping) for row in connection.execute(query)]


def _officers(connection: Connection, actor: Actor) -> list[str]:
    its = account.c
    own = its.organisation == actor.organisation, its.disabled.is_(False), any_(its.roles) == "data_officer"
    return list(connection.scalars(select(its.name).where(*own).order_by(its.name)))
