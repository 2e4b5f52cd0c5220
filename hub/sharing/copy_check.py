"""A receiver compares its copy with its slice: totals by town, then cells, then rows; it is told exactly what differs.

The receiver says by its cursor where it stands; the slice is compared as it stood there, so the feed may go on. Records
that changed behind it are not judged where the sides differ: the feed tells of them. Nothing is answered from outside
the receiver's own slice. What is told again is a disclosure: it is audited, and kept with the comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from adapters.copy_digest import TOWN_DIGITS, bucket_of
from hub import audit
from hub.database import new_uuid, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.exchange.slices import FeedContext, current_epoch, open_subscription, stands_at
from hub.registry.permissions import Actor, Right
from hub.registry.subscriptions import Subscription
from hub.sharing.copy_side import MOST_BUCKETS, Cell, DigestedRecord, HubSide, ToldRecord, buckets_for
from hub.tables import copy_check

MOST_REPAIRED = 10_000  # of one comparison; a copy that differs in more is not repaired but taken anew
MOST_ROWS = 5_000  # of one part
MOST_CELLS = 20_000
MOST_TOWNS = 2_000
MOST_OPEN = 20  # comparisons of one subscription begun within the hour and not ended: each counts the whole slice

Town = Annotated[str, msgspec.Meta(max_length=TOWN_DIGITS, pattern=r"^[^\x00]*$")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{22}$")]
Buckets = Annotated[int, msgspec.Meta(ge=1, le=MOST_BUCKETS)]
Bucket = Annotated[int, msgspec.Meta(ge=0, lt=MOST_BUCKETS)]
Key = TypeVar("Key", str, int)
Said = TypeVar("Said")
Version = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class CopyTooDifferent(Conflict):
    """副本差异过多，请重新取全量。 The copy differs in too much: take a snapshot."""

    problem = "copy-too-different"


class TooManyChecks(Conflict):
    """一小时内开始而未结束的比对过多，请先结束已开始的。 Too many comparisons begun within the hour: end those begun."""

    problem = "too-many-copy-checks"


class CopyCheckStale(Conflict):
    """订阅已变更或该次比对已结束，请重新开始比对。 The subscription changed, or this comparison is over: begin again."""

    problem = "copy-check-stale"


class UnknownType(BadRequest):
    """本订阅没有这个信息类别。 This subscription has no such record type."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How one record type's records lie in cells: by the first nine digits of ``town_field``, and by bucket."""

    record_type: str
    fields: tuple[str, ...]
    town_field: str
    buckets: int


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that was begun: as of ``seq``, over so many records of the slice."""

    check_id: UUID
    seq: int
    records: int
    record_types: tuple[Layout, ...]


class TypeTotals(msgspec.Struct, frozen=True):
    """Count and digest of every town the copy has records in."""

    buckets: Buckets
    towns: Annotated[dict[Town, tuple[int, Digest]], msgspec.Meta(max_length=MOST_TOWNS)]


class SentCells(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of the copy's cells, of some towns of one record type."""

    record_type: str
    buckets: Buckets
    towns: Annotated[dict[Town, dict[Bucket, Digest]], msgspec.Meta(max_length=MOST_TOWNS)]


class SentRows(msgspec.Struct, frozen=True, kw_only=True):
    """Every row the copy has in these cells; parts are numbered from 1, so that one sent again is known."""

    part: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    record_type: str
    buckets: Buckets
    cells: Annotated[dict[Bucket, list[Town]], msgspec.Meta(max_length=MOST_CELLS)]
    rows: Annotated[list[tuple[UUID, Version, Digest]], msgspec.Meta(max_length=MOST_ROWS)]


