"""The one way from a name and a number to match, mismatch or not found: a function of the owner's that gives out no more.

The serving role may not read whose a number is; it may call this. Of the two ways there were (this, or a job of the
worker's with a stored file of answers) it has the smaller surface: three lists in, row number and answer out, nothing
kept, nothing written. What is clinical by existing is not looked at: who is known by it alone is not found.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.people.name_keys import NAME_KEY_VALUES, name_key_sql
from hub.registry.scope import is_care_only
from mappings.catalogue import Catalogue, RecordType, Role

SIGNATURE = "verify_people(text[], text[], text[])"
_NAME_CHANGED = "('20', '21', '22')"  # items of a correction (GA/T 2000.24) whose new value is a name


def verification_function(catalogue: Catalogue) -> str:
    """Its definition over the record types in force. A custom plan each time: three rows go by index, many by hash."""
    return f"""
        CREATE OR REPLACE FUNCTION {{d}}.verify_people(numbers text[], names text[], keys text[])
        RETURNS TABLE (row_no integer, answer text)
        LANGUAGE plpgsql STABLE SECURITY DEFINER
        SET search_path = pg_catalog SET plan_cache_mode = force_custom_plan SET work_mem = '64MB' AS $$
        BEGIN
            RETURN QUERY
            WITH asked AS MATERIALIZED (
                SELECT a.row_no::integer AS row_no, a.number, a.name, a.key
                FROM unnest(numbers, names, keys) WITH ORDINALITY AS a (number, name, key, row_no)
            ), found AS MATERIALIZED (
                SELECT a.row_no, a.name, a.key, i.person_id
                FROM asked a JOIN {{d}}.person_identifier i ON i.kind = 'id_no' AND i.value = a.number
            ), judged AS (
                SELECT f.row_no, bool_or(s.name = f.name OR {_key("s.name")} = f.key) AS fits
                FROM found f JOIN ({" UNION ALL ".join(_names(catalogue))}) s ON s.person_id = f.person_id
                GROUP BY f.row_no
            )
            SELECT a.row_no, CASE WHEN j.fits THEN 'match' WHEN j.row_no IS NOT NULL THEN 'mismatch' ELSE 'not_found' END
            FROM asked a LEFT JOIN judged j ON j.row_no = a.row_no
            ORDER BY a.row_no;
        END
        $$
    """


def _names(catalogue: Catalogue) -> Iterator[str]:
    """Every name a standing record gives a person: sources may write it differently, and each of them may be right."""
    for record_type in catalogue.record_types.values():
        if record_type.enabled and not is_care_only(record_type):
            for role in record_type.people:
                yield from _names_of(record_type, role)


def _names_of(record_type: RecordType, role: Role) -> Iterator[str]:
    said = [(f"r.{role.prefix}name", "")] if f"{role.prefix}name" in record_type.by_name else []
    if record_type.corrects_identity:
        said.append(("r.new_value", f" AND r.item IN {_NAME_CHANGED}"))
    for name, test in said:
        yield (
            f"SELECT r.{role.role}_ref AS person_id, {name} AS name FROM {{d}}.rec_{record_type.code} r"
            f" WHERE r.{role.role}_ref IS NOT NULL AND NOT r.voided AND {name} IS NOT NULL{test}"
        )


def _key(name: str) -> str:
    """The key's letters as they are, for a function binds nothing."""
    sql = name_key_sql(name)
    for bound, value in NAME_KEY_VALUES.items():
        sql = sql.replace(f":{bound}", _literal(str(value)))
    return sql


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
