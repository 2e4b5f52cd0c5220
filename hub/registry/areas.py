"""The district, its towns and villages: imported with validity, found by any code or name they ever had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from hub import audit
from hub.database import run_sql
from hub.errors import BadRequest, Conflict
from hub.registry.area_names import code_forms, name_forms
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require
from hub.tables import area, area_version

AreaKind = Literal["district", "town", "village"]
PARENT_KIND: dict[str, str | None] = {"district": None, "town": "district", "village": "town"}
_WRITING_AREAS = 7_215_002  # advisory lock: one change of the areas at a time


class AreaRow(msgspec.Struct, frozen=True):
    """One area as a list names it: twelve digits, name, kind, and the twelve digits of what it lies in."""

    code: str
    name: str
    kind: AreaKind
    parent_code: str | None = None


class ImportedAreas(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, by code; ``missing`` are areas in force which the list does not name: left as they are."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: int = 0
    missing: tuple[str, ...] = ()


class AreaIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Every area by stable id. Codes and names of the past lead to the area that now stands in their place."""

    codes: dict[str, int]  # 12 digits; 9 for towns, 6 for the district
    names: dict[str, tuple[int, ...]]  # several villages may share a name
    code_of: dict[int, str]  # in force, 12 digits
    name_of: dict[int, str]
    kind: dict[int, str]
    parent: dict[int, int | None]
    town_of: dict[int, int]  # village -> its town, town -> itself
    successor: dict[int, int]  # merged away -> what stands in its place
    children: dict[int, tuple[int, ...]]

    def expand(self, area_id: int) -> tuple[int, ...]:
        """The area and all below it, in force; nothing for an area merged away (its successor is wider)."""
        if area_id not in self.kind:
            return ()
        below = (each for child in self.children.get(area_id, ()) for each in self.expand(child))
        return tuple(sorted((area_id, *below)))

    def current(self, area_id: int) -> int:
        """The area itself, or what now stands in its place."""
        return self.successor.get(area_id, area_id)

    def within(self, area_id: int, town: int | None) -> bool:
        """Whether the area lies in the town; any area does when no town is given."""
        return town is None or self.town_of.get(area_id) == town

    def full_name(self, code: str) -> str:
        """Town and village of a code as people say it; the code itself where it is not of this district."""
        area_id = self.codes.get(code)
        if area_id is None:
            return code
        town = self.town_of.get(area_id)
        above = self.name_of.get(town, "") if town is not None and town != area_id else ""
        return above + self.name_of.get(area_id, code)

    def named(self, name: str, town: int | None = None) -> tuple[int, ...]:
        """Areas of this name, in the town if one is given."""
        return tuple(each for each in self.names.get(name, ()) if self.within(each, town))


class AreaVersion(msgspec.Struct, frozen=True):
    """One version of one area, with what the area is now."""

    area_id: int
    kind: str
    parent_id: int | None
    successor_id: int | None
    code: str
    name: str
    valid_to: date | None


def load_area_index(connection: Connection) -> AreaIndex:
    """Every area with every code and name it ever had. Built anew unless all of it reads as it did before."""
    digest = run_sql(connection, f"SELECT {_DIGEST} FROM ({_VERSIONS}) v")[0][0]
    return _BUILT.get(str(digest)) or _build(connection)


_VERSIONS = """
SELECT a.area_id, a.kind, a.parent_id, a.successor_id, v.code, v.name, v.valid_to, v.valid_from, v.version
  FROM {d}.area a JOIN {d}.area_version v ON v.area_id = a.area_id
"""
_DIGEST = """
encode(sha256(convert_to(coalesce(string_agg(v::text, ';' ORDER BY valid_from, area_id, version), ''), 'UTF8')), 'hex')
"""
_MOST_BUILT = 8
_BUILT: dict[str, AreaIndex] = {}  # by the digest of every row it was built from: of any database, never out of date


def _build(connection: Connection) -> AreaIndex:
    """Rows and their digest are of one statement, so that they speak of the same state."""
    newest_last = "SELECT v.*, (SELECT {digest} FROM v) FROM v ORDER BY valid_from, area_id, version"
    rows = run_sql(connection, f"WITH v AS MATERIALIZED ({_VERSIONS}) {newest_last.format(digest=_DIGEST)}")
    index = build_index([AreaVersion(*row[:7]) for row in rows])  # type: ignore[arg-type]
    if len(_BUILT) >= _MOST_BUILT:
        _BUILT.clear()
    if rows:
        _BUILT[str(rows[0][-1])] = index
    return index


def build_index(versions: Sequence[AreaVersion]) -> AreaIndex:
    """The index over versions given oldest first."""
    successor = _successors(versions)
    in_force = [each for each in versions if each.valid_to is None and each.area_id not in successor]
    kind = {each.area_id: each.kind for each in in_force}
    parent = {each.area_id: each.parent_id for each in in_force}
    return AreaIndex(
        codes=_codes(versions, in_force, successor),
        names=_names(versions, successor),
        code_of={each.area_id: each.code for each in in_force},
        name_of={each.area_id: each.name for each in in_force},
        kind=kind,
        parent=parent,
        town_of=_towns(kind, parent),
        successor=successor,
        children=_children(parent),
    )


