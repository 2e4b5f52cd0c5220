"""Towns merge while their rounds are open: what the absorbed one was asked, the town in its place is asked.

A line that both had is one line afterwards: the one that is further on stays, and whatever pointed at the other points at it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from hub.database import run_sql
from hub.registry.areas import load_area_index

_STALE = """
SELECT 1 FROM {d}.area a WHERE a.successor_id IS NOT NULL AND (
    EXISTS (SELECT 1 FROM {d}.round_town t WHERE t.town = a.area_id)
    OR EXISTS (SELECT 1 FROM {d}.round_item i WHERE a.area_id IN (i.town, i.village, i.sent_to)))
 LIMIT 1
"""


def follow_is_due(connection: Connection) -> bool:
    """Whether some line still names an area that was merged away."""
    return bool(run_sql(connection, _STALE))


def follow_areas(connection: Connection) -> int:
    """Bring lines, towns and changes of every round to the areas that stand now; how many lines went to another town.

    Belongs into the transaction that changes the areas, which holds the lock ``homes``: nobody answers a line meanwhile.
    """
    if not follow_is_due(connection):
        return 0
    _name_successors(connection)
    _settle_doubles(connection)
    moved = _move_lines(connection)
    _move_changes(connection)
    _move_towns(connection)
    _rename_places(connection)
    _settle_completion(connection)
    run_sql(connection, "DROP TABLE round_successor, round_double")
    return moved


def _name_successors(connection: Connection) -> None:
    areas = load_area_index(connection)
    run_sql(
        connection, "CREATE TEMPORARY TABLE round_successor (was integer PRIMARY KEY, stands integer) ON COMMIT DROP"
    )
    run_sql(
        connection,
        "INSERT INTO round_successor SELECT * FROM unnest(CAST(:was AS integer[]), CAST(:stands AS integer[]))",
        was=list(areas.successor),
        stands=list(areas.successor.values()),
    )


# A line passed on to what is now the same town was passed on to nobody.
_RANK = """CASE WHEN i.state = 'transferred' AND coalesce(x.stands, i.sent_to) = coalesce(s.stands, i.town) THEN -1
     ELSE array_position(ARRAY['open','deferred','transferred','answered'], i.state) END"""


def _settle_doubles(connection: Connection) -> None:
    """One line of a record stays in each round: the furthest, of those the latest answered; its doubles give way to it."""
    run_sql(connection, "CREATE TEMPORARY TABLE round_double (item_id uuid PRIMARY KEY, stays uuid) ON COMMIT DROP")
    run_sql(
        connection,
        f"""
        INSERT INTO round_double
        WITH ranked AS (
            SELECT i.item_id, first_value(i.item_id) OVER (
                       PARTITION BY i.round_id, i.record_id, coalesce(s.stands, i.town)
                       ORDER BY {_RANK} DESC, i.answered_at DESC NULLS LAST, s.was IS NOT NULL, i.item_id) AS stays
              FROM {{d}}.round_item i LEFT JOIN round_successor s ON s.was = i.town
              LEFT JOIN round_successor x ON x.was = i.sent_to
             WHERE coalesce(s.stands, i.town) IN (SELECT stands FROM round_successor)
        )
        SELECT item_id, stays FROM ranked WHERE item_id <> stays
        """,
    )
    run_sql(connection, _DOUBLE_CHANGES)
    run_sql(
        connection, "UPDATE {d}.round_change c SET item_id = b.stays FROM round_double b WHERE c.item_id = b.item_id"
    )
    run_sql(connection, "UPDATE {d}.challenge c SET item_id = b.stays FROM round_double b WHERE c.item_id = b.item_id")
    run_sql(
        connection, "UPDATE {d}.round_item i SET came_from = b.stays FROM round_double b WHERE i.came_from = b.item_id"
    )
    run_sql(connection, _STILL_AGAIN)
    run_sql(connection, "UPDATE {d}.round_item SET came_from = NULL, came = 'change' WHERE came_from = item_id")
    run_sql(connection, "DELETE FROM {d}.round_item i USING round_double b WHERE i.item_id = b.item_id")


# what one of them was asked again stays asked again
_STILL_AGAIN = """
UPDATE {d}.round_item i SET came = 'again', came_from = o.came_from
  FROM round_double b JOIN {d}.round_item o ON o.item_id = b.item_id
 WHERE i.item_id = b.stays AND o.came = 'again' AND i.came <> 'again'
