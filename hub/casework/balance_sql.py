"""The statements of the month's account: who lives where at its end, whose place changed, what the log says of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Connection

from hub.casework.standing import GIVEN_PERSONS, events_sql, heard, standing_sql, told_sql
from hub.database import run_sql
from mappings.catalogue import Catalogue

Rows = list[tuple[object, ...]]

# Whoever the books know of, by the village (or town) that now stands in the place of the one they were counted in.
_LAST = "SELECT s.person_id, p.leaf_id AS area FROM {d}.resident_stock s JOIN {d}.area_place p ON p.area_id = s.area"
# The same as new_uuid() makes them, for rows that never leave the database before they are written.
_NEW_ID = """
    (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
     || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
"""


def count_stock(connection: Connection, catalogue: Catalogue, as_of: date, towns: Sequence[int]) -> None:
    """Table ``balance_stock`` of this transaction: who lives in these towns on that day."""
    run_sql(connection, "DROP TABLE IF EXISTS pg_temp.balance_stock")
    run_sql(
        connection,
        f"""
        CREATE TEMPORARY TABLE balance_stock ON COMMIT DROP AS
        SELECT n.person_id, n.area FROM ({standing_sql(catalogue)}) n
        JOIN {{d}}.area_place p ON p.area_id = n.area
        WHERE p.town_id = ANY (CAST(:towns AS integer[]))
        """,
        day=as_of,
        towns=list(towns),
    )
    run_sql(connection, "ANALYZE pg_temp.balance_stock")


def events_between(connection: Connection, catalogue: Catalogue, first: date, last: date) -> Rows:
    """Every event of these days: person, area, day, record, record type, what it does, as what it counts."""
    return run_sql(
        connection,
        "SELECT person_id, area, day, record_id, record_type, does, counts_as"
        f" FROM ({events_sql(catalogue)}) event WHERE day BETWEEN :first AND :last ORDER BY person_id",
        first=first,
        last=last,
    )


def movers(connection: Connection, opening: Sequence[int], eventful: Sequence[UUID]) -> Rows:
    """Person, where the books have them and where they live now: of everybody whose place is another, or who had events.

    Not those of a town that is only now taken into the books and nothing happened to: they are opened at once.
    """
    return run_sql(
        connection,
        f"""
        WITH last AS ({_LAST}), moved AS (
            SELECT person_id, l.area AS was, n.area AS now FROM last l FULL JOIN pg_temp.balance_stock n USING (person_id)
            WHERE l.area IS DISTINCT FROM n.area
        ), eventful AS (SELECT unnest(CAST(:eventful AS uuid[])) AS person_id), chosen AS (
            SELECT m.person_id FROM moved m LEFT JOIN {{d}}.area_place p ON p.area_id = m.now
            WHERE NOT (m.was IS NULL AND p.town_id = ANY (CAST(:opening AS integer[])))
            UNION SELECT person_id FROM eventful
        )
        SELECT c.person_id, l.area, n.area FROM chosen c LEFT JOIN last l USING (person_id)
        LEFT JOIN pg_temp.balance_stock n USING (person_id)
        ORDER BY 1
        """,
        opening=list(opening),
        eventful=list(eventful),
    )


def open_towns(connection: Connection, month: str, opening: Sequence[int], eventful: Sequence[UUID]) -> int:
    """Whoever lives in these towns and nothing happened to is in the books from now on; how many."""
    if not opening:
        return 0
    written = run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.balance_movement (movement_id, month, person_id, kind, to_area, of_month)
        SELECT {_NEW_ID}, :month, n.person_id, 'opening', n.area, :month
        FROM pg_temp.balance_stock n JOIN {{d}}.area_place p ON p.area_id = n.area
        WHERE p.town_id = ANY (CAST(:opening AS integer[]))
          AND NOT EXISTS (SELECT 1 FROM {{d}}.resident_stock s WHERE s.person_id = n.person_id)
          AND NOT EXISTS (SELECT 1 FROM unnest(CAST(:eventful AS uuid[])) e (person_id) WHERE e.person_id = n.person_id)
        RETURNING 1
        """,
        month=month,
        opening=list(opening),
        eventful=list(eventful),
    )
    return len(written)


def told_before(connection: Connection, catalogue: Catalogue, day: date, persons: Sequence[UUID]) -> Rows:
    """The event that decides on that day, of each of these persons who has one."""
    told = told_sql(catalogue, persons=GIVEN_PERSONS)
    return run_sql(
        connection,
        f"SELECT person_id, area, day, record_id, record_type, does, counts_as FROM ({told}) told",
        day=day,
        persons=list(persons),
    )


