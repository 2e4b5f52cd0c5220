"""Areas merge, split and are recoded; what that means for records is handed back, to be re-routed by a submission."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection, update

from hub import audit
from hub.errors import BadRequest, NotFound
from hub.registry.areas import (
    AreaIndex,
    AreaRow,
    close_version,
    insert_area,
    load_area_index,
    lock_areas,
    next_area_id,
    replace_version,
)
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import area


class AreaChange(msgspec.Struct, frozen=True, kw_only=True):
    """Which ids records must now carry: another area in place of one, another town above a village."""

    replaced: dict[int, int] = msgspec.field(default_factory=dict)
    moved_villages: dict[int, int] = msgspec.field(default_factory=dict)


def merge_areas(connection: Connection, actor: Actor, absorbed: Sequence[int], into: int, on: date) -> AreaChange:
    """End the absorbed areas in favour of ``into``; an absorbed town's villages go beneath it."""
    index = _begin(connection, actor)
    _refuse_unlike(index, absorbed, into)
    moved = {village: into for town in absorbed for village in index.children.get(town, ())}
    _move_villages(connection, index, moved, on, "merge")
    for each in absorbed:
        close_version(connection, each, on)
        connection.execute(update(area).where(area.c.area_id == each).values(successor_id=into))
    _record(connection, actor, "merge", into, absorbed=list(absorbed), villages=len(moved))
    return AreaChange(replaced=dict.fromkeys(absorbed, into), moved_villages=moved)


def split_area(
    connection: Connection, actor: Actor, town: int, new_town: AreaRow, villages: Sequence[int], on: date
) -> AreaChange:
    """A new town out of a town's villages; the id of the new town is the value of ``moved_villages``."""
    index = _begin(connection, actor)
    _refuse_bad_split(index, town, new_town, villages)
    new_id = next_area_id(connection)
    insert_area(connection, new_id, new_town, index.parent[town], on, "split")
    moved = dict.fromkeys(villages, new_id)
    _move_villages(connection, index, moved, on, "split")
    _record(connection, actor, "split", town, new_town=new_id, villages=len(moved))
    return AreaChange(moved_villages=moved)


def recode_area(connection: Connection, actor: Actor, area_id: int, code: str, name: str, on: date) -> AreaChange:
    """Another code or name for the same area: nothing to re-route, records carry the stable id."""
    index = _begin(connection, actor)
    _refuse_unknown(index, [area_id])
    if code != index.code_of[area_id]:
        _refuse_taken(index, code)
    reason = "rename" if code == index.code_of[area_id] else "recode"
    replace_version(connection, area_id, code, name, index.parent[area_id], on, reason)
    _record(connection, actor, reason, area_id, code=code)
    return AreaChange()


def _begin(connection: Connection, actor: Actor) -> AreaIndex:
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    lock_areas(connection)
    return load_area_index(connection)


def _record(connection: Connection, actor: Actor, how: str, area_id: int, **facts: object) -> None:
    audit.record(connection, actor, Right.MANAGE_REGISTRY, f"area/{area_id}", "done", how=how, **facts)


def _move_villages(connection: Connection, index: AreaIndex, moved: dict[int, int], on: date, reason: str) -> None:
    for village, town in moved.items():
        replace_version(connection, village, index.code_of[village], index.name_of[village], town, on, reason)


def _refuse_unknown(index: AreaIndex, area_ids: Sequence[int]) -> None:
    unknown = [each for each in area_ids if each not in index.kind]
    if unknown:
        raise NotFound(f"没有这些现行区划：{unknown}。 No such areas in force.", areas=unknown)


def _refuse_unlike(index: AreaIndex, absorbed: Sequence[int], into: int) -> None:
    _refuse_unknown(index, [*absorbed, into])
    kinds = {index.kind[each] for each in (*absorbed, into)}
    if not absorbed or into in absorbed or len({*absorbed}) < len(absorbed):
        raise BadRequest(
            "请列出被并入的区划，每个一次，不含保留者。 Name each absorbed area once, without the one kept."
        )
    if len(kinds) != 1 or kinds == {"district"}:
        raise BadRequest("只能镇街并镇街、村居并村居。 Towns merge with towns, villages with villages.")


def _refuse_bad_split(index: AreaIndex, town: int, new_town: AreaRow, villages: Sequence[int]) -> None:
    _refuse_unknown(index, [town, *villages])
    if index.kind[town] != "town" or new_town.kind != "town":
        raise BadRequest("只能拆分镇街。 Only a town is split, into towns.")
    if not villages or any(index.parent[each] != town for each in villages):
        raise BadRequest("请列出原镇街下划出的村居。 Name the villages of that town which move.")
    _refuse_taken(index, new_town.code)


def _refuse_taken(index: AreaIndex, code: str) -> None:
    if len(code) != 12 or not (code.isascii() and code.isdigit()):
        raise BadRequest(f"{code}: 代码应为12位数字。 An area code has twelve digits.")
    if code in index.code_of.values():
        raise BadRequest(f"{code}: 代码已被使用。 The code is in use.")
