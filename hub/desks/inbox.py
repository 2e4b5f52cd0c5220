"""What waits for somebody this morning: what is due, what came back, what went wrong; each line with its place.

A line counts with the statement of the page it opens, so that the number on it is the number of rows there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from hub.casework.challenge_list import WantedChallenges, count_challenges
from hub.casework.item_pages import count_lines
from hub.casework.notices import READERS as NOTICE_READERS
from hub.casework.notices import count_unread
from hub.casework.round_progress import progress, total
from hub.casework.rounds import list_rounds, local_day
from hub.decisions.waiting import count_waiting_items
from hub.desks.inbox_doors import expiring_keys, sealing, stopped_files
from hub.desks.inbox_lines import Line, Section
from hub.desks.inbox_sharing import alarms, answered_requests, new_certificates, requests_to_answer
from hub.desks.month_board import MONTHS_SHOWN, Board, CellState, board_of
from hub.exchange.listing import Wanted, list_submissions
from hub.exchange.related import count_waiting
from hub.people.comparison_list import count_items
from hub.people.pair_list import count_pairs
from hub.registry import account_list, month_calendar, requests
from hub.registry.areas import load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.scope import oversees, scope_for
from hub.settings import Settings
from mappings.catalogue import Catalogue

MOST = 100  # where only a page is counted; the line says 99+
_MONTHS_WITH_FAILURES = 2
_MONTHS_OVERSEEN = 3  # what is missing for longer stands on the board
_OPEN_ROUNDS = 2


class Inbox(msgspec.Struct, frozen=True, kw_only=True):
    """The three parts of it; what is late stands first in each."""

    due: tuple[Line, ...] = ()
    returned: tuple[Line, ...] = ()
    wrong: tuple[Line, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.due or self.returned or self.wrong)


class Desk(NamedTuple):
    """Whose desk it is, and when."""

    connection: Connection
    settings: Settings
    catalogue: Catalogue
    actor: Actor
    now: datetime
    today: date
    board: Board | None  # of one's own unit; for who oversees, of all of them


def read_inbox(
    connection: Connection,
    settings: Settings,
    catalogue: Catalogue,
    actor: Actor,
    now: datetime,
    audit_connection: Connection | None = None,
) -> Inbox:
    """Everything that waits for this account; the transaction is widened at its end: nothing else belongs after it.

    ``audit_connection`` is the auditor's own way to the seals, where the site has one.
    """
    today = local_day(settings, now)
    board = _board(connection, settings, catalogue, actor, today)
    desk = Desk(connection, settings, catalogue, actor, now, today, board)
    lines = [line for rights, make in _MAKERS if any(map(actor.may, rights)) for line in make(desk)]
    if audit_connection is not None and actor.may(Right.READ_AUDIT):
        lines += sealing(audit_connection, now)
    if actor.may(Right.READ_SHARING):
        lines += alarms(connection, catalogue, actor)
    return Inbox(**{part: _sorted(lines, part) for part in Inbox.__struct_fields__})  # type: ignore[arg-type]


def _sorted(lines: list[Line], part: Section) -> tuple[Line, ...]:
    mine = [line for line in lines if line.section == part]
    return tuple(sorted(mine, key=lambda line: (not line.overdue, line.due_on or date.max)))


def _board(connection: Connection, settings: Settings, catalogue: Catalogue, actor: Actor, today: date) -> Board | None:
    if not (oversees(actor) or actor.may(Right.READ_SUBMISSION)):
        return None
    month = month_calendar.month_of(today, settings.rounds)
    months = _MONTHS_OVERSEEN if oversees(actor) else MONTHS_SHOWN
    return board_of(connection, catalogue, actor, month, settings=settings, today=today, months=months, with_held=False)


# ---- the month ----


def _months_owed(desk: Desk) -> Iterator[Line]:
    for month, cells in _by_month(desk, "due", "overdue"):
        first = min(cell.due_on for cell in cells if cell.due_on is not None)
        yield Line(
            section="due", kind="month", count=len(cells), path=f"/month?month={month}&state=open", due_on=first,
            overdue=first < desk.today, facts={"month": month},
        )  # fmt: skip


def _months_wrong(desk: Desk) -> Iterator[Line]:
    for month, cells in _by_month(desk, "errors"):
        path = f"/month?month={month}&state=errors"
        yield Line(section="returned", kind="errors", count=len(cells), path=path, facts={"month": month})


def _files_turned_back(desk: Desk) -> Iterator[Line]:
    for board, month in _last_months(desk):
        if many := len(board.turned_back(month)):
            path = f"/month?month={month}&state=turned-back"
            yield Line(section="returned", kind="turned_back", count=many, path=path, facts={"month": month})


def _units_late(desk: Desk) -> Iterator[Line]:
    for month, cells in _by_month(desk, "overdue"):
        path = f"/month?month={month}&state=overdue"
        yield Line(section="wrong", kind="units_late", count=len(cells), path=path, facts={"month": month})


def _by_month(desk: Desk, *states: CellState) -> Iterator[tuple[str, list]]:  # type: ignore[type-arg]
    if desk.board is not None:
        for month in desk.board.months:
            if cells := desk.board.cells(month, *states):
                yield month, cells


def _last_months(desk: Desk) -> list[tuple[Board, str]]:
    """What went wrong longer ago stands on the board."""
    return [(desk.board, month) for month in desk.board.months[:_MONTHS_WITH_FAILURES]] if desk.board else []


def _failures(desk: Desk) -> Iterator[Line]:
    for _, month in _last_months(desk):
        wanted = Wanted(period=month, state="failed")
        if many := len(list_submissions(desk.connection, desk.actor, wanted, limit=MOST)):
            path = f"/submissions?period={month}&state=failed"
            yield Line(
                section="wrong", kind="failed", count=many, limited=many == MOST, path=path, facts={"month": month}
            )


# ---- what one says yes or no to ----


def _submissions_waiting(desk: Desk) -> Iterator[Line]:
    found = count_waiting(desk.connection, desk.actor)
    wanted = (("asking", Right.SUBMIT), ("braked", Right.CONFIRM_SUBMISSION))
    for state, right in wanted:
        if found.get(state) and desk.actor.may(right):
            yield Line(section="due", kind=state, count=found[state], path=f"/submissions?state={state}")


def _rows_held(desk: Desk) -> Iterator[Line]:
    found = count_waiting_items(desk.connection, desk.actor, among=("held",))
    if many := sum(one.how_many for one in found):
        oldest = min(one.oldest for one in found)
        yield Line(section="due", kind="held", count=many, path="/held?kind=held", since=oldest)


def _pairs(desk: Desk) -> Iterator[Line]:
    many, oldest = count_pairs(desk.connection, desk.actor, MOST)
    if many:
        yield Line(section="due", kind="pairs", count=many, limited=many == MOST, path="/pairs", since=oldest)


def _comparisons(desk: Desk) -> Iterator[Line]:
    found = count_items(desk.connection, desk.actor)
    if many := sum(one.open for one in found):
        oldest = min(one.oldest for one in found)
        yield Line(section="due", kind="comparisons", count=many, path="/comparisons?state=open", since=oldest)


def _challenges(desk: Desk) -> Iterator[Line]:
    many, first = count_challenges(desk.connection, desk.actor, WantedChallenges(side="against", state="open"))
    if many:
        late = first is not None and first < desk.today
        yield Line(
            section="due", kind="challenges", count=many, path="/challenges?side=against&state=open", due_on=first,
            overdue=late,
        )  # fmt: skip
    back, _ = count_challenges(desk.connection, desk.actor, WantedChallenges(side="raised", state="answered"))
    if back:
        yield Line(section="returned", kind="answered", count=back, path="/challenges?side=raised&state=answered")


def _escalated(desk: Desk) -> Iterator[Line]:
    many, _ = count_challenges(desk.connection, desk.actor, WantedChallenges(escalated=True))
    if many:
        yield Line(section="due", kind="escalated", count=many, path="/challenges?escalated=true")


# ---- rounds ----


def _round_open(desk: Desk) -> Iterator[Line]:
    """A town's own list, as far as nobody there has answered it."""
    rounds = [one for one in list_rounds(desk.connection) if one.state == "open"][:_OPEN_ROUNDS]
    areas = load_area_index(desk.connection) if rounds else None
    for one in rounds:
        assert areas is not None
        scope = scope_for(desk.actor, areas)
        counts = count_lines(desk.connection, desk.catalogue, scope, areas, one.month)
        due_on = counts.due_on or one.due_on
        if many := counts.of("open"):
            yield Line(
                section="due", kind="round", count=many, path=f"/rounds/{one.month}/items?state=open",
                due_on=due_on, overdue=due_on < desk.today, facts={"month": one.month},
            )  # fmt: skip


