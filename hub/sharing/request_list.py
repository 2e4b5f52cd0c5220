"""Requests as people look at them: with every provider's clock in working days, and what each viewer may do next.

That a slice of a care organisation names record types that stay in care is nobody else's to read: they are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, any_, or_, select, true, tuple_
from sqlalchemy import literal as literal_value

from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import is_care_only
from hub.registry.slice_definition import SliceType
from hub.registry.working_days import Calendar, load_calendar
from hub.settings import Settings
from hub.sharing.answers import LicenceAnswer, answers_of, may_answer
from hub.sharing.requests import OPEN, TOP_LEVEL, UNDER_WAY, LicenceRequest, find_request, request_of, today
from hub.tables import licence_answer, licence_request
from mappings.catalogue import Catalogue


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's answer and its days: ``left`` working days, below zero when it is overdue; None when answered."""

    provider: str
    state: str
    sharing: str
    reply_by: date
    left: int | None
    late: bool  # not answered in time, whether or not since


class ListedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    request: LicenceRequest
    clocks: tuple[Clock, ...]
    deliver_left: int | None  # working days until the first delivery is due; None when none is

    @property
    def overdue(self) -> bool:
        return any(one.left is not None and one.left < 0 for one in self.clocks)


class ShownRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request with its answers, and what this viewer may do."""

    request: LicenceRequest
    answers: tuple[LicenceAnswer, ...]
    clocks: dict[str, Clock]
    record_types: tuple[SliceType, ...]
    withheld: bool  # record types that stay in care are left out
    deliver_left: int | None
    may: frozenset[str]


def list_requests(
    connection: Connection,
    settings: Settings,
    actor: Actor,
    now: datetime,
    *,
    state: str = "",
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[ListedRequest]:
    """Requests the actor may know of, newest first."""
    require(actor, Right.READ_SHARING, Right.ASK_SLICE, Right.ANSWER_SLICE, Right.OVERSEE_SHARING, Right.OPERATE)
    its = licence_request.c
    query = select(licence_request).where(_known_to(actor))
    if state:
        query = query.where(its.state == state)
    if before:
        place = tuple_(literal_value(before[0]), literal_value(before[1]))
        query = query.where(tuple_(its.asked_at, its.request_id) < place)
    rows = connection.execute(query.order_by(its.asked_at.desc(), its.request_id.desc()).limit(limit))
    found = [request_of(row) for row in rows]
    calendar, day = load_calendar(settings), today(settings, now)
    answers = _answers_by_request(connection, [one.request_id for one in found])
    return [_listed(settings, calendar, day, one, answers[one.request_id]) for one in found]


def _known_to(actor: Actor) -> ColumnElement[bool]:
    its = licence_request.c
    if actor.may(Right.OPERATE) and actor.organisation == "hub":
        return true()
    handed_in = its.state != "draft"
    mine = its.organisation == actor.organisation
    if actor.may(Right.OVERSEE_SHARING):
        return or_(mine, handed_in)
    return or_(mine, handed_in & (literal_value(actor.organisation) == any_(its.providers)))


def _answers_by_request(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, list[LicenceAnswer]]:
    query = select(licence_answer).where(licence_answer.c.request_id.in_(ids)).order_by(licence_answer.c.provider)
    found: dict[UUID, list[LicenceAnswer]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.request_id].append(msgspec.convert(row, LicenceAnswer, from_attributes=True))
    return found


def _listed(
    settings: Settings, calendar: Calendar, day: date, one: LicenceRequest, answers: Sequence[LicenceAnswer]
) -> ListedRequest:
    clocks = tuple(_clock(settings, calendar, day, one, its) for its in answers)
    return ListedRequest(request=one, clocks=clocks, deliver_left=_deliver_left(calendar, day, one))


def _clock(settings: Settings, calendar: Calendar, day: date, one: LicenceRequest, its: LicenceAnswer) -> Clock:
    waiting = its.state == "waiting" and one.state == "submitted"
    left = days_left(calendar, day, its.reply_by) if waiting else None
    ended = today(settings, its.answered_at) if its.answered_at else day
    late = ended > its.reply_by if its.state != "waiting" or waiting else False
    return Clock(
        provider=its.provider, state=its.state, sharing=its.sharing, reply_by=its.reply_by, left=left, late=late
    )


def _deliver_left(calendar: Calendar, day: date, one: LicenceRequest) -> int | None:
    if one.deliver_by is None or one.delivered_at is not None:
        return None
    return days_left(calendar, day, one.deliver_by)


def days_left(calendar: Calendar, day: date, due: date) -> int:
    """Working days until this day is over; 0 on the day itself, below zero once it has passed."""
    return calendar.between(day, due) if day <= due else -max(1, calendar.between(due, day))


# ---- one ----


def show_request(
    connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, request_id: UUID, now: datetime
) -> ShownRequest:
    """One request with everything said about it."""
    one = find_request(connection, actor, request_id)
    calendar, day = load_calendar(settings), today(settings, now)
    hidden = set() if actor.kind == "care" else _care_types(catalogue)
    answers = tuple(_without(each, hidden) for each in answers_of(connection, request_id))
    named = one.wanted.definition.record_types
    shown = tuple(each for each in named if each.record_type not in hidden)
    return ShownRequest(
        request=_seen_by(actor, one, shown),
        answers=answers,
        clocks={each.provider: _clock(settings, calendar, day, one, each) for each in answers},
        record_types=shown,
        withheld=len(shown) < len(named),
        deliver_left=_deliver_left(calendar, day, one),
        may=frozenset(_acts(actor, one, answers)),
    )


def _care_types(catalogue: Catalogue) -> set[str]:
    return {code for code, one in catalogue.record_types.items() if is_care_only(one)}


def _without(answer: LicenceAnswer, hidden: set[str]) -> LicenceAnswer:
    kept = tuple(code for code in answer.record_types if code not in hidden)
    return msgspec.structs.replace(answer, record_types=kept)


def _seen_by(actor: Actor, one: LicenceRequest, shown: tuple[SliceType, ...]) -> LicenceRequest:
    definition = msgspec.structs.replace(one.wanted.definition, record_types=shown)
    missing = one.missing if one.organisation == actor.organisation else ()  # it may name what was left out
    wanted = msgspec.structs.replace(one.wanted, definition=definition)
    return msgspec.structs.replace(one, wanted=wanted, missing=missing)


def _acts(actor: Actor, one: LicenceRequest, answers: Sequence[LicenceAnswer]) -> set[str]:
    """What the viewer may do now; the acts look again."""
    acts: set[str] = set()
    mine = next((each for each in answers if may_answer(actor, each.provider)), None)
    if mine is not None and mine.state == "waiting" and one.state == "submitted" and one.asked_by != actor.name:
        acts.add("answer")
        if mine.sharing == "conditional" and mine.consented_at is None:
            acts.add("extension")
    if mine is not None and one.state == "approved":
        acts.add("ask-stop")
    return acts | _acts_of_asker(actor, one) | _acts_of_bureau(actor, one, answers)


def _acts_of_asker(actor: Actor, one: LicenceRequest) -> set[str]:
    if one.organisation != actor.organisation or not (actor.may(Right.ASK_SLICE) or actor.may(Right.OPERATE)):
        return set()
    acts = {"edit", "submit"} if one.state in OPEN else {"end"} if one.state == "approved" else set()
    acts |= {"withdraw"} if one.state in UNDER_WAY else set()
    return acts | ({"escalate"} if one.state in ("submitted", "refused") and one.level == 0 else set())


def _acts_of_bureau(actor: Actor, one: LicenceRequest, answers: Sequence[LicenceAnswer]) -> set[str]:
    if not actor.may(Right.OVERSEE_SHARING):
        return set()
    acts = {"suspend", "resume", "end"} if one.state == "approved" else set()
    acts |= {"remind"} if one.state == "submitted" else set()
    if one.state in ("submitted", "refused") and one.level < TOP_LEVEL:
        acts.add("escalate")
    if one.state == "refused" and one.level > 0:
        acts.add("send-back")
    asked = (each for each in answers if each.extension_days and each.consented_at is None and each.state == "waiting")
    if one.state == "submitted" and any(each.extension_by != actor.name for each in asked):
        acts.add("consent")
    return acts
