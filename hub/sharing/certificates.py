"""Completeness certificates: of a subscription and a period, what was expected, sent, fetched and acknowledged.

Expected is counted anew from the log; the rest is what the deliveries say. All four the same and nothing different:
closed. One that is open says which delivery numbers are, and why. Signed, so that it proves itself without the hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, any_, exists, insert, literal, or_, select, true

from hub import audit
from hub.database import Database, district_of, new_uuid, run_sql, set_reach, utc_now
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.exchange.change_list import month_bounds
from hub.exchange.slices import FeedContext, current_epoch
from hub.registry.hunting_rules import CARE_ONLY_TYPES
from hub.registry.list_order import in_order
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import Subscription, list_subscriptions, load_subscription
from hub.sharing.certificate_proof import sign_certificate
from hub.sharing.certificate_segments import (
    Counting,
    Delivered,
    Segment,
    Stretch,
    broken_numbers,
    figures,
    gaps_of,
    load_delivered,
    stretches,
    unclosed_repeats,
)
from hub.tables import certificate, subscription, subscription_version

READERS = (Right.READ_SHARING, Right.OVERSEE_SHARING, Right.PULL_SLICE, Right.OPERATE)
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
_NUMBERS = re.compile(r"(\d{1,15})\.\.(\d{1,15})")
CLOSED = "已闭合：应发、已发、已取、已签收一致。 Closed: expected, sent, fetched and acknowledged are the same."
CLOSED_SO_FAR = "截至出具时已闭合，期间尚未结束。 Closed up to the moment of issue: the period is not over."
OPEN = "未闭合：所列下发编号尚未完成。 Not closed: the delivery numbers listed are open."
_FIGURES = ("expected", "sent", "fetched", "acknowledged")


class ListedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as a list tells of it: without its statement, which is as long as the deliveries are many."""

    certificate_no: str
    subscription: str
    organisation: str
    period: str
    expected: int
    sent: int
    fetched: int
    acknowledged: int
    closed: bool
    issued_at: datetime
    issued_by: str

    @property
    def gap(self) -> int:
        return self.expected - self.acknowledged


class Certificate(ListedCertificate, frozen=True, kw_only=True):
    """A certificate as it is kept; ``content`` is the signed statement."""

    content: dict[str, Any]


class Period(msgspec.Struct, frozen=True):
    """A stretch of the log, or the deliveries of some numbers; of a month that still runs, up to now."""

    name: str
    from_seq: int
    to_seq: int
    over: bool = True
    numbers: tuple[int, int] | None = None


class Recomputed(msgspec.Struct, frozen=True):
    """What comes out of the log now. ``differences``: figure, then and now; none: the certificate stands."""

    certificate_no: str
    same: bool
    differences: tuple[str, ...] = ()


# ---- issuing ----


def issue_certificate(
    connection: Connection, actor: Actor, context: FeedContext, code: str, period: str, time_zone: str
) -> Certificate:
    """Count, sign and keep. ``period``: a month YYYY-MM, or delivery numbers of the present epoch as FROM..TO.

    The receiver's own, the bureau's and the hub's act; of a care subscription the bureau's not.
    """
    require(actor, *READERS)
    found = _open_for_issue(connection, actor, code)
    counting = Counting(connection, context, found)
    epoch = current_epoch(connection, found)
    meant = _read_period(connection, found, epoch, period, time_zone)
    statement = _statement(counting, epoch, meant)
    now, number = utc_now(), _new_number(time_zone)
    issued = {"certificate": number, "issued_at": _instant(now), "issued_by": actor.name}
    content = sign_certificate(context.keyring, statement | issued)
    its = {name: statement["totals"][name] for name in _FIGURES} | {"closed": statement["closed"]}
    row = {"certificate_no": number, "subscription_id": found.subscription_id, "period": meant.name}
    connection.execute(
        insert(certificate), [row | its | {"content": content, "issued_at": now, "issued_by": actor.name}]
    )
    audit.record(
        connection,
        actor,
        Right.READ_SHARING,
        f"certificate/{number}",
        subscription=found.code,
        period=meant.name,
        **its,
    )
    return Certificate(
        certificate_no=number, subscription=found.code, organisation=found.organisation, period=meant.name,
        content=content, issued_at=now, issued_by=actor.name, **its,
    )  # fmt: skip


