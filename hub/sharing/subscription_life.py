"""A subscription is suspended, resumed, ended, each time with a reason; its provider may only ask the bureau for it.

政务数据共享条例, art. 27: what is no longer needed or is misused is stopped; a provider does not stop sharing on its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from hub import audit
from hub.errors import BadRequest, NotAllowed, NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.subscriptions import Subscription, SubscriptionState, load_subscription, note_event, set_state
from hub.sharing.answers import keeping_registry
from hub.sharing.requests import reason_given
from hub.tables import subscription_event

LifeAct = Literal["suspend", "resume", "end"]
STATES: dict[str, SubscriptionState] = {"suspend": "suspended", "resume": "active", "end": "ended"}
STOP_ASKED = "stop_asked"


class SubscriptionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a subscription's life."""

    event_id: UUID
    what: str
    reason: str
    by: str
    at: datetime


def work_subscription(connection: Connection, actor: Actor, code: str, act: str, reason: str) -> Subscription:
    """Suspend, resume or end; the same once more changes nothing. A receiver may end its own, and only that."""
    require(actor, Right.OVERSEE_SHARING, Right.ASK_SLICE, Right.OPERATE)
    if act not in STATES:
        raise BadRequest(f"应为 {'、'.join(STATES)}。 One of: {', '.join(STATES)}.", act="")
    known = find_subscription(connection, actor, code)
    oversees = actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)
    if not oversees and (act != "end" or known.organisation != actor.organisation):
        raise NotAllowed(
            "暂停和恢复由区局办理，使用单位只能终止自己的订阅。 The bureau does that; a receiver may end its own."
        )
    told = reason_given(reason)
    if known.state == STATES[act]:
        return known
    right = Right.OVERSEE_SHARING if oversees else Right.ASK_SLICE
    audit.record(connection, actor, right, f"subscription/{code}", how=act)
    with keeping_registry(connection, actor) as keeper:
        return set_state(connection, keeper, code, STATES[act], told)


def ask_to_stop(connection: Connection, actor: Actor, code: str, reason: str) -> None:
    """A provider brings before the bureau why a subscription should be stopped; until then it goes on."""
    require(actor, Right.ANSWER_SLICE, Right.OPERATE)
    known = find_subscription(connection, actor, code)
    if actor.organisation not in known.providers:
        raise NotAllowed("只有提供单位可以提请暂停。 Only a provider may ask for that.")
    told = reason_given(reason)
    last = next(iter(events_of(connection, known.subscription_id)), None)
    if last is not None and (last.what, last.reason, last.by) == (STOP_ASKED, told, actor.name):
        return  # the form was sent twice
    with keeping_registry(connection, actor) as keeper:
        note_event(connection, keeper, known, STOP_ASKED, told)


def find_subscription(connection: Connection, actor: Actor, code: str) -> Subscription:
    """A subscription the actor may know of: its own organisation's, one it provides for; the bureau all."""
    require(actor, Right.READ_SHARING, Right.OVERSEE_SHARING, Right.ASK_SLICE, Right.ANSWER_SLICE, Right.OPERATE)
    known = load_subscription(connection, code)
    concerned = actor.organisation in (known.organisation, *known.providers)
    if not (concerned or actor.may(Right.OVERSEE_SHARING) or actor.may(Right.OPERATE)):
        raise NotFound(f"没有订阅 {code}。 No subscription {code}.")
    return known


def events_of(connection: Connection, subscription_id: UUID) -> list[SubscriptionEvent]:
    """Its life, newest first."""
    its = subscription_event.c
    query = select(its.event_id, its.what, its.reason, its.by, its.at).where(its.subscription_id == subscription_id)
    rows = connection.execute(query.order_by(its.at.desc(), its.event_id.desc()))
    return [msgspec.convert(row, SubscriptionEvent, from_attributes=True) for row in rows]
