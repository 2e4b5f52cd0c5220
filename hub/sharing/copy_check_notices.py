"""Who is told that a copy is not what the hub holds: the receiver and the bureau, by count and subscription alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.casework.reminders import bureaus
from hub.database import run_sql
from hub.registry.permissions import Actor
from hub.settings import Settings

_LEFT_LYING = timedelta(hours=1)  # a comparison nobody went on with, for so long, is told as it stands
_REMEMBERED = timedelta(days=30)


def make_copy_check_notices(connection: Connection, settings: Settings, actor: Actor, now: datetime) -> int:
    """Tell of every comparison that found anything, once; how many notices were new. Run it every quarter of an hour."""
    return make_notices(connection, settings, actor, list(_copies_that_differ(connection, now)), now)


def _copies_that_differ(connection: Connection, now: datetime) -> Iterator[Wanted]:
    told = bureaus(connection)
    for check_id, code, receiver, items in run_sql(
        connection, _DIFFERING, since=now - _REMEMBERED, lying=now - _LEFT_LYING
    ):
        about, facts = f"copy-check/{check_id}", Facts(items=int(str(items)), number=str(code))
        yield Wanted(organisation=str(receiver), kind="copy_differs", about=about, facts=facts)
        for bureau in told:
            yield Wanted(organisation=bureau, kind="copies_differ", about=about, facts=facts)


_DIFFERING = """
SELECT c.check_id, s.code, s.organisation, c.missing + c.surplus + c.different
  FROM {d}.copy_check c JOIN {d}.subscription s USING (subscription_id)
 WHERE c.changed_at > :since AND (c.finished OR c.changed_at < :lying) AND c.missing + c.surplus + c.different > 0
 ORDER BY c.begun_at
"""