def issue_monthly(database: Database, context: FeedContext, time_zone: str, today: date) -> int:
    """A certificate of last month for every subscription that has none; how many were issued. Again is safe."""
    month = f"{today.year - (today.month == 1)}-{(today.month - 2) % 12 + 1:02d}"
    ended = month_bounds(month, time_zone)[1]
    with database.begin() as connection:
        whole = (certificate.c.period == month) & (certificate.c.issued_at >= ended)
        had = select(certificate.c.subscription_id).where(whole)
        meant = (subscription.c.state != "ended") & (subscription.c.created_at < ended)
        without = meant & subscription.c.subscription_id.not_in(had)
        codes = [one.code for one in list_subscriptions(connection, without)]
    failed: list[Exception] = []
    for code in codes:
        try:
            with database.begin() as connection:
                issue_certificate(connection, SYSTEM_ACTOR, context, code, month, time_zone)
        except Exception as one:  # of one subscription: the others have their certificates all the same
            failed.append(one)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(codes)} certificates of {month}", failed)
    return len(codes)


def _open_for_issue(connection: Connection, actor: Actor, code: str) -> Subscription:
    found = load_subscription(connection, code)
    if actor.organisation in (found.organisation, "hub"):
        return found
    if not actor.may(Right.OVERSEE_SHARING):
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.")
    if found.organisation_kind == "care":
        raise NotAllowed("医疗保健单位的订阅由本单位出具证明。 A care organisation issues its own.")
    set_reach(connection, {"registry": "on"})
    return found


def _statement(counting: Counting, epoch: str, period: Period) -> dict[str, Any]:
    """What the hub puts its name to, without number and date."""
    delivered = load_delivered(counting.connection, counting.subscription)
    planned = stretches(counting, epoch, period.from_seq, period.to_seq)
    segments = [figures(counting, one, delivered.get(one.epoch, [])) for one in planned]
    gaps = [gap for one in segments for gap in gaps_of(counting, one, delivered.get(one.epoch, []))]
    for name in dict.fromkeys(one.epoch for one in planned):
        gaps += broken_numbers(counting.subscription, name, delivered.get(name, []), period.to_seq)
    if period.numbers:
        gaps += unclosed_repeats(epoch, delivered.get(epoch, []), *period.numbers)
    totals = {name: sum(getattr(one, name) for one in segments) for name in _FIGURES}
    closed = not gaps and len({*totals.values()}) <= 1
    return {
        "kind": "completeness",
        **_terms(counting.connection, counting.subscription),
        "period": period.name,
        "range": {"from_seq": period.from_seq, "to_seq": period.to_seq},
        "epoch": epoch,
        "feed": _feed_link(counting.connection, period.to_seq),
        "segments": msgspec.to_builtins(segments),
        "totals": totals | {"gap": totals["expected"] - totals["acknowledged"]},
        "open": msgspec.to_builtins(gaps),
        "closed": closed,
        "over": period.over,
        "statement": (CLOSED if period.over else CLOSED_SO_FAR) if closed else OPEN,
    }


def _terms(connection: Connection, found: Subscription) -> dict[str, Any]:
    return {
        "district": district_of(connection).strip('"'),
        "subscription": found.code,
        "organisation": found.organisation,
        "definition_version": found.version,
        "definition": found.digest,
        "catalogue_no": found.catalogue_no,
        "purpose": found.purpose,
        "legal_basis": found.legal_basis,
        "expires_on": found.expires_on.isoformat() if found.expires_on else None,
    }


