"""Requests for slices: drafted, handed in, taken back, brought before the bureau; an incomplete one is told all it lacks.

政务数据共享条例, arts. 20, 21, 28.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Row, insert, select, text, update

from hub import audit
from hub.database import new_uuid, set_reach
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.hunting_together import refuse_hunting_together
from hub.registry.masking import mask_within
from hub.registry.organisations import Organisation, load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.registry.subscriptions import Subscription, load_subscription
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.licence import (
    Wanted,
    find_missing,
    for_own_area,
    known_part,
    new_request_number,
    one_line,
    read_wanted,
    refuse_forbidden,
    wrong_code,
)
from hub.sharing.routing import EntryShared, concerned_by, load_shared
from hub.sharing.working_day_clocks import day_of_receipt, reply_by
from hub.tables import licence_answer, licence_request, subscription
from mappings.catalogue import Catalogue

Kind = Literal["new", "change", "renew"]
RequestState = Literal["draft", "incomplete", "submitted", "approved", "refused", "withdrawn"]
KINDS = ("new", "change", "renew")
OPEN = ("draft", "incomplete")
UNDER_WAY = (*OPEN, "submitted")
LEAST_REASON, LONGEST_REASON = 8, 500
TOP_LEVEL = 3  # 1 the bureau, 2 the common superior, 3 the government


class LicenceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it is kept."""

    request_id: UUID
    request_no: str
    organisation: str
    kind: Kind
    subscription_code: str
    wanted: Wanted
    providers: tuple[str, ...]
    state: RequestState
    missing: tuple[str, ...]
    asked_by: str
    asked_at: datetime
    submitted_at: datetime | None
    decided_at: datetime | None
    deliver_by: date | None
    delivered_at: datetime | None
    level: int
    level_reason: str


class RequestMoved(Conflict):
    """这件申请已不在可以办理的状态。 This request is not in a state in which that can be done."""

    problem = "request-moved"


class BadReasonGiven(BadRequest):
    """请写明理由（8–500 字）。 Say why, in 8 to 500 characters."""

    problem = "bad-reason"


# ---- drafted ----


def draft_request(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    kind: str,
    code: str,
    written: Mapping[str, Any],
    now: datetime,
) -> LicenceRequest:
    """A draft for one's own organisation, with what is still missing. The same draft twice is one.

    ``code``: of the subscription that is changed or renewed; of a new one may be left empty.
    """
    its, areas = _asking(connection, actor), load_area_index(connection)
    if kind not in KINDS:
        raise BadRequest(f"申请类型应为 {'、'.join(KINDS)}。 The kind is one of: {', '.join(KINDS)}.", kind=kind[:40])
    _one_at_a_time(connection, its.code)
    if kind == "new" and code:
        _refuse_code(connection, actor, code)
    known = _own_subscription(connection, its.code, code) if kind != "new" else None
    wanted, unread = read_wanted(_completed(written, known, kind))
    wanted = for_own_area(wanted, its, areas)
    same = _same_under_way(connection, its.code, kind, code, wanted)
    if same is not None:
        return same
    number = new_request_number(today(settings, now))
    row = {"request_id": new_uuid(), "request_no": number, "organisation": its.code, "kind": kind, "state": "draft"}
    row |= {"subscription_code": code or f"{its.code}-{number[-5:]}".lower(), "asked_by": actor.name, "asked_at": now}
    row |= {"missing": unread + _checked(connection, settings, catalogue, its, areas, row, wanted, now)}
    connection.execute(insert(licence_request), [row | {"wanted": msgspec.to_builtins(wanted)}])
    note_request(connection, actor, Right.ASK_SLICE, number, "draft", kind=kind, missing=len(row["missing"]))  # type: ignore[arg-type]
    return load_request(connection, row["request_id"])  # type: ignore[arg-type]


