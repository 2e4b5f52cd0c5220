"""What units are to be told today: rounds and challenges that began, are due soon, are overdue, are told to the bureau.

Everything is worked out anew from what is open, and a notice is made once: so this may run as often as one likes, late,
or after days of silence, when only the last stage is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub.casework.notice_words import Facts
from hub.casework.notices import Wanted, make_notices
from hub.casework.reported_needs import find_reported_needs
from hub.database import district_of, run_sql
from hub.registry.permissions import SYSTEM_ACTOR
from hub.settings import RoundPolicy, Settings

BEGUN, SOON, OVERDUE, ESCALATED = range(4)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """So many lines or challenges of one unit that are open and due on one day."""

    organisation: str
    due_on: date
    items: int
    month: str = ""
    regular: bool = True  # due with its round; else it has a day of its own


def make_due_notices(connection: Connection, settings: Settings, now: datetime) -> int:
    """Make every notice that is due; how many were new. Daily, and after a round is opened or a return was taken."""
    today = now.astimezone(ZoneInfo(settings.time_zone)).date()
    wanted = [
        *_of_opened_rounds(connection),
        *_of_open_lines(connection, settings.rounds, today),
        *_of_transferred_lines(connection),
        *_of_new_challenges(connection),
        *_of_open_challenges(connection, settings.rounds, today),
        *_of_answered_challenges(connection),
        *_of_needs(connection, now),
    ]
    return make_notices(connection, settings, SYSTEM_ACTOR, wanted, now)


def stage_of(due_on: date, today: date, policy: RoundPolicy) -> int:
    """How far it has gone: nothing to say yet (BEGUN), SOON, OVERDUE, ESCALATED."""
    if today > due_on:
        return ESCALATED if today >= due_on + timedelta(days=policy.escalate_after) else OVERDUE
    return SOON if today >= due_on - timedelta(days=policy.remind_before) else BEGUN


# ---- rounds ----


def _of_opened_rounds(connection: Connection) -> Iterator[Wanted]:
    for month, organisation, due_on, items in run_sql(connection, _OPENED):
        facts = Facts(month=str(month), items=int(str(items)), due_on=_day(due_on))
        kind = "round_opened" if facts.items else "round_empty"
        yield Wanted(organisation=str(organisation), kind=kind, about=f"round/{month}", facts=facts)


_OPENED = """
SELECT r.month, t.organisation, r.due_on, count(i.item_id)
  FROM {d}.monthly_round r JOIN {d}.round_town t USING (round_id)
  LEFT JOIN {d}.round_item i ON i.round_id = t.round_id AND i.town = t.town AND i.came <> 'transfer'
 WHERE r.state = 'open' GROUP BY r.month, t.organisation, r.due_on
"""


def _of_open_lines(connection: Connection, policy: RoundPolicy, today: date) -> Iterator[Wanted]:
    lines = [_waiting(*row) for row in run_sql(connection, _OPEN_LINES)]
    for one in lines:
        stage = stage_of(one.due_on, today, policy)
        if stage > SOON or (stage == SOON and one.regular):  # what was transferred has just been told
            facts = Facts(month=one.month, items=one.items, due_on=one.due_on)
            kind = ("", "due_soon", "overdue", "escalated")[stage]
            yield Wanted(organisation=one.organisation, kind=kind, about=_about(one), level=stage, facts=facts)
    late = [one for one in lines if stage_of(one.due_on, today, policy) == ESCALATED]
    yield from _told_to_the_bureau(connection, "towns_late", late)


_OPEN_LINES = """
SELECT r.month, t.organisation, i.due_on, i.due_on = r.due_on, count(*)
  FROM {d}.round_item i JOIN {d}.monthly_round r USING (round_id) JOIN {d}.round_town t USING (round_id, town)
 WHERE i.state = 'open' GROUP BY r.month, t.organisation, i.due_on, r.due_on
"""


def _of_transferred_lines(connection: Connection) -> Iterator[Wanted]:
    """Told of once each: by the newest of them, open or not, so that an answer brings no second notice."""
    for month, organisation, newest, items, due_on in run_sql(connection, _TRANSFERRED):
        facts = Facts(month=str(month), items=int(str(items)), due_on=_day(due_on))
        about = f"transfer/{month}/{newest}"
        yield Wanted(organisation=str(organisation), kind="transferred", about=about, facts=facts)


_TRANSFERRED = """
SELECT r.month, t.organisation, (array_agg(i.item_id ORDER BY i.item_id DESC))[1],
       count(*) FILTER (WHERE i.state = 'open'), min(i.due_on) FILTER (WHERE i.state = 'open')
  FROM {d}.round_item i JOIN {d}.monthly_round r USING (round_id) JOIN {d}.round_town t USING (round_id, town)
 WHERE i.came = 'transfer' GROUP BY r.month, t.organisation HAVING bool_or(i.state = 'open')
