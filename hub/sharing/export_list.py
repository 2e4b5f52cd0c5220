"""The exports of a subscription: which were made, where the last one ended, and that its changes have arrived."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import BadRequest, NotFound
from hub.exchange.deliver import Acknowledged, acknowledge
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import Subscription


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered file; ``areas`` and ``record_types`` are None where nothing was left out."""

    export_id: UUID
    export_no: str
    epoch: str
    definition_version: int
    form: str
    whole: bool
    from_seq: int
    to_seq: int
    areas: list[int] | None
    record_types: list[str] | None
    rows: int
    digest: str
    made_by: str
    made_at: datetime

    @property
    def complete(self) -> bool:
        """Everything that was delivered in its range is in it: it can be acknowledged."""
        return not self.whole and self.record_types is None and self.areas is None and self.rows > 0


_COLUMNS = ", ".join(Export.__struct_fields__)


def enter_export(connection: Connection, actor: Actor, subscription: Subscription, export: Export) -> None:
    """It is made; the caller notes it in the audit together with what was read for it."""
    require(actor, Right.PULL_SLICE)
    names = (*Export.__struct_fields__, "subscription_id")
    run_sql(
        connection,
        f"INSERT INTO {{d}}.slice_export ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})",
        subscription_id=subscription.subscription_id,
        **msgspec.structs.asdict(export),
    )


def list_exports(connection: Connection, subscription: Subscription, limit: int = 50) -> list[Export]:
    """The newest first."""
    rows = run_sql(
        connection,
        f"SELECT {_COLUMNS} FROM {{d}}.slice_export WHERE subscription_id = :subscription"
        " ORDER BY made_at DESC, export_no LIMIT :limit",
        subscription=subscription.subscription_id,
        limit=limit,
    )
    return [_export(row) for row in rows]


def last_position(connection: Connection, subscription: Subscription, epoch: str) -> tuple[int, Export | None]:
    """Where the changes since the last download begin, and the changes that were downloaded before, if any.

    A download by numbers counts where it leaves no gap. Behind one of the whole slice the changes begin where the last
    delivery before it ended: what lies between is told again rather than left out.
    """
    rows = run_sql(
        connection,
        f"SELECT {_COLUMNS} FROM {{d}}.slice_export WHERE subscription_id = :subscription AND epoch = :epoch"
        " AND areas IS NULL AND record_types IS NULL ORDER BY from_seq, to_seq",
        subscription=subscription.subscription_id,
        epoch=epoch,
    )
    position, had = subscription.start_seq, None
    for one in map(_export, rows):
        end = _delivered_up_to(connection, subscription, one) if one.whole else one.to_seq
        if one.from_seq <= position < end:
            position, had = end, None if one.whole else one
    return position, had


def _delivered_up_to(connection: Connection, subscription: Subscription, last: Export) -> int:
    rows = run_sql(
        connection,
        "SELECT max(to_seq) FROM {d}.delivery WHERE subscription_id = :subscription AND epoch = :epoch"
        " AND to_seq <= :seq",
        subscription=subscription.subscription_id,
        epoch=last.epoch,
        seq=last.to_seq,
    )
    return subscription.start_seq if rows[0][0] is None else int(str(rows[0][0]))


def acknowledge_export(
    connection: Connection, actor: Actor, subscription: Subscription, epoch: str, export_no: str
) -> Acknowledged:
    """Whoever downloaded the changes says that they have arrived, and with them everything before."""
    export = next((one for one in list_exports(connection, subscription, 500) if one.export_no == export_no), None)
    if export is None:
        raise NotFound(f"没有导出 {export_no}。 No export {export_no}.")
    rows = run_sql(
        connection,
        "SELECT first_delivery_no + count - 1, digest FROM {d}.delivery WHERE subscription_id = :subscription"
        " AND epoch = :epoch AND to_seq = :to_seq AND count > 0 AND kind = 'page'",
        subscription=subscription.subscription_id,
        epoch=export.epoch,
        to_seq=export.to_seq,
    )
    if not export.complete or export.epoch != epoch or not rows:
        raise BadRequest(f"{export_no}: 只有完整的变动导出可以签收。 Only a whole export of changes is acknowledged.")
    _refuse_untaken(connection, subscription, export)
    return acknowledge(connection, actor, subscription, epoch, int(str(rows[0][0])), str(rows[0][1]))


def _refuse_untaken(connection: Connection, subscription: Subscription, export: Export) -> None:
    """Pages before it that were delivered for a narrower file, or lost, and are in no other: nobody has had them."""
    first, last = run_sql(
        connection,
        "SELECT min(d.first_delivery_no), max(d.first_delivery_no + d.count - 1) FROM {d}.delivery d"
        " WHERE d.subscription_id = :subscription AND d.epoch = :epoch AND d.count > 0 AND d.fetched_at IS NULL"
        " AND d.to_seq <= :from_seq AND NOT EXISTS (SELECT 1 FROM {d}.slice_export x"
        " WHERE x.subscription_id = d.subscription_id AND x.epoch = d.epoch AND x.areas IS NULL"
        " AND x.record_types IS NULL AND x.from_seq <= d.from_seq AND x.to_seq >= d.to_seq)",
        subscription=subscription.subscription_id,
        epoch=export.epoch,
        from_seq=export.from_seq,
    )[0]
    if first is not None:
        raise BadRequest(
            f"下发编号 {first}–{last} 还没有取走，请先按编号导出。 {first}-{last} were never taken: export them first."
        )


def _export(row: tuple[Any, ...]) -> Export:
    return Export(**dict(zip(Export.__struct_fields__, row, strict=True)))
