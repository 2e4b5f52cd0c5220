"""The SQL of the matrices: what is not done, by unit and month, and the same again one by one."""

from __future__ import annotations

# Bound: :months, :closed (record types that are clinical by existing), :zone and :ends (the day on which a statistical
# month ends; 0: the calendar's). Every count comes with the list that has exactly as many lines.


def _month_of(moment: str) -> str:
    """The statistical month in which a moment lies, on the district's clock."""
    day = f"({moment} AT TIME ZONE :zone)"
    after = f":ends > 0 AND extract(day FROM {day}) > :ends"
    return f"to_char({day} + CASE WHEN {after} THEN interval '1 month' ELSE interval '0' END, 'YYYY-MM')"


_LINES = (
    "SELECT i.item_id AS line, i.town::text AS whose, r.month, i.record_type AS part, i.state = 'open' AS red, i.number,"
    " i.change AS kind, i.source AS unit, i.village AS area, r.opened_at AS since, i.due_on, i.state"
    " FROM {d}.round_item i JOIN {d}.monthly_round r USING (round_id) WHERE i.record_type <> ALL (CAST(:closed AS text[]))"
)
_CHALLENGES = (
    f"SELECT challenge_id AS line, {{side}} AS whose, {_month_of('raised_at')} AS month, record_type AS part,"
    " state IN ('open', 'answered') AS red, 0 AS number, kind, {other} AS unit, CAST(NULL AS integer) AS area,"
    " raised_at AS since, due_on, state FROM {{d}}.challenge WHERE record_type <> ALL (CAST(:closed AS text[]))"
)
_ITEMS = (
    f"SELECT item_id AS line, organisation AS whose, {_month_of('opened_at')} AS month, check_code AS part,"
    " state = 'open' AS red, 0 AS number, '' AS kind, '' AS unit, CAST(NULL AS integer) AS area, opened_at AS since,"
    " CAST(NULL AS date) AS due_on, state FROM {d}.comparison_item"
)
SOURCES = {
    "round": _LINES,
    "raised": _CHALLENGES.replace("{side}", "raised_by").replace("{other}", "against").replace("{{d}}", "{d}"),
    "asked": _CHALLENGES.replace("{side}", "against").replace("{other}", "raised_by").replace("{{d}}", "{d}"),
    "comparison": _ITEMS,
}
BALANCE = "SELECT area::text, month, '', unexplained, NULL FROM {d}.balance WHERE month = ANY (CAST(:months AS text[]))"


def count_red(measure: str) -> str:
    """whose, month, part, how many are not done, of how many."""
    return (
        f"SELECT whose, month, part, count(*) FILTER (WHERE red), count(*) FROM ({SOURCES[measure]}) each"
        " WHERE month = ANY (CAST(:months AS text[])) GROUP BY whose, month, part"
    )


def list_red(measure: str) -> str:
    """What is not done of one unit, month and part, in the order of their ids; how many there are in all."""
    return (
        f"WITH red AS MATERIALIZED (SELECT * FROM ({SOURCES[measure]}) each WHERE red AND whose = :whose"
        " AND month = ANY (CAST(:months AS text[])) AND (CAST(:part AS text) IS NULL OR part = :part))"
        " SELECT line, month, part, number, kind, unit, area, since, due_on, state, (SELECT count(*) FROM red)"
        " FROM red WHERE CAST(:after AS uuid) IS NULL OR line > :after ORDER BY line LIMIT :most"
    )
