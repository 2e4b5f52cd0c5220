"""The inbox's lines of sharing: requests to answer and answered, new certificates, freshness alarms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection

from hub.desks.inbox_lines import Line
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.sharing.certificates import list_certificates
from hub.sharing.freshness_reading import read_alarms
from hub.sharing.request_list import ListedRequest, list_requests
from mappings.catalogue import Catalogue

_NEWS = timedelta(days=14)  # what was said longer ago is no news
_LONGEST = 5  # lines of one kind, each about one thing
_STILL_OPEN = 50


def requests_to_answer(connection: Connection, settings: Settings, actor: Actor, now: datetime) -> Iterator[Line]:
    """A line for each request whose clock runs: for the provider that must answer; for who oversees, once it is late."""
    found = list_requests(connection, settings, actor, now, state="submitted", limit=_STILL_OPEN)
    answering = [one for one in found if _is_mine(actor, one)] if actor.may(Right.ANSWER_SLICE) else []
    yield from (_request_line(one, "licence", actor) for one in answering[:_LONGEST])
    if actor.may(Right.OVERSEE_SHARING):
        yield from (_request_line(one, "licence_late", actor) for one in found if one.overdue)


def answered_requests(connection: Connection, settings: Settings, actor: Actor, now: datetime) -> Iterator[Line]:
    """What became of one's own requests in the last two weeks."""
    if not actor.may(Right.ASK_SLICE):
        return
    for state in ("approved", "refused", "incomplete"):
        for one in list_requests(connection, settings, actor, now, state=state, limit=_LONGEST):
            its = one.request
            said = its.decided_at or its.submitted_at
            if its.organisation == actor.organisation and said is not None and said > now - _NEWS:
                facts = {"number": its.request_no}
                yield Line(section="returned", kind=f"licence_{state}", path=f"/licences/{its.request_id}", facts=facts)


def new_certificates(connection: Connection, actor: Actor, now: datetime) -> Iterator[Line]:
    """A line for each certificate about one's own subscriptions that was issued in the last two weeks."""
    if actor.may(Right.OVERSEE_SHARING):
        return
    for one in list_certificates(connection, actor, limit=_LONGEST):
        if one.issued_at > now - _NEWS and one.organisation == actor.organisation:
            facts = {"code": one.subscription, "period": one.period}
            path = f"/certificates/{one.certificate_no}"
            yield Line(section="returned", kind="certificate", path=path, since=one.issued_at, facts=facts)


def alarms(connection: Connection, catalogue: Catalogue, actor: Actor) -> Iterator[Line]:
    """Senders and receivers that are silent, channels that stand still."""
    if found := read_alarms(connection, actor, catalogue):
        oldest = min(one.since for one in found)
        yield Line(section="wrong", kind="alarms", count=len(found), path="/freshness", since=oldest)


def _is_mine(actor: Actor, one: ListedRequest) -> bool:
    return any(each.provider == actor.organisation and each.state == "waiting" for each in one.clocks)


def _request_line(one: ListedRequest, kind: str, actor: Actor) -> Line:
    its = one.request
    waiting = [each for each in one.clocks if each.state == "waiting"]
    first = min((each.reply_by for each in waiting), default=None)
    return Line(
        section="wrong" if kind == "licence_late" else "due", kind=kind, path=f"/licences/{its.request_id}",
        due_on=first, overdue=one.overdue, facts={"number": its.request_no, "organisation": its.organisation},
    )  # fmt: skip