def revise_request(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    request_id: UUID,
    written: Mapping[str, Any],
    now: datetime,
) -> LicenceRequest:
    """Other content for a draft, or for one that was incomplete; it is handed in by ``submit_request``."""
    its, areas = _asking(connection, actor), load_area_index(connection)
    found = hold_own(connection, actor, request_id, OPEN)
    known = _own_subscription(connection, its.code, found.subscription_code) if found.kind != "new" else None
    wanted, unread = read_wanted(_completed(written, known, found.kind))
    wanted = for_own_area(wanted, its, areas)
    row = {"subscription_code": found.subscription_code, "kind": found.kind, "request_id": request_id}
    missing = unread + _checked(connection, settings, catalogue, its, areas, row, wanted, now)
    set_request(connection, request_id, wanted=msgspec.to_builtins(wanted), missing=missing)
    note_request(connection, actor, Right.ASK_SLICE, found.request_no, "revise", missing=len(missing))
    return load_request(connection, request_id)


def _asking(connection: Connection, actor: Actor) -> Organisation:
    require(actor, Right.ASK_SLICE, Right.OPERATE)
    return load_organisation(connection, actor.organisation)


def _one_at_a_time(connection: Connection, organisation: str) -> None:
    """A form sent twice at the same moment waits for itself, and then finds itself."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"ask/{organisation}"})


def _refuse_code(connection: Connection, actor: Actor, code: str) -> None:
    """A draft keeps its code: one that cannot be, or is somebody's already, is told before there is a draft."""
    if wrong := wrong_code(code):
        raise BadRequest(one_line(wrong), code="")
    set_reach(connection, {"registry": "on"})  # somebody else's counts too
    taken = connection.execute(select(subscription.c.code).where(subscription.c.code == code)).first()
    set_reach(connection, {"registry": "", **reach_of(actor)})
    if taken:
        raise Conflict(f"订阅代码 {code} 已被使用，请换一个。 The code {code} is taken: choose another.", code="")


def _own_subscription(connection: Connection, organisation: str, code: str) -> Subscription:
    """The subscription to be changed; another organisation's looks as if there were none."""
    found = load_subscription(connection, code)
    if found.organisation != organisation:
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.", subscription_code="")
    if found.state == "ended":
        raise Conflict(f"订阅 {code} 已终止，请新申请。 Subscription {code} has ended: ask for a new one.")
    return found


def _completed(written: Mapping[str, Any], known: Subscription | None, kind: str) -> Mapping[str, Any]:
    """What a change leaves unsaid stays as it is; renewing keeps the slice, whatever was written of it."""
    if known is None:
        return written
    names = ("title", "purpose", "legal_basis", "scope", "mode", "freshness_hours")
    kept: dict[str, Any] = {name: getattr(known, name) for name in names}
    kept["definition"] = msgspec.to_builtins(known.definition)
    said = {name: value for name, value in written.items() if value not in ("", None)}
    return kept | said | ({"definition": kept["definition"]} if kind == "renew" else {})


def _same_under_way(
    connection: Connection, organisation: str, kind: str, code: str, wanted: Wanted
) -> LicenceRequest | None:
    its = licence_request.c
    said = msgspec.to_builtins(wanted) | {"catalogue_nos": []}  # they are added when it is handed in
    as_said = text("wanted || '{\"catalogue_nos\": []}' = CAST(:said AS jsonb)").bindparams(
        said=msgspec.json.encode(said).decode()
    )
    mine = (its.organisation == organisation) & (its.kind == kind) & its.state.in_(UNDER_WAY)
    query = select(licence_request).where(mine, as_said)
    if code:
        query = query.where(its.subscription_code == code)
    found = connection.execute(query.order_by(its.asked_at.desc()).limit(1)).one_or_none()
    return request_of(found) if found else None


def _checked(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    its: Organisation,
    areas: AreaIndex,
    row: Mapping[str, Any],
    wanted: Wanted,
    now: datetime,
) -> list[str]:
    """What is missing. What the floor forbids is refused here, with the reason."""
    entries = load_shared(connection, catalogue, wanted.definition)
    refuse_forbidden(wanted.definition, catalogue, its, areas, entries)
    known = known_part(wanted.definition, catalogue)
    refuse_hunting_together(connection, its.code, known, "" if row["kind"] == "new" else row["subscription_code"])
    years = settings.sharing.licence_years
    missing = find_missing(wanted, catalogue, its, areas, entries, today(settings, now), years)
    return missing + _code_trouble(connection, its.code, row)


