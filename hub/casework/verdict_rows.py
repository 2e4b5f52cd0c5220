"""Staged answers of a town, held against its change list: whom each row means, and which cannot be taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from hub.casework.list_mark import answers_of, is_right, mark_of
from hub.database import district_of, run_sql
from hub.registry.areas import AreaIndex, load_area_index
from hub.tables.version_sql import row_identifier
from mappings.catalogue import Catalogue, RecordType

VERIFICATION = "town_verification"
REFUSING = (
    "E_ROUND_UNKNOWN",
    "E_LIST_UNKNOWN",
    "E_LIST_FOREIGN",
    "E_LIST_TAMPERED",
    "E_TRANSFER_WHERE",
    "E_VILLAGE_ELSEWHERE",
)
UNANSWERED = "N_NOT_ANSWERED"
CONFLICT = "E_VERDICT_CONFLICT"
_TRUE, _ELSEWHERE = "1", "4"


class AnswerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What rows are judged by: the keys of the marks, the day they came, whether a person let them pass."""

    key: bytes
    today: date
    released: bool = False


def town_of_sender(connection: Connection, source: str) -> int | None:
    """The town, in force now, that an organisation speaks for; None for all but towns."""
    rows = run_sql(
        connection,
        "SELECT p.town_id FROM shared.organisation o JOIN {d}.area_place p ON p.area_id = o.area_id WHERE o.code = :source",
        source=source,
    )
    return int(str(rows[0][0])) if rows else None


def mark_rows(
    connection: Connection, submission_id: UUID, source: str, catalogue: Catalogue, context: AnswerContext
) -> dict[str, int]:
    """Before the rows are linked: wrong ones are marked with their code, right ones name the person of their line.

    How many of each code. One submission of this type at a time, so that of two answers the first stands.
    """
    record_type = catalogue.record_types[VERIFICATION]
    town = town_of_sender(connection, source)
    rows = rows_by_name(connection, _ROWS, submission=submission_id, town=town)
    areas = load_area_index(connection)
    names = _names_as_listed(connection, catalogue, [row for row in rows if row.list_mark is None and row.item_id])
    found = {row.row_no: _judge(row, town, areas, names, context) for row in rows}
    marked = {row_no: code for row_no, code in found.items() if code is not None}
    _mark(connection, submission_id, marked)
    _complete(connection, submission_id, record_type, source, town, context.today)
    return {code: list(marked.values()).count(code) for code in set(marked.values())}


def rows_by_name(connection: Connection, statement: str, **values: object) -> list[Row[Any]]:
    """The rows of a statement over the district (``{d}``), read by the names of their columns."""
    return list(connection.execute(text(statement.replace("{d}", district_of(connection))), values))


def record_named_by(alias: str) -> str:
    """The record whose line an answer is of, as SQL; NULL for what an answer of before there were rounds calls it."""
    shape = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    return f"CASE WHEN {alias}.source_record_id ~ '{shape}' THEN {alias}.source_record_id::uuid END"


_RECORD = record_named_by("s")
# by the record alone: by round and town, with statistics of before the opening, each row reads the town's whole list
_ITEM = (
    f"i.record_id = {_RECORD} AND i.round_id IS NOT DISTINCT FROM m.round_id"
    " AND i.town IS NOT DISTINCT FROM CAST(:town AS integer)"
)
_FORGOTTEN = "EXISTS (SELECT 1 FROM {{d}}.person f WHERE f.person_id = {line}.person_id AND f.erased_at IS NOT NULL)"
_ROWS = f"""
SELECT s.row_no, s.change_kind, s.source_record_id, s.round, s.name, s.change_type, s.changed_on::text AS changed_on,
       s.source_org, s.list_mark, s.result, s.right_village, s.right_name, s.right_id_no, s.right_date::text AS right_date,
       s.to_town, s.id_no, m.round_id, i.item_id, i.town, i.record_type, i.record_id, i.version, i.role, i.answers,
       coalesce((SELECT p.merged_into FROM {{d}}.person p WHERE p.person_id = i.person_id), i.person_id) AS person_id,
       r.result AS answered, r.right_village AS was_village, r.right_name AS was_name,
       r.right_id_no AS was_id_no, r.right_date::text AS was_date, r.to_town AS was_town,
       EXISTS (SELECT 1 FROM {{d}}.round_item e WHERE e.round_id = m.round_id AND e.record_id = {_RECORD}
               AND NOT {_FORGOTTEN.format(line="e")}) AS on_some_list,
       (SELECT coalesce(p.merged_into, p.person_id) FROM {{d}}.person_identifier n JOIN {{d}}.person p USING (person_id)
        WHERE n.kind = 'id_no' AND n.value = s.id_no) AS named
FROM {{d}}.stg_{VERIFICATION} s
LEFT JOIN {{d}}.monthly_round m ON m.month = s.round
LEFT JOIN {{d}}.round_item i ON {_ITEM} AND NOT {_FORGOTTEN.format(line="i")}
LEFT JOIN {{d}}.rec_{VERIFICATION} r
       ON i.answers > 0 AND r.record_key = s.source_record_id || '|' || s.round AND NOT r.voided
      AND r.source IN (SELECT o.code FROM shared.organisation o JOIN {{d}}.area_place p ON p.area_id = o.area_id
                       WHERE p.town_id = CAST(:town AS integer))
WHERE s.submission_id = :submission AND NOT s.held AND s.doubt IS NULL
ORDER BY s.row_no
"""


