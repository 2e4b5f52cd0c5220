"""Which deliveries have reached their reader."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.registry.permissions import Actor
from hub.registry.subscriptions import Subscription


def note_fetched(
    connection: Connection, actor: Actor, subscription: Subscription, epoch: str, to_seq: int, from_seq: int = 0
) -> int:
    """The reader has everything up to ``to_seq`` (of what begins at ``from_seq``): it came back with the cursor behind
    it, acknowledged it, or its file is laid down.

    Said once of each delivery; how many were new. Callers note the reading itself in the audit.
    """
    rows = run_sql(
        connection,
        "UPDATE {d}.delivery SET fetched_at = :now, fetched_by = :by WHERE subscription_id = :subscription"
        " AND epoch = :epoch AND fetched_at IS NULL AND to_seq <= :to_seq AND from_seq >= :from_seq RETURNING page_no",
        subscription=subscription.subscription_id,
        epoch=epoch,
        to_seq=to_seq,
        from_seq=from_seq,
        now=utc_now(),
        by=actor.name,
    )
    return len(rows)
