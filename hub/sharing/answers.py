"""Providers answer for their own record types; when all have approved, the slice is in force in the same transaction.

政务数据共享条例, arts. 21, 22, 28: one working day for what is shared unconditionally, ten for the rest, ten more with the
bureau's consent and notice; a refusal says why; the first delivery comes within twenty working days.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select, update

from hub.database import set_reach
from hub.errors import BadRequest, Conflict, NotAllowed, NotFound
from hub.registry.areas import load_area_index
from hub.registry.masking import mask_within
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.requests import SamePerson
from hub.registry.rights import require
from hub.registry.scope import reach_of
from hub.registry.slice_definition import definition_digest
from hub.registry.subscriptions import (
    change_subscription,
    create_subscription,
    load_subscription,
    renew_subscription,
)
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.licence import find_missing, one_line, refuse_forbidden
from hub.sharing.requests import (
    LONGEST_REASON,
    LicenceRequest,
    RequestMoved,
    find_request,
    load_request,
    note_request,
    reason_given,
    set_request,
    today,
)
from hub.sharing.routing import EntryShared, concerned_by, load_shared
from hub.sharing.working_day_clocks import REPLY_DAYS_MORE, ExtensionTooLong, deliver_by, extended_reply_by
from hub.tables import licence_answer
from mappings.catalogue import Catalogue

Outcome = Literal["approved", "refused"]
LEAST_ARBITRARY = 20  # characters of a reason why the entry's word does not hold here


class LicenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's part of a request."""

    request_id: UUID
    provider: str
    record_types: tuple[str, ...]
    sharing: Literal["unconditional", "conditional"]
    state: Literal["waiting", "approved", "refused"]
    reply_by: date
    extension_days: int
    extension_reason: str
    extension_by: str | None
    consented_at: datetime | None
    consented_by: str | None
    reason: str
    answered_at: datetime | None
    answered_by: str | None


class AnsweredAlready(Conflict):
    """本单位已答复这件申请。 Your organisation has answered this request already."""

    problem = "answered-already"


class NotArbitrary(BadRequest):
    """无条件共享的不得任意拒绝，请写明与目录不符之处（20 字以上）。 Say in 20 characters why this is not what its entry says."""

    problem = "not-arbitrary"


class LimitPassed(Conflict):
    """申请的使用时限已过，请申请单位撤回后重新申请。 The time limit asked for has passed: withdraw it and ask again."""

    problem = "limit-passed"


class RequestOutdated(Conflict):
    """提交后情况已变，不能照此批准，请申请单位撤回后重新申请。 Things changed since it was handed in: withdraw it and ask anew."""

    problem = "request-outdated"


# ---- approve, refuse ----


def answer_request(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    request_id: UUID,
    outcome: Outcome,
    reason: str,
    now: datetime,
) -> LicenceRequest:
    """The provider approves (``reason``: its conditions, if any) or refuses, saying why. Whoever asked never answers.

    The same answer of the same person once more changes nothing.
    """
    found, mine = _hold_mine(connection, actor, request_id)
    if found.asked_by == actor.name:
        raise SamePerson()
    if mine.state == outcome and mine.answered_by == actor.name:
        return found
    if mine.state != "waiting":
        raise AnsweredAlready()
    if found.state != "submitted":
        raise RequestMoved()
    told = _told(outcome, reason, mine)
    if outcome == "approved":
        _refuse_outdated(connection, settings, catalogue, found, today(settings, now))
    _set_answer(connection, mine, state=outcome, reason=told, answered_at=now, answered_by=actor.name)
    late = today(settings, now) > mine.reply_by
    note_request(connection, actor, Right.ANSWER_SLICE, found.request_no, outcome, provider=mine.provider, late=late)
    if outcome == "refused":
        _refuse_whole(connection, found, mine, told, now)
    elif all(one.state == "approved" for one in answers_of(connection, request_id)):
        put_in_force(connection, settings, catalogue, actor, found, now)
    return load_request(connection, request_id)


def _told(outcome: Outcome, reason: str, mine: LicenceAnswer) -> str:
    if outcome == "refused":
        if mine.sharing == "unconditional" and len(one_line(reason)) < LEAST_ARBITRARY:
            raise NotArbitrary(reason="")
        return reason_given(reason)
    if outcome != "approved":
        raise BadRequest("答复应为 approved 或 refused。 An answer is approved or refused.", outcome="")
    return mask_within(one_line(reason)[:LONGEST_REASON])


