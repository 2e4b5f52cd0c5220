"""Areas as lists, a page at a time: those there are and were, and every period of every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry.area_history import AreaLine
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require


class WantedAreas(msgspec.Struct, frozen=True, kw_only=True):
    """Which areas: that ever had this in their name or began with this code, of this kind, in force (now) or not (gone).

    ``sort``: code, name or valid_from, ``-`` before it for downwards; ``after``: behind this area.
    """

    text: str = ""
    kind: str = ""
    state: str = ""
    sort: str = "code"
    after: int | None = None


class WantedPeriods(msgspec.Struct, frozen=True, kw_only=True):
    """Which periods: of these areas, begun for this reason, between these days; behind an area's period ``after``."""

    text: str = ""
    reason: str = ""
    since: date | None = None
    until: date | None = None
    sort: str = "-valid_from"
    after: tuple[int, int] | None = None


class ListedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One area under one name and code, from when to when (exclusive); ``before``: what it was called until then."""

    area_id: int
    version: int
    kind: str
    code: str
    name: str
    before_code: str
    before_name: str
    parent: str  # as that was called then
    valid_from: date
    valid_to: date | None
    reason: str
    into_id: int | None  # merged away at its end: into which
    into: str


def list_areas(connection: Connection, actor: Actor, wanted: WantedAreas, most: int) -> list[AreaLine]:
    """As they are now, or last were."""
    require(actor, Right.READ_REGISTRY)
    tests = [_LAST, *(test for asked, test in _TESTS.items() if getattr(wanted, asked) not in ("", None))]
    page = _in_order(_AREAS, AREA_ORDERS[wanted.sort.removeprefix("-")], wanted.sort, tests)
    rows = run_sql(
        connection, page, **_named(wanted.text), kind=wanted.kind, state=wanted.state, after=wanted.after, most=most
    )
    return [AreaLine(**dict(zip(AreaLine.__struct_fields__, row, strict=True))) for row in rows]  # type: ignore[arg-type]


AREA_ORDERS = {"code": "code", "name": "name", "valid_from": "valid_from"}
_LAST = "NOT EXISTS (SELECT 1 FROM {d}.area_version n WHERE n.area_id = v.area_id AND n.version > v.version)"
_TESTS = {
    "kind": "a.kind = :kind",
    "state": "(v.valid_to IS NULL AND a.successor_id IS NULL) = (:state = 'now')",
    "text": "a.area_id IN (SELECT w.area_id FROM {d}.area_version w WHERE w.name ILIKE :name OR w.code LIKE :code)",
    "after": """(v.{column}, v.area_id) {than} (
         SELECT w.{column}, w.area_id FROM {d}.area_version w WHERE w.area_id = :after ORDER BY w.version DESC LIMIT 1)""",
}
_AREAS = """
WITH page AS (
  SELECT a.area_id, v.code, v.name, a.kind, a.parent_id, v.valid_from, v.valid_to
    FROM {d}.area_version v JOIN {d}.area a ON a.area_id = v.area_id
   WHERE {tests}
   ORDER BY v.{column} {way}, v.area_id {way} LIMIT :most),
     below AS (
  SELECT parent_id, count(*) AS many FROM {d}.area
   WHERE successor_id IS NULL AND parent_id IN (SELECT area_id FROM page WHERE kind <> 'village') GROUP BY parent_id)
SELECT p.area_id, p.code, p.name, p.kind, p.parent_id, coalesce(above.name, ''), p.valid_from, p.valid_to,
       coalesce(b.many, 0)
  FROM page p LEFT JOIN below b ON b.parent_id = p.area_id
  LEFT JOIN LATERAL (SELECT w.name FROM {d}.area_version w WHERE w.area_id = p.parent_id
                      ORDER BY w.version DESC LIMIT 1) above ON true
 ORDER BY p.{column} {way}, p.area_id {way}
"""


def _in_order(statement: str, column: str, sort: str, tests: Sequence[str]) -> str:
    """Only what is asked for is tested: each such statement has a plan of its own."""
    down = sort.startswith("-")
    whole = statement.replace("{tests}", "\n     AND ".join(tests) or "true")
    return whole.format(d="{d}", column=column, than="<" if down else ">", way="DESC" if down else "ASC")


def list_periods(connection: Connection, actor: Actor, wanted: WantedPeriods, most: int) -> list[ListedPeriod]:
    """Imports, renamings, new codes, splits and what was merged away, each with the day from which it counts."""
    require(actor, Right.READ_REGISTRY)
    tests = [test for asked, test in _PERIOD_TESTS.items() if getattr(wanted, asked) not in ("", None)]
    page = _in_order(_PERIODS, PERIOD_ORDERS[wanted.sort.removeprefix("-")], wanted.sort, tests)
    area_id, version = wanted.after or (None, None)
    rows = run_sql(
        connection, page, **_named(wanted.text), reason=wanted.reason, since=wanted.since, until=wanted.until,
        area=area_id, version=version, most=most,
    )  # fmt: skip
    names = ListedPeriod.__struct_fields__
    return [ListedPeriod(**dict(zip(names, row, strict=True))) for row in rows]  # type: ignore[arg-type]


PERIOD_ORDERS = {"valid_from": "valid_from", "code": "code"}
# A merger writes no period: the last one of what was merged away ends, and the area names its successor.
_PERIOD_TESTS = {
    "text": "(v.name ILIKE :name OR v.code LIKE :code)",
    "reason": """(v.reason = :reason OR :reason = 'merge' AND a.successor_id IS NOT NULL AND v.valid_to IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM {d}.area_version w WHERE w.area_id = v.area_id AND w.version > v.version))""",
    "since": "v.valid_from >= :since",
    "until": "v.valid_from <= :until",
    "after": """(v.{column}, v.area_id, v.version) {than} (
          SELECT w.{column}, w.area_id, w.version FROM {d}.area_version w WHERE w.area_id = :area AND w.version = :version)""",
}
_PERIODS = """
WITH page AS (
  SELECT v.*, a.kind, a.successor_id FROM {d}.area_version v JOIN {d}.area a ON a.area_id = v.area_id
   WHERE {tests}
   ORDER BY v.{column} {way}, v.area_id {way}, v.version {way} LIMIT :most)
SELECT p.area_id, p.version, p.kind, p.code, p.name, coalesce(b.code, ''), coalesce(b.name, ''), coalesce(above.name, ''),
       p.valid_from, p.valid_to, p.reason, CASE WHEN newer.version IS NULL THEN p.successor_id END,
       CASE WHEN newer.version IS NULL THEN coalesce(s.name, '') ELSE '' END
  FROM page p
  LEFT JOIN {d}.area_version b ON b.area_id = p.area_id AND b.version = p.version - 1
  LEFT JOIN {d}.area_version newer ON newer.area_id = p.area_id AND newer.version = p.version + 1
  LEFT JOIN LATERAL (SELECT w.name FROM {d}.area_version w WHERE w.area_id = p.parent_id AND w.valid_from <= p.valid_from
                      ORDER BY w.version DESC LIMIT 1) above ON true
  LEFT JOIN LATERAL (SELECT w.name FROM {d}.area_version w WHERE w.area_id = p.successor_id
                      ORDER BY w.version DESC LIMIT 1) s ON true
 ORDER BY p.{column} {way}, p.area_id {way}, p.version {way}
"""


def _named(text: str) -> dict[str, str]:
    plain = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"text": plain, "name": f"%{plain}%", "code": f"{plain}%"}
