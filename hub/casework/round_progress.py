"""How far a round is: counts by town and village, as the one who asks may see them. Nobody's name, no record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row

from hub.casework.rounds import list_rounds, load_round
from hub.database import run_sql
from hub.registry.areas import AreaIndex, load_area_index
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.registry.scope import oversees, scope_for

VERDICTS = ("1", "2", "3", "4", "5")  # mappings/codes/verdict.toml


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a list and what was answered; ``verdicts`` in the order of VERDICTS, ``late``: answered after it was due."""

    items: int = 0
    answered: int = 0  # any verdict at all
    open: int = 0
    transferred: int = 0
    deferred: int = 0
    late: int = 0
    verdicts: tuple[int, ...] = (0,) * len(VERDICTS)

    @property
    def share(self) -> float | None:
        """How much of it is done; None where nothing was asked."""
        return self.answered / self.items if self.items else None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            items=self.items + other.items, answered=self.answered + other.answered, open=self.open + other.open,
            transferred=self.transferred + other.transferred, deferred=self.deferred + other.deferred,
            late=self.late + other.late,
            verdicts=tuple(mine + theirs for mine, theirs in zip(self.verdicts, other.verdicts, strict=True)),
        )  # fmt: skip


class VillageProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One village of a town; ``village`` None: lines of which only the town is known."""

    village: int | None
    code: str
    name: str
    tally: Tally


class TownProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One town's round, with its villages in the order of their codes."""

    town: int
    code: str
    name: str
    organisation: str
    tally: Tally
    villages: tuple[VillageProgress, ...]
    downloaded_at: datetime | None
    returned_at: datetime | None
    last_return_at: datetime | None
    completed_at: datetime | None
    late: bool


class RoundSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One month, over all the towns that the asker may see."""

    month: str
    state: str
    opened_at: datetime
    due_on: date
    closed_at: datetime | None
    towns: int
    completed: int
    tally: Tally


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def progress(connection: Connection, actor: Actor, month: str, time_zone: str = "Asia/Shanghai") -> list[TownProgress]:
    """A town sees its own; who oversees, every town. NotFound if the month was not opened."""
    require(actor, Right.READ_ROUND, Right.MANAGE_ROUND, Right.SYSTEM, Right.OPERATE)
    known = load_round(connection, month)
    areas = load_area_index(connection)
    towns = _seen_towns(connection, actor, areas, [known.round_id])
    tallies = _count(connection, actor, areas, [known.round_id], time_zone)
    found = [_of_town(areas, row, tallies) for row in towns]
    return sorted(found, key=lambda one: one.code)


def summaries(
    connection: Connection, actor: Actor, time_zone: str = "Asia/Shanghai", newest: int | None = None, before: str = "",
) -> list[RoundSummary]:  # fmt: skip
    """Every round there was, the newest first; only so many of the ``newest``, of those ``before`` a month."""
    require(actor, Right.READ_ROUND, Right.MANAGE_ROUND, Right.SYSTEM, Right.OPERATE)
    earlier = [one for one in list_rounds(connection) if not before or one.month < before]
    rounds, areas = earlier[:newest], load_area_index(connection)
    ids = [one.round_id for one in rounds]
    towns, tallies = _seen_towns(connection, actor, areas, ids), _count(connection, actor, areas, ids, time_zone)
    return [_summary(one, [row for row in towns if row.round_id == one.round_id], tallies) for one in rounds]


# ---- what may be seen ----


def _own_places(actor: Actor, areas: AreaIndex) -> list[int] | None:
    """Towns and villages: their own area and below. None for those who see all."""
    if oversees(actor) or actor.may(Right.MANAGE_ROUND):
        return None
    return list(scope_for(actor, areas).own_areas)


class _Town(msgspec.Struct, frozen=True, kw_only=True):
    round_id: UUID
    town: int
    organisation: str
    downloaded_at: datetime | None
    returned_at: datetime | None
    last_return_at: datetime | None
    completed_at: datetime | None
    late: bool


def _seen_towns(connection: Connection, actor: Actor, areas: AreaIndex, rounds: Sequence[UUID]) -> list[_Town]:
    """A village sees the line of its town, counted over its own part alone."""
    towns = _towns_of(_own_places(actor, areas), areas)
    rows = run_sql(
        connection,
        f"SELECT {', '.join(_Town.__struct_fields__)} FROM {{d}}.round_town WHERE round_id = ANY (CAST(:rounds AS uuid[]))"
        " AND (CAST(:towns AS integer[]) IS NULL OR town = ANY (CAST(:towns AS integer[])))",
        rounds=list(rounds),
        towns=towns,
    )
    return [_Town(**dict(zip(_Town.__struct_fields__, row, strict=True))) for row in rows]  # type: ignore[arg-type]


def _towns_of(places: list[int] | None, areas: AreaIndex) -> list[int] | None:
    """None for those who see all."""
    return None if places is None else sorted({areas.town_of[place] for place in places})


_Place = tuple[UUID, int, int | None]


def _count(
    connection: Connection, actor: Actor, areas: AreaIndex, rounds: Sequence[UUID], time_zone: str
) -> dict[_Place, Tally]:
    """Lines by round, town and village: counted in the order of their index by what became of them, then put together.

    The district's calendar is asked only of what was answered late enough to be late anywhere.
    """
    own = _own_places(actor, areas)
    rows = run_sql(
        connection,
        """
        SELECT round_id, town, village, state, result, count(*),
               count(*) FILTER (WHERE state <> 'open' AND answered_at >= due_on - 1
                                      AND (answered_at AT TIME ZONE :zone)::date > due_on)
          FROM {d}.round_item
         WHERE round_id = ANY (CAST(:rounds AS uuid[]))
           AND (CAST(:towns AS integer[]) IS NULL OR town = ANY (CAST(:towns AS integer[])))
           AND (CAST(:own AS integer[]) IS NULL OR village = ANY (CAST(:own AS integer[])) OR town = ANY (CAST(:own AS integer[])))
         GROUP BY round_id, town, village, state, result
        """,
        rounds=list(rounds),
        own=own,
        towns=_towns_of(own, areas),
        zone=time_zone,
    )
    tallies: dict[_Place, Tally] = {}
    for *place, state, result, many, late in rows:
        where: _Place = tuple(place)  # type: ignore[assignment]
        tallies[where] = tallies.get(where, Tally()) + _tally(str(state), result, int(str(many)), int(str(late)))
    return tallies


def _tally(state: str, result: object, many: int, late: int) -> Tally:
    """So many lines of which the same became, some of them late."""
    answered = state != "open"
    return Tally(
        items=many, answered=many * answered, open=many * (not answered), transferred=many * (state == "transferred"),
        deferred=many * (state == "deferred"), late=late,
        verdicts=tuple(many * (answered and result == code) for code in VERDICTS),
    )  # fmt: skip


# ---- how it is told ----


def _of_town(areas: AreaIndex, row: _Town, tallies: dict[_Place, Tally]) -> TownProgress:
    its = {
        village: tally
        for (round_id, town, village), tally in tallies.items()
        if (round_id, town) == (row.round_id, row.town)
    }
    villages = [
        VillageProgress(
            village=village, code=areas.code_of.get(village or 0, ""), name=areas.name_of.get(village or 0, ""), tally=tally
        )
        for village, tally in its.items()
    ]  # fmt: skip
    return TownProgress(
        town=row.town, code=areas.code_of.get(row.town, ""), name=areas.name_of.get(row.town, ""),
        organisation=row.organisation, tally=total(its.values()),
        villages=tuple(sorted(villages, key=lambda one: one.code)), downloaded_at=row.downloaded_at,
        returned_at=row.returned_at, last_return_at=row.last_return_at, completed_at=row.completed_at, late=row.late,
    )  # fmt: skip


def _summary(one: Row[Any], towns: Sequence[_Town], tallies: dict[_Place, Tally]) -> RoundSummary:
    return RoundSummary(
        month=one.month, state=one.state, opened_at=one.opened_at, due_on=one.due_on, closed_at=one.closed_at,
        towns=len(towns), completed=sum(town.completed_at is not None for town in towns),
        tally=total(tally for (round_id, _, _), tally in tallies.items() if round_id == one.round_id),
    )  # fmt: skip
