"""Areas to look up: one town's villages, any area by a name or code it ever had, and what became of it."""

from __future__ import annotations

from datetime import date

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import NotFound
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require

A_PAGE = 100
MOST_FOUND = 50


class AreaLine(msgspec.Struct, frozen=True, kw_only=True):
    """One area as it is now, or last was; ``below``: how many areas in force lie in it."""

    area_id: int
    code: str
    name: str
    kind: str
    parent_id: int | None
    parent: str
    valid_from: date
    valid_to: date | None
    below: int


class AreaPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an area: what it was called, from when to when (exclusive), and why that began."""

    version: int
    code: str
    name: str
    parent_id: int | None
    parent: str
    valid_from: date
    valid_to: date | None
    reason: str  # import rename recode merge split


class AreaFate(msgspec.Struct, frozen=True, kw_only=True):
    """An area that went into another, came out of another, or stands in its place now; since when."""

    area_id: int
    code: str
    name: str
    since: date


class AreaHistory(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one area."""

    its: AreaLine
    periods: list[AreaPeriod]
    became: AreaFate | None  # merged away into
    absorbed: list[AreaFate]  # merged into this one
    split_from: list[AreaFate]  # whose villages it began with


def list_villages(connection: Connection, actor: Actor, town: int, after: str = "") -> list[AreaLine]:
    """One town's villages in force by code, a page and one more if there are more."""
    require(actor, Right.READ_REGISTRY)
    of = "a.kind = 'village' AND a.parent_id = :town AND v.valid_to IS NULL AND a.successor_id IS NULL AND v.code > :after"
    return _lines(connection, of, A_PAGE + 1, town=town, after=after)


def find_areas(connection: Connection, actor: Actor, text: str) -> list[AreaLine]:
    """Areas that ever had a name with this in it or a code that begins so, as they are now; the first fifty."""
    require(actor, Right.READ_REGISTRY)
    of = """
    a.area_id IN (SELECT w.area_id FROM {d}.area_version w WHERE w.name ILIKE :name OR w.code LIKE :code)
    AND v.version = (SELECT max(version) FROM {d}.area_version w WHERE w.area_id = a.area_id)
    """
    plain = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return _lines(connection, of, MOST_FOUND + 1, name=f"%{plain}%", code=f"{plain}%")


def see_area(connection: Connection, actor: Actor, area_id: int) -> AreaLine:
    """One area as it is now, or last was; NotFound."""
    require(actor, Right.READ_REGISTRY)
    of = "a.area_id = :one AND v.version = (SELECT max(version) FROM {d}.area_version w WHERE w.area_id = a.area_id)"
    found = _lines(connection, of, 1, one=area_id)
    if not found:
        raise NotFound(f"没有区划 {area_id}。 No area {area_id}.")
    return found[0]


def history_of(connection: Connection, actor: Actor, area_id: int) -> AreaHistory:
    """What an area was called, and what it came from and went into."""
    its = see_area(connection, actor, area_id)
    rows = run_sql(connection, _PERIODS, one=area_id)
    became = _fates(connection, _BECAME, area_id)
    return AreaHistory(
        its=its,
        periods=[AreaPeriod(**dict(zip(AreaPeriod.__struct_fields__, row, strict=True))) for row in rows],  # type: ignore[arg-type]
        became=became[0] if became else None,
        absorbed=_fates(connection, _ABSORBED, area_id),
        split_from=_fates(connection, _SPLIT_FROM, area_id),
    )


def _lines(connection: Connection, of: str, most: int, **binds: object) -> list[AreaLine]:
    rows = run_sql(connection, _LINES + f" WHERE {of} ORDER BY v.code, a.area_id LIMIT :most", most=most, **binds)
    return [AreaLine(**dict(zip(AreaLine.__struct_fields__, row, strict=True))) for row in rows]  # type: ignore[arg-type]


_LINES = """
SELECT a.area_id, v.code, v.name, a.kind, a.parent_id, coalesce(p.name, ''), v.valid_from, v.valid_to,
       CASE WHEN a.kind = 'village' THEN 0
            ELSE (SELECT count(*) FROM {d}.area b WHERE b.parent_id = a.area_id AND b.successor_id IS NULL) END
  FROM {d}.area a JOIN {d}.area_version v ON v.area_id = a.area_id
  LEFT JOIN LATERAL (SELECT w.name FROM {d}.area_version w WHERE w.area_id = a.parent_id
                      ORDER BY w.version DESC LIMIT 1) p ON true
"""
_PERIODS = """
SELECT v.version, v.code, v.name, v.parent_id, coalesce(p.name, ''), v.valid_from, v.valid_to, v.reason
  FROM {d}.area_version v
  LEFT JOIN LATERAL (SELECT w.name FROM {d}.area_version w WHERE w.area_id = v.parent_id AND w.valid_from <= v.valid_from
                      ORDER BY w.version DESC LIMIT 1) p ON true
 WHERE v.area_id = :one ORDER BY v.version DESC
"""


def _fates(connection: Connection, statement: str, area_id: int) -> list[AreaFate]:
    rows = run_sql(connection, statement, one=area_id)
    return [AreaFate(**dict(zip(AreaFate.__struct_fields__, row, strict=True))) for row in rows]  # type: ignore[arg-type]


_BECAME = """
SELECT b.area_id, v.code, v.name, gone.valid_to
  FROM {d}.area a JOIN {d}.area b ON b.area_id = a.successor_id
  JOIN LATERAL (SELECT max(valid_to) AS valid_to FROM {d}.area_version w WHERE w.area_id = a.area_id) gone ON true
  JOIN LATERAL (SELECT code, name FROM {d}.area_version w WHERE w.area_id = b.area_id ORDER BY version DESC LIMIT 1) v ON true
 WHERE a.area_id = :one
"""
_ABSORBED = """
SELECT a.area_id, v.code, v.name, v.valid_to
  FROM {d}.area a
  JOIN LATERAL (SELECT code, name, valid_to FROM {d}.area_version w WHERE w.area_id = a.area_id
                 ORDER BY version DESC LIMIT 1) v ON true
 WHERE a.successor_id = :one ORDER BY v.valid_to DESC, v.code
"""
# A town that a split made: its villages had another town until that day.
_SPLIT_FROM = """
SELECT DISTINCT old.parent_id, t.code, t.name, new.valid_from
  FROM {d}.area_version new
  JOIN {d}.area_version old ON old.area_id = new.area_id AND old.version = new.version - 1
  JOIN {d}.area_version first ON first.area_id = :one AND first.version = 1 AND first.reason = 'split'
  JOIN LATERAL (SELECT code, name FROM {d}.area_version w WHERE w.area_id = old.parent_id ORDER BY version DESC LIMIT 1) t ON true
 WHERE new.parent_id = :one AND new.reason = 'split' AND new.valid_from = first.valid_from
"""