"""


# ---- challenges: who answers, who asked ----


def _of_new_challenges(connection: Connection) -> Iterator[Wanted]:
    for organisation, newest, items, due_on in run_sql(connection, _NEW_CHALLENGES):
        facts = Facts(items=int(str(items)), due_on=_day(due_on))
        yield Wanted(organisation=str(organisation), kind="challenged", about=f"challenge/{newest}", facts=facts)


_NEW_CHALLENGES = """
SELECT against, (array_agg(challenge_id ORDER BY challenge_id DESC))[1],
       count(*) FILTER (WHERE state = 'open'), min(due_on) FILTER (WHERE state = 'open')
  FROM {d}.challenge GROUP BY against HAVING bool_or(state = 'open')
"""


def _of_open_challenges(connection: Connection, policy: RoundPolicy, today: date) -> Iterator[Wanted]:
    asked = [_waiting("", *row) for row in run_sql(connection, _OPEN_CHALLENGES.format(side="against", d="{d}"))]
    for one in asked:
        if stage := stage_of(one.due_on, today, policy):
            kind = ("", "challenge_due", "challenge_overdue", "challenge_escalated")[stage]
            yield _of_challenges(one, kind, stage)
    late = [one for one in asked if stage_of(one.due_on, today, policy) == ESCALATED]
    yield from _told_to_the_bureau(connection, "sources_late", late)
    for row in run_sql(connection, _OPEN_CHALLENGES.format(side="raised_by", d="{d}")):
        if stage_of((one := _waiting("", *row)).due_on, today, policy) >= OVERDUE:
            yield _of_challenges(one, "challenge_unanswered", OVERDUE)


_OPEN_CHALLENGES = """
SELECT {side}, due_on, true, count(*) FROM {d}.challenge WHERE state = 'open' GROUP BY {side}, due_on
"""


def _of_challenges(one: Waiting, kind: str, stage: int) -> Wanted:
    facts = Facts(items=one.items, due_on=one.due_on)
    return Wanted(organisation=one.organisation, kind=kind, about=f"challenges/{one.due_on}", level=stage, facts=facts)


def _of_answered_challenges(connection: Connection) -> Iterator[Wanted]:
    for organisation, newest, items in run_sql(connection, _ANSWERED):
        facts = Facts(items=int(str(items)))
        about = f"challenge/{newest}/answered"
        yield Wanted(organisation=str(organisation), kind="challenge_answered", about=about, facts=facts)


_ANSWERED = """
SELECT raised_by, (array_agg(challenge_id ORDER BY answered_at DESC, challenge_id DESC))[1],
       count(*) FILTER (WHERE state = 'answered')
  FROM {d}.challenge WHERE answered_at IS NOT NULL GROUP BY raised_by HAVING bool_or(state = 'answered')
"""


# ---- needs, and the bureau ----


def _of_needs(connection: Connection, now: datetime) -> Iterator[Wanted]:
    for organisation, submission_id, items in find_reported_needs(connection, now):
        for told in [organisation] if organisation else bureaus(connection):
            about = f"service_request/{submission_id}"
            yield Wanted(organisation=told, kind="reported", about=about, facts=Facts(items=items))


def _told_to_the_bureau(connection: Connection, kind: str, late: Iterable[Waiting]) -> Iterator[Wanted]:
    """One notice a day that is due, with everybody who is late in it."""
    together: dict[tuple[str, date], list[Waiting]] = defaultdict(list)
    for one in late:
        together[one.month, one.due_on].append(one)
    for (month, due_on), units in together.items():
        organisations = tuple(sorted(one.organisation for one in units))
        items = sum(one.items for one in units)
        facts = Facts(month=month, items=items, due_on=due_on, organisations=organisations)
        for bureau in bureaus(connection):
            yield Wanted(organisation=bureau, kind=kind, about=f"late/{month}/{due_on}", level=ESCALATED, facts=facts)


def bureaus(connection: Connection) -> list[str]:
    """The organisations of kind bureau: their operators and their leader read the same notices."""
    rows = run_sql(
        connection,
        "SELECT code FROM shared.organisation WHERE kind = 'bureau' AND enabled AND '\"' || district || '\"' = :district"
        " ORDER BY code",
        district=district_of(connection),
    )
    return [str(code) for (code,) in rows]


def _about(one: Waiting) -> str:
    return f"round/{one.month}" if one.regular else f"round/{one.month}/{one.due_on}"


def _waiting(month: object, organisation: object, due_on: object, regular: object, items: object) -> Waiting:
    return Waiting(
        month=str(month),
        organisation=str(organisation),
        due_on=_day(due_on),
        regular=bool(regular),
        items=int(str(items)),
    )


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.min
