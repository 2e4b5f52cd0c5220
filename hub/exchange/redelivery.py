"""What was delivered under a subscription, in the order of its numbers; and the same pages again, word for word."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, CursorGone, NotFound
from hub.exchange.slices import FeedContext, KeptRange, Page, current_epoch, derive_page, open_subscription
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import Subscription, load_subscription

MOST_REPLAYED = 20_000  # changes of one answer: the rest is asked for by its numbers


class NotDelivered(BadRequest):
    """这些编号还没有下发，请先读取变动。 These numbers have not been delivered yet: read the changes first."""

    problem = "not-delivered"


class NotReplayed(CursorGone):
    """这些编号不能重放，请取全量后续传。 These numbers cannot be replayed: take the snapshot, then go on."""

    problem = "not-replayed"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, without what was in it."""

    page_no: int
    kind: str  # page snapshot
    epoch: str
    definition_version: int
    from_seq: int
    to_seq: int
    first_delivery_no: int
    count: int
    digest: str
    delivered_at: datetime
    fetched_at: datetime | None
    fetched_by: str | None
    acknowledged_at: datetime | None
    mismatch: bool

    @property
    def last_delivery_no(self) -> int:
        return self.first_delivery_no + self.count - 1


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Kept pages again; ``rest`` is the first number that did not fit into this answer."""

    pages: list[Page]
    rest: int | None


_COLUMNS = ", ".join(Delivery.__struct_fields__)


def load_own(connection: Connection, actor: Actor, code: str) -> Subscription:
    """One's own subscription, whatever its state; another's looks as if it did not exist."""
    require(actor, Right.PULL_SLICE)
    found = load_subscription(connection, code)
    if actor.organisation not in (found.organisation, "hub"):
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.")
    return found


def list_deliveries(
    connection: Connection, subscription: Subscription, epoch: str, *, before: int | None = None, limit: int = 50
) -> list[Delivery]:
    """Of one epoch, newest first; ``before`` is the page number behind which the list goes on."""
    rows = run_sql(
        connection,
        f"SELECT {_COLUMNS} FROM {{d}}.delivery WHERE subscription_id = :subscription AND epoch = :epoch"
        " AND page_no < coalesce(CAST(:before AS integer), 2147483647) ORDER BY page_no DESC LIMIT :limit",
        subscription=subscription.subscription_id,
        epoch=epoch,
        before=before,
        limit=limit,
    )
    return [_delivery(row) for row in rows]


def replay_pages(
    connection: Connection, actor: Actor, context: FeedContext, code: str, first: int, last: int,
    epoch: str | None = None,
) -> Replay:  # fmt: skip
    """The kept pages that hold the numbers from ``first`` to ``last``, each as it was delivered, its digest the same."""
    subscription = open_subscription(connection, actor, context, code)
    now = current_epoch(connection, subscription)
    if epoch not in (None, now):
        raise _gone(subscription, f"epoch {epoch}")
    kept = _kept_between(connection, subscription, now, first, last)
    taken = _as_many_as_fit(kept)
    pages = [derive_page(connection, context, subscription, now, _range(one)) for one in taken]
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, replayed_from=taken[0].first_delivery_no,
        replayed_to=taken[-1].last_delivery_no, count=sum(page.count for page in pages), purpose=subscription.purpose,
    )  # fmt: skip
    return Replay(pages=pages, rest=taken[-1].last_delivery_no + 1 if len(taken) < len(kept) else None)


def _kept_between(
    connection: Connection, subscription: Subscription, epoch: str, first: int, last: int
) -> list[Delivery]:
    if not 1 <= first <= last:
        raise BadRequest(f"{first}-{last}: 编号应从小到大，从 1 起。 Numbers begin with 1 and go up.")
    rows = run_sql(
        connection,
        f"SELECT {_COLUMNS} FROM {{d}}.delivery WHERE subscription_id = :subscription AND epoch = :epoch AND count > 0"
        " AND first_delivery_no <= :last AND first_delivery_no + count > :first ORDER BY page_no",
        subscription=subscription.subscription_id,
        epoch=epoch,
        first=first,
        last=last,
    )
    kept = [_delivery(row) for row in rows]
    if not kept or kept[-1].last_delivery_no < last:
        raise NotDelivered(f"{first}-{last}")
    if whole := next((one for one in kept if one.kind == "snapshot"), None):
        raise _gone(subscription, f"{whole.first_delivery_no}-{whole.last_delivery_no}: 全量 snapshot")
    return kept


def _as_many_as_fit(kept: list[Delivery]) -> list[Delivery]:
    taken, changes = [kept[0]], kept[0].count
    for one in kept[1:]:
        changes += one.count
        if changes > MOST_REPLAYED:
            break
        taken.append(one)
    return taken


def _gone(subscription: Subscription, which: str) -> NotReplayed:
    snapshot_url = f"/v1/subscriptions/{subscription.code}/snapshot"
    return NotReplayed(f"{subscription.code}: {which}", snapshot_url=snapshot_url)


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return Delivery(**dict(zip(Delivery.__struct_fields__, row, strict=True)))


def _range(one: Delivery) -> KeptRange:
    return KeptRange(one.page_no, one.from_seq, one.to_seq, one.first_delivery_no, one.count, one.digest)