def _feed_link(connection: Connection, seq: int) -> dict[str, Any] | None:
    """The link of the batch the range ends in: it fixes everything that was in the log by then."""
    rows = run_sql(
        connection,
        "SELECT batch, to_seq, encode(link, 'hex') FROM {d}.feed_batch WHERE from_seq <= :seq"
        " ORDER BY batch DESC LIMIT 1",
        seq=seq,
    )
    return {"batch": rows[0][0], "to_seq": rows[0][1], "link": rows[0][2]} if rows else None


def _new_number(time_zone: str) -> str:
    day = utc_now().astimezone(ZoneInfo(time_zone)).strftime("%Y%m%d")
    return f"ZM{day}-{new_uuid().hex[-8:].upper()}"


# ---- periods ----


def _read_period(connection: Connection, found: Subscription, epoch: str, period: str, time_zone: str) -> Period:
    if _MONTH.fullmatch(period):
        return _read_month(connection, period, time_zone)
    if numbers := _NUMBERS.fullmatch(period):
        first, last = (int(each) for each in numbers.groups())
        return _read_numbers(load_delivered(connection, found).get(epoch, []), first, last)
    raise BadRequest(
        "期间写作 2026-11 或 1..500（下发编号）。 A period is 2026-11, or 1..500 (delivery numbers).", field="period"
    )


def _read_month(connection: Connection, month: str, time_zone: str) -> Period:
    begin, end = month_bounds(month, time_zone)
    if begin > utc_now():
        raise BadRequest(f"{month}: 尚未开始的月份。 This month has not begun.", field="period")
    rows = run_sql(
        connection,
        "SELECT coalesce(max(to_seq) FILTER (WHERE recorded_at < :begin), 0), coalesce(max(to_seq), 0)"
        " FROM {d}.feed_batch WHERE recorded_at < :end",
        begin=begin,
        end=end,
    )
    return Period(month, cast(int, rows[0][0]), cast(int, rows[0][1]), over=utc_now() >= end)


def _read_numbers(rows: list[Delivered], first: int, last: int) -> Period:
    """Widened to whole deliveries, and named by them."""
    meant = [one for one in rows if one.count and one.last >= first and one.first <= last]
    if not meant or first > last or meant[-1].last < last:
        raise BadRequest(f"{first}..{last}: 没有这些下发编号。 There are no such delivery numbers.", field="period")
    first, last = meant[0].first, meant[-1].last
    return Period(f"{first}..{last}", meant[0].from_seq, meant[-1].to_seq, numbers=(first, last))


# ---- reading ----


_LISTED = [one for one in certificate.c if one.name != "content"]
_NAMES = (*_FIGURES, "certificate_no", "period", "closed", "issued_at", "issued_by")
CERTIFICATE_ORDERS: dict[str, ColumnElement[Any]] = {
    "subscription": subscription.c.code,
    "organisation": subscription.c.organisation,
    **{name: certificate.c[name] for name in (*_FIGURES, "period", "closed", "issued_at")},
}


class WantedCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """Which of them, in which order: CERTIFICATE_ORDERS, ``-`` before one for downwards; ``after``: behind this number."""

    code: str | None = None
    period: str | None = None
    closed: bool | None = None
    sort: str = "-issued_at"
    after: str | None = None


def list_certificates(
    connection: Connection, actor: Actor, wanted: WantedCertificates | None = None, limit: int = 200
) -> list[ListedCertificate]:
    """The newest first: of one's own subscriptions, of those one provides for; the bureau's all."""
    require(actor, *READERS)
    its = wanted or WantedCertificates()
    query = _kept(_LISTED).where(_visible(actor), *_wanted(its))
    query = in_order(query, CERTIFICATE_ORDERS, its.sort, certificate.c.certificate_no, its.after)
    return [
        ListedCertificate(subscription=row.code, organisation=row.organisation, **_named(row))
        for row in connection.execute(query.limit(limit))
    ]


def list_certified(connection: Connection, actor: Actor) -> list[str]:
    """The codes of the subscriptions this actor may see a certificate of."""
    require(actor, *READERS)
    has_one = exists().where(certificate.c.subscription_id == subscription.c.subscription_id)
    return list(
        connection.scalars(select(subscription.c.code).where(has_one, _visible(actor)).order_by(subscription.c.code))
    )


