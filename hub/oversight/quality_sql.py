"""The SQL of the quality figures: which submissions count, a record's first version in them, what it lacks, what was said of it.

A record counts once, in the month of the submission that carried its first version. What the hub itself did to it
(somebody moved, persons were merged, a submission was taken back) is no version of the organisation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from hub.tables.version_sql import event_day
from mappings.catalogue import RecordType, TypeQuality

VERIFICATION = "town_verification"
Over = Callable[[str], str]  # a column over the version of this alias


class Listed(NamedTuple):
    """The rows that count against a figure: the tables named before, and what is selected from them."""

    tables: str
    rows: str


# Bound: :month :organisation (NULL = all) :zone; :codes of row errors; :verdicts :contradicted :checks; :those of a page.


def counted(submission: str) -> str:
    """True of a submission that an organisation sent and that stands: no preview, nothing taken back since."""
    return (
        f"{submission}.state = 'merged' AND NOT {submission}.dry_run AND {submission}.kind IN ('regular', 'backfill', 'release')"
        f" AND NOT EXISTS (SELECT 1 FROM {{d}}.submission taken WHERE taken.undoes = {submission}.submission_id"
        " AND taken.state = 'merged')"
    )


def sent(record_type: RecordType | None = None) -> str:
    """The month's submissions that count, as the table ``sent``.

    Held rows that were let pass come in a submission of their own: they had ``arrived`` with another, of its ``kind``.
    """
    of_type = f" AND s.record_type = '{record_type.code}' AND {_OF_THOSE}" if record_type else ""
    return (
        "sent AS MATERIALIZED (SELECT s.submission_id, s.organisation, s.record_type, s.receipt_number, s.received,"
        " s.kind <> 'release' AS arrived, CASE s.kind WHEN 'release' THEN (SELECT o.kind FROM {d}.submission o"
        " WHERE o.receipt_number = s.facts ->> 'released_from') ELSE s.kind END AS kind"
        " FROM {d}.submission s WHERE s.period = :month"
        f" AND (CAST(:organisation AS text) IS NULL OR s.organisation = :organisation){of_type} AND {counted('s')})"
    )


# The submissions a page is read from; NULL: all of the month.
_OF_THOSE = "(CAST(:those AS uuid[]) IS NULL OR s.submission_id = ANY (CAST(:those AS uuid[])))"


def submissions_from(record_type: RecordType) -> str:
    """The submissions a list goes through from a receipt on (NULL: from the first), with how many rows each has."""
    return (
        f"WITH {sent(record_type)} SELECT submission_id, received FROM sent"
        " WHERE CAST(:receipt AS text) IS NULL OR receipt_number >= :receipt ORDER BY receipt_number"
    )


def first_versions(record_type: RecordType, first: str, now: Over) -> str:
    """Each record of the month once: ``first`` over its first version ``x``, ``now`` over the one ``c`` it has today.

    Most records have only one version: for them both are the same row, and nothing is joined.
    """
    code = record_type.code
    held = "s.organisation, s.receipt_number, s.kind, x.record_id, x.row_no"
    of_the_organisation = (
        f"s.record_type = '{code}' AND x.row_no > 0 AND NOT x.voided AND {_nothing_before(record_type)}"
    )
    return (
        f"SELECT {held}, {first}, {now('x')} FROM sent s JOIN {{d}}.rec_{code} x ON x.submission_id = s.submission_id"
        f" WHERE {of_the_organisation}"
        f" UNION ALL SELECT {held}, {first}, {now('c')} FROM sent s"
        f" JOIN {{d}}.rec_{code}_history x ON x.submission_id = s.submission_id"
        f" JOIN {{d}}.rec_{code} c ON c.record_id = x.record_id WHERE {of_the_organisation}"
    )


def _nothing_before(record_type: RecordType) -> str:
    """True of the version that no counted one comes before; the first of all needs no look."""
    return (
        f"(x.version = 1 OR NOT EXISTS (SELECT 1 FROM {{d}}.rec_{record_type.code}_history e"
        " JOIN {d}.submission o ON o.submission_id = e.submission_id"
        f" WHERE e.record_id = x.record_id AND e.version < x.version AND e.row_no > 0 AND NOT e.voided AND {counted('o')}))"
    )


def lacking(items: Iterable[str], version: str) -> str:
    """How many of the items a version lacks."""
    cells = ", ".join(f"{version}.{item}" for item in items)
    return f"num_nulls({cells})" if cells else "0"


def named(items: Iterable[str], version: str) -> str:
    """Which of the items a version lacks."""
    tests = ", ".join(f"CASE WHEN {version}.{item} IS NULL THEN '{item}' END" for item in items)
    return f"array_remove(ARRAY[{tests}]::text[], NULL)"


def days_late(record_type: RecordType, rules: TypeQuality) -> str:
    """Days beyond those allowed from the event to its recording, on the district's calendar; NULL where none is asked."""
    if rules.days is None:
        return "NULL::integer"
    return f"((x.recorded_at AT TIME ZONE :zone)::date - {event_day(record_type, 'x')} - {rules.days})"


