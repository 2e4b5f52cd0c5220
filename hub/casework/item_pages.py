"""A town's lines of a round by village and state: how many there are, and which of them are on a page. No names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import NotAllowed
from hub.registry.areas import AreaIndex
from hub.registry.month_calendar import read_month
from hub.registry.permissions import Right
from hub.registry.rights import require
from hub.registry.scope import Scope, types_by_area
from mappings.catalogue import Catalogue

STATES = ("open", "answered", "transferred", "deferred")


class WantedLines(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines; what is empty does not matter. ``numbers``: these alone."""

    village: int | None = None
    state: str = ""
    numbers: tuple[int, ...] = ()
    after: int = 0  # only lines with a greater number


class LineCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Lines by village (None: of no village that is known) and state; by when the first of the open ones is due."""

    by_village: dict[int | None, dict[str, int]]
    due_on: date | None = None

    def of(self, state: str) -> int:
        return sum(counts.get(state, 0) for counts in self.by_village.values())

    @property
    def total(self) -> int:
        return sum(map(self.of, STATES))


def count_lines(connection: Connection, catalogue: Catalogue, scope: Scope, areas: AreaIndex, month: str) -> LineCounts:
    """Of the scope's own area."""
    columns = "i.village, i.state, count(*), min(i.due_on)"
    rows = _ask(connection, catalogue, scope, areas, month, columns, "GROUP BY 1, 2")
    found: dict[int | None, dict[str, int]] = {}
    for village, state, many, _ in rows:
        found.setdefault(village, {})[state] = many
    return LineCounts(by_village=found, due_on=min((row[3] for row in rows if row[1] == "open"), default=None))


def page_of_lines(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    wanted: WantedLines,
    *,
    limit: int | None = None,
) -> list[UUID]:
    """Ids of the wanted lines, by their number."""
    tail = (
        "AND (CAST(:village AS integer) IS NULL OR i.village = :village) AND (:state = '' OR i.state = :state)"
        " AND (CAST(:numbers AS integer[]) = '{}' OR i.number = ANY (:numbers)) AND i.number > :after"
        " ORDER BY i.number, i.item_id LIMIT :limit"
    )
    asked = {"village": wanted.village, "state": wanted.state, "numbers": list(wanted.numbers)}
    asked["after"] = wanted.after
    rows = _ask(connection, catalogue, scope, areas, month, "i.item_id", tail, **asked, limit=limit)
    return [row[0] for row in rows]


def lines_of_records(
    connection: Connection, catalogue: Catalogue, scope: Scope, areas: AreaIndex, month: str, records: Iterable[UUID]
) -> list[UUID]:
    """Ids of the lines these records have."""
    tail = "AND i.record_id = ANY (CAST(:records AS uuid[])) ORDER BY i.number"
    return [
        row[0] for row in _ask(connection, catalogue, scope, areas, month, "i.item_id", tail, records=list(records))
    ]


def _ask(
    connection: Connection,
    catalogue: Catalogue,
    scope: Scope,
    areas: AreaIndex,
    month: str,
    columns: str,
    tail: str,
    **values: object,
) -> Sequence[Any]:
    require(scope.actor, Right.READ_CHANGE_LIST)
    read_month(month)
    if not scope.own_areas or scope.actor.area_id is None:
        raise NotAllowed()
    return run_sql(
        connection,
        f"SELECT {columns} FROM {{d}}.monthly_round m JOIN {{d}}.round_item i USING (round_id) WHERE m.month = :month"
        f" AND i.town = :town AND i.record_type = ANY (:types) AND ARRAY[i.town, i.village] && CAST(:own AS integer[])"
        f" {tail}",
        month=month,
        town=areas.town_of[areas.current(scope.actor.area_id)],
        types=types_by_area(catalogue),
        own=list(scope.own_areas),
        **values,
    )
