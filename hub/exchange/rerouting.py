"""Where a record belongs follows from where its people live: the areas of a record, and giving records new ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import Connection

from hub.database import run_sql, utc_now
from hub.tables.version_sql import version_columns
from mappings.catalogue import Catalogue, RecordType

_FEW = 100  # persons: so many are looked up one by one


def own_or_home_areas(record_type: RecordType) -> str:
    """The sorted areas of a record: each person's own area in the row, else where that person lives; village and town."""
    if len(record_type.people) == 1:
        (role,) = record_type.people
        leaf, town = f"{role.role}_at.leaf_id", f"{role.role}_at.town_id"
        return (
            f"CASE WHEN {leaf} IS NULL THEN '{{}}'::integer[] WHEN {leaf} = {town} THEN ARRAY[{leaf}]"
            f" ELSE ARRAY[least({leaf}, {town}), greatest({leaf}, {town})] END"
        )
    places = ", ".join(f"{role.role}_at.leaf_id, {role.role}_at.town_id" for role in record_type.people)
    return (
        "(SELECT coalesce(array_agg(DISTINCT place ORDER BY place), '{}'::integer[])"
        f" FROM unnest(ARRAY[{places}]::integer[]) place WHERE place IS NOT NULL)"
    )


def home_joins(record_type: RecordType) -> str:
    """Where each person of a record (alias l) is: the area its row gives, else the person's home."""
    joins = []
    for role in record_type.people:
        name = role.role
        if role.sets_home or not role.area_fields:
            joins.append(f"LEFT JOIN {{d}}.person {name}_home ON {name}_home.person_id = l.{name}_ref")
            home = f"{name}_home.home_area"
        else:  # most rows give their own area: look the home up only where one does not
            home = f"(SELECT home_area FROM {{d}}.person WHERE person_id = l.{name}_ref)"
        joins.append(f"LEFT JOIN {{d}}.area_place {name}_at ON {name}_at.area_id = coalesce(l.{name}_area, {home})")
    return "\n".join(joins)


def reroute_areas(connection: Connection, submission_id: UUID, area_ids: Iterable[int], catalogue: Catalogue) -> int:
    """After areas merged, split or moved: every record that lay in one of them gets the areas it lies in now."""
    changed = 0
    for record_type in catalogue.record_types.values():
        if record_type.enabled and record_type.people:
            touched = "r.areas && CAST(:area_ids AS integer[])"
            changed += reroute(connection, submission_id, record_type, touched, area_ids=list(area_ids))
    return changed


def reroute_records_of(connection: Connection, submission_id: UUID, persons: list[UUID], catalogue: Catalogue) -> None:
    """Records that follow their person's home get a new version with the areas of the new one."""
    for record_type in types_naming(connection, persons, catalogue):
        follows = " OR ".join(
            f"(r.{role.role}_area IS NULL AND r.{role.role}_ref = ANY(CAST(:persons AS uuid[])))"
            for role in record_type.people
        )
        reroute(connection, submission_id, record_type, follows, persons=persons)


def types_naming(connection: Connection, persons: Collection[UUID], catalogue: Catalogue) -> list[RecordType]:
    """Record types of which some record names one of these persons; of a great many persons, all that could.

    Of a few persons most types have nothing: one look at all of them costs less than a statement prepared for each.
    """
    able = [one for one in catalogue.record_types.values() if one.enabled and one.people]
    if len(persons) > _FEW:
        return able
    looks = (
        f"SELECT '{one.code}' WHERE EXISTS (SELECT 1 FROM {{d}}.rec_{one.code} r WHERE {_names_one_of(one)})"
        for one in able
    )
    found = {code for (code,) in run_sql(connection, " UNION ALL ".join(looks), persons=list(persons))}
    return [one for one in able if one.code in found]


def _names_one_of(record_type: RecordType) -> str:
    return " OR ".join(f"r.{role.role}_ref = ANY(CAST(:persons AS uuid[]))" for role in record_type.people)


def reroute(connection: Connection, submission_id: UUID, record_type: RecordType, which: str, **values: object) -> int:
    """Give the records ``which`` selects (alias r) the areas that now follow; how many really changed."""
    count = len(_stage_reroute(connection, submission_id, record_type, which, values))
    if count:
        _apply_reroute(connection, submission_id, record_type)
    return count


def _stage_reroute(
    connection: Connection, submission_id: UUID, record_type: RecordType, which: str, values: dict[str, object]
) -> list[tuple[object, ...]]:
    refs = ", ".join(f"r.{role.role}_ref" for role in record_type.people)
    return run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.difference (submission_id, row_no, record_type, outcome, record_id, version, record_key, people,
                                      changed_fields, areas_before, areas_after, content_digest)
        WITH located AS (
            SELECT l.*, {own_or_home_areas(record_type)} AS areas_now
            FROM (SELECT r.* FROM {{d}}.rec_{record_type.code} r WHERE NOT r.voided AND ({which})) l
            {home_joins(record_type)}
        ), last AS (
            SELECT coalesce(min(row_no), 0) AS row_no FROM {{d}}.difference WHERE submission_id = :submission AND row_no < 0
        )
        SELECT :submission, last.row_no - row_number() OVER (ORDER BY r.record_id), '{record_type.code}', 'reroute',
               r.record_id, r.version + 1, r.record_key, ARRAY[{refs}]::uuid[], '{{}}', r.areas, r.areas_now, r.content_digest
        FROM located r, last
        WHERE r.areas <> r.areas_now
        RETURNING row_no
        """,
        submission=submission_id,
        **values,
    )


def _apply_reroute(connection: Connection, submission_id: UUID, record_type: RecordType) -> None:
    columns = version_columns(record_type)
    chosen = f"d.submission_id = :submission AND d.outcome = 'reroute' AND d.record_type = '{record_type.code}'"
    if record_type.clinical_fields:
        run_sql(
            connection,
            f"""
            INSERT INTO {{d}}.rec_{record_type.code}_sealed (record_id, version, sealed)
            SELECT d.record_id, d.version, o.sealed
            FROM {{d}}.difference d JOIN {{d}}.rec_{record_type.code}_sealed o
              ON o.record_id = d.record_id AND o.version = d.version - 1
            WHERE {chosen}
            """,
            submission=submission_id,
        )
    run_sql(
        connection,
        f"""
        INSERT INTO {{d}}.rec_{record_type.code}_history ({", ".join(columns)})
        SELECT {", ".join(f"r.{name}" for name in columns)}
        FROM {{d}}.difference d JOIN {{d}}.rec_{record_type.code} r ON r.record_id = d.record_id
        WHERE {chosen}
        """,
        submission=submission_id,
    )
    run_sql(
        connection,
        f"""
        UPDATE {{d}}.rec_{record_type.code} r
        SET version = d.version, areas = d.areas_after, submission_id = :submission, row_no = d.row_no, recorded_at = :now
        FROM {{d}}.difference d
        WHERE {chosen} AND r.record_id = d.record_id
        """,
        submission=submission_id,
        now=utc_now(),
    )