def _judge(
    row: Row[Any], town: int | None, areas: AreaIndex, names: Mapping[UUID, str], context: AnswerContext
) -> str | None:
    """The code a row cannot pass by; None when it says something about a line of the town's list."""
    if row.round_id is None:
        return "E_ROUND_UNKNOWN"
    if row.item_id is None:
        return "E_LIST_FOREIGN" if row.on_some_list else "E_LIST_UNKNOWN"
    if not _reads_as_listed(row, names, areas, context.key):
        return "E_LIST_TAMPERED"
    if row.change_kind == "void":
        return None
    if row.result is None:
        return UNANSWERED
    if not _is_own_village(row, town, areas):
        return "E_VILLAGE_ELSEWHERE"
    if not _goes_to_another(row, town, areas):
        return "E_TRANSFER_WHERE"
    return CONFLICT if not context.released and _contradicts(row) else None


def _reads_as_listed(row: Row[Any], names: Mapping[UUID, str], areas: AreaIndex, key: bytes) -> bool:
    """A list that was printed before towns merged is as good as one of the town that stands in their place."""
    if row.named is not None and row.named != row.person_id:
        return False
    if row.list_mark is None:
        return _same_name(row.name, names.get(row.item_id))
    answers = answers_of(row.list_mark)
    if answers is None:
        return False
    printed = (row.name or "", row.change_type or "", row.changed_on or "", row.source_org or "")
    towns = (row.town, *(old for old, now in areas.successor.items() if now == row.town))
    record_id = str(row.record_id)
    return any(is_right(row.list_mark, mark_of(key, row.round, town, record_id, answers, *printed)) for town in towns)


def _same_name(said: str | None, listed: str | None) -> bool:
    return (said or "") == (listed or "") or not listed


def _is_own_village(row: Row[Any], town: int | None, areas: AreaIndex) -> bool:
    village = areas.codes.get(row.right_village) if row.right_village else None
    return village is None or areas.town_of.get(village) == town


def _goes_to_another(row: Row[Any], town: int | None, areas: AreaIndex) -> bool:
    if row.result != _ELSEWHERE:
        return True
    other = areas.town_of.get(areas.codes.get(row.to_town or "", -1))
    return other is not None and other != town


def _contradicts(row: Row[Any]) -> bool:
    """Whether somebody answered otherwise since the copy was made on which this answer rests."""
    built_on = answers_of(row.list_mark) if row.list_mark else None
    if row.answered is None or (built_on is not None and built_on >= row.answers):
        return False
    said = (row.result, row.right_village, row.right_name, row.right_id_no, row.right_date, row.to_town)
    stands = (row.answered, row.was_village, row.was_name, row.was_id_no, row.was_date, row.was_town)
    return said != stands


def _names_as_listed(connection: Connection, catalogue: Catalogue, rows: Iterable[Row[Any]]) -> dict[UUID, str]:
    """The name on the line of each row without a mark, as the record told it."""
    by_type: dict[str, list[Row[Any]]] = {}
    for row in rows:
        by_type.setdefault(row.record_type, []).append(row)
    found: dict[UUID, str] = {}
    for code, of_type in by_type.items():
        column = _name_of(catalogue.record_types[code])
        if column is not None:
            found |= _names_of(connection, code, column, of_type)
    return found


