"""What is due in requests and subscriptions, told once each: replies, extensions, decisions, expiry; overdue ones go higher.

Everything is worked out anew from what is kept, and a notice is made once: so this may run as often as one likes, or late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection

from hub import audit
from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted as Notice
from hub.casework.notices import make_notices
from hub.casework.reminders import bureaus
from hub.database import run_sql
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.subscriptions import load_subscription, note_event
from hub.registry.working_days import Calendar, load_calendar
from hub.settings import Settings
from hub.sharing.requests import today

SOON = 2  # working days before an answer is due
EXPIRY_STAGES = (30, 7, 0)  # days before the last day
_LOOKED_BACK = timedelta(days=60)  # what happened longer ago has been told, or is no news


def make_licence_notices(connection: Connection, settings: Settings, now: datetime) -> int:
    """Let what has expired lapse, take overdue answers before the bureau, make every notice that is due; how many."""
    day, calendar = today(settings, now), load_calendar(settings)
    note_first_deliveries(connection, now)
    _escalate_overdue(connection, SYSTEM_ACTOR, day)
    _lapse_expired(connection, day)
    since = now - _LOOKED_BACK
    wanted = [
        *_of_waiting_answers(connection, calendar, day),
        *_of_extensions(connection, since),
        *_of_requests(connection, since),
        *_of_undelivered(connection, day),
        *_of_expiry(connection, day),
        *_of_events(connection, since),
    ]
    return make_notices(connection, settings, SYSTEM_ACTOR, wanted, now)


def note_first_deliveries(connection: Connection, now: datetime, actor: Actor = SYSTEM_ACTOR) -> int:
    """Say of each approved request when its slice was first delivered; how many were new. Cheap: open ones only."""
    rows = run_sql(connection, _FIRST_DELIVERIES)
    if rows:
        audit.record(connection, actor, Right.SYSTEM, "licence-requests", "done", delivered=len(rows))
    return len(rows)


_FIRST_DELIVERIES = """
UPDATE {d}.licence_request r SET delivered_at = f.first
  FROM (SELECT v.request_id, min(d.delivered_at) AS first
          FROM {d}.subscription_version v
          JOIN {d}.delivery d ON d.subscription_id = v.subscription_id AND d.definition_version >= v.version
         GROUP BY v.request_id) f
 WHERE f.request_id = r.request_id AND r.state = 'approved' AND r.delivered_at IS NULL AND r.deliver_by IS NOT NULL
RETURNING r.request_id
"""


def _escalate_overdue(connection: Connection, actor: Actor, day: date) -> None:
    """An answer that is overdue comes before the bureau by itself."""
    told = "逾期未答复。 The answer is overdue."
    rows = run_sql(connection, _OVERDUE, day=day, told=told)
    for (number,) in rows:
        audit.record(connection, actor, Right.SYSTEM, f"licence-request/{number}", "done", how="escalated", level=1)


_OVERDUE = """
UPDATE {d}.licence_request r SET level = 1, level_reason = :told
 WHERE r.state = 'submitted' AND r.level = 0 AND EXISTS (
       SELECT 1 FROM {d}.licence_answer a
        WHERE a.request_id = r.request_id AND a.state = 'waiting' AND a.reply_by < :day)
RETURNING r.request_no
"""


def _lapse_expired(connection: Connection, day: date) -> None:
    """What has passed its last day is refused to every reader since then; here it is said, once each limit."""
    for (code,) in run_sql(connection, _EXPIRED, day=day):
        note_event(connection, SYSTEM_ACTOR, load_subscription(connection, str(code)), "lapsed")


_EXPIRED = """
SELECT s.code FROM {d}.subscription s JOIN {d}.subscription_version v USING (subscription_id, version)
 WHERE s.state <> 'ended' AND v.expires_on < :day AND NOT EXISTS (
       SELECT 1 FROM {d}.subscription_event e
        WHERE e.subscription_id = s.subscription_id AND e.what = 'lapsed' AND e.at >= v.created_at)
 ORDER BY s.code
"""


# ---- answers that are waited for ----


def _of_waiting_answers(connection: Connection, calendar: Calendar, day: date) -> Iterator[Notice]:
    for request_id, number, provider, sharing, reply_by, reminded_on in run_sql(connection, _WAITING):
        due = _day(reply_by)
        facts = Facts(number=str(number), due_on=due)
        if reminded_on is not None:
            about = f"licence/{request_id}/{reminded_on}"
            yield Notice(organisation=str(provider), kind="licence_reminded", about=about, facts=facts)
        for kind in _stages(calendar, day, due, str(sharing)):
            about = f"licence/{request_id}" if kind == "licence_asked" else f"licence/{request_id}/{due}"
            yield Notice(organisation=str(provider), kind=kind, about=about, facts=facts)


_WAITING = """
SELECT r.request_id, r.request_no, a.provider, a.sharing, a.reply_by, a.reminded_on
  FROM {d}.licence_request r JOIN {d}.licence_answer a USING (request_id)
 WHERE r.state = 'submitted' AND a.state = 'waiting'
