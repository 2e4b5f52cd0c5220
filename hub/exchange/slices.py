"""A subscriber's slice: pages of its changes, and the snapshot that joins them exactly.

Pages are kept as ranges, never as copies: what was delivered is derived again from log and history.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import date
from typing import cast

import msgspec
from sqlalchemy import Connection, text

from hub import audit
from hub.database import district_of, run_sql, utc_now
from hub.errors import Conflict, CursorGone, HubError
from hub.exchange.cursors import decode_cursor, encode_cursor
from hub.exchange.fetched import note_fetched
from hub.exchange.slice_sql import page_statement, slice_statement
from hub.keyring import Keyring
from hub.registry.permissions import Actor, Right
from hub.registry.slice_definition import SliceDefinition
from hub.registry.subscriptions import Subscription, load_for_pull
from mappings.catalogue import Catalogue

LARGEST_PAGE = 5_000


class PageChanged(HubError):
    """已下发的页无法按原样重现。 A delivered page can no longer be derived as it was."""

    problem = "page-changed"


class FeedContext(msgspec.Struct, frozen=True):
    """What every reader of the feed needs: the catalogue, the keys, how many log rows one page may scan."""

    catalogue: Catalogue
    keyring: Keyring
    window: int = 50_000


class Page(msgspec.Struct, frozen=True):
    """``changes`` is the JSON text of the array's members; ``more`` says the log goes on behind ``to_seq``.

    ``erased``: how many changes of a page delivered before carry no values any more, because somebody was lawfully
    erased since; ``digest`` is then still the one of what was delivered, for receipts and acknowledgements.
    """

    epoch: str
    from_seq: int
    to_seq: int
    first_delivery_no: int
    count: int
    digest: str
    next: str
    more: bool
    changes: str
    erased: int = 0


class KeptRange(msgspec.Struct, frozen=True):
    """A delivery as it is kept: ``from_seq`` exclusive, ``to_seq`` inclusive."""

    page_no: int
    from_seq: int
    to_seq: int
    first_delivery_no: int
    count: int
    digest: str


def read_page(
    connection: Connection, actor: Actor, context: FeedContext, code: str, cursor: str | None = None, limit: int = 1_000
) -> Page:
    """The page behind the cursor; the same cursor gives the same page, byte for byte, for ever."""
    subscription = open_subscription(connection, actor, context, code)
    epoch = current_epoch(connection, subscription)
    position = stands_at(subscription, epoch, cursor, context.keyring.digest_key)
    if cursor is not None and actor.organisation == subscription.organisation:  # the hub's own look is no fetch
        note_fetched(connection, actor, subscription, epoch, position)
    return read_behind(connection, actor, context, subscription, epoch, position, limit)


def read_behind(
    connection: Connection, actor: Actor, context: FeedContext, subscription: Subscription, epoch: str, position: int,
    limit: int,
) -> Page:  # fmt: skip
    """The page behind a place where a delivery ended, or the feed was empty; the subscription is opened."""
    page = _page_behind(connection, context, subscription, epoch, position, min(limit, LARGEST_PAGE))
    if page.count:
        audit.record(
            connection, actor, Right.PULL_SLICE, subscription.code, from_seq=page.from_seq, to_seq=page.to_seq,
            count=page.count, digest=page.digest, purpose=subscription.purpose,
        )  # fmt: skip
    return page


def _page_behind(
    connection: Connection, context: FeedContext, subscription: Subscription, epoch: str, position: int, limit: int
) -> Page:
    """The page kept from here, else the next one; what another reader took meanwhile is the same for both."""
    for _ in range(2):
        kept = _kept_page(connection, subscription, epoch, position)
        if kept is not None:
            return derive_page(connection, context, subscription, epoch, kept)
        page = _next_page(connection, context, subscription, epoch, position, limit)
        if page is not None:
            return page
    if position < _last_delivery(connection, subscription, epoch)[1]:
        raise _gone(subscription)
    raise Conflict("另一个程序正在读取同一订阅，请稍后重试。 Another reader took this page: try again.")


def open_subscription(connection: Connection, actor: Actor, context: FeedContext, code: str) -> Subscription:
    """The subscription, if it is the actor's, in force, and its definition still allowed."""
    return load_for_pull(connection, actor, context.catalogue, code, date.today())


def current_epoch(connection: Connection, subscription: Subscription) -> str:
    """The feed's epoch and the subscription's: a new one of either makes every cursor stale."""
    return f"{run_sql(connection, 'SELECT epoch FROM {d}.feed_head')[0][0]}.{subscription.epoch}"


def stands_at(subscription: Subscription, epoch: str, cursor: str | None, key: bytes) -> int:
    """How far the reader has read, by the cursor it shows; CursorGone if that is another epoch's."""
    if cursor is None:
        return subscription.start_seq
    position = decode_cursor(key, cursor)
    if position.subscription != str(subscription.subscription_id) or position.epoch != epoch:
        raise _gone(subscription)
    return position.seq