def load_certificate(connection: Connection, actor: Actor, number: str) -> Certificate:
    """NotFound where there is none, or none for this actor."""
    require(actor, *READERS)
    row = connection.execute(_kept().where(_visible(actor), certificate.c.certificate_no == number)).first()
    if row is None:
        raise NotFound(f"没有完整性证明 {number}。 No certificate {number}.")
    return _certificate(row)


def list_issuable(connection: Connection, actor: Actor) -> list[Subscription]:
    """The subscriptions this actor may have certified: one's own; the bureau's all but those of care."""
    if not actor.may(Right.OVERSEE_SHARING):
        return list_subscriptions(connection, subscription.c.organisation == actor.organisation)
    return [one for one in list_subscriptions(connection, true()) if one.organisation_kind != "care"]


def _wanted(its: WantedCertificates) -> list[ColumnElement[bool]]:
    asked = ((subscription.c.code, its.code), (certificate.c.period, its.period), (certificate.c.closed, its.closed))
    return [column == value for column, value in asked if value is not None]


def _kept(columns: Iterable[ColumnElement[Any]] = certificate.c) -> Select[Any]:
    joined = certificate.join(subscription, certificate.c.subscription_id == subscription.c.subscription_id)
    return select(*columns, subscription.c.code, subscription.c.organisation).select_from(joined)


def _visible(actor: Actor) -> ColumnElement[bool]:
    """Of a slice that holds what is clinical by existing the figures say how much there is: for care alone."""
    if actor.organisation == "hub":
        return true()
    own = subscription.c.organisation == actor.organisation
    told = true() if actor.kind == "care" else subscription.c.subscription_id.not_in(_of_care_alone())
    if actor.may(Right.OVERSEE_SHARING):
        return told
    if not actor.may(Right.READ_SHARING):
        return own
    return or_(own, and_(literal(actor.organisation) == any_(subscription.c.providers), told))


def _of_care_alone() -> Select[Any]:
    named = subscription_version.c.definition["record_types"]
    clinical = (named.contains([{"record_type": code}]) for code in sorted(CARE_ONLY_TYPES))
    return select(subscription_version.c.subscription_id).where(or_(*clinical))


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(subscription=row.code, organisation=row.organisation, content=row.content, **_named(row))


def _named(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NAMES}


# ---- again ----


def recompute_certificate(connection: Connection, actor: Actor, context: FeedContext, number: str) -> Recomputed:
    """Whether the same figures come out of log and deliveries now; after erasures and new definitions too."""
    kept = load_certificate(connection, actor, number)
    found = _open_for_issue(connection, actor, kept.subscription)
    counting, delivered = Counting(connection, context, found), load_delivered(connection, found)
    differences = [
        difference
        for then in msgspec.convert(kept.content["segments"], list[Segment])
        for difference in _differences(then, _again(counting, then, delivered.get(then.epoch, [])))
    ]
    if _feed_link(connection, kept.content["range"]["to_seq"]) != kept.content["feed"]:
        differences.append("feed: 批次链不符 the chain of batches is another")
    audit.record(
        connection, actor, Right.READ_SHARING, f"certificate/{number}", what="recompute", differences=len(differences)
    )
    return Recomputed(number, not differences, tuple(differences))


def _again(counting: Counting, then: Segment, rows: list[Delivered]) -> Segment:
    version, low, high = then.definition_version, then.from_seq, then.to_seq
    again = Stretch(kind=then.kind, epoch=then.epoch, version=version, from_seq=low, to_seq=high)
    return figures(counting, again, rows)


def _differences(then: Segment, now: Segment) -> list[str]:
    """What was open and is acknowledged by now is told too: a new certificate says so."""
    compared = (*_FIGURES, "digest", "definition", "by_type")
    place = f"{then.epoch} ({then.from_seq}, {then.to_seq}]"
    pairs = [(name, getattr(then, name), getattr(now, name)) for name in compared]
    return [f"{place} {name}: {before} → {after}" for name, before, after in pairs if before != after]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