def count_records(record_types: Iterable[tuple[RecordType, TypeQuality]], verified: bool) -> str:
    """Per type and organisation: records, cells lacking at first and today, dated events and those recorded late, records
    that somebody judged and those judged wrong. Each record is looked at once.
    """
    firsts = [(one.code, _counted_version(one, rules)) for one, rules in record_types]
    return f"""
        WITH {sent()}, {_said(verified)}, {_firsts(firsts)}, {_JUDGED}
        SELECT record_type, organisation, count(*), sum(at_first), sum(today),
               count(*) FILTER (WHERE kind = 'regular' AND late IS NOT NULL),
               count(*) FILTER (WHERE kind = 'regular' AND late > 0),
               count(judged.wrong), count(*) FILTER (WHERE judged.wrong)
        FROM one LEFT JOIN judged USING (record_id) GROUP BY record_type, organisation
        """


def _counted_version(record_type: RecordType, rules: TypeQuality) -> str:
    first = f"{lacking(rules.items, 'x')} AS at_first, {days_late(record_type, rules)} AS late"
    return first_versions(record_type, first, lambda version: f"{lacking(rules.items, version)} AS today")


def _firsts(of_types: Iterable[tuple[str, str]]) -> str:
    """The records of several types one below the other, as the table ``one``."""
    below = (f"SELECT '{code}' AS record_type, {code}.* FROM ({firsts}) {code}" for code, firsts in of_types)
    return f"one AS MATERIALIZED ({' UNION ALL '.join(below)})"


def list_lacking(record_type: RecordType, items: tuple[str, ...], version: str) -> Listed:
    """The records that lack an item in their first version (``x``) or today (``c``), with the items."""
    if version == "x":
        of_each = first_versions(
            record_type, f"{named(items, 'x')} AS empty", lambda _: f"{lacking(items, 'x')} AS many"
        )
    else:
        of_each = first_versions(
            record_type, "NULL", lambda today: f"{named(items, today)} AS empty, {lacking(items, today)} AS many"
        )
    return Listed(sent(record_type), f"{_PLACE}, empty FROM ({of_each}) first WHERE many > 0")


def list_late(record_type: RecordType, rules: TypeQuality) -> Listed:
    """The records that were recorded later than allowed, and by how many days."""
    of_each = first_versions(record_type, f"{days_late(record_type, rules)} AS late", _nothing)
    return Listed(sent(record_type), f"{_PLACE}, late FROM ({of_each}) first WHERE kind = 'regular' AND late > 0")


def _nothing(_: str) -> str:
    return "NULL"


_PLACE = "SELECT receipt_number, row_no, record_id"