def come_since(connection: Connection, after_seq: int, records: Sequence[UUID]) -> Rows:
    """Which of these records came for the first time since then, and by what kind of submission."""
    return run_sql(
        connection,
        "SELECT c.record_id, coalesce(k.kind, 'regular') FROM {d}.change_log c"
        " LEFT JOIN {d}.submission_kind k USING (submission_id)"
        " WHERE c.seq > :after AND c.op = 'new' AND c.record_id = ANY (CAST(:records AS uuid[]))",
        after=after_seq,
        records=list(records),
    )


def causes_since(connection: Connection, catalogue: Catalogue, after_seq: int, persons: Sequence[UUID]) -> Rows:
    """Person, why, record type and record: the latest thing since then by which a record says something else of them."""
    said = " UNION ALL ".join(
        f"SELECT v.{role}_ref AS person_id, c.record_type, c.record_id, c.seq, c.op, c.submission_id FROM changed c"
        f" JOIN {{d}}.ver_{code} v ON v.record_id = c.record_id AND v.version IN (c.version, c.version - 1)"
        f" WHERE c.record_type = '{code}' AND v.{role}_ref = ANY (CAST(:persons AS uuid[]))"
        for code, role in sorted({(rule.record_type, rule.role) for rule in heard(catalogue)})
    )
    return run_sql(
        connection,
        f"""
        WITH changed AS MATERIALIZED (
            SELECT seq, record_type, record_id, version, op, submission_id FROM {{d}}.change_log
            WHERE seq > :after AND op IN ('update', 'void', 'restore', 'relink')
        )
        SELECT DISTINCT ON (s.person_id) s.person_id,
               CASE WHEN d.kind IS NOT NULL THEN d.kind WHEN k.kind = 'undo' THEN 'undo' ELSE s.op END,
               s.record_type, s.record_id
        FROM ({said}) s
        LEFT JOIN {{d}}.person_decision d USING (submission_id)
        LEFT JOIN {{d}}.submission_kind k USING (submission_id)
        ORDER BY s.person_id, s.seq DESC
        """,
        after=after_seq,
        persons=list(persons),
    )


def gone_persons(connection: Connection, persons: Sequence[UUID]) -> Rows:
    """Who of them turned out to be somebody else, or was lawfully erased."""
    return run_sql(
        connection,
        "SELECT person_id, CASE WHEN erased_at IS NULL THEN 'merge' ELSE 'erased' END FROM {d}.person"
        " WHERE person_id = ANY (CAST(:persons AS uuid[])) AND (merged_into IS NOT NULL OR erased_at IS NOT NULL)",
        persons=list(persons),
    )


# ---- the figures: each level counts what crosses its border ----

_PLACED = """
    SELECT m.*, CASE WHEN f.leaf_id <> f.town_id THEN f.leaf_id END AS f_village, f.town_id AS f_town,
           CASE WHEN m.from_area IS NOT NULL THEN CAST(:district AS integer) END AS f_district,
           CASE WHEN t.leaf_id <> t.town_id THEN t.leaf_id END AS t_village, t.town_id AS t_town,
           CASE WHEN m.to_area IS NOT NULL THEN CAST(:district AS integer) END AS t_district
    FROM {d}.balance_movement m
    LEFT JOIN {d}.area_place f ON f.area_id = m.from_area
    LEFT JOIN {d}.area_place t ON t.area_id = m.to_area
    WHERE m.month = :month
"""
CROSSINGS = f"""
    SELECT p.movement_id, p.person_id, p.kind, p.of_month < p.month AS late, side.area, side.is_in
    FROM ({_PLACED}) p
    CROSS JOIN LATERAL (VALUES (f_village, t_village), (f_town, t_town), (f_district, t_district)) level (f, t)
    CROSS JOIN LATERAL (VALUES (level.f, false), (level.t, true)) side (area, is_in)
    WHERE level.f IS DISTINCT FROM level.t AND side.area IS NOT NULL
"""  # movement_id person_id kind late area is_in; bind month and district
_HEADS = """
    SELECT level.area, count(*) AS heads FROM {table} s JOIN {{d}}.area_place p ON p.area_id = s.area
    CROSS JOIN LATERAL (VALUES (CASE WHEN p.leaf_id <> p.town_id THEN p.leaf_id END), (p.town_id),
                               (CAST(:district AS integer))) level (area)
    WHERE level.area IS NOT NULL GROUP BY 1
"""
_COLUMNS: dict[str, str] = {
    "opening": "net FILTER (WHERE kind = 'opening')",
    "births": "net FILTER (WHERE kind = 'birth' AND NOT late)",
    "deaths": "-net FILTER (WHERE kind = 'death' AND NOT late)",
    "moved_in": "ins FILTER (WHERE kind = 'moved' AND NOT late)",
    "moved_out": "outs FILTER (WHERE kind = 'moved' AND NOT late)",
    "corrected_in": "ins FILTER (WHERE kind = 'correction' AND NOT late)",
    "corrected_out": "outs FILTER (WHERE kind = 'correction' AND NOT late)",
    "adjusted_in": "ins FILTER (WHERE kind IN ('birth', 'death', 'moved', 'correction') AND late)",
    "adjusted_out": "outs FILTER (WHERE kind IN ('birth', 'death', 'moved', 'correction') AND late)",
    "excused": "net FILTER (WHERE kind = 'excused')",
    "unexplained": "people FILTER (WHERE kind = 'unexplained')",
}
_SUMS = {
    "net": "sum(CASE WHEN is_in THEN 1 ELSE -1 END)",
    "ins": "count(*) FILTER (WHERE is_in)",
    "outs": "count(*) FILTER (WHERE NOT is_in)",
    "people": "count(DISTINCT person_id)",
}