"""
# both towns were told of the same change: the absorbed one's telling goes
_DOUBLE_CHANGES = """
DELETE FROM {d}.round_change c USING round_successor s, {d}.round_change o
 WHERE c.town = s.was AND o.seq = c.seq AND o.town <> c.town
   AND (o.town = s.stands OR o.town < c.town AND o.town IN (SELECT was FROM round_successor WHERE stands = s.stands))
"""


def _move_lines(connection: Connection) -> int:
    """They are numbered on from the last line of the town that takes them."""
    moved = run_sql(
        connection,
        """
        WITH following AS (
            SELECT i.item_id, s.stands, coalesce(n.last, 0) + row_number() OVER (
                       PARTITION BY i.round_id, s.stands ORDER BY s.was, i.number) AS number
              FROM {d}.round_item i JOIN round_successor s ON s.was = i.town
              LEFT JOIN LATERAL (SELECT max(number) AS last FROM {d}.round_item o
                                  WHERE o.round_id = i.round_id AND o.town = s.stands) n ON true
        )
        UPDATE {d}.round_item i SET town = f.stands, number = f.number FROM following f WHERE i.item_id = f.item_id
        RETURNING i.item_id
        """,
    )
    return len(moved)


def _move_changes(connection: Connection) -> None:
    run_sql(connection, "UPDATE {d}.round_change c SET town = s.stands FROM round_successor s WHERE c.town = s.was")


def _move_towns(connection: Connection) -> None:
    """What either town did first, last and late; the office is that of the town that stands."""
    run_sql(
        connection,
        """
        WITH gone AS (
            DELETE FROM {d}.round_town t USING round_successor s WHERE t.town = s.was
            RETURNING t.*, s.stands
        )
        INSERT INTO {d}.round_town AS known (round_id, town, organisation, downloaded_at, returned_at, last_return_at,
                                             completed_at, late)
        SELECT round_id, stands, coalesce((SELECT o.code FROM shared.organisation o
                                            WHERE o.kind = 'town' AND o.area_id = g.stands AND o.district = :district
                                            ORDER BY o.enabled DESC, o.code LIMIT 1), min(organisation)),
               min(downloaded_at), min(returned_at), max(last_return_at), max(completed_at), bool_or(late)
          FROM gone g GROUP BY round_id, stands
        ON CONFLICT (round_id, town) DO UPDATE
        SET downloaded_at = least(known.downloaded_at, excluded.downloaded_at),
            returned_at = least(known.returned_at, excluded.returned_at),
            last_return_at = greatest(known.last_return_at, excluded.last_return_at),
            completed_at = greatest(known.completed_at, excluded.completed_at),
            late = known.late OR excluded.late
        """,
        district=connection.get_execution_options()["schema_translate_map"]["district"],
    )


def _rename_places(connection: Connection) -> None:
    """Villages that merged; where a line was passed on to. One that was passed on to its own town is open again."""
    run_sql(connection, "UPDATE {d}.round_item i SET village = s.stands FROM round_successor s WHERE i.village = s.was")
    run_sql(connection, "UPDATE {d}.round_item i SET sent_to = s.stands FROM round_successor s WHERE i.sent_to = s.was")
    run_sql(
        connection,
        "UPDATE {d}.round_item SET state = 'open', sent_to = NULL WHERE state = 'transferred' AND sent_to = town",
    )


def _settle_completion(connection: Connection) -> None:
    """A town that took open lines is not done."""
    run_sql(
        connection,
        """
        UPDATE {d}.round_town t SET completed_at = NULL
         WHERE completed_at IS NOT NULL AND EXISTS (
            SELECT 1 FROM {d}.round_item i WHERE i.round_id = t.round_id AND i.town = t.town AND i.state = 'open')
        """,
    )
