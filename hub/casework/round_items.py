"""What a round asks each town, as SQL: which changes touch it, the record of each, one line a record, all of it counted.

A change is of a town when one of its areas lies there now. Where records went or whom they mean changed by itself
(reroute, relink) only the towns that lost or won them are asked. Everything happens on tables of this transaction;
only the last two statements write.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.errors import HubError
from hub.registry.areas import AreaIndex
from hub.registry.scope import types_by_area
from hub.tables.version_sql import event_day
from mappings.catalogue import Catalogue, RecordType


class RoundIncomplete(HubError):
    """月度清单与变动日志对不上，没有开启。 The lists do not tell every change of the log; the round was not opened."""

    problem = "round-incomplete"


class Watermarks(msgspec.Struct, frozen=True, kw_only=True):
    """A round's piece of the change log: after the one, up to and with the other."""

    after: int
    up_to: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a round asks: lines, the changes they tell, and how many lines come again."""

    items: int
    changes: int
    again: int


def asked_types(catalogue: Catalogue) -> list[str]:
    """Record types whose changes are put on the towns' lists."""
    return [code for code in types_by_area(catalogue) if code not in catalogue.rounds.never_asked]


def ask_towns(
    connection: Connection,
    catalogue: Catalogue,
    areas: AreaIndex,
    round_id: UUID,
    log: Watermarks,
    due_on: date,
    now: datetime,
) -> Asked:
    """Every line of the round and every change it tells; RoundIncomplete if a change would be told by none, or twice."""
    _lay_out(connection, areas)
    touched = _find_touched(connection, catalogue, log)
    for code in _gather_records(connection):
        _describe_records(connection, catalogue.record_types[code])
    _tell_moves_once(connection)
    _list_deferred(connection, round_id)
    items, again = _insert_items(connection, round_id, due_on, now)
    changes = _insert_changes(connection, round_id)
    if changes != touched:
        raise RoundIncomplete(f"{touched} / {changes}")
    _clear_away(connection)
    return Asked(items=items, changes=changes, again=again)


# ---- what this transaction works on ----

_TABLES = {
    "round_place": "area_id integer PRIMARY KEY, leaf_id integer, town_id integer, village_id integer, code text",
    "touched_change": (
        "seq bigint, town integer, record_type text, record_id uuid, version integer, op text,"
        " was_in boolean, is_in boolean"
    ),
    "asked_record": (
        "town integer, record_type text, record_id uuid, version integer, seq bigint, change text, moved_only boolean"
    ),
    "asked_line": (
        "town integer, village integer, record_type text, record_id uuid, version integer, seq bigint, role text,"
        " person_id uuid, change text, event_date date, source text, moved_only boolean, told_by uuid, came_from uuid"
    ),
    "told_item": "item_id uuid, town integer, record_id uuid",
}


def _lay_out(connection: Connection, areas: AreaIndex) -> None:
    """Empty tables, and every area there ever was with what stands in its place now."""
    run_sql(connection, "SET LOCAL work_mem = '32MB'")
    for name, columns in _TABLES.items():
        run_sql(connection, f"CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP")
    known = [area for area in (*areas.kind, *areas.successor) if areas.current(area) in areas.town_of]
    leaves = [areas.current(area) for area in known]
    run_sql(
        connection,
        """
        INSERT INTO round_place
        SELECT * FROM unnest(CAST(:known AS integer[]), CAST(:leaves AS integer[]), CAST(:towns AS integer[]),
                             CAST(:villages AS integer[]), CAST(:codes AS text[]))
        """,
        known=known,
        leaves=leaves,
        towns=[areas.town_of[leaf] for leaf in leaves],
        villages=[leaf if areas.kind[leaf] == "village" else None for leaf in leaves],
        codes=[areas.code_of[leaf] for leaf in leaves],
    )
    run_sql(connection, "ANALYZE round_place")


def _clear_away(connection: Connection) -> None:
    run_sql(connection, f"DROP TABLE {', '.join(_TABLES)}")


# ---- which changes, which records ----