def write_figures(connection: Connection, month: str, district: int) -> None:
    """Every area's line of the account, from the movements and the two counts of heads."""
    figures = ", ".join(f"coalesce({_figure(column)}, 0) AS {column}" for column in _COLUMNS)
    run_sql(connection, "DELETE FROM {d}.balance WHERE month = :month", month=month)
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.balance (month, area, start, {", ".join(_COLUMNS)}, "end")
        WITH crossing AS ({CROSSINGS}), first AS ({_HEADS.format(table="{d}.resident_stock")}),
        last AS ({_HEADS.format(table="pg_temp.balance_stock")}), figure AS (
            SELECT area, {figures} FROM crossing GROUP BY area
        ), line AS (SELECT area FROM first UNION SELECT area FROM last UNION SELECT area FROM figure)
        SELECT :month, line.area, coalesce(first.heads, 0),
               {", ".join(f"coalesce(figure.{column}, 0)" for column in _COLUMNS)}, coalesce(last.heads, 0)
        FROM line LEFT JOIN first USING (area) LEFT JOIN figure USING (area) LEFT JOIN last USING (area)
        """,
        month=month,
        district=district,
    )


def _figure(column: str) -> str:
    """The sum a column is, over the crossings it counts."""
    name, _, chosen = _COLUMNS[column].partition(" FILTER (WHERE ")
    kinds, sign = chosen.removesuffix(")"), "-" if name.startswith("-") else ""
    amount = _SUMS[name.lstrip("-")]
    if amount.endswith(")") and "FILTER" in amount:
        return f"{amount[:-1]} AND {kinds})"
    return f"{sign}{amount} FILTER (WHERE {kinds})"


def let_pass(connection: Connection, month: str, district: int) -> None:
    """The two columns that change when a difference is let pass."""
    run_sql(
        connection,
        f"""
        WITH crossing AS ({CROSSINGS}), figure AS (
            SELECT area, coalesce({_figure("excused")}, 0) AS excused, coalesce({_figure("unexplained")}, 0) AS unexplained
            FROM crossing GROUP BY area
        )
        UPDATE {{d}}.balance b SET excused = f.excused, unexplained = f.unexplained
        FROM figure f WHERE b.month = :month AND b.area = f.area
        """,
        month=month,
        district=district,
    )


# ---- closing ----


def take_over_stock(connection: Connection) -> int:
    """The books now say what was counted; how many live in them. Only what changed is written, found by one full join:
    asked for row by row, a table that grows meanwhile would be read again for each of them.
    """
    run_sql(connection, "DROP TABLE IF EXISTS pg_temp.balance_change")
    run_sql(
        connection,
        "CREATE TEMPORARY TABLE balance_change ON COMMIT DROP AS SELECT person_id, n.area"
        " FROM {d}.resident_stock s FULL JOIN pg_temp.balance_stock n USING (person_id)"
        " WHERE s.area IS DISTINCT FROM n.area",
    )
    run_sql(
        connection,
        "DELETE FROM {d}.resident_stock s USING pg_temp.balance_change c"
        " WHERE c.person_id = s.person_id AND c.area IS NULL",
    )
    run_sql(
        connection,
        "INSERT INTO {d}.resident_stock AS s (person_id, area)"
        " SELECT person_id, area FROM pg_temp.balance_change WHERE area IS NOT NULL"
        " ON CONFLICT (person_id) DO UPDATE SET area = excluded.area",
    )
    return cast(int, run_sql(connection, "SELECT count(*) FROM {d}.resident_stock")[0][0])


def head_of_log(connection: Connection) -> int:
    return cast(int, run_sql(connection, "SELECT last_seq FROM {d}.feed_head")[0][0])


def write_month(connection: Connection, month: str, as_of: date, up_to_seq: int, now: datetime) -> None:
    run_sql(
        connection,
        "INSERT INTO {d}.balance_month (month, as_of, up_to_seq, state, drawn_at)"
        " VALUES (:month, :as_of, :seq, 'drawn', :now) ON CONFLICT (month) DO UPDATE"
        " SET as_of = excluded.as_of, up_to_seq = excluded.up_to_seq, drawn_at = excluded.drawn_at",
        month=month,
        as_of=as_of,
        seq=up_to_seq,
        now=now,
    )