def _rounds_late(desk: Desk) -> Iterator[Line]:
    for one in list_rounds(desk.connection)[:_OPEN_ROUNDS]:
        if one.state == "open" and one.due_on < desk.today:
            towns = progress(desk.connection, desk.actor, one.month, desk.settings.time_zone)
            if many := total(town.tally for town in towns).open:
                yield Line(
                    section="wrong", kind="rounds_late", count=many, path=f"/rounds/{one.month}", due_on=one.due_on,
                    overdue=True, facts={"month": one.month},
                )  # fmt: skip


# ---- sharing, access ----


def _requests(desk: Desk) -> Iterator[Line]:
    yield from requests_to_answer(desk.connection, desk.settings, desk.actor, desk.now)
    yield from answered_requests(desk.connection, desk.settings, desk.actor, desk.now)


def _certificates(desk: Desk) -> Iterator[Line]:
    return new_certificates(desk.connection, desk.actor, desk.now)


def _keys(desk: Desk) -> Iterator[Line]:
    return expiring_keys(desk.connection, desk.actor, desk.now)


def _stopped(desk: Desk) -> Iterator[Line]:
    return stopped_files(desk.settings, desk.actor, desk.now)


def _access(desk: Desk) -> Iterator[Line]:
    if many := len(requests.list_requests(desk.connection, desk.actor, "waiting")):
        yield Line(section="due", kind="access", count=many, path="/access-requests?which=waiting")


