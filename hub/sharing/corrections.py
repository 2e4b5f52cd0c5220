"""A correction and everybody who had received the old value: whether it reached them, derived from ranges alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, true

from hub.errors import NotFound
from hub.registry.subscriptions import Subscription, list_subscriptions
from hub.sharing.correction_log import (
    Correction,
    corrections_of_record,
    definitions_naming,
    handed_over,
    histories,
    load_corrections,
)
from hub.sharing.holdings import Cut, Handed, Operations, Told, held_by, reached
from hub.sharing.slice_changes import narrowed, operations_of
from mappings.catalogue import Catalogue

Way = Literal["feed", "export"]
UNACKNOWLEDGED: frozenset[Told] = frozenset({"waiting", "delivered", "fetched"})


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """Who had the old value, how they got it, and how far the correction has come to them."""

    code: str
    title: str
    organisation: str
    way: Way
    export_no: str  # of the last file that held the old value; "" by the feed
    had_at: datetime
    op: str  # what the correction is to their slice: update leave enter
    state: Told
    told_at: datetime | None
    fetched_at: datetime | None
    acknowledged_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in UNACKNOWLEDGED


class FanOut(msgspec.Struct, frozen=True, kw_only=True):
    """One correction with its receivers."""

    correction: Correction
    receivers: tuple[Receiver, ...]

    @property
    def open(self) -> int:
        return sum(one.is_open for one in self.receivers)


def fan_out_of(connection: Connection, catalogue: Catalogue, seq: int) -> list[Receiver]:
    """Everybody who had received what this change of the log corrected; NotFound where it is no correction."""
    found = load_corrections(connection, catalogue, [seq])
    if not found:
        raise NotFound(f"变动 {seq} 不是更正。 Change {seq} is no correction.")
    return list(fan_out(connection, catalogue, found)[0].receivers)


def fan_out_of_record(connection: Connection, catalogue: Catalogue, record_type: str, record_id: UUID) -> list[FanOut]:
    """Every correction of one record with its receivers, in the order of the log."""
    return fan_out(connection, catalogue, corrections_of_record(connection, catalogue, record_type, record_id))


def fan_out(
    connection: Connection,
    catalogue: Catalogue,
    corrections: Sequence[Correction],
    *,
    only: Callable[[Subscription], bool] = lambda _: True,
) -> list[FanOut]:
    """The receivers of many corrections, a few statements a subscription; ``only`` leaves subscriptions out."""
    subscriptions = [one for one in list_subscriptions(connection, true()) if only(one)]
    receivers: dict[int, list[Receiver]] = defaultdict(list)
    for record_type in sorted({one.record_type for one in corrections}):
        of_type = [one for one in corrections if one.record_type == record_type]
        _derive_type(connection, catalogue, record_type, of_type, subscriptions, receivers)
    return [FanOut(correction=one, receivers=tuple(receivers[one.seq])) for one in corrections]


def _derive_type(
    connection: Connection, catalogue: Catalogue, record_type: str, corrections: Sequence[Correction],
    subscriptions: Iterable[Subscription], receivers: dict[int, list[Receiver]],
) -> None:  # fmt: skip
    definitions = definitions_naming(connection, record_type)
    naming = {one for one, _ in definitions}
    mine = [one for one in subscriptions if one.subscription_id in naming]
    if not mine:
        return
    records = histories(connection, record_type, {one.record_id for one in corrections})
    seqs = sorted({seq for history in records.values() for seq, _ in history})
    handed = handed_over(connection, record_type, [one.subscription_id for one in mine], seqs)
    for one in mine:
        had = [each for each in handed[one.subscription_id] if (one.subscription_id, each.cut[0]) in definitions]
        operations: dict[Cut, Operations] = {}
        for cut in {each.cut for each in had}:
            slice_of = narrowed(definitions[one.subscription_id, cut[0]], record_type, cut[1])
            operations[cut] = operations_of(connection, catalogue, slice_of, seqs) if slice_of else {}
        for correction in corrections:
            its = [each for each in had if each.records is None or correction.record_id in each.records]
            found = _receiver(one, correction, records[correction.record_id], its, operations)
            if found:
                receivers[correction.seq].append(found)


def _receiver(
    one: Subscription, correction: Correction, history: Sequence[tuple[int, str]], handed: Sequence[Handed],
    operations: dict[Cut, Operations],
) -> Receiver | None:  # fmt: skip
    """By the feed if the subscription had the old value by it; else by the last file that held it."""
    before, seqs = _old_until(correction, history), [seq for seq, _ in history]
    for way, had in (("feed", [each for each in handed if not each.export_no]),
                     ("export", [each for each in handed if each.export_no])):  # fmt: skip
        holding = held_by(had, seqs, operations, before)
        op = operations[holding.cut].get(correction.seq) if holding else None
        if holding and op:
            done = reached(had, correction.seq, stopped=one.state == "ended")
            return Receiver(
                code=one.code, title=one.title, organisation=one.organisation, way=way, export_no=holding.export_no,  # type: ignore[arg-type]
                had_at=holding.at, op=op, state=done.state, told_at=done.told_at, fetched_at=done.fetched_at,
                acknowledged_at=done.acknowledged_at,
            )  # fmt: skip
    return None


def _old_until(correction: Correction, history: Sequence[tuple[int, str]]) -> int:
    """Up to which change the old value stood. Of what is brought back: up to where it was voided, from whoever had it."""
    if correction.op != "restore":
        return correction.seq
    return max((seq for seq, op in history if op == "void" and seq < correction.seq), default=correction.seq)
