"""The statements of the disclosure ledger: who is who, what names a person, what each change was to each slice."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hub.exchange.slice_sql import operation, slice_tests
from hub.registry.slice_conditions import Values
from hub.registry.slice_definition import SliceType
from mappings.catalogue import RecordType

# Decisions by which two persons are one today; who is joined to whom makes everybody somebody ever was.
KIN = """
    WITH RECURSIVE joined AS (
        SELECT person_id AS kept, other_id AS other FROM {d}.person_decision
        WHERE other_id IS NOT NULL AND (kind = 'merge' AND state = 'done' OR kind = 'split' AND state = 'undone')
    ), everybody AS (
        SELECT asked, asked AS person_id FROM unnest(CAST(:persons AS uuid[])) asked
        UNION SELECT e.asked, CASE WHEN j.kept = e.person_id THEN j.other ELSE j.kept END
        FROM everybody e JOIN joined j ON e.person_id IN (j.kept, j.other)
    )
    SELECT asked, person_id FROM everybody
"""
# Whom somebody was taken for before two were told apart: in force, or taken back since.
TAKEN_FOR = """
    SELECT other_id, person_id FROM {d}.person_decision
    WHERE other_id = ANY(CAST(:persons AS uuid[])) AND kind IN ('merge', 'split') AND state IN ('done', 'undone')
"""
# Where records of others named somebody who was lawfully erased: they went on without, and say nothing of it any more.
NAMED_BEFORE_ERASURE = """
    SELECT DISTINCT x.person_id, e.record_type, e.record_id, e.version
    FROM {d}.erasure x JOIN {d}.feed_batch b ON b.submission_id = x.submission_id
    JOIN {d}.change_log l ON l.seq BETWEEN b.from_seq AND b.to_seq AND l.op = 'update'
    JOIN {d}.erased_version e ON e.record_id = l.record_id AND e.version < l.version AND NOT e.whole
    WHERE x.person_id = ANY(CAST(:persons AS uuid[])) AND e.record_type = ANY(CAST(:types AS text[]))
"""
# The page of each epoch of each subscription that a change went out with: one index look-up each. It is taken when its
# reader came back for more, or with the first file of changes that held this record type.
PAGES = """
    WITH feed AS (SELECT DISTINCT subscription_id, epoch FROM {d}.delivery)
    SELECT asked.seq, p.subscription_id, p.definition_version, 'page', p.epoch || '/' || p.page_no, p.delivered_at,
           least(p.fetched_at, taken.at), p.acknowledged_at
    FROM unnest(CAST(:seqs AS bigint[]), CAST(:types AS text[])) asked(seq, record_type) CROSS JOIN feed CROSS JOIN LATERAL (
        SELECT d.* FROM {d}.delivery d
        WHERE d.subscription_id = feed.subscription_id AND d.epoch = feed.epoch AND d.kind = 'page'
          AND d.from_seq < asked.seq ORDER BY d.from_seq DESC LIMIT 1
    ) p LEFT JOIN LATERAL (
        SELECT min(x.made_at) AS at FROM {d}.slice_export x
        WHERE x.subscription_id = p.subscription_id AND x.epoch = p.epoch AND NOT x.whole
          AND x.from_seq < asked.seq AND x.to_seq >= asked.seq
          AND (x.record_types IS NULL OR asked.record_type = ANY(x.record_types))
    ) taken ON true
    WHERE p.to_seq >= asked.seq AND (CAST(:since AS timestamptz) IS NULL OR p.delivered_at >= :since)
"""
# What was handed over as it stood at one place of the log: snapshots, exported files of the whole slice (narrowed by
# areas and record types), records told again after a comparison. A file of changes holds pages: those tell of it.
STANDING = """
    SELECT d.subscription_id, d.definition_version, 'snapshot', d.epoch || '/' || d.page_no, d.delivered_at,
           d.fetched_at, d.acknowledged_at, d.to_seq, NULL::integer[], NULL::text[], NULL::uuid[]
    FROM {d}.delivery d
    WHERE d.kind = 'snapshot' AND (CAST(:since AS timestamptz) IS NULL OR d.delivered_at >= :since)
    UNION ALL
    SELECT x.subscription_id, x.definition_version, 'export', x.export_no, x.made_at, x.made_at, NULL, x.to_seq,
           x.areas, x.record_types, NULL
    FROM {d}.slice_export x WHERE x.whole AND (CAST(:since AS timestamptz) IS NULL OR x.made_at >= :since)
    UNION ALL
    SELECT c.subscription_id, c.definition_version, 'repair', c.check_id::text, c.changed_at, c.changed_at, NULL, c.seq,
           NULL, NULL, c.repaired
    FROM {d}.copy_check c WHERE c.repaired <> '{}' AND (CAST(:since AS timestamptz) IS NULL OR c.changed_at >= :since)