def _find_touched(connection: Connection, catalogue: Catalogue, log: Watermarks) -> int:
    """A line for each change and town it touches; how many."""
    run_sql(
        connection,
        """
        INSERT INTO touched_change
        WITH chosen AS (
            SELECT c.* FROM {d}.change_log c
              LEFT JOIN {d}.submission_kind k USING (submission_id) LEFT JOIN {d}.submission s USING (submission_id)
             WHERE c.seq > :after AND c.seq <= :up_to AND c.record_type = ANY (CAST(:types AS text[]))
               AND k.kind IS DISTINCT FROM 'backfill' AND c.op NOT IN ('dispute', 'settle')
               AND (s.organisation = 'hub' AND s.record_type = 'area') IS NOT TRUE
        ), placed AS (
            SELECT a.seq, p.town_id AS town, bool_or(a.was) AS was_in, bool_or(NOT a.was) AS is_in
              FROM (SELECT seq, unnest(areas_before) AS area, true AS was FROM chosen
                     UNION ALL SELECT seq, unnest(areas_after), false FROM chosen) a
              JOIN round_place p ON p.area_id = a.area
             GROUP BY a.seq, p.town_id
        )
        SELECT c.seq, p.town, c.record_type, c.record_id, c.version, c.op, p.was_in, p.is_in
          FROM placed p JOIN chosen c USING (seq)
         WHERE c.op NOT IN ('reroute', 'relink') OR p.was_in <> p.is_in
        """,
        after=log.after,
        up_to=log.up_to,
        types=asked_types(catalogue),
    )
    run_sql(connection, "ANALYZE touched_change")
    return cast(int, run_sql(connection, "SELECT count(*) FROM touched_change")[0][0])


def _gather_records(connection: Connection) -> list[str]:
    """One line a town and record, as its last change there left it: what left is told as it was; the types among them."""
    run_sql(
        connection,
        """
        INSERT INTO asked_record
        WITH ranked AS (
            SELECT t.*, first_value(was_in) OVER w AS was_first, bool_and(op = 'reroute') OVER w AS moved_only,
                   row_number() OVER (PARTITION BY town, record_id ORDER BY seq DESC) AS rank
              FROM touched_change t
            WINDOW w AS (PARTITION BY town, record_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        )
        SELECT town, record_type, record_id, CASE WHEN is_in THEN version ELSE version - 1 END, seq,
               CASE WHEN op = 'void' THEN 'void' WHEN NOT is_in THEN 'leave' WHEN was_first THEN 'update' ELSE 'enter' END,
               moved_only
          FROM ranked WHERE rank = 1
        """,
    )
    run_sql(connection, "ANALYZE asked_record")
    return [str(code) for (code,) in run_sql(connection, "SELECT DISTINCT record_type FROM asked_record ORDER BY 1")]


# ---- who is meant, where and when ----


def _describe_records(connection: Connection, record_type: RecordType) -> None:
    """The records of one type as they are told: which of its people lives in the town, in which village, and when."""
    roles = [role.role for role in record_type.people]
    joins = "\n".join(
        f"LEFT JOIN {{d}}.person {role}_p ON {role}_p.person_id = v.{role}_ref AND v.{role}_area IS NULL\n"
        f"LEFT JOIN round_place {role}_at ON {role}_at.area_id = coalesce(v.{role}_area, {role}_p.home_area)"
        for role in roles
    )
    places = [f"{role}_at.town_id AS {role}_town, {role}_at.village_id AS {role}_village" for role in roles]
    found = ", ".join([f"{_role(roles)} AS role", *(f"v.{role}_ref" for role in roles), *places])
    run_sql(
        connection,
        f"""
        INSERT INTO asked_line (town, village, record_type, record_id, version, seq, role, person_id, change, event_date,
                                source, moved_only, told_by)
        WITH met AS (
            SELECT a.*, v.source, v.areas, {_event_date(record_type)} AS event_date, {found}
              FROM asked_record a JOIN {{d}}.ver_{record_type.code} v ON v.record_id = a.record_id AND v.version = a.version
              {joins}
             WHERE a.record_type = '{record_type.code}'
        )
        SELECT town, coalesce({_of_role(roles, "CASE WHEN {role}_town = town THEN {role}_village END")}, {_VILLAGE_THEN}),
               record_type, record_id, version, seq, role, {_of_role(roles, "{role}_ref")}, change, event_date, source,
               moved_only, record_id
          FROM met
        """,
    )


_VILLAGE_THEN = """(SELECT min(p.village_id) FROM unnest(met.areas) area JOIN round_place p ON p.area_id = area
                     WHERE p.town_id = met.town)"""


def _event_date(record_type: RecordType) -> str:
    kept = {field.name for field in record_type.plain_fields}
    return event_day(record_type, "v") if record_type.event_date in kept else "NULL::date"


def _role(roles: list[str]) -> str:
    """Who lives there; of a record that left, who does not live where it was; else the first it names."""
    if len(roles) < 2:
        return f"'{roles[0]}'" if roles else "''"
    there = [f"WHEN {role}_at.town_id = a.town THEN '{role}'" for role in roles]
    moved = [
        f"WHEN v.{role}_ref IS NOT NULL AND v.{role}_area IS NULL"
        f" AND coalesce({role}_at.leaf_id <> ALL (v.areas), true) THEN '{role}'"
        for role in roles
    ]
    named = [f"WHEN v.{role}_ref IS NOT NULL THEN '{role}'" for role in roles]
    return f"CASE {' '.join([*there, *moved, *named])} ELSE '{roles[0]}' END"