def _code_trouble(connection: Connection, organisation: str, row: Mapping[str, Any]) -> list[str]:
    code, its = row["subscription_code"], licence_request.c
    taken = select(subscription.c.code).where(subscription.c.code == code)
    if row["kind"] == "new" and connection.execute(taken).first():
        return [f"{code}: 订阅代码已被使用 (this code is taken)"]
    others = select(its.request_no).where(
        its.subscription_code == code, its.state == "submitted", its.request_id != row["request_id"]
    )
    other = connection.execute(others.where(its.organisation == organisation)).scalars().first()
    return [f"{code}: 申请 {other} 正在办理 (request {other} is under way)"] if other else []


# ---- handed in ----


def submit_request(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, request_id: UUID, now: datetime
) -> LicenceRequest:
    """Hand it in: complete, it goes to its providers and their days begin; else it is told all that is missing."""
    its, areas = _asking(connection, actor), load_area_index(connection)
    _one_at_a_time(connection, its.code)
    found = hold_own(connection, actor, request_id, UNDER_WAY)
    if found.state == "submitted":
        return found
    row = {"subscription_code": found.subscription_code, "kind": found.kind, "request_id": request_id}
    if found.kind != "new":
        known = _own_subscription(connection, its.code, found.subscription_code)
        found = _of_the_slice(found, known)
    missing = _checked(connection, settings, catalogue, its, areas, row, found.wanted, now)
    if missing:
        set_request(connection, request_id, state="incomplete", missing=missing, asked_by=actor.name)
        note_request(connection, actor, Right.ASK_SLICE, found.request_no, "incomplete", missing=len(missing))
        return load_request(connection, request_id)
    return _start_clocks(
        connection, settings, actor, found, load_shared(connection, catalogue, found.wanted.definition), now
    )


def _of_the_slice(found: LicenceRequest, known: Subscription) -> LicenceRequest:
    """Renewing is for the slice as it is now: it may have been changed since the draft was written."""
    if found.kind != "renew":
        return found
    wanted = msgspec.structs.replace(found.wanted, definition=known.definition)
    return msgspec.structs.replace(found, wanted=wanted)


def _start_clocks(
    connection: Connection,
    settings: Settings,
    actor: Actor,
    found: LicenceRequest,
    entries: dict[str, EntryShared],
    now: datetime,
) -> LicenceRequest:
    calendar, concerned = load_calendar(settings), concerned_by(entries)
    received = day_of_receipt(calendar, now, settings.time_zone)
    numbers = tuple(sorted({one.catalogue_no for one in entries.values() if one.catalogue_no}))
    wanted = msgspec.structs.replace(found.wanted, catalogue_nos=numbers)
    set_request(
        connection, found.request_id, state="submitted", missing=[], submitted_at=now, asked_by=actor.name,
        providers=[one.provider for one in concerned], wanted=msgspec.to_builtins(wanted),
    )  # fmt: skip
    asked = [
        {
            "request_id": found.request_id,
            "provider": one.provider,
            "record_types": list(one.record_types),
            "sharing": one.sharing,
            "reply_by": reply_by(calendar, received, one.sharing),
        }
        for one in concerned
    ]
    connection.execute(insert(licence_answer), asked)
    note_request(connection, actor, Right.ASK_SLICE, found.request_no, "submitted", providers=len(asked))
    return load_request(connection, found.request_id)


def withdraw_request(connection: Connection, actor: Actor, request_id: UUID, now: datetime) -> LicenceRequest:
    """Who asked takes it back, as long as it is not decided."""
    _asking(connection, actor)
    found = hold_own(connection, actor, request_id, (*UNDER_WAY, "withdrawn"))
    if found.state != "withdrawn":
        set_request(connection, request_id, state="withdrawn", decided_at=now)
        note_request(connection, actor, Right.ASK_SLICE, found.request_no, "withdrawn")
    return load_request(connection, request_id)