def _successors(versions: Iterable[AreaVersion]) -> dict[int, int]:
    direct = {each.area_id: each.successor_id for each in versions if each.successor_id is not None}

    def last(area_id: int) -> int:
        return last(direct[area_id]) if area_id in direct else area_id

    return {absorbed: last(into) for absorbed, into in direct.items()}


def _codes(
    versions: Iterable[AreaVersion], in_force: Iterable[AreaVersion], successor: Mapping[int, int]
) -> dict[str, int]:
    """A code given to a second area means the one in force, else the latest that had it."""
    return {
        code: successor.get(each.area_id, each.area_id)
        for each in (*versions, *in_force)
        for code in code_forms(each.code, each.kind)
    }


def _names(versions: Iterable[AreaVersion], successor: Mapping[int, int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for each in versions:
        for name in name_forms(each.name):
            found.setdefault(name, set()).add(successor.get(each.area_id, each.area_id))
    return {name: tuple(sorted(ids)) for name, ids in found.items()}


def _towns(kind: Mapping[int, str], parent: Mapping[int, int | None]) -> dict[int, int]:
    towns = {each: each for each, its_kind in kind.items() if its_kind == "town"}
    villages = {each: parent[each] for each, its_kind in kind.items() if its_kind == "village"}
    return towns | {each: town for each, town in villages.items() if town is not None}


def _children(parent: Mapping[int, int | None]) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for each, above in sorted(parent.items()):
        if above is not None:
            found.setdefault(above, []).append(each)
    return {above: tuple(below) for above, below in found.items()}


# ---- the import of a list ----


def import_areas(
    connection: Connection,
    actor: Actor,
    rows: Sequence[AreaRow],
    valid_from: date,
    same_as: Mapping[str, str] | None = None,
) -> ImportedAreas:
    """Take in the district's list. The same list again changes nothing.

    A new code is a new area, and a known code with another name is refused, unless ``same_as`` says which area it is:
    {code in this list: code the area has now}. So a recoded or renamed village is never taken for another.
    """
    require(actor, Right.MANAGE_REGISTRY, Right.OPERATE)
    lock_areas(connection)
    index = load_area_index(connection)
    known = _match_rows(rows, index, same_as or {})
    ids = _add_new(connection, rows, known, index, valid_from)
    changed = _change_known(connection, rows, ids, known, index, valid_from)
    added = tuple(row.code for row in rows if row.code not in known)
    missing = tuple(sorted(index.code_of[each] for each in index.code_of.keys() - known.values()))
    audit.record(connection, actor, Right.MANAGE_REGISTRY, "areas", added=len(added), changed=len(changed))
    unchanged = len(rows) - len(added) - len(changed)
    return ImportedAreas(added=added, changed=changed, unchanged=unchanged, missing=missing)


def lock_areas(connection: Connection) -> None:
    """Areas change one transaction at a time: ids and codes are handed out without gaps or doubles."""
    connection.execute(select(func.pg_advisory_xact_lock(_WRITING_AREAS)))


def _match_rows(rows: Sequence[AreaRow], index: AreaIndex, same_as: Mapping[str, str]) -> dict[str, int]:
    """Row code -> known area; every problem of the list in one answer."""
    current = {code: area_id for area_id, code in index.code_of.items()}
    same_as = {code: was for code, was in same_as.items() if not _already_done(code, was, index, current)}
    known = {row.code: current[was] for row in rows if (was := same_as.get(row.code, row.code)) in current}
    wrong = [*_list_problems(rows, current), *_mapping_problems(rows, same_as, current)]
    wrong += [_former(row, index) for row in rows if row.code not in known and row.code in index.codes]
    wrong += [_renamed(row, index.name_of[known[row.code]]) for row in rows if _is_renamed(row, known, index, same_as)]
    if wrong:
        raise BadRequest("；".join(wrong[:20]), problems=wrong)
    return known


def _already_done(code: str, was: str, index: AreaIndex, current: Mapping[str, int]) -> bool:
    """The list was imported before: the old code already leads to the area that has the new one."""
    return was not in current and code in current and index.codes.get(was) == current[code]


def _former(row: AreaRow, index: AreaIndex) -> str:
    now = index.code_of[index.codes[row.code]]
    return f"{row.code}: 原有代码，现为 {now}，不得另作新区划 (a former code, now {now}: not a new area)"


def _list_problems(rows: Sequence[AreaRow], current: Mapping[str, int]) -> list[str]:
    listed = {row.code: row for row in rows}
    wrong = [f"{row.code}: 代码应为12位数字 (twelve digits)" for row in rows if not _twelve_digits(row.code)]
    wrong += [f"{row.code}: 缺名称 (no name)" for row in rows if not row.name.strip()]
    if len(listed) < len(rows):
        wrong.append("代码重复 (a code is given twice)")
    orphans = [row for row in rows if _orphan(row, listed, current)]
    return wrong + [f"{row.code}: 上级 {row.parent_code} 不对 (wrong parent)" for row in orphans]


def _twelve_digits(code: str) -> bool:
    return len(code) == 12 and code.isascii() and code.isdigit()


def _orphan(row: AreaRow, listed: Mapping[str, AreaRow], current: Mapping[str, int]) -> bool:
    wanted = PARENT_KIND[row.kind]
    if wanted is None or not row.parent_code:
        return wanted is not None or bool(row.parent_code)
    above = listed.get(row.parent_code)
    return row.parent_code not in current if above is None else above.kind != wanted


def _mapping_problems(rows: Sequence[AreaRow], same_as: Mapping[str, str], current: Mapping[str, int]) -> list[str]:
    listed = {row.code for row in rows}
    wrong = [f"{code}: 对应表中的代码不在名单里 (not in the list)" for code in same_as.keys() - listed]
    wrong += [f"{was}: 对应表中的原代码不存在 (no such area)" for was in same_as.values() if was not in current]
    kept = [was for code, was in same_as.items() if was != code and was in listed and was not in same_as]
    return wrong + [f"{was}: 原代码仍在名单里 (the list still names the old code)" for was in kept]


def _is_renamed(row: AreaRow, known: Mapping[str, int], index: AreaIndex, same_as: Mapping[str, str]) -> bool:
    return row.code in known and row.code not in same_as and index.name_of[known[row.code]] != row.name


def _renamed(row: AreaRow, before: str) -> str:
    return f"{row.code}: {before} → {row.name}，若为更名请在对应表中写明 (if renamed, say so in same_as)"


def _add_new(
    connection: Connection, rows: Sequence[AreaRow], known: Mapping[str, int], index: AreaIndex, valid_from: date
) -> dict[str, int]:
    """Row code -> id for every row; new areas are numbered on from the highest."""
    ids = dict(known)
    new = [row for row in rows if row.code not in known]
    first = next_area_id(connection)
    ids |= {row.code: first + at for at, row in enumerate(new)}
    for row in new:
        insert_area(connection, ids[row.code], row, parent_of(row, ids, index), valid_from)
    return ids


def next_area_id(connection: Connection) -> int:
    """One more than the highest; ids are never given twice."""
    highest: int | None = connection.execute(select(func.max(area.c.area_id))).scalar_one()
    return (highest or 0) + 1


def parent_of(row: AreaRow, ids: Mapping[str, int], index: AreaIndex) -> int | None:
    """The id of the area the row lies in."""
    if not row.parent_code:
        return None
    return ids.get(row.parent_code) or index.codes[row.parent_code]


def insert_area(
    connection: Connection, area_id: int, row: AreaRow, parent_id: int | None, on: date, reason: str = "import"
) -> None:
    """A new area with its first version."""
    connection.execute(insert(area), [{"area_id": area_id, "kind": row.kind, "parent_id": parent_id}])
    first = {"area_id": area_id, "version": 1, "valid_from": on, "reason": reason}
    connection.execute(insert(area_version), [first | {"code": row.code, "name": row.name, "parent_id": parent_id}])


def _change_known(
    connection: Connection,
    rows: Sequence[AreaRow],
    ids: Mapping[str, int],
    known: Mapping[str, int],
    index: AreaIndex,
    on: date,
) -> tuple[str, ...]:
    changed = [row for row in rows if row.code in known and _differs(row, known[row.code], ids, index)]
    for row in changed:
        area_id, parent_id = known[row.code], parent_of(row, ids, index)
        reason = "rename" if index.code_of[area_id] == row.code else "recode"
        replace_version(connection, area_id, row.code, row.name, parent_id, on, reason)
    return tuple(row.code for row in changed)


def _differs(row: AreaRow, area_id: int, ids: Mapping[str, int], index: AreaIndex) -> bool:
    known = (index.code_of[area_id], index.name_of[area_id], index.parent[area_id])
    if index.kind[area_id] != row.kind or known[2] != parent_of(row, ids, index):
        raise Conflict(f"{row.code}: 归属变化请用合并或拆分。 Moves beneath another parent are merges or splits.")
    return known[:2] != (row.code, row.name)


def replace_version(
    connection: Connection, area_id: int, code: str, name: str, parent_id: int | None, on: date, reason: str
) -> None:
    """Close the version in force on that day and open the next."""
    number = close_version(connection, area_id, on)
    following = {"area_id": area_id, "version": number + 1, "valid_from": on, "reason": reason}
    connection.execute(insert(area_version), [following | {"code": code, "name": name, "parent_id": parent_id}])
    connection.execute(update(area).where(area.c.area_id == area_id).values(parent_id=parent_id))


def close_version(connection: Connection, area_id: int, on: date) -> int:
    """End the version in force; its number."""
    in_force = (area_version.c.area_id == area_id, area_version.c.valid_to.is_(None), area_version.c.valid_from <= on)
    closing = update(area_version).where(*in_force).values(valid_to=on).returning(area_version.c.version)
    number: int | None = connection.execute(closing).scalar_one_or_none()
    if number is None:
        raise BadRequest(f"区划 {area_id} 在 {on} 之后已有变更。 Area {area_id} already changed after {on}.")
    return number