"""
# A town's list of the month, once it was taken: the lines that tell of these records.
TAKEN_LISTS = """
    SELECT i.record_type, i.record_id, i.version, i.change, r.month, t.organisation, t.downloaded_at
    FROM {d}.round_item i JOIN {d}.round_town t USING (round_id, town) JOIN {d}.monthly_round r USING (round_id)
    WHERE i.record_id = ANY(CAST(:records AS uuid[])) AND t.downloaded_at IS NOT NULL
      AND (CAST(:since AS timestamptz) IS NULL OR t.downloaded_at >= :since)
"""


class Watched(msgspec.Struct, frozen=True):
    """One record type of a slice as far as the reader of the ledger may know of it, and the slice's areas."""

    one: SliceType
    areas: tuple[int, ...] | None


def mentions_statement(record_types: Sequence[RecordType]) -> str:
    """Each version that names one of ``:persons``, wherever it is kept: type, record, version, role, person."""
    return " UNION ALL ".join(
        f"SELECT '{each.code}'::text, record_id, version, '{role.role}'::text, {role.role}_ref"
        f" FROM {{d}}.{table} WHERE {role.role}_ref = ANY(CAST(:persons AS uuid[]))"
        for each in record_types
        for role in each.people
        for table in (f"rec_{each.code}", f"rec_{each.code}_history")
    )


def changes_statement(record_type: RecordType, watched: Sequence[Watched]) -> tuple[str, Values]:
    """Every change of ``:records`` with the change after it, and what it was to each of these slices.

    One row a change and slice it concerns, by the slice's place; one without a slice where it concerns none. The tests
    are those of a page (hub.exchange.slice_sql). ``:source`` keeps to one organisation's records; NULL: of all.
    """
    values: Values = {}
    verdicts = [_verdict(each, record_type, number, values) for number, each in enumerate(watched)]
    nobody = "(NULL::integer, false, false, NULL::text[])"
    columns = dict.fromkeys(each.field for every in watched for each in every.one.conditions)
    return (
        f"""
        WITH log AS MATERIALIZED (
            SELECT l.*, lead(l.seq) OVER (PARTITION BY l.record_id ORDER BY l.seq) AS next_seq
            FROM {{d}}.change_log l WHERE l.record_id = ANY(CAST(:records AS uuid[]))
        )
        SELECT l.record_id, l.version, l.seq, l.next_seq, l.areas_after, a.submission_id, a.row_no,
               told.number, told.is_in, told.op
        FROM log l
        JOIN LATERAL ({_version_tested(record_type, columns, "l.version")}) a ON true
        LEFT JOIN LATERAL ({_version_tested(record_type, columns, "l.version - 1")}) b ON l.op <> 'new'
        LEFT JOIN LATERAL (
            SELECT number, is_in, {operation("watched")} AS op
            FROM (VALUES {", ".join(verdicts or [nobody])}) verdict(number, was, is_in, watched) WHERE was OR is_in
        ) told ON told.is_in OR told.op IS NOT NULL
        WHERE CAST(:source AS text) IS NULL OR a.source = :source
        """,
        values,
    )


def _verdict(watched: Watched, record_type: RecordType, number: int, values: Values) -> str:
    areas = ""
    if watched.areas is not None:
        areas = f"areas_{number}"
        values[areas] = list(watched.areas)
    tests = slice_tests(watched.one, record_type, number, values, areas)
    return f"({number}, {tests.was}, {tests.is_in}, CAST(:{tests.watched} AS text[]))"


def _version_tested(record_type: RecordType, columns: Sequence[str] | dict[str, None], version: str) -> str:
    """One version by its key, with what the tests look at."""
    wanted = ", ".join(["record_id", "voided", "source", "submission_id", "row_no", *columns])
    return " UNION ALL ".join(
        f"SELECT {wanted} FROM {{d}}.{table} WHERE record_id = l.record_id AND version = {version}"
        for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history")
    )