# ---- brought higher ----


def escalate_request(connection: Connection, actor: Actor, request_id: UUID, level: int, reason: str) -> LicenceRequest:
    """Bring it before the bureau (1), the common superior (2), the government (3), one after the other.

    Who asked may bring it before the bureau; what goes higher is the bureau's to send.
    """
    require(actor, Right.ASK_SLICE, Right.OVERSEE_SHARING, Right.OPERATE)
    found = find_request(connection, actor, request_id, hold=True)
    oversees = actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)
    if not oversees and (found.organisation != actor.organisation or level != 1):
        raise NotAllowed("申请单位只能提请区局协调。 Who asked brings it before the bureau, no higher.")
    if found.state not in ("submitted", "refused") or level != found.level + 1 or level > TOP_LEVEL:
        raise RequestMoved()
    told = reason_given(reason)
    set_request(connection, request_id, level=level, level_reason=told)
    right = Right.OVERSEE_SHARING if oversees else Right.ASK_SLICE
    note_request(connection, actor, right, found.request_no, "escalated", level=level)
    return load_request(connection, request_id)


def reason_given(reason: str, least: int = LEAST_REASON) -> str:
    """A reason as it is kept: in one line, numbers of persons masked."""
    told = one_line(reason)
    if not least <= len(told) <= LONGEST_REASON:
        raise BadReasonGiven(reason="")
    return mask_within(told)


# ---- looking ----


def find_request(connection: Connection, actor: Actor, request_id: UUID, *, hold: bool = False) -> LicenceRequest:
    """A request the actor may know of: its own organisation's, one it is a provider of; the bureau all handed in."""
    require(actor, Right.READ_SHARING, Right.ASK_SLICE, Right.ANSWER_SLICE, Right.OVERSEE_SHARING, Right.OPERATE)
    query = select(licence_request).where(licence_request.c.request_id == request_id)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None or not may_know(actor, request_of(row)):
        raise NotFound(f"没有申请 {request_id}。 No request {request_id}.")
    return request_of(row)


def may_know(actor: Actor, one: LicenceRequest) -> bool:
    """Drafts are their organisation's alone."""
    if one.organisation == actor.organisation or actor.may(Right.OPERATE) or actor.may(Right.SYSTEM):
        return True
    if one.state == "draft":
        return False
    return actor.may(Right.OVERSEE_SHARING) or actor.organisation in one.providers


def hold_own(connection: Connection, actor: Actor, request_id: UUID, states: tuple[str, ...]) -> LicenceRequest:
    """One's own organisation's request, held until this transaction ends."""
    found = find_request(connection, actor, request_id, hold=True)
    if found.organisation != actor.organisation:
        raise NotAllowed("只有申请单位可以办理。 Only the organisation that asked may do that.")
    if found.state not in states:
        raise RequestMoved()
    return found


def load_request(connection: Connection, request_id: UUID) -> LicenceRequest:
    query = select(licence_request).where(licence_request.c.request_id == request_id)
    return request_of(connection.execute(query).one())


def request_of(row: Row[Any]) -> LicenceRequest:
    return msgspec.convert(row, LicenceRequest, from_attributes=True)


def set_request(connection: Connection, request_id: UUID, **values: object) -> None:
    """What became of it; the caller notes who did it."""
    connection.execute(update(licence_request).where(licence_request.c.request_id == request_id).values(**values))


def today(settings: Settings, now: datetime) -> date:
    """The day it is in the district."""
    return now.astimezone(ZoneInfo(settings.time_zone)).date()


def note_request(connection: Connection, actor: Actor, right: Right, number: str, how: str, **facts: object) -> None:
    """One audit line of a request: its number, what was done, counts."""
    audit.record(connection, actor, right, f"licence-request/{number}", "done", how=how, **facts)