class DifferentRecord(msgspec.Struct, frozen=True):
    """The copy has the record, but not as it is."""

    held_version: int
    record: ToldRecord


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What differs in some cells. ``moved``: not judged, changed since."""

    missing: list[ToldRecord]
    surplus: list[UUID]
    different: list[DifferentRecord]
    moved: int

    @property
    def repaired(self) -> list[UUID]:
        """The records told again."""
        return [one.record_id for one in (*self.missing, *(each.record for each in self.different))]


class KeptCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison as it is kept: counts alone, and which records were told again."""

    check_id: UUID
    subscription_id: UUID
    epoch: str
    definition_version: int
    seq: int
    parts: int
    missing: int
    surplus: int
    different: int
    repaired: list[UUID]
    finished: bool


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison came to, counted."""

    missing: int
    surplus: int
    different: int


# ---- the steps ----


def begin_check(
    connection: Connection, actor: Actor, context: FeedContext, code: str, cursor: str | None = None
) -> Begun:
    """Fix where the receiver stands, and how records are laid in cells."""
    subscription = open_subscription(connection, actor, context, code)
    _refuse_many_open(connection, code, subscription)
    epoch = current_epoch(connection, subscription)
    seq = stands_at(subscription, epoch, cursor, context.keyring.digest_key)
    sides = [
        _side(connection, context, subscription, seq, one.record_type) for one in subscription.definition.record_types
    ]
    counted = [(side, side.count_towns()) for side in sides]
    layouts = tuple(_layout(side, buckets_for(towns)) for side, towns in counted)
    begun = Begun(
        check_id=new_uuid(), seq=seq, records=sum(sum(towns.values()) for _, towns in counted), record_types=layouts
    )
    _enter_check(connection, actor, subscription, epoch, begun)
    return begun


def compare_totals(
    connection: Connection, actor: Actor, context: FeedContext, code: str, check_id: UUID, sent: dict[str, TypeTotals]
) -> dict[str, list[str]]:
    """The towns that differ, by record type. Without any the comparison is over."""
    subscription, check = _open_check(connection, actor, context, code, check_id)
    _refuse_unknown_types(subscription, sent)
    differing: dict[str, list[str]] = {}
    distance = 0
    for one in subscription.definition.record_types:
        totals = sent.get(one.record_type, TypeTotals(1, {}))
        own = _side(connection, context, subscription, check.seq, one.record_type, totals.buckets).totals()
        towns = _unlike(own, totals.towns)
        distance += sum(abs(own.get(town, (0,))[0] - totals.towns.get(town, (0,))[0]) for town in towns)
        differing |= {one.record_type: towns} if towns else {}
    _refuse_too_many(code, distance)
    if not differing:
        _finish(connection, actor, subscription, check)
    return differing


def compare_cells(
    connection: Connection, actor: Actor, context: FeedContext, code: str, check_id: UUID, sent: SentCells
) -> dict[str, list[int]]:
    """The buckets that differ, by town."""
    subscription, check = _open_check(connection, actor, context, code, check_id)
    side = _side(connection, context, subscription, check.seq, sent.record_type, sent.buckets)
    own = side.cells_of(sent.towns)
    differing = {town: _unlike(own[town], cells) for town, cells in sent.towns.items()}
    return {town: buckets for town, buckets in differing.items() if buckets}


def compare_rows(
    connection: Connection, actor: Actor, context: FeedContext, code: str, check_id: UUID, sent: SentRows
) -> Found:
    """What differs in these cells: exactly that, with the records to put it right."""
    subscription, check = _open_check(connection, actor, context, code, check_id, lock=True)
    _refuse_malformed_rows(check, sent)
    side = _side(connection, context, subscription, check.seq, sent.record_type, sent.buckets)
    cells = [(town, bucket) for bucket, towns in sent.cells.items() for town in towns]
    found = _find_differences(side, cells, {record_id: (version, digest) for record_id, version, digest in sent.rows})
    if sent.part > check.parts:
        _count_part(connection, actor, subscription, check, found)
    elif not set(found.repaired) <= set(check.repaired):
        raise CopyCheckStale(f"part {sent.part}")  # another part under the same number would go uncounted
    return found


def finish_check(connection: Connection, actor: Actor, context: FeedContext, code: str, check_id: UUID) -> Ended:
    """The receiver has asked for everything it wanted to know."""
    subscription, check = _open_check(connection, actor, context, code, check_id, lock=True)
    _finish(connection, actor, subscription, check)
    return Ended(missing=check.missing, surplus=check.surplus, different=check.different)


# ---- finding what differs ----


def _find_differences(side: HubSide, cells: Collection[Cell], held: dict[UUID, tuple[int, str]]) -> Found:
    own = side.records_in(cells, held)
    unlike = [record_id for record_id in held if record_id not in own or own[record_id].digest != held[record_id][1]]
    unlike += [record_id for record_id, one in own.items() if one.within and record_id not in held]
    moved = side.changed_later(unlike)
    judged = [record_id for record_id in unlike if record_id not in moved]
    return Found(
        missing=[own[record_id].told for record_id in judged if record_id not in held],
        surplus=[record_id for record_id in judged if record_id not in own],
        different=_different(judged, own, held),
        moved=len(moved),
    )


def _different(
    judged: Iterable[UUID], own: dict[UUID, DigestedRecord], held: dict[UUID, tuple[int, str]]
) -> list[DifferentRecord]:
    both = (record_id for record_id in judged if record_id in held and record_id in own)
    return [DifferentRecord(held[record_id][0], own[record_id].told) for record_id in both]


def _unlike(one: dict[Key, Said], other: dict[Key, Said]) -> list[Key]:
    """The keys at which two sides do not say the same."""
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def _side(
    connection: Connection,
    context: FeedContext,
    subscription: Subscription,
    seq: int,
    record_type: str,
    buckets: int = 1,
) -> HubSide:
    one = next((each for each in subscription.definition.record_types if each.record_type == record_type), None)
    if one is None:
        raise UnknownType(record_type)
    return HubSide(
        connection=connection, context=context, definition=subscription.definition, one=one, seq=seq, buckets=buckets
    )


def _layout(side: HubSide, buckets: int) -> Layout:
    return Layout(record_type=side.one.record_type, fields=side.one.fields, town_field=side.town_field, buckets=buckets)


def _refuse_unknown_types(subscription: Subscription, sent: Collection[str]) -> None:
    unknown = sorted(set(sent) - {one.record_type for one in subscription.definition.record_types})
    if unknown:
        raise UnknownType("、".join(unknown))


def _refuse_malformed_rows(check: KeptCheck, sent: SentRows) -> None:
    if sent.part not in (check.parts, check.parts + 1):
        raise CopyCheckStale(f"part {sent.part}, {check.parts + 1} is next")
    ids = [str(record_id) for record_id, _, _ in sent.rows]
    if len(set(ids)) < len(ids):
        raise BadRequest("同一记录出现两次。 A record is named twice.")
    if any(bucket_of(each, sent.buckets) not in sent.cells for each in ids):
        raise BadRequest("有的记录不在所列的桶内。 A record does not lie in any of these buckets.")


def _refuse_many_open(connection: Connection, code: str, subscription: Subscription) -> None:
    its = copy_check.c
    open_now = (its.subscription_id == subscription.subscription_id) & ~its.finished
    lately = its.begun_at > utc_now() - timedelta(hours=1)
    count = connection.scalar(select(func.count()).where(open_now, lately)) or 0
    if count >= MOST_OPEN:
        raise TooManyChecks(code, most=MOST_OPEN)


def _refuse_too_many(code: str, differences: int) -> None:
    if differences > MOST_REPAIRED:
        raise CopyTooDifferent(code, snapshot_url=f"/v1/subscriptions/{code}/snapshot", most=MOST_REPAIRED)


# ---- what is kept ----


def _enter_check(connection: Connection, actor: Actor, subscription: Subscription, epoch: str, begun: Begun) -> None:
    now = utc_now()
    row = {
        "check_id": begun.check_id, "subscription_id": subscription.subscription_id, "epoch": epoch,
        "definition_version": subscription.version, "seq": begun.seq, "records": begun.records, "begun_at": now,
        "changed_at": now,
    }  # fmt: skip
    connection.execute(insert(copy_check), [row])
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, copy_check=str(begun.check_id), seq=begun.seq,
        records=begun.records, purpose=subscription.purpose,
    )  # fmt: skip


def _open_check(
    connection: Connection, actor: Actor, context: FeedContext, code: str, check_id: UUID, *, lock: bool = False
) -> tuple[Subscription, KeptCheck]:
    """The subscription, opened, and its comparison, if that still stands."""
    subscription = open_subscription(connection, actor, context, code)
    query = select(*(copy_check.c[name] for name in KeptCheck.__struct_fields__)).where(
        copy_check.c.check_id == check_id, copy_check.c.subscription_id == subscription.subscription_id
    )
    found = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise NotFound("没有这次比对。 No such comparison.")
    check = msgspec.convert(found, KeptCheck, from_attributes=True)
    stands = check.definition_version, check.epoch
    if check.finished or stands != (subscription.version, current_epoch(connection, subscription)):
        raise CopyCheckStale(code)
    return subscription, check


def _count_part(
    connection: Connection, actor: Actor, subscription: Subscription, check: KeptCheck, found: Found
) -> None:
    """Count what differs, and keep which records were told again: the ledger of disclosures is derived from it."""
    repaired = sorted({*check.repaired, *found.repaired})
    _refuse_too_many(subscription.code, len(repaired))
    counted = {name: getattr(check, name) + len(getattr(found, name)) for name in ("missing", "surplus", "different")}
    _change_check(connection, check, {**counted, "parts": check.parts + 1, "repaired": repaired})
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, copy_check=str(check.check_id), seq=check.seq,
        missing=len(found.missing), surplus=len(found.surplus), different=len(found.different), moved=found.moved,
        repaired=len(found.repaired), purpose=subscription.purpose,
    )  # fmt: skip


def _finish(connection: Connection, actor: Actor, subscription: Subscription, check: KeptCheck) -> None:
    _change_check(connection, check, {"finished": True})
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, copy_check=str(check.check_id), finished=True,
        differences=check.missing + check.surplus + check.different,
    )  # fmt: skip


def _change_check(connection: Connection, check: KeptCheck, values: dict[str, object]) -> None:
    wanted = copy_check.c.check_id == check.check_id
    connection.execute(update(copy_check).where(wanted).values(values | {"changed_at": utc_now()}))
