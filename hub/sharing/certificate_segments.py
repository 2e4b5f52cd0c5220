"""The parts a certificate is made of: each epoch's deliveries laid beside what the log says they had to be.

An epoch that is over counts as far as it was acknowledged: what its receiver had not acknowledged by then lies in the
snapshot, or in the repetition from the beginning, with which the next epoch began.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.exchange.slices import FeedContext, clinical_fields
from hub.registry.slice_definition import SliceDefinition, definition_digest
from hub.registry.subscriptions import Subscription, load_version
from hub.sharing.certificate_sql import count_changes, count_standing

Kind = Literal["changes", "snapshot"]


class Delivered(msgspec.Struct, frozen=True):
    """A delivery as it is kept."""

    epoch: str
    page_no: int
    kind: Literal["page", "snapshot"]
    version: int
    from_seq: int
    to_seq: int
    first: int
    count: int
    digest: str
    fetched: bool
    acknowledged: bool  # with the same digest
    mismatch: bool

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class Piece(msgspec.Struct, frozen=True):
    """What one delivery brought to a segment: ``part`` of its ``count`` changes lie inside."""

    first: int
    count: int
    part: int
    from_seq: int
    to_seq: int
    digest: str
    fetched: bool
    acknowledged: bool
    mismatch: bool


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of the log in one epoch, or one snapshot that stands for everything before it."""

    kind: Kind
    epoch: str
    definition_version: int
    definition: str  # digest
    from_seq: int  # exclusive
    to_seq: int  # inclusive; of a snapshot: as of this change
    expected: int
    sent: int
    fetched: int
    acknowledged: int
    by_type: dict[str, int] = {}  # expected, by record type; never of a care subscription
    comparable: bool = True  # a receiver's copy gives the same digests (clinical fields travel opened)
    deliveries: tuple[Piece, ...] = ()
    digest: str = ""  # of the deliveries' ranges and digests, one after the other


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery numbers that are open, and why: never_delivered not_fetched not_acknowledged mismatch differs broken."""

    why: str
    epoch: str
    first: int
    last: int
    count: int


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A segment before it is counted."""

    kind: Kind
    epoch: str
    version: int
    from_seq: int
    to_seq: int


class Counting(msgspec.Struct, frozen=True):
    """With what a subscription is counted."""

    connection: Connection
    context: FeedContext
    subscription: Subscription

    def definition(self, version: int) -> SliceDefinition:
        return load_version(self.connection, self.subscription.subscription_id, version)

    def changes(self, version: int, after: int, upper: int) -> Counter[str]:
        catalogue, kind = self.context.catalogue, self.subscription.organisation_kind
        window = self.context.window
        return count_changes(self.connection, catalogue, self.definition(version), kind, after, upper, window)

    def standing(self, version: int, seq: int) -> Counter[str]:
        catalogue, kind = self.context.catalogue, self.subscription.organisation_kind
        return count_standing(self.connection, catalogue, self.definition(version), kind, seq)


def load_delivered(connection: Connection, subscription: Subscription) -> dict[str, list[Delivered]]:
    """Every delivery by epoch, the epochs in the order they began."""
    rows = run_sql(
        connection,
        "SELECT epoch, page_no, kind, definition_version, from_seq, to_seq, first_delivery_no, count, digest,"
        " fetched_at IS NOT NULL OR acknowledged_at IS NOT NULL,"
        " acknowledged_at IS NOT NULL AND NOT mismatch AND acknowledged_digest IS NOT DISTINCT FROM digest, mismatch"
        " FROM {d}.delivery WHERE subscription_id = :subscription"
        " ORDER BY min(delivered_at) OVER (PARTITION BY epoch), epoch, page_no",
        subscription=subscription.subscription_id,
    )
    found: dict[str, list[Delivered]] = {}
    for row in rows:
        found.setdefault(str(row[0]), []).append(Delivered(*row))  # type: ignore[arg-type]
    return found


# ---- which stretches ----