def _gone(subscription: Subscription) -> CursorGone:
    return CursorGone(subscription.code, snapshot_url=f"/v1/subscriptions/{subscription.code}/snapshot")


def _kept_page(connection: Connection, subscription: Subscription, epoch: str, position: int) -> KeptRange | None:
    """The page already delivered from here; a bookmark lies in the empty beginning of the page behind it."""
    rows = run_sql(
        connection,
        "SELECT page_no, from_seq, to_seq, first_delivery_no, count, digest FROM {d}.delivery"
        " WHERE subscription_id = :subscription AND epoch = :epoch AND kind = 'page'"
        " AND from_seq <= :position AND to_seq > :position ORDER BY page_no LIMIT 1",
        subscription=subscription.subscription_id,
        epoch=epoch,
        position=position,
    )
    return KeptRange(*rows[0]) if rows else None  # type: ignore[arg-type]


def _last_delivery(connection: Connection, subscription: Subscription, epoch: str) -> tuple[int, int, int]:
    """Page number, end and next delivery number of the newest delivery; the beginning if there is none."""
    rows = run_sql(
        connection,
        "SELECT page_no, to_seq, first_delivery_no + count FROM {d}.delivery"
        " WHERE subscription_id = :subscription AND epoch = :epoch ORDER BY page_no DESC LIMIT 1",
        subscription=subscription.subscription_id,
        epoch=epoch,
    )
    return cast(tuple[int, int, int], rows[0]) if rows else (0, subscription.start_seq, 1)


def _next_page(
    connection: Connection, context: FeedContext, subscription: Subscription, epoch: str, position: int, limit: int
) -> Page | None:
    """A page nobody has had yet; it is kept as a range when it holds something. None where one is kept by now."""
    page_no, end, first = _last_delivery(connection, subscription, epoch)
    if position < end:
        return None
    definition = subscription.definition
    found = _run_page(connection, context, definition, position, None, limit, first)
    kept = KeptRange(page_no + 1, end, found.to_seq, first, found.count, found.digest)
    if found.count and not keep_range(connection, subscription, epoch, kept, "page"):
        return None
    following = encode_cursor(context.keyring.digest_key, subscription.subscription_id, epoch, found.to_seq)
    return Page(
        epoch, position, found.to_seq, first, found.count, found.digest, following, found.to_seq < found.head,
        found.changes,
    )  # fmt: skip


def derive_page(
    connection: Connection, context: FeedContext, subscription: Subscription, epoch: str, kept: KeptRange
) -> Page:
    """A page delivered before, again."""
    found = _run_page(
        connection, context, subscription.definition, kept.from_seq, kept.to_seq, None, kept.first_delivery_no
    )
    erased = 0 if found.digest == kept.digest else _count_erased(connection, subscription.definition, kept)
    if found.digest != kept.digest and (found.count != kept.count or not erased):
        raise PageChanged(f"{subscription.code} page {kept.page_no}")
    following = encode_cursor(context.keyring.digest_key, subscription.subscription_id, epoch, kept.to_seq)
    return Page(
        epoch, kept.from_seq, kept.to_seq, kept.first_delivery_no, kept.count, kept.digest, following,
        kept.to_seq < found.head, found.changes, erased,
    )  # fmt: skip


def _count_erased(connection: Connection, definition: SliceDefinition, kept: KeptRange) -> int:
    """Changes of the page that told of a version whose values are gone."""
    rows = run_sql(
        connection,
        "SELECT count(DISTINCT l.seq) FROM {d}.change_log l JOIN {d}.erased_version e"
        " ON e.record_id = l.record_id AND e.version IN (l.version, l.version - 1)"
        " WHERE l.seq > :after AND l.seq <= :upper AND l.record_type = ANY(CAST(:types AS text[]))",
        after=kept.from_seq,
        upper=kept.to_seq,
        types=[one.record_type for one in definition.record_types],
    )
    return cast(int, rows[0][0])


class _Found(msgspec.Struct, frozen=True):
    head: int
    to_seq: int
    count: int
    digest: str
    changes: str


def _run_page(
    connection: Connection, context: FeedContext, definition: SliceDefinition,
    after: int, upper: int | None, limit: int | None, first: int,
) -> _Found:  # fmt: skip
    statement, values = page_statement(definition, context.catalogue)
    values |= {"after": after, "upper": upper, "limit": limit, "window": context.window, "first": first}
    head, scanned, last, count, body = read_log(connection, statement, values)
    reached = last if scanned == limit else min(upper or after + context.window, head)
    return _Found(head, reached, count, page_digest(body), _unseal(body, definition, context))


def read_log(connection: Connection, statement: str, values: dict[str, object]) -> tuple[int, int, int, int, str]:
    """Head, log rows read and the last of them, how many changes, and these as JSON text."""
    _, head, scanned, last, count, changes = run_sql(connection, statement, **values)[0]
    return cast(int, head), cast(int, scanned), cast(int, last or 0), cast(int, count), cast(str, changes or "")


