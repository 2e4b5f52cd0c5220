"""Acknowledgement: a subscriber says up to which delivery number it has everything, and proves it by digest."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import run_sql, utc_now
from hub.errors import BadRequest
from hub.registry.permissions import Actor, Right
from hub.registry.subscriptions import Subscription


class Acknowledged(msgspec.Struct, frozen=True):
    """What an acknowledgement did: how many deliveries it closed, and whether both sides hold the same."""

    to_delivery_no: int
    deliveries: int
    matches: bool


def acknowledge(
    connection: Connection, actor: Actor, subscription: Subscription, epoch: str, to_delivery_no: int, digest: str
) -> Acknowledged:
    """Close every delivery up to this number; a digest that differs is kept as a mismatch and opens it again."""
    rows = run_sql(
        connection,
        "SELECT digest FROM {d}.delivery WHERE subscription_id = :subscription AND epoch = :epoch"
        " AND first_delivery_no + count - 1 = :number AND count > 0",
        subscription=subscription.subscription_id,
        epoch=epoch,
        number=to_delivery_no,
    )
    if not rows:
        raise BadRequest(f"{to_delivery_no}: 不是任何一次下发的末号。 No delivery ends with this number.")
    matches = any(row[0] == digest for row in rows)
    closed = _close(connection, actor, subscription, epoch, to_delivery_no, digest, matches)
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, "done" if matches else "failed",
        acknowledged_to=to_delivery_no, matches=matches,
    )  # fmt: skip
    return Acknowledged(to_delivery_no, closed, matches)


def _close(
    connection: Connection,
    actor: Actor,
    subscription: Subscription,
    epoch: str,
    number: int,
    digest: str,
    matches: bool,
) -> int:
    """What is acknowledged has been fetched. One that differed is put right by its own number and digest alone."""
    if not matches:
        run_sql(
            connection,
            "UPDATE {d}.delivery SET mismatch = true, acknowledged_digest = :digest, acknowledged_at = NULL"
            " WHERE subscription_id = :subscription AND epoch = :epoch AND first_delivery_no + count - 1 = :number",
            subscription=subscription.subscription_id,
            epoch=epoch,
            number=number,
            digest=digest,
        )
        return 0
    rows = run_sql(
        connection,
        "UPDATE {d}.delivery SET acknowledged_at = :now, mismatch = false,"
        " fetched_at = coalesce(fetched_at, :now), fetched_by = coalesce(fetched_by, :by),"
        " acknowledged_digest = CASE WHEN first_delivery_no + count - 1 = :number THEN :digest ELSE digest END"
        " WHERE subscription_id = :subscription AND epoch = :epoch AND first_delivery_no + count - 1 <= :number"
        " AND acknowledged_at IS NULL AND (NOT mismatch OR first_delivery_no + count - 1 = :number)"
        " RETURNING page_no",
        subscription=subscription.subscription_id,
        epoch=epoch,
        number=number,
        digest=digest,
        now=utc_now(),
        by=actor.name,
    )
    return len(rows)