def page_of(listed: Listed, measure: str, *, one_reason: bool) -> str:
    """The next of them behind a place; of one reason those that have it."""
    having = f" AND :reason = ANY ({_REASONS[measure]})" if one_reason else ""
    return (
        f"WITH {listed.tables} SELECT listed.* FROM ({listed.rows}) listed"
        " WHERE (CAST(:receipt AS text) IS NULL OR (listed.receipt_number, listed.row_no) > (:receipt, :row))"
        f"{having} ORDER BY listed.receipt_number, listed.row_no LIMIT :most"
    )


# ---- accuracy: what towns found, and what a comparison was closed with ----


def list_contradicted(record_type: RecordType, verified: bool) -> Listed:
    """The records of which the latest judgement is that they are wrong: what ``judged`` says, looked up one by one."""
    firsts = [(record_type.code, first_versions(record_type, "NULL", _nothing))]
    verdicts = f"{_VERDICTS} AND v.source_record_id = one.record_id::text AND v.source <> one.organisation UNION ALL "
    return Listed(
        f"{sent(record_type)}, closed AS MATERIALIZED (SELECT DISTINCT ON (about) * FROM ({_CLOSED_DIFFERENCES}) each"
        f" ORDER BY about, {_LATEST}), {_firsts(firsts)}",
        f"{_PLACE}, latest.verdict, latest.check_code FROM one LEFT JOIN closed ON closed.about = one.record_id::text"
        f" CROSS JOIN LATERAL (SELECT * FROM ({verdicts if verified else ''}"
        f" SELECT closed.* WHERE closed.about IS NOT NULL) said ORDER BY {_LATEST} LIMIT 1) latest WHERE latest.wrong",
    )


def _said(verified: bool) -> str:
    """What towns found of records, and what units said of their own when they closed a difference between two."""
    return f"said AS ({f'{_VERDICTS} UNION ALL ' if verified else ''}{_CLOSED_DIFFERENCES})"


_LATEST = "on_day DESC, wrong DESC, id"
_VERDICTS = f"""
    SELECT v.source_record_id AS about, v.source AS by, v.result = ANY (CAST(:contradicted AS text[])) AS wrong,
           v.verified_on AS on_day, v.record_id AS id, v.result AS verdict, '' AS check_code
    FROM {{d}}.rec_{VERIFICATION} v WHERE NOT v.voided AND v.result = ANY (CAST(:verdicts AS text[]))"""
_CLOSED_DIFFERENCES = """
    SELECT side ->> 'record_id' AS about, '' AS by, i.evidence LIKE 'corrected: %' AS wrong,
           (i.closed_at AT TIME ZONE :zone)::date AS on_day, i.item_id AS id, '' AS verdict, i.check_code
    FROM {d}.comparison_item i CROSS JOIN jsonb_array_elements(i.sides) side
    WHERE i.state IN ('closed', 'gone') AND i.check_code = ANY (CAST(:checks AS text[]))
      AND (i.evidence LIKE 'corrected: %' OR i.evidence LIKE 'explained: %') AND side ->> 'source' = i.organisation"""


# The latest that was said of each record; nobody confirms what they sent themselves.
_JUDGED = """
    judged AS (
        SELECT DISTINCT ON (one.record_id) one.record_id, said.wrong, said.verdict, said.check_code
        FROM one JOIN said ON said.about = one.record_id::text AND said.by <> one.organisation
        ORDER BY one.record_id, said.on_day DESC, said.wrong DESC, said.id
    )"""


# ---- logic: the rows as they came ----