"""


def _stages(calendar: Calendar, day: date, due: date, sharing: str) -> list[str]:
    """What has one day is told of once before it is over."""
    if day > due:
        return ["licence_asked", "licence_overdue"]
    soon = sharing == "conditional" and calendar.between(day, due) <= SOON
    return ["licence_asked", "licence_due"] if soon else ["licence_asked"]


def _of_extensions(connection: Connection, since: datetime) -> Iterator[Notice]:
    for request_id, number, organisation, provider, days, reply_by, consented in run_sql(
        connection, _EXTENSIONS, since=since
    ):
        about = f"licence/{request_id}/{provider}"
        if consented is None:
            facts = Facts(number=str(number), items=int(str(days)))
            yield from _to_all(bureaus(connection), "licence_extension", about, facts)
        else:
            facts = Facts(number=str(number), due_on=_day(reply_by))
            yield from _to_all((str(organisation), str(provider)), "licence_extended", about, facts)


_EXTENSIONS = """
SELECT r.request_id, r.request_no, r.organisation, a.provider, a.extension_days, a.reply_by, a.consented_at
  FROM {d}.licence_request r JOIN {d}.licence_answer a USING (request_id)
 WHERE a.extension_days > 0 AND r.submitted_at >= :since AND (a.consented_at IS NOT NULL OR r.state = 'submitted')
"""


# ---- requests ----


def _of_requests(connection: Connection, since: datetime) -> Iterator[Notice]:
    for row in run_sql(connection, _REQUESTS, since=since):
        request_id, number, organisation, state, level, missing, decided_at = row
        about, facts = f"licence/{request_id}", Facts(number=str(number))
        if state == "incomplete":
            lacking = list(missing) if isinstance(missing, list) else []
            digest = sha256("\n".join(lacking).encode()).hexdigest()[:12]
            told = Facts(number=str(number), items=len(lacking))
            yield from _to_all((str(organisation),), "licence_incomplete", f"{about}/{digest}", told)
        elif state in ("approved", "refused"):
            yield from _to_all((str(organisation),), f"licence_{state}", f"{about}/{decided_at}", facts)
        if int(str(level)) and state in ("submitted", "refused"):
            told = Facts(number=str(number), items=int(str(level)))
            yield from _to_all((*bureaus(connection), str(organisation)), "licence_escalated", f"{about}/{level}", told)


_REQUESTS = """
SELECT request_id, request_no, organisation, state, level, missing, decided_at FROM {d}.licence_request
 WHERE state IN ('incomplete', 'approved', 'refused', 'submitted') AND coalesce(decided_at, submitted_at, asked_at) >= :since
"""


def _of_undelivered(connection: Connection, day: date) -> Iterator[Notice]:
    """Approved, and nothing was delivered within the days of art. 22: who receives it and the bureau are told."""
    for request_id, number, organisation, due in run_sql(connection, _UNDELIVERED, day=day):
        facts = Facts(number=str(number), due_on=_day(due))
        told = (str(organisation), *bureaus(connection))
        yield from _to_all(told, "licence_undelivered", f"licence/{request_id}", facts)


_UNDELIVERED = """
SELECT r.request_id, r.request_no, r.organisation, r.deliver_by FROM {d}.licence_request r
 WHERE r.state = 'approved' AND r.delivered_at IS NULL AND r.deliver_by < :day
   AND EXISTS (SELECT 1 FROM {d}.subscription s WHERE s.code = r.subscription_code AND s.state <> 'ended')
"""


# ---- subscriptions ----


def _of_expiry(connection: Connection, day: date) -> Iterator[Notice]:
    """Thirty, seven and no days before: the nearest stage alone, so that days of silence bring one notice."""
    for code, organisation, providers, expires_on in run_sql(
        connection, _EXPIRING, first=day, last=day + timedelta(days=max(EXPIRY_STAGES))
    ):
        last = _day(expires_on)
        left = (last - day).days
        stage = min(each for each in EXPIRY_STAGES if left <= each)
        facts = Facts(number=str(code), due_on=last, items=left)
        about = f"subscription/{code}/{last}/{stage}"
        yield from _to_all(_everybody(organisation, providers), "subscription_expiring", about, facts)


_EXPIRING = """
SELECT s.code, s.organisation, s.providers, v.expires_on
  FROM {d}.subscription s JOIN {d}.subscription_version v USING (subscription_id, version)
 WHERE s.state <> 'ended' AND v.expires_on BETWEEN :first AND :last
"""


def _of_events(connection: Connection, since: datetime) -> Iterator[Notice]:
    """To receiver and providers; that a provider asks to stop it, to the bureau."""
    for event_id, what, code, organisation, providers, expires_on in run_sql(connection, _EVENTS, since=since):
        facts = Facts(number=str(code), due_on=_day(expires_on) if what == "lapsed" else None)
        told = bureaus(connection) if what == "stop_asked" else _everybody(organisation, providers)
        yield from _to_all(told, f"subscription_{what}", f"subscription/{code}/{event_id}", facts)


_EVENTS = """
SELECT e.event_id, e.what, s.code, s.organisation, s.providers, v.expires_on
  FROM {d}.subscription_event e JOIN {d}.subscription s USING (subscription_id)
  JOIN {d}.subscription_version v ON v.subscription_id = s.subscription_id AND v.version = s.version
 WHERE e.what IN ('suspended', 'resumed', 'ended', 'lapsed', 'stop_asked') AND e.at >= :since
 ORDER BY e.at
"""


def _everybody(organisation: object, providers: object) -> list[str]:
    named = [str(each) for each in providers] if isinstance(providers, list) else []
    return list(dict.fromkeys((str(organisation), *named)))


def _to_all(organisations: Iterable[str], kind: str, about: str, facts: Facts) -> Iterator[Notice]:
    for organisation in dict.fromkeys(organisations):
        yield Notice(organisation=organisation, kind=kind, about=about, facts=facts)


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.min
