"""One subscription as its page shows it: terms, what waits, what was delivered and taken along, what happened to it."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.exchange.redelivery import Delivery, list_deliveries
from hub.exchange.slices import current_epoch
from hub.registry.permissions import Actor
from hub.registry.subscriptions import Subscription, load_subscription
from hub.sharing.backlog import Backlog, count_undelivered, load_backlog, may_count, visible_types
from hub.sharing.export_list import Export, list_exports
from mappings.catalogue import Catalogue


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to it, and why."""

    what: str
    reason: str
    by: str
    at: datetime


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page; ``countable`` says whether the viewer may know how many changes there were."""

    subscription: Subscription
    backlog: Backlog
    types: list[str]
    countable: bool
    undelivered: int | None
    epoch: str
    deliveries: list[Delivery]
    exports: list[Export]
    events: list[Event]


def view_subscription(
    connection: Connection, actor: Actor, catalogue: Catalogue, code: str, *, before: int | None = None, limit: int = 20
) -> SubscriptionView:
    """As receiver, provider or overseer; NotFound for everybody else. Exports are the receiver's and the bureau's."""
    backlog = load_backlog(connection, actor, catalogue, code)
    subscription = load_subscription(connection, code)
    epoch, countable = current_epoch(connection, subscription), may_count(actor, catalogue, backlog)
    return SubscriptionView(
        subscription=subscription, backlog=backlog, types=visible_types(actor, catalogue, backlog), countable=countable,
        epoch=epoch, deliveries=list_deliveries(connection, subscription, epoch, before=before, limit=limit + 1),
        exports=list_exports(connection, subscription) if countable else [], events=_events_of(connection, subscription),
        undelivered=count_undelivered(connection, actor, catalogue, backlog),
    )  # fmt: skip


def _events_of(connection: Connection, subscription: Subscription) -> list[Event]:
    rows = run_sql(
        connection,
        'SELECT what, reason, "by", at FROM {d}.subscription_event WHERE subscription_id = :subscription'
        " ORDER BY at DESC, event_id DESC",
        subscription=subscription.subscription_id,
    )
    return [msgspec.convert(dict(zip(Event.__struct_fields__, row, strict=True)), Event) for row in rows]