_CONTRADICTORY = (
    "SELECT e.row_no, min(e.sheet_row) AS sheet_row, array_agg(DISTINCT e.code ORDER BY e.code) AS codes,"
    " array_agg(DISTINCT e.field ORDER BY e.field) AS fields FROM {d}.row_error e"
    " WHERE e.submission_id = s.submission_id AND e.row_no > 0 AND e.code = ANY (CAST(:codes AS text[])) GROUP BY e.row_no"
)
# Held rows that were released go down the line again: they had arrived before.
COUNT_ROWS = f"""
    WITH {sent()}
    SELECT s.organisation, s.record_type, coalesce(sum(s.received) FILTER (WHERE s.arrived), 0),
           coalesce(sum(wrong.rows) FILTER (WHERE s.arrived), 0)
    FROM sent s LEFT JOIN LATERAL (SELECT count(*) AS rows FROM ({_CONTRADICTORY}) each) wrong ON true
    WHERE CAST(:types AS text[]) IS NULL OR s.record_type = ANY (CAST(:types AS text[]))
    GROUP BY s.organisation, s.record_type ORDER BY s.organisation, s.record_type
    """


def list_contradictory(record_type: RecordType) -> Listed:
    """The rows in which cells contradict one another."""
    return Listed(
        sent(record_type),
        "SELECT s.receipt_number, wrong.row_no, wrong.sheet_row, wrong.codes, wrong.fields"
        f" FROM sent s JOIN LATERAL ({_CONTRADICTORY}) wrong ON s.arrived",
    )


# ---- why ----

_DAYS = "CASE WHEN {days} <= 3 THEN '3' WHEN {days} <= 7 THEN '7' WHEN {days} <= 30 THEN '30' ELSE 'more' END"
_REASONS = {
    "completeness": "listed.empty",
    "completed": "listed.empty",
    "logic": "listed.codes",
    "timeliness": f"ARRAY[{_DAYS.format(days='listed.late')}]",
    "accuracy": "ARRAY[coalesce(nullif(listed.verdict, ''), listed.check_code)]",
}


def count_reasons(listed: Listed, measure: str) -> str:
    """How many rows there are, of no reason; each reason and how many rows have it, the most frequent first."""
    return (
        f"WITH {listed.tables}, listed AS MATERIALIZED ({listed.rows})"
        " SELECT '' AS reason, count(*) AS many FROM listed UNION ALL"
        f" (SELECT reason, count(*) AS many FROM listed, unnest({_REASONS[measure]}) AS reason"
        " GROUP BY reason ORDER BY many DESC, reason)"
    )


# ---- as they were kept ----

# What is clinical by existing is kept for its sender alone: whoever oversees is told how many rows came, no more.
KEPT = f"""
    SELECT month, organisation, record_type, received, wrong, records, empty, empty_today, dated, late, judged,
           contradicted FROM {{d}}.quality_figure
     WHERE month = ANY (CAST(:months AS text[])) AND record_type <> ALL (CAST(:closed AS text[]))
       AND (CAST(:organisation AS text) IS NULL OR organisation = :organisation)
       AND (CAST(:only AS text) IS NULL OR record_type = :only)
    UNION ALL
    SELECT s.period, s.organisation, s.record_type, coalesce(sum(s.received) FILTER (WHERE s.kind <> 'release'), 0),
           0, 0, 0, 0, 0, 0, 0, 0 FROM {{d}}.submission s
     WHERE s.period = ANY (CAST(:months AS text[])) AND s.record_type = ANY (CAST(:closed AS text[]))
       AND (CAST(:organisation AS text) IS NULL OR s.organisation = :organisation)
       AND (CAST(:only AS text) IS NULL OR s.record_type = :only) AND {counted("s")}
     GROUP BY s.period, s.organisation, s.record_type
     ORDER BY month, organisation, record_type
    """
KEPT_REASONS = (
    "SELECT behind -> CAST(:measure AS text) FROM {d}.quality_figure"
    " WHERE month = :month AND organisation = :organisation AND record_type = :type"
)


# Estimates know nothing of which records a month has: sorting both sides costs more than all the rest, and compiling a
# statement of so many branches more than running it.
PLAN = (
    "SELECT set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),"
    " set_config('work_mem', '64MB', true)"
)