def _locked(desk: Desk) -> Iterator[Line]:
    wanted = account_list.Wanted(state="locked")
    if many := len(account_list.list_accounts(desk.connection, desk.actor, wanted)):
        yield Line(section="wrong", kind="locked", count=many, path="/accounts?state=locked")


def _notices(desk: Desk) -> Iterator[Line]:
    if many := count_unread(desk.connection, desk.actor):
        yield Line(section="returned", kind="notices", count=many, path="/notices")


# Who has one of the rights gets the lines. The ledger's own lines are for the unit; who oversees has the board's.
_Makers = tuple[tuple[tuple[Right, ...], Callable[[Desk], Iterator[Line]]], ...]
_MAKERS: _Makers = (
    ((Right.READ_SUBMISSION,), _months_owed),
    ((Right.READ_SUBMISSION,), _submissions_waiting),
    ((Right.READ_CHANGE_LIST,), _round_open),
    ((Right.DECIDE_HELD,), _rows_held),
    ((Right.JUDGE_PERSON,), _pairs),
    ((Right.WORK_COMPARISON,), _comparisons),
    ((Right.WORK_CHALLENGE,), _challenges),
    ((Right.MANAGE_ROUND,), _escalated),
    ((Right.READ_SHARING,), _requests),
    ((Right.MANAGE_ACCOUNTS,), _access),
    ((Right.READ_SUBMISSION,), _months_wrong),
    ((Right.READ_SUBMISSION,), _files_turned_back),
    ((Right.READ_SHARING,), _certificates),
    (NOTICE_READERS, _notices),
    ((Right.READ_SUBMISSION, Right.READ_ALL_SUBMISSIONS), _failures),
    ((Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES), _units_late),
    ((Right.MANAGE_ROUND, Right.READ_MEASURES), _rounds_late),
    ((Right.READ_OWN_DOORS,), _stopped),
    ((Right.READ_OWN_DOORS, Right.ASK_OWN_ACCESS, Right.MANAGE_ACCOUNTS), _keys),
    ((Right.MANAGE_ACCOUNTS,), _locked),
)