def _of_role(roles: Iterable[str], of_one: str) -> str:
    branches = " ".join(f"WHEN '{role}' THEN {of_one.format(role=role)}" for role in roles)
    return f"CASE role {branches} END" if branches else "NULL"


# ---- one line a record ----


def _tell_moves_once(connection: Connection) -> None:
    """Records that only followed somebody who moved are one line for that person, if nothing else of theirs is told."""
    run_sql(
        connection,
        """
        WITH weighed AS (
            SELECT town, record_id, moved_only, bool_and(moved_only) OVER w AS alone, first_value(record_id) OVER w AS first
              FROM asked_line WHERE person_id IS NOT NULL
            WINDOW w AS (PARTITION BY town, person_id ORDER BY record_id
                         ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        )
        UPDATE asked_line l SET told_by = w.first FROM weighed w
         WHERE w.alone AND w.first <> w.record_id AND l.town = w.town AND l.record_id = w.record_id
        """,
    )


def _list_deferred(connection: Connection, round_id: UUID) -> None:
    """What a town could not verify yet is asked again once: on the line of what changed since, or on one of its own."""
    run_sql(
        connection,
        """
        WITH deferred AS (
            SELECT DISTINCT ON (i.town, i.record_id) i.*
              FROM {d}.round_item i JOIN {d}.monthly_round m USING (round_id)
             WHERE i.state = 'deferred' AND i.round_id <> :round AND NOT EXISTS (
                SELECT 1 FROM {d}.round_item n JOIN {d}.monthly_round later ON later.round_id = n.round_id
                 WHERE n.record_id = i.record_id AND n.town = i.town AND n.came = 'again' AND later.month > m.month
             )
             ORDER BY i.town, i.record_id, m.month DESC
        ), known AS (
            UPDATE asked_line l SET came_from = d.item_id, told_by = l.record_id FROM deferred d
             WHERE l.town = d.town AND l.record_id = d.record_id
            RETURNING d.item_id
        )
        INSERT INTO asked_line (town, village, record_type, record_id, version, seq, role, person_id, change, event_date,
                                source, moved_only, told_by, came_from)
        SELECT town, village, record_type, record_id, version, seq, role, person_id, change, event_date, source, false,
               record_id, item_id
          FROM deferred WHERE item_id NOT IN (SELECT item_id FROM known)
        """,
        round=round_id,
    )


# ---- what is kept of it ----


def _insert_items(connection: Connection, round_id: UUID, due_on: date, now: datetime) -> tuple[int, int]:
    """Numbered by village, a person's lines together; how many lines, and how many of them came again."""
    inserted = run_sql(
        connection,
        """
        WITH kept AS (
            INSERT INTO {d}.round_item (item_id, round_id, town, village, number, record_type, record_id, version, seq, role,
                                        person_id, change, event_date, source, came, came_from, due_on)
            SELECT (lpad(to_hex(CAST(:millis AS bigint)), 12, '0') || '7'
                       || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
                   :round, l.town, l.village, row_number() OVER (
                       PARTITION BY l.town ORDER BY p.code NULLS FIRST, l.person_id, l.record_type, l.record_id),
                   l.record_type, l.record_id, l.version, l.seq, l.role, l.person_id, l.change, l.event_date, l.source,
                   CASE WHEN l.came_from IS NULL THEN 'change' ELSE 'again' END, l.came_from, :due
              FROM asked_line l LEFT JOIN round_place p ON p.area_id = l.village WHERE l.told_by = l.record_id
            RETURNING item_id, town, record_id, came
        ), told AS (
            INSERT INTO told_item SELECT item_id, town, record_id FROM kept
        )
        SELECT count(*), count(*) FILTER (WHERE came = 'again') FROM kept
        """,
        round=round_id,
        due=due_on,
        millis=int(now.timestamp() * 1000),
    )
    run_sql(connection, "ANALYZE told_item, asked_line")
    return cast(tuple[int, int], inserted[0])


def _insert_changes(connection: Connection, round_id: UUID) -> int:
    inserted = run_sql(
        connection,
        """
        WITH kept AS (
            INSERT INTO {d}.round_change (seq, town, round_id, item_id)
            SELECT t.seq, t.town, :round, i.item_id
              FROM touched_change t JOIN asked_line l ON l.town = t.town AND l.record_id = t.record_id
              JOIN told_item i ON i.town = l.town AND i.record_id = l.told_by
             ORDER BY t.seq
            RETURNING seq
        )
        SELECT count(*) FROM kept
        """,
        round=round_id,
    )
    return cast(int, inserted[0][0])
