"""The model of a round: from the change log and the areas alone, in plain Python, which town is asked about which change."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from hub.database import run_sql
from mappings.catalogue import Catalogue

FOLLOWED = ("reroute", "relink")


@dataclass(frozen=True)
class Change:
    """One row of the change log, with what its submission was."""

    seq: int
    record_type: str
    record_id: str
    version: int
    op: str
    before: frozenset[int]
    after: frozenset[int]
    kind: str
    of_areas: bool


@dataclass(frozen=True)
class Line:
    """How a record is told in a town."""

    change: str
    version: int
    seq: int
    moved_only: bool


@dataclass
class RoundOracle:
    """``asked``: round -> the pairs of change and town, as they were when it was opened."""

    catalogue: Catalogue
    asked: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    upto: int = 0

    def open(self, connection: Connection, month: str) -> dict[tuple[int, str], Line]:
        """Cut the log; the lines each town is given."""
        changes = [one for one in read_log(connection) if one.seq > self.upto and self.is_asked(one)]
        town_of = read_towns(connection)
        told: dict[tuple[int, str], list[tuple[Change, bool, bool]]] = defaultdict(list)
        for change in changes:
            was, now = ({town_of[area] for area in areas} for areas in (change.before, change.after))
            for town in was ^ now if change.op in FOLLOWED else was | now:
                told[town, change.record_id].append((change, town in was, town in now))
        self.asked[month] = {(change.seq, town) for (town, _), all_of in told.items() for change, _, _ in all_of}
        self.upto = max((one.seq for one in read_log(connection)), default=0)
        return {place: line_of(all_of) for place, all_of in told.items()}

    def is_asked(self, change: Change) -> bool:
        record_type = self.catalogue.record_types[change.record_type]
        closed = record_type.restricted or record_type.sharing == "none"
        never = change.record_type in self.catalogue.rounds.never_asked or change.op in ("dispute", "settle")
        return not (closed or never or change.kind == "backfill" or change.of_areas)

    def expected(self, connection: Connection) -> dict[str, set[tuple[int, int]]]:
        """The pairs by the areas that stand by now."""
        stands = read_successors(connection)
        return {month: {(seq, stands.get(town, town)) for seq, town in pairs} for month, pairs in self.asked.items()}


def line_of(told: list[tuple[Change, bool, bool]]) -> Line:
    first, last = told[0], told[-1]
    change = "enter"
    if last[0].op == "void":
        change = "void"
    elif not last[2]:
        change = "leave"
    elif first[1]:
        change = "update"
    version = last[0].version if last[2] else last[0].version - 1
    return Line(change, version, last[0].seq, all(one.op == "reroute" for one, _, _ in told))


# ---- what is written down ----


def read_log(connection: Connection) -> list[Change]:
    sent: dict[Any, tuple[str, bool]] = {
        submission: (str(kind), (organisation, record_type) == ("hub", "area"))
        for submission, kind, organisation, record_type in run_sql(
            connection, "SELECT submission_id, kind, organisation, record_type FROM {d}.submission"
        )
    }
    rows: list[tuple[Any, ...]] = run_sql(
        connection,
        "SELECT seq, record_type, record_id::text, version, op, areas_before, areas_after, submission_id"
        " FROM {d}.change_log ORDER BY seq",
    )
    return [
        Change(*facts, frozenset(before or ()), frozenset(after or ()), *sent.get(submission, ("regular", False)))  # type: ignore[call-arg]
        for *facts, before, after, submission in rows
    ]


def read_successors(connection: Connection) -> dict[int, int]:
    rows: list[tuple[Any, ...]] = run_sql(
        connection, "SELECT area_id, successor_id FROM {d}.area WHERE successor_id IS NOT NULL"
    )
    direct: dict[int, int] = dict(rows)

    def last(area: int) -> int:
        return last(direct[area]) if area in direct else area

    return {area: last(area) for area in direct}


def read_towns(connection: Connection) -> dict[int, int]:
    """Every area there ever was -> the town it lies in, or that stands in its place."""
    rows: list[tuple[Any, ...]] = run_sql(
        connection, "SELECT area_id, kind, parent_id FROM {d}.area WHERE kind <> 'district'"
    )
    stands, found = read_successors(connection), {area: (kind, parent) for area, kind, parent in rows}
    towns: dict[int, int] = {}
    for area in found:
        now = stands.get(area, area)
        kind, parent = found[now]
        towns[area] = now if kind == "town" else parent
    return towns
