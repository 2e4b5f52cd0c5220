"""What a certificate counts with: changes and records of a slice, from the log and the versions alone, never from deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import cast

from sqlalchemy import Connection

from hub.database import run_sql
from hub.exchange.slice_sql import operation, slice_tests
from hub.registry.scope import open_slice
from hub.registry.slice_definition import SliceDefinition, SliceType
from mappings.catalogue import Catalogue, RecordType

Values = dict[str, object]


def count_changes(
    connection: Connection, catalogue: Catalogue, definition: SliceDefinition, kind: str, after: int, upper: int,
    window: int,
) -> Counter[str]:  # fmt: skip
    """Changes of the slice with ``after < seq <= upper``, by record type; in windows of the log."""
    open_slice(connection, definition, kind)
    statement, values = _changes_statement(definition, catalogue)
    counted: Counter[str] = Counter()
    for first, last in _windows(after, upper, window):
        for record_type, count in run_sql(connection, statement, after=first, upper=last, **values):
            counted[cast(str, record_type)] += cast(int, count)
    return counted


def count_standing(
    connection: Connection, catalogue: Catalogue, definition: SliceDefinition, kind: str, seq: int
) -> Counter[str]:
    """Records of the slice as it stood behind the change ``seq``, by record type: what a snapshot held then."""
    open_slice(connection, definition, kind)
    counted: Counter[str] = Counter()
    for one in definition.record_types:
        statement, values = _standing_statement(one, definition, catalogue)
        counted[one.record_type] = cast(int, run_sql(connection, statement, upper=seq, **values)[0][0])
    return +counted


def _windows(after: int, upper: int, window: int) -> Iterator[tuple[int, int]]:
    for first in range(after, upper, window):
        yield first, min(first + window, upper)


def _changes_statement(definition: SliceDefinition, catalogue: Catalogue) -> tuple[str, Values]:
    """Bind ``after`` and ``upper``. The same tests as a page's, and nothing of what a page tells."""
    values: Values = {"types": [one.record_type for one in definition.record_types]}
    routed = ""
    if definition.areas is not None:
        routed = "AND (l.areas_before && CAST(:areas AS integer[]) OR l.areas_after && CAST(:areas AS integer[]))"
        values["areas"] = list(definition.areas)
    branches = [_counted_branch(one, catalogue, number, values) for number, one in enumerate(definition.record_types)]
    return (
        f"""
        WITH log AS MATERIALIZED (
            SELECT l.* FROM {{d}}.change_log l
            WHERE l.seq > :after AND l.seq <= :upper AND l.record_type = ANY(CAST(:types AS text[])) {routed}
        )
        SELECT record_type, count(*) FROM ({" UNION ALL ".join(branches)}) c WHERE op IS NOT NULL GROUP BY record_type
        """,
        values,
    )


def _counted_branch(one: SliceType, catalogue: Catalogue, number: int, values: Values) -> str:
    record_type = catalogue.record_types[one.record_type]
    tests = slice_tests(one, record_type, number, values, "areas" if "areas" in values else "")
    return f"""
        SELECT '{record_type.code}' AS record_type, {operation(f"CAST(:{tests.watched} AS text[])")} AS op
        FROM log l
        LEFT JOIN LATERAL ({_tested_version(one, record_type, "l.version")}) a ON true
        LEFT JOIN LATERAL ({_tested_version(one, record_type, "l.version - 1")}) b ON l.op <> 'new'
        CROSS JOIN LATERAL (SELECT {tests.was} AS was, {tests.is_in} AS is_in) inside
        WHERE l.record_type = '{record_type.code}'
    """


def _standing_statement(one: SliceType, definition: SliceDefinition, catalogue: Catalogue) -> tuple[str, Values]:
    """Bind ``upper``. Each record in its newest version up to there, whatever became of it since."""
    record_type = catalogue.record_types[one.record_type]
    values: Values = {"type": one.record_type}
    if definition.areas is not None:
        values["areas"] = list(definition.areas)
    tests = slice_tests(one, record_type, 0, values, "areas" if "areas" in values else "")
    return (
        f"""
        SELECT count(*) FROM (
            SELECT DISTINCT ON (record_id) * FROM {{d}}.change_log WHERE record_type = :type AND seq <= :upper
            ORDER BY record_id, seq DESC
        ) l JOIN LATERAL ({_tested_version(one, record_type, "l.version")}) a ON true WHERE {tests.is_in}
        """,
        values,
    )


def _tested_version(one: SliceType, record_type: RecordType, version: str) -> str:
    """What the tests ask of one version, wherever it is kept."""
    tested = "".join(f", v.{name}" for name in dict.fromkeys(each.field for each in one.conditions))
    return " UNION ALL ".join(
        f"SELECT v.record_id, v.voided{tested} FROM {{d}}.{table} v"
        f" WHERE v.record_id = l.record_id AND v.version = {version}"
        for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history")
    )