def stretches(counting: Counting, current: str, lowest: int, highest: int) -> list[Stretch]:
    """How ``lowest < seq <= highest`` was to reach the receiver, epoch after epoch."""
    delivered = load_delivered(counting.connection, counting.subscription)
    low = max(lowest, counting.subscription.start_seq)
    found: list[Stretch] = []
    for epoch, rows in delivered.items():
        if epoch != current:
            reached = _reached(counting, epoch, current, rows, highest)
            found += _walk(epoch, rows[-1].version, rows, low, min(reached, highest))
            if reached >= highest:
                return found
    version, rows = counting.subscription.version, delivered.get(current, [])
    if not rows and len(delivered) > 0 and low < highest:
        return [*found, Stretch(kind="snapshot", epoch=current, version=version, from_seq=low, to_seq=highest)]
    return found + _walk(current, version, rows, low, highest)


def _walk(epoch: str, version: int, rows: Iterable[Delivered], low: int, high: int) -> list[Stretch]:
    """Changes as they came, and in between the snapshots that stood for what lay before them."""
    found: list[Stretch] = []
    for one in rows:
        if one.kind == "snapshot" and one.to_seq > low and one.from_seq < high:
            found += _changes(epoch, version, low, min(one.from_seq, high))
            at = Stretch(kind="snapshot", epoch=epoch, version=one.version, from_seq=one.from_seq, to_seq=one.to_seq)
            found, low = [*found, at], one.to_seq
    return found + _changes(epoch, version, low, high)


def _changes(epoch: str, version: int, low: int, high: int) -> list[Stretch]:
    if low >= high:
        return []
    return [Stretch(kind="changes", epoch=epoch, version=version, from_seq=low, to_seq=high)]


def _reached(counting: Counting, epoch: str, current: str, rows: list[Delivered], highest: int) -> int:
    """How far an epoch that is over was acknowledged; further on if nothing more of the slice happened in it."""
    end = 0
    for one in rows:
        if one.count and not one.acknowledged:
            return end
        end = one.to_seq
    over = min(_over_at(counting, epoch, current, rows[-1].version, end), highest)
    return over if over > end and not counting.changes(rows[-1].version, end, over) else end


def _over_at(counting: Counting, epoch: str, current: str, version: int, unknown: int) -> int:
    """Where in the log an epoch ended: with the next version of the definition, or when the feed began anew."""
    if epoch.partition(".")[0] != current.partition(".")[0]:
        return unknown
    rows = run_sql(
        counting.connection,
        "SELECT coalesce(max(b.to_seq), 0) FROM {d}.feed_batch b WHERE b.recorded_at <= (SELECT min(v.created_at)"
        " FROM {d}.subscription_version v WHERE v.subscription_id = :subscription AND v.version > :version)",
        subscription=counting.subscription.subscription_id,
        version=version,
    )
    return max(int(str(rows[0][0])), unknown)


# ---- their figures ----


def figures(counting: Counting, stretch: Stretch, rows: Iterable[Delivered]) -> Segment:
    """The stretch counted: expected from the log, the rest from the deliveries of its epoch."""
    definition = counting.definition(stretch.version)
    if stretch.kind == "snapshot":
        expected = counting.standing(stretch.version, stretch.to_seq)
        place = (stretch.from_seq, stretch.to_seq)
        mine = (one for one in rows if one.kind == "snapshot" and (one.from_seq, one.to_seq) == place and one.count)
        pieces = tuple(_piece(one, one.count) for one in mine)
    else:
        expected = counting.changes(stretch.version, stretch.from_seq, stretch.to_seq)
        pieces = tuple(_pieces(counting, stretch, rows))
    care = counting.subscription.organisation_kind == "care"
    return Segment(
        kind=stretch.kind,
        epoch=stretch.epoch,
        definition_version=stretch.version,
        definition=definition_digest(definition),
        from_seq=stretch.from_seq,
        to_seq=stretch.to_seq,
        expected=expected.total(),
        by_type={} if care else dict(sorted(expected.items())),
        sent=sum(one.part for one in pieces),
        fetched=sum(one.part for one in pieces if one.fetched),
        acknowledged=sum(one.part for one in pieces if one.acknowledged),
        comparable=not clinical_fields(definition, counting.context.catalogue),
        deliveries=pieces,
        digest=chain_of(stretch.epoch, pieces),
    )


