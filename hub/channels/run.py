"""What every run of a channel has at hand, what it hands back, and how it fails."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from adapters.outbound import Resolve, look_up
from hub.database import Database
from hub.errors import HubError
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from mappings.catalogue import Catalogue


class ChannelFailed(HubError):
    """通道本次未完成。 The channel did not work this time."""

    status, problem = 502, "channel-failed"

    def __init__(
        self, detail: str = "", *, pause: float | None = None, alarm: bool = False, disable: bool = False
    ) -> None:
        self.pause, self.alarm, self.disable = pause, alarm, disable
        super().__init__(detail)


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did. ``look_again``: seconds after which there may be more, sooner than the timetable has it."""

    taken: int = 0  # files, rows, pages or messages
    receipts: tuple[str, ...] = ()
    waiting: int = 0  # not settled yet, or left for the next run
    look_again: float | None = None
    spoke: bool = True  # with the other side at all: only then an alarm is over


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """The hub as a channel sees it; ``database`` is the worker's."""

    database: Database
    settings: Settings
    catalogue: Catalogue
    keyring: Keyring
    resolve: Resolve = look_up

    @property
    def feed(self) -> FeedContext:
        return FeedContext(self.catalogue, self.keyring, self.settings.page_window)


def sender(connection: Connection, name: str, organisation: str, door: str) -> Actor:
    """The organisation's channel sends for it, and for nobody else."""
    return _actor(connection, name, organisation, door, Right.SUBMIT)


def reader(connection: Connection, name: str, organisation: str) -> Actor:
    """The organisation's channel pulls its own subscriptions."""
    return _actor(connection, name, organisation, "channel", Right.PULL_SLICE)


def _actor(connection: Connection, name: str, organisation: str, door: str, right: Right) -> Actor:
    known = load_organisation(connection, organisation)
    if not known.enabled:
        raise ChannelFailed(f"{organisation}: 已停用 disabled")
    return Actor(
        name=f"channel:{name}", organisation=organisation, kind=known.kind, door=door, rights=frozenset({right})
    )