def _refuse_outdated(
    connection: Connection, settings: Settings, catalogue: Catalogue, found: LicenceRequest, day: date
) -> None:
    """An approval is of what the data catalogue says on its day: an entry may have been withdrawn, narrowed, handed on.

    What was approved before stands until its own last day: no entry stops a slice, the bureau does (art. 27).
    """
    if found.wanted.expires_on is not None and found.wanted.expires_on < day:
        raise LimitPassed()
    its, areas = load_organisation(connection, found.organisation), load_area_index(connection)
    entries = load_shared(connection, catalogue, found.wanted.definition)
    refuse_forbidden(found.wanted.definition, catalogue, its, areas, entries)
    years = settings.sharing.licence_years
    changed = find_missing(found.wanted, catalogue, its, areas, entries, day, years)
    changed += _handed_on(entries, answers_of(connection, found.request_id))
    changed += [] if its.enabled else [f"{its.code}: 使用单位已停用 (the receiver is disabled)"]
    if changed:
        raise RequestOutdated("；".join(changed[:20]), changed=changed[:20])


def _handed_on(entries: dict[str, EntryShared], asked: list[LicenceAnswer]) -> list[str]:
    """Record types somebody provides by now who was not asked for them."""
    known = {(one.provider, code) for one in asked for code in one.record_types}
    now = {(one.provider, code) for one in concerned_by(entries) for code in one.record_types}
    return [f"{code}: 提供单位现为 {provider} (its provider is another now)" for provider, code in sorted(now - known)]


def _refuse_whole(connection: Connection, found: LicenceRequest, mine: LicenceAnswer, told: str, now: datetime) -> None:
    """One refusal refuses the request. Refusing what is shared unconditionally comes before the bureau at once."""
    values: dict[str, Any] = {"state": "refused", "decided_at": now}
    if mine.sharing == "unconditional":
        values |= {"level": max(found.level, 1), "level_reason": told}
    set_request(connection, found.request_id, **values)


def put_in_force(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, found: LicenceRequest, now: datetime
) -> None:
    """All have approved: create, change or renew the subscription, here and now."""
    wanted, day = found.wanted, today(settings, now)
    its: dict[str, Any] = {"terms": wanted.terms(found.request_id), "freshness_hours": wanted.freshness_hours}
    with keeping_registry(connection, actor) as keeper:
        if found.kind == "new":
            create_subscription(
                connection, keeper, catalogue, code=found.subscription_code, organisation=found.organisation,
                title=wanted.title, definition=wanted.definition, **its,
            )  # fmt: skip
        elif found.kind == "change":
            change_subscription(
                connection, keeper, catalogue, found.subscription_code, definition=wanted.definition, **its
            )
        else:
            _refuse_other_slice(connection, found)
            renew_subscription(connection, keeper, catalogue, found.subscription_code, **its)
    due = None if found.kind == "renew" else deliver_by(load_calendar(settings), day)  # a renewed feed goes on
    set_request(connection, found.request_id, state="approved", decided_at=now, deliver_by=due)


def _refuse_other_slice(connection: Connection, found: LicenceRequest) -> None:
    """What is renewed is what was asked for, with the providers it had then."""
    if load_subscription(connection, found.subscription_code).digest != definition_digest(found.wanted.definition):
        raise RequestOutdated(f"{found.subscription_code}: 订阅内容已变更 (the slice was changed since)")


@contextmanager
def keeping_registry(connection: Connection, actor: Actor) -> Iterator[Actor]:
    """Inside, this transaction writes the registry: what the providers approved, what the bureau decided."""
    set_reach(connection, {"registry": "on"})
    yield msgspec.structs.replace(actor, rights=actor.rights | {Right.MANAGE_REGISTRY})
    set_reach(connection, {"registry": "", **reach_of(actor)})


def send_back(
    connection: Connection,
    settings: Settings,
    actor: Actor,
    request_id: UUID,
    provider: str,
    reason: str,
    now: datetime,
) -> LicenceRequest:
    """The bureau asks a provider to judge its refusal anew: its days begin again. Others' answers stand."""
    require(actor, Right.OVERSEE_SHARING, Right.OPERATE)
    found = find_request(connection, actor, request_id, hold=True)
    its = answer_of(connection, request_id, provider)
    if found.state != "refused" or its.state != "refused" or found.level == 0:
        raise RequestMoved()
    told = reason_given(reason)
    day = today(settings, now)
    from_now = extended_reply_by(load_calendar(settings), day, _days_of(its))
    cleared: dict[str, Any] = {"answered_at": None, "answered_by": None, "reason": "", "reply_by": from_now}
    _set_answer(connection, its, state="waiting", reminded_on=day, **cleared)  # so that its provider is told
    set_request(connection, request_id, state="submitted", decided_at=None, level_reason=told)
    note_request(connection, actor, Right.OVERSEE_SHARING, found.request_no, "sent-back", provider=provider)
    return load_request(connection, request_id)


def _days_of(its: LicenceAnswer) -> int:
    return 1 if its.sharing == "unconditional" else REPLY_DAYS_MORE


# ---- more time ----