def _names_of(connection: Connection, code: str, column: str, rows: list[Row[Any]]) -> dict[UUID, str]:
    named = run_sql(
        connection,
        f"SELECT n.item, {column} FROM unnest(CAST(:items AS uuid[]), CAST(:records AS uuid[]), CAST(:versions AS integer[]),"
        f" CAST(:roles AS text[])) n (item, record, version, role)"
        f" JOIN {{d}}.ver_{code} v ON v.record_id = n.record AND v.version = n.version",
        items=[row.item_id for row in rows],
        records=[row.record_id for row in rows],
        versions=[row.version for row in rows],
        roles=[row.role for row in rows],
    )
    return {UUID(str(item)): str(name or "") for item, name in named}


def _name_of(record_type: RecordType) -> str | None:
    """The name of the role by which a line touches its town (``n.role``), as a column of the version ``v``."""
    plain = {field.name for field in record_type.plain_fields}
    whens = [
        f"WHEN '{role.role}' THEN v.{role.prefix}name" for role in record_type.people if f"{role.prefix}name" in plain
    ]
    return f"CASE n.role {' '.join(whens)} END" if whens else None


def _mark(connection: Connection, submission_id: UUID, marked: Mapping[int, str]) -> None:
    if not marked:
        return
    run_sql(
        connection,
        f"UPDATE {{d}}.stg_{VERIFICATION} s SET doubt = f.code"
        " FROM unnest(CAST(:rows AS integer[]), CAST(:codes AS text[])) f (row_no, code)"
        " WHERE s.submission_id = :submission AND s.row_no = f.row_no",
        submission=submission_id,
        rows=list(marked),
        codes=list(marked.values()),
    )


def _complete(
    connection: Connection,
    submission_id: UUID,
    record_type: RecordType,
    source: str,
    town: int | None,
    today: date,
) -> None:
    """What the list did not print: number and place of the person of the line; an answer without a day is of today,
    or of the day on which the same was said first.

    The mark has served: without it the same answer to a newer copy says nothing new.
    """
    going_on = f"s.submission_id = :submission AND NOT s.held AND (s.doubt IS NULL OR s.doubt = '{CONFLICT}')"
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.stg_{VERIFICATION} s
        SET list_mark = NULL, verified_on = coalesce(s.verified_on, (
                SELECT r.verified_on FROM {{d}}.rec_{VERIFICATION} r
                WHERE r.record_key = s.source_record_id || '|' || s.round AND r.source = :source AND NOT r.voided
                  AND r.result = s.result), :today),
            id_no = coalesce(s.id_no, number.value), live_div = coalesce(s.live_div, place.code),
            person_area = coalesce(s.person_area, i.village, i.town)
        FROM {{d}}.monthly_round m, {{d}}.round_item i
        LEFT JOIN {{d}}.person p ON p.person_id = i.person_id
        LEFT JOIN LATERAL (
            SELECT n.value FROM {{d}}.person_identifier n
            WHERE n.kind = 'id_no' AND n.person_id = coalesce(p.merged_into, p.person_id) AND n.replaced_by IS NULL
            ORDER BY n.value LIMIT 1
        ) number ON true
        LEFT JOIN {{d}}.area_version place ON place.area_id = i.village AND place.valid_to IS NULL
        WHERE {going_on} AND m.month = s.round AND {_ITEM}
        """,
        submission=submission_id,
        source=source,
        town=town,
        today=today,
    )
    remembered = row_identifier(record_type, record_type.people[0])
    assert remembered is not None
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.person_identifier (kind, value, person_id, submission_id)
        SELECT DISTINCT ON (2) 'row', {remembered}, coalesce(p.merged_into, p.person_id), CAST(:submission AS uuid)
        FROM {{d}}.stg_{VERIFICATION} s
        JOIN {{d}}.monthly_round m ON m.month = s.round
        JOIN {{d}}.round_item i ON {_ITEM}
        JOIN {{d}}.person p ON p.person_id = i.person_id
        WHERE {going_on} AND s.id_no IS NULL
        ON CONFLICT (kind, value) DO NOTHING
        """,
        submission=submission_id,
        town=town,
        source=source,
    )