def _pieces(counting: Counting, stretch: Stretch, rows: Iterable[Delivered]) -> Iterator[Piece]:
    """Deliveries inside; of one that reaches over an end, what is left when the outer part is counted off."""
    for one in rows:
        if one.kind != "page" or one.to_seq <= stretch.from_seq or one.from_seq >= stretch.to_seq:
            continue
        outside = 0
        if one.from_seq < stretch.from_seq:
            outside += counting.changes(one.version, one.from_seq, stretch.from_seq).total()
        if one.to_seq > stretch.to_seq:
            outside += counting.changes(one.version, stretch.to_seq, one.to_seq).total()
        if one.count != outside:
            yield _piece(one, one.count - outside)


def _piece(one: Delivered, part: int) -> Piece:
    return Piece(
        one.first, one.count, part, one.from_seq, one.to_seq, one.digest, one.fetched, one.acknowledged, one.mismatch
    )


def chain_of(epoch: str, pieces: Iterable[Piece]) -> str:
    """One digest over the deliveries' numbers, ranges and digests in their order; anybody can compute it again."""
    link = b""
    for one in pieces:
        told = f"{epoch}:{one.first}:{one.count}:{one.from_seq}:{one.to_seq}:{one.digest}"
        link = hashlib.sha256(link + told.encode()).digest()
    return link.hex()


# ---- what is open ----


def gaps_of(counting: Counting, segment: Segment, rows: list[Delivered]) -> list[Gap]:
    """Why a segment is not closed, by delivery numbers; what lies side by side is one line."""
    open_pieces = [
        Gap(why=why, epoch=segment.epoch, first=one.first, last=one.first + one.count - 1, count=one.part)
        for one in segment.deliveries
        if (why := _why(one))
    ]
    return _joined(open_pieces) + _undelivered(counting, segment, rows)


def _why(one: Piece | Delivered) -> str:
    if one.mismatch:
        return "mismatch"
    if not one.fetched:
        return "not_fetched"
    return "" if one.acknowledged else "not_acknowledged"


def _joined(found: list[Gap]) -> list[Gap]:
    joined: list[Gap] = []
    for gap in found:
        before = joined[-1] if joined else None
        if before and before.why == gap.why and before.last + 1 == gap.first:
            joined[-1] = msgspec.structs.replace(before, last=gap.last, count=before.count + gap.count)
        else:
            joined.append(gap)
    return joined


def _undelivered(counting: Counting, segment: Segment, rows: list[Delivered]) -> list[Gap]:
    """What the log has and no delivery: behind the last one it waits to be fetched; before it something is wrong."""
    lacking = segment.expected - segment.sent
    if lacking == 0:
        return []
    before = [one for one in rows if one.from_seq < segment.to_seq]
    number = before[-1].last + 1 if before else 1
    waiting = _waiting(counting, segment, before[-1].to_seq) if before else lacking
    return [
        Gap(why=why, epoch=segment.epoch, first=number, last=number + max(count, 1) - 1, count=count)
        for why, count in (("never_delivered", waiting), ("differs", lacking - waiting))
        if count
    ]


def _waiting(counting: Counting, segment: Segment, end: int) -> int:
    """Changes behind the newest delivery; a snapshot that was never taken waits as a whole."""
    if segment.kind == "snapshot":
        return 0 if segment.deliveries else segment.expected
    after = max(end, segment.from_seq)
    if after >= segment.to_seq:
        return 0
    return counting.changes(segment.definition_version, after, segment.to_seq).total()


def unclosed_repeats(epoch: str, rows: Iterable[Delivered], first: int, last: int) -> list[Gap]:
    """Snapshots that brought nothing new are expected of no month; whoever names their numbers is told all the same."""
    repeats = (one for one in rows if one.kind == "snapshot" and one.from_seq == one.to_seq and one.count)
    return [
        Gap(why=why, epoch=epoch, first=one.first, last=one.last, count=one.count)
        for one in repeats
        if first <= one.first and one.last <= last and (why := _why(one))
    ]


def broken_numbers(subscription: Subscription, epoch: str, rows: list[Delivered], highest: int) -> list[Gap]:
    """Deliveries of an epoch that do not follow one another, in the log or by number: one is missing or was changed."""
    found, end, number = [], subscription.start_seq, 1
    for one in rows:
        if one.from_seq >= highest:
            break
        if (one.from_seq, one.first) != (end, number):
            found.append(Gap(why="broken", epoch=epoch, first=number, last=max(one.first - 1, number), count=0))
        end, number = one.to_seq, one.last + 1
    return found