def ask_extension(
    connection: Connection, settings: Settings, actor: Actor, request_id: UUID, days: int, reason: str, now: datetime
) -> LicenceAnswer:
    """The provider asks for up to ten working days more, before its days are over. The bureau consents, or is silent."""
    found, mine = _hold_mine(connection, actor, request_id)
    if found.asked_by == actor.name:
        raise SamePerson()
    if found.state != "submitted" or mine.state != "waiting" or mine.consented_at is not None:
        raise RequestMoved()
    if mine.sharing == "unconditional":
        raise NotAllowed("无条件共享的答复期限不能延长。 The day for unconditional sharing is not extended.")
    if not 1 <= days <= REPLY_DAYS_MORE:
        raise ExtensionTooLong(f"{days} (1–{REPLY_DAYS_MORE})", days="")
    if today(settings, now) > mine.reply_by:
        raise NotAllowed("答复期限已过，不能再延长，请尽快答复。 The day to answer has passed: answer now.")
    told = reason_given(reason)
    _set_answer(connection, mine, extension_days=days, extension_reason=told, extension_by=actor.name)
    note_request(connection, actor, Right.ANSWER_SLICE, found.request_no, "extension", days=days)
    return answer_of(connection, request_id, mine.provider)


def consent_to_extension(
    connection: Connection, settings: Settings, actor: Actor, request_id: UUID, provider: str, now: datetime
) -> LicenceAnswer:
    """The bureau consents; whoever asked for the slice is told of the later day. Not by whoever asked for the days."""
    require(actor, Right.OVERSEE_SHARING, Right.OPERATE)
    found = find_request(connection, actor, request_id, hold=True)
    its = answer_of(connection, request_id, provider)
    if its.extension_by == actor.name:
        raise SamePerson()
    if its.consented_at is not None:
        return its
    if found.state != "submitted" or its.state != "waiting" or not its.extension_days:
        raise RequestMoved()
    later = extended_reply_by(load_calendar(settings), its.reply_by, its.extension_days)
    _set_answer(connection, its, reply_by=later, consented_at=now, consented_by=actor.name)
    note_request(connection, actor, Right.OVERSEE_SHARING, found.request_no, "consent", days=its.extension_days)
    return answer_of(connection, request_id, provider)


def remind_providers(connection: Connection, settings: Settings, actor: Actor, request_id: UUID, now: datetime) -> int:
    """The bureau reminds everybody who has not answered, once a day at most; how many are told."""
    require(actor, Right.OVERSEE_SHARING, Right.OPERATE)
    found = find_request(connection, actor, request_id, hold=True)
    if found.state != "submitted":
        raise RequestMoved()
    waiting = [one for one in answers_of(connection, request_id) if one.state == "waiting"]
    for one in waiting:
        _set_answer(connection, one, reminded_on=today(settings, now))
    note_request(connection, actor, Right.OVERSEE_SHARING, found.request_no, "remind", providers=len(waiting))
    return len(waiting)


# ---- whose answer ----


def may_answer(actor: Actor, provider: str) -> bool:
    """The provider's data officer; where the bureau is the provider, its operator."""
    if actor.organisation != provider:
        return False
    bureau = actor.kind == "bureau" and actor.may(Right.OVERSEE_SHARING)
    return actor.may(Right.ANSWER_SLICE) or bureau or actor.may(Right.OPERATE)


def _hold_mine(connection: Connection, actor: Actor, request_id: UUID) -> tuple[LicenceRequest, LicenceAnswer]:
    """The request, held, and the actor's own organisation's part of it."""
    require(actor, Right.ANSWER_SLICE, Right.OVERSEE_SHARING, Right.OPERATE)
    found = find_request(connection, actor, request_id, hold=True)
    if actor.organisation not in found.providers or not may_answer(actor, actor.organisation):
        raise NotAllowed("只有提供单位的数据专员可以答复。 Only a data officer of a provider answers.")
    return found, answer_of(connection, request_id, actor.organisation)


def answers_of(connection: Connection, request_id: UUID) -> list[LicenceAnswer]:
    """Every provider's answer, by provider."""
    query = select(licence_answer).where(licence_answer.c.request_id == request_id)
    rows = connection.execute(query.order_by(licence_answer.c.provider))
    return [msgspec.convert(row, LicenceAnswer, from_attributes=True) for row in rows]


def answer_of(connection: Connection, request_id: UUID, provider: str) -> LicenceAnswer:
    found = next((one for one in answers_of(connection, request_id) if one.provider == provider), None)
    if found is None:
        raise NotFound(f"{provider} 不是这件申请的提供单位。 {provider} is no provider of this request.", provider="")
    return found


def _set_answer(connection: Connection, its: LicenceAnswer, **values: object) -> None:
    one = licence_answer.c
    wanted = (one.request_id == its.request_id) & (one.provider == its.provider)
    connection.execute(update(licence_answer).where(wanted).values(**values))