def page_digest(body: str) -> str:
    """What both sides of a delivery prove it by."""
    return hashlib.sha256(body.encode()).hexdigest()


def _unseal(body: str, definition: SliceDefinition, context: FeedContext) -> str:
    """Clinical fields come out of their sealed blob for a care subscription alone; others never carry one."""
    wanted = clinical_fields(definition, context.catalogue)
    if not wanted or not body:
        return body
    changes = json.loads(f"[{body}]")
    for change in changes:
        for side in ("before", "after"):
            if change[side] is not None:
                open_sealed(change[side], wanted[change["record_type"]], context.keyring)
    return ",\n".join(json.dumps(change, ensure_ascii=False, separators=(",", ":")) for change in changes)


def clinical_fields(definition: SliceDefinition, catalogue: Catalogue) -> dict[str, list[str]]:
    """Subscribed clinical fields by record type; empty when there are none at all."""
    found = {
        one.record_type: [name for name in one.fields if catalogue.record_types[one.record_type].by_name[name].clinical]
        for one in definition.record_types
    }
    return found if any(found.values()) else {}


def open_sealed(payload: dict[str, object], names: list[str], keyring: Keyring) -> None:
    """Replace the sealed blob of one payload by the subscribed clinical fields."""
    sealed = payload.pop("_sealed", None)
    inside = json.loads(keyring.unseal([base64.b64decode(str(sealed))])[0]) if sealed else {}
    payload.update({name: inside.get(name) for name in names})


def keep_range(connection: Connection, subscription: Subscription, epoch: str, kept: KeptRange, kind: str) -> bool:
    rows = run_sql(
        connection,
        "INSERT INTO {d}.delivery (subscription_id, epoch, page_no, kind, definition_version, from_seq, to_seq,"
        " first_delivery_no, count, digest, delivered_at) VALUES (:subscription, :epoch, :page_no, :kind, :version,"
        " :from_seq, :to_seq, :first_delivery_no, :count, :digest, :now) ON CONFLICT DO NOTHING RETURNING page_no",
        subscription=subscription.subscription_id,
        epoch=epoch,
        kind=kind,
        version=subscription.version,
        now=utc_now(),
        **msgspec.structs.asdict(kept),
    )
    return bool(rows)


def query_slice(
    connection: Connection, context: FeedContext, definition: SliceDefinition
) -> Iterator[dict[str, object]]:
    """The slice as it stands in this snapshot, record by record; what the replayed feed must equal."""
    wanted = clinical_fields(definition, context.catalogue)
    for one in definition.record_types:
        statement, values = slice_statement(one, definition, context.catalogue)
        prose = text(statement.replace("{d}", district_of(connection)))
        rows = connection.execute(prose.execution_options(stream_results=True, max_row_buffer=5_000), values)
        for record_id, person_id, version, source, disputed, payload in rows:
            if wanted:
                open_sealed(payload, wanted[one.record_type], context.keyring)
            yield {
                "record_type": one.record_type, "record_id": str(record_id),
                "person_id": str(person_id) if person_id else None, "version": version, "source": source,
                "disputed": disputed, "after": payload,
            }  # fmt: skip


def snapshot(connection: Connection, actor: Actor, context: FeedContext, code: str) -> Iterator[str]:
    """NDJSON: every record of the slice as an ``enter``, then one line that says where the feed goes on.

    The connection must be one REPEATABLE READ transaction: head and records are of the same instant.
    """
    subscription = open_subscription(connection, actor, context, code)
    epoch = current_epoch(connection, subscription)
    seq = cast(int, run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0])
    page_no, end, first = _last_delivery(connection, subscription, epoch)
    count, digest = 0, hashlib.sha256()
    for record in query_slice(connection, context, subscription.definition):
        line = json.dumps(
            {"seq": seq, "delivery_no": first + count, "op": "enter", **record, "before": None}, ensure_ascii=False
        )
        digest.update(line.encode())
        count += 1
        yield line + "\n"
    kept = KeptRange(page_no + 1, end, seq, first, count, digest.hexdigest())
    if not keep_range(connection, subscription, epoch, kept, "snapshot"):
        raise Conflict(
            "另一个程序正在读取同一订阅，请稍后重试。 Another reader is at work on this subscription: try again."
        )
    audit.record(
        connection, actor, Right.PULL_SLICE, subscription.code, snapshot=True, seq=seq, count=count,
        digest=kept.digest, purpose=subscription.purpose,
    )  # fmt: skip
    yield json.dumps({"snapshot": _closing(context, subscription, epoch, seq, first, count, kept.digest)}) + "\n"


def _closing(
    context: FeedContext, subscription: Subscription, epoch: str, seq: int, first: int, count: int, digest: str
) -> dict[str, object]:
    following = encode_cursor(context.keyring.digest_key, subscription.subscription_id, epoch, seq)
    return {
        "epoch": epoch, "seq": seq, "first_delivery_no": first, "count": count, "digest": digest, "next": following,
    }  # fmt: skip
