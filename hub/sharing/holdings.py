"""Who held a value before it was corrected, and how far the correction has come: from what was handed over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Told = Literal["waiting", "delivered", "fetched", "acknowledged", "exported", "stopped"]
Operations = Mapping[int, str]  # number of a change -> what it was to the slice
Cut = tuple[int, tuple[int, ...] | None]  # version of the definition, areas an export was narrowed to


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was handed to a subscription: changes of a range, or the slice as it stood at ``to_seq``."""

    export_no: str = ""  # "": by the feed
    cut: Cut
    whole: bool
    from_seq: int
    to_seq: int
    at: datetime
    fetched_at: datetime | None = None
    acknowledged_at: datetime | None = None
    records: frozenset[UUID] | None = None  # what a comparison told again: these alone

    def tells(self, seq: int) -> bool:
        """Whether who has this knows what the change did."""
        return self.to_seq >= seq and (self.whole or self.from_seq < seq)


class Reached(msgspec.Struct, frozen=True):
    """How far a correction has come to one receiver."""

    state: Told
    told_at: datetime | None = None
    fetched_at: datetime | None = None
    acknowledged_at: datetime | None = None


def held_by(
    handed: Iterable[Handed], history: Sequence[int], operations: Mapping[Cut, Operations], before: int
) -> Handed | None:
    """By what a subscription holds the record as it stood before this change; None if it never did, or no more."""
    events = sorted(_events(handed, history, operations, before), key=lambda event: event[:2])
    if not events or events[-1][2] == "leave":
        return None
    return events[-1][3]


def _events(
    handed: Iterable[Handed], history: Sequence[int], operations: Mapping[Cut, Operations], before: int
) -> Iterator[tuple[datetime, int, str, Handed]]:
    """When, up to which change, what the subscription was told of the record, and by what."""
    for one in handed:
        told = operations.get(one.cut, {})
        if not one.whole:
            for seq in history:
                if one.from_seq < seq <= one.to_seq and seq < before and seq in told:
                    yield one.at, seq, told[seq], one
        elif one.to_seq < before:
            last = [told[seq] for seq in history if seq <= one.to_seq and seq in told]
            yield one.at, one.to_seq, last[-1] if last else "leave", one


def reached(handed: Iterable[Handed], seq: int, *, stopped: bool) -> Reached:
    """How far the change has come; the first delivery that tells of it counts, and the first that was acknowledged."""
    telling = sorted((one for one in handed if one.tells(seq)), key=lambda one: one.at)
    if not telling:
        return Reached("stopped" if stopped else "waiting")
    if telling[0].export_no:
        return Reached("exported", telling[0].at)
    fetched = min((one.fetched_at for one in telling if one.fetched_at), default=None)
    acknowledged = min((one.acknowledged_at for one in telling if one.acknowledged_at), default=None)
    state: Told = "acknowledged" if acknowledged else "fetched" if fetched else "delivered"
    return Reached(state, telling[0].at, fetched, acknowledged)
