"""The standing comparisons over the whole register: each check finds, reopens and lets go in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from hub import audit
from hub.database import Database, district_of, run_sql, utc_now
from hub.errors import BadRequest, ClinicalBoundary
from hub.people.comparison_sql import RETIRED, comparable, comparison_statement
from hub.registry.hunting_rules import CARE_ONLY_TYPES, broken_hunting_rule
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.settings import Settings
from mappings.catalogue import Catalogue
from mappings.comparisons import Comparison, Side

_TURN = "SELECT pg_advisory_xact_lock(hashtext('comparisons'))"
_ROOM = "SET LOCAL work_mem = '32MB'"  # the joins are over whole tables


class UnknownCheck(BadRequest):
    """没有这项比对，或本区未启用相应的信息类别。 There is no such check, or the district has not its record types."""

    problem = "unknown-check"


class HuntingCheck(ClinicalBoundary):
    """此项比对会列出孕产、婚育人群，不予执行。 This check would hunt people by marriage or childbearing; it does not run."""

    problem = "hunting-check"


class CheckCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass of one check did."""

    opened: int = 0
    reopened: int = 0
    still_open: int = 0
    still_closed: int = 0
    gone: int = 0


Counts = dict[str, CheckCounts]  # by check code


def run_comparisons(
    database: Database, settings: Settings, catalogue: Catalogue, actor: Actor, only: Iterable[str] | None = None
) -> Counts:
    """Once a day: every check in a transaction of its own, so that nobody at a desk waits for the whole pass."""
    require(actor, Right.SYSTEM, Right.OPERATE)
    today = utc_now().astimezone(ZoneInfo(settings.time_zone)).date()
    counts: Counts = {}
    for check in _chosen(catalogue, only):
        with database.begin() as connection:
            counts |= compare(connection, catalogue, utc_now(), only=(check.code,), today=today)
    with database.begin() as connection:
        let_go_of_retired(connection, catalogue, utc_now())
        audit.record(connection, actor, Right.WORK_COMPARISON, "comparisons", counts=_told(counts))
    return counts


def compare(
    connection: Connection,
    catalogue: Catalogue,
    now: datetime,
    only: Iterable[str] | None = None,
    today: date | None = None,
) -> Counts:
    """The named checks, or all, over the whole register; ``today`` is the district's day, on which grace ends."""
    run_sql(connection, _TURN)
    run_sql(connection, _ROOM)
    day = today or now.date()
    counts = {check.code: _run(connection, catalogue, check, now, day) for check in _chosen(catalogue, only)}
    if only is None:
        let_go_of_retired(connection, catalogue, now)
    return counts


def standing(catalogue: Catalogue) -> list[Comparison]:
    """The checks whose record types this district has."""
    return [check for check in catalogue.comparisons.values() if comparable(check, catalogue)]


def let_go_of_retired(connection: Connection, catalogue: Catalogue, now: datetime) -> int:
    """Items of checks that are made no more are nobody's work any longer."""
    return len(run_sql(connection, RETIRED, now=now, known=[check.code for check in standing(catalogue)]))


def refuse_hunting(catalogue: Catalogue, check: Comparison) -> None:
    """The catalogue's own rules refuse it first (mappings.comparison_rules); this is the hub's table of what is never asked."""
    types = {side.type for side in check.sides}
    closed = {code for code in types if code in CARE_ONLY_TYPES or catalogue.record_types[code].restricted}
    picked = [(side.type, _picked_by(side)) for side in check.sides]
    shown = {*check.same, *(name for pair in check.compared for name in (pair.left, pair.right))}
    each_shown = [[(code, frozenset({name}))] for code in types for name in shown]
    if closed or any(broken_hunting_rule(asked) for asked in (picked, *each_shown)):
        raise HuntingCheck(check.code)


def _picked_by(side: Side) -> frozenset[str]:
    """By what a side picks people: its conditions, which of a record's people, what its type's being there says."""
    return frozenset((*side.fields, side.role, "marriage" if side.type == "divorce" else side.type))


def _chosen(catalogue: Catalogue, only: Iterable[str] | None) -> list[Comparison]:
    known = {check.code: check for check in standing(catalogue)}
    wanted = list(known) if only is None else list(only)
    unknown = [code for code in wanted if code not in known]
    if unknown:
        raise UnknownCheck(", ".join(unknown))
    return [known[code] for code in wanted]


def _run(connection: Connection, catalogue: Catalogue, check: Comparison, now: datetime, day: date) -> CheckCounts:
    refuse_hunting(catalogue, check)
    bound = {"now": now, "today": day, "check": check.code, "millis": int(now.timestamp() * 1000)}
    statement = comparison_statement(check, catalogue)
    wanted = {name: value for name, value in bound.items() if f":{name}" in statement}
    district = {"district": district_of(connection).strip('"')}
    ((opened, reopened, still_open, still_closed, gone),) = run_sql(connection, statement, **wanted, **district)
    return CheckCounts(
        opened=_number(opened), reopened=_number(reopened), still_open=_number(still_open),
        still_closed=_number(still_closed), gone=_number(gone),
    )  # fmt: skip


def _number(value: object) -> int:
    return int(str(value))


def _told(counts: Counts) -> dict[str, int]:
    names = CheckCounts.__struct_fields__
    return {"checks": len(counts)} | {name: sum(getattr(one, name) for one in counts.values()) for name in names}
