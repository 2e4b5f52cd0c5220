"""The inbox's lines of doors and seals: uploads that stopped, keys about to end, and how far the audit is sealed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from hub.audit.seals import head, last_sealed_at
from hub.desks.inbox_lines import Line
from hub.desks.stopped_uploads import MOST_STOPPED, list_stopped_uploads
from hub.registry.permissions import Actor, Right
from hub.settings import Settings
from hub.tables import api_key

_SOON, _LONG_AGO = timedelta(days=30), timedelta(days=30)
_LONGEST = 5
_SEALED_EVERY = timedelta(hours=26)  # an anchor a day at least, and two hours of grace


def expiring_keys(connection: Connection, actor: Actor, now: datetime) -> Iterator[Line]:
    """A line for each key of one's own unit that ends within a month, or ended within the last; all for who manages."""
    its = api_key.c
    ending = its.expires_at.between(now - _LONG_AGO, now + _SOON)
    query = select(its.prefix, its.title, its.organisation, its.expires_at).where(its.revoked_at.is_(None), ending)
    if not actor.may(Right.MANAGE_ACCOUNTS):
        query = query.where(its.organisation == actor.organisation)
    path = "/doors" if actor.may(Right.READ_OWN_DOORS) else "/keys"
    for key in connection.execute(query.order_by(its.expires_at).limit(_LONGEST)):
        over = key.expires_at <= now
        yield Line(
            section="wrong", kind="key_ended" if over else "key_ends", path=path, due_on=key.expires_at.date(),
            overdue=over, facts={"title": key.title, "organisation": key.organisation},
        )  # fmt: skip


def stopped_files(settings: Settings, actor: Actor, now: datetime) -> Iterator[Line]:
    """Files of one's own unit that came over SFTP in part: nobody took them, no receipt tells of them."""
    stopped = list_stopped_uploads(settings, actor, now)
    if many := len(stopped):
        yield Line(
            section="wrong", kind="stopped_uploads", count=many, limited=many == MOST_STOPPED, path="/doors",
            since=stopped[-1].stopped_at,
        )  # fmt: skip


def sealing(audit_connection: Connection, now: datetime) -> Iterator[Line]:
    """How far the audit is sealed; wrong where nothing was sealed for more than a day."""
    newest, last = head(audit_connection), last_sealed_at(audit_connection)
    number = {"number": str(newest[0] if newest else 0)}
    if last is None or last < now - _SEALED_EVERY:
        yield Line(section="wrong", kind="unsealed", path="/audit/verification", since=last, facts=number)
    else:
        yield Line(section="returned", kind="sealed", path="/audit/verification", since=last, facts=number)
