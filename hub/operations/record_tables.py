"""The DDL of every record type, from its TOML: current, history, sealed and staging table, and the views over them.

Changes are additive only. A field may be added; one that disappears from the catalogue is retired (its column stays);
a changed type is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from hub.database import district_of
from hub.errors import HubError
from hub.oversight.quality_sql import VERIFICATION
from hub.tables.version_sql import number_fields
from mappings.catalogue import Catalogue, Field, FieldType, RecordType

COLUMN_TYPES: dict[FieldType, str] = {
    "text": "text",
    "name": "text",
    "id_no": "text",
    "code": "text",
    "month": "text",
    "area": "text",
    "division": "text",
    "phone": "text",
    "certificate": "text",
    "uscc": "text",
    "date": "date",
    "datetime": "timestamp without time zone",
    "integer": "bigint",
    "decimal": "numeric",
    "boolean": "boolean",
}

ENVELOPE = {
    "record_id": "uuid NOT NULL",
    "version": "integer NOT NULL",
    "source": "text NOT NULL",
    "record_key": 'text COLLATE "C" NOT NULL',
    "voided": "boolean NOT NULL",
    "submission_id": "uuid NOT NULL",
    "row_no": "integer NOT NULL",
    "recorded_at": "timestamp with time zone NOT NULL",
    "content_digest": "bytea NOT NULL",
    "areas": "integer[] NOT NULL",
    "disputed": "boolean NOT NULL DEFAULT false",  # while a challenge stands
}


class IncompatibleRecordType(HubError):
    """信息类别的改动不是增量的，不能迁移。 A record type changed in a way that is not additive; it cannot be migrated."""

    problem = "incompatible-record-type"


def version_columns(record_type: RecordType) -> list[str]:
    """Column names of a record's version, in table order."""
    people = [name for role in record_type.people for name in (f"{role.role}_ref", f"{role.role}_area")]
    return [*ENVELOPE, *people, *_numbers_as_sent(record_type), *(field.name for field in record_type.plain_fields)]


def staged_columns(record_type: RecordType) -> list[str]:
    """Column names of the staging table, in the order the check stage writes them (after submission_id)."""
    people = [name for role in record_type.people for name in (f"{role.role}_new", f"{role.role}_area")]
    fields = [field.name for field in record_type.plain_fields]
    return ["row_no", "sheet_row", "change_kind", "held", "content_digest", "new_record", *people, *fields, "sealed"]


def reconcile(connection: Connection, catalogue: Catalogue) -> list[str]:
    """Bring the record tables to the catalogue's state; the statements that were needed."""
    done = []
    for record_type in catalogue.record_types.values():
        if record_type.enabled:
            done += [_execute(connection, statement) for statement in _needed(connection, record_type)]
    done += [_execute(connection, statement) for statement in _verdict_index(catalogue)]
    done += [_execute(connection, statement) for statement in _household_index(catalogue)]
    done += [_execute(connection, statement) for statement in _views(catalogue)]
    return done


def _execute(connection: Connection, statement: str) -> str:
    statement = statement.replace("{d}", district_of(connection))
    connection.execute(text(statement))
    return statement


def _needed(connection: Connection, record_type: RecordType) -> Iterator[str]:
    for table, columns, tail in _tables(record_type):
        existing = _existing_columns(connection, table)
        if not existing:
            body = ", ".join([*(f"{name} {kind}" for name, kind in columns.items()), tail])
            yield f"CREATE TABLE {{d}}.{table} ({body})"
        else:
            yield from _additions(table, columns, existing)
    yield from _indexes(record_type)


def _additions(table: str, wanted: dict[str, str], existing: dict[str, str]) -> Iterator[str]:
    for name, kind in wanted.items():
        plain = kind.replace(" NOT NULL", "").replace(' COLLATE "C"', "").partition(" DEFAULT ")[0]
        if name not in existing:
            yield f"ALTER TABLE {{d}}.{table} ADD COLUMN {name} {kind if ' DEFAULT ' in kind else plain}"
        elif existing[name] != plain:
            raise IncompatibleRecordType(f"{table}.{name}: {existing[name]} -> {plain}")


def _existing_columns(connection: Connection, table: str) -> dict[str, str]:
    found = connection.execute(
        text(
            "SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a"
            " WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped"
        ),
        {"table": f"{district_of(connection)}.{table}"},
    )
    return {str(name): str(kind) for name, kind in found}


def _tables(record_type: RecordType) -> Iterator[tuple[str, dict[str, str], str]]:
    code = record_type.code
    version = ENVELOPE | _people(record_type, "ref") | _numbers_as_sent(record_type) | _fields(record_type.plain_fields)
    yield f"rec_{code}", version, f"CONSTRAINT pk_rec_{code} PRIMARY KEY (record_id)"
    yield f"rec_{code}_history", version, f"CONSTRAINT pk_rec_{code}_history PRIMARY KEY (record_id, version)"
    if record_type.clinical_fields:
        sealed = {"record_id": "uuid NOT NULL", "version": "integer NOT NULL", "sealed": "bytea NOT NULL"}
        yield f"rec_{code}_sealed", sealed, f"CONSTRAINT pk_rec_{code}_sealed PRIMARY KEY (record_id, version)"
    yield f"stg_{code}", _staging(record_type), f"CONSTRAINT pk_stg_{code} PRIMARY KEY (submission_id, row_no)"


def _staging(record_type: RecordType) -> dict[str, str]:
    envelope = {
        "submission_id": "uuid NOT NULL",
        "row_no": "integer NOT NULL",
        "sheet_row": "integer NOT NULL",
        "change_kind": "text NOT NULL",
        "held": "boolean NOT NULL",
        "content_digest": "bytea NOT NULL",
        "new_record": "uuid NOT NULL",
    }
    return (
        envelope
        | _people(record_type, "new")
        | _fields(record_type.plain_fields)
        | {"sealed": "bytea", "doubt": "text"}
        | _numbers_as_sent(record_type)
    )


def _people(record_type: RecordType, suffix: str) -> dict[str, str]:
    columns = {}
    for role in record_type.people:
        columns[f"{role.role}_{suffix}"] = "uuid"
        columns[f"{role.role}_area"] = "integer"
    return columns


def _numbers_as_sent(record_type: RecordType) -> dict[str, str]:
    """The number a source gave, where it was corrected since; NULL for nearly every record."""
    return {f"{role.role}_as": "text" for role, _ in number_fields(record_type)}


def _fields(fields: tuple[Field, ...]) -> dict[str, str]:
    return {field.name: COLUMN_TYPES[field.type] for field in fields}


def _indexes(record_type: RecordType) -> Iterator[str]:
    code = record_type.code
    yield f"CREATE UNIQUE INDEX IF NOT EXISTS uq_rec_{code}_key ON {{d}}.rec_{code} (record_key, source)"
    for table in (f"rec_{code}", f"rec_{code}_history"):  # what one submission brought
        yield f"CREATE INDEX IF NOT EXISTS ix_{table}_submission ON {{d}}.{table} (submission_id)"
    for role in record_type.people:
        yield (
            f"CREATE INDEX IF NOT EXISTS ix_rec_{code}_{role.role} ON {{d}}.rec_{code} ({role.role}_ref)"
            f" WHERE {role.role}_ref IS NOT NULL"
        )
        yield (  # whom earlier versions named
            f"CREATE INDEX IF NOT EXISTS ix_rec_{code}_history_{role.role} ON {{d}}.rec_{code}_history"
            f" ({role.role}_ref) WHERE {role.role}_ref IS NOT NULL"
        )


def _household_index(catalogue: Catalogue) -> Iterator[str]:
    """Who lives with whom, by the roll that says so (mappings/timeline.toml)."""
    roll = catalogue.timeline.household
    if roll and catalogue.record_types[roll.record_type].enabled:
        yield (
            f"CREATE INDEX IF NOT EXISTS ix_rec_{roll.record_type}_household ON {{d}}.rec_{roll.record_type}"
            f" ({roll.field}, source) WHERE {roll.field} IS NOT NULL"
        )


def _verdict_index(catalogue: Catalogue) -> Iterator[str]:
    """What towns said of a record, for the rows behind an accuracy figure (hub/oversight/quality_sql.py)."""
    if VERIFICATION in catalogue.record_types and catalogue.record_types[VERIFICATION].enabled:
        yield (f"CREATE INDEX IF NOT EXISTS ix_rec_{VERIFICATION}_about ON {{d}}.rec_{VERIFICATION} (source_record_id)")


def _views(catalogue: Catalogue) -> Iterator[str]:
    enabled = [record_type for record_type in catalogue.record_types.values() if record_type.enabled]
    for record_type in enabled:
        columns = ", ".join(version_columns(record_type))
        yield f"DROP VIEW IF EXISTS {{d}}.ver_{record_type.code}"
        yield (
            f"CREATE VIEW {{d}}.ver_{record_type.code} WITH (security_invoker = true) AS"
            f" SELECT {columns} FROM {{d}}.rec_{record_type.code}"
            f" UNION ALL SELECT {columns} FROM {{d}}.rec_{record_type.code}_history"
        )
    yield (
        "CREATE OR REPLACE VIEW {d}.area_place WITH (security_invoker = true) AS"
        " SELECT a.area_id, t.area_id AS leaf_id, CASE t.kind WHEN 'village' THEN t.parent_id ELSE t.area_id END AS town_id"
        " FROM {d}.area a JOIN {d}.area t ON t.area_id = coalesce(a.successor_id, a.area_id) WHERE t.kind <> 'district'"
    )
    # by its owner's right: of which kind a submission is says nothing of anybody, and towns need it of all of them;
    # what takes history back is history too
    yield (
        "CREATE OR REPLACE VIEW {d}.submission_kind AS SELECT s.submission_id,"
        " CASE WHEN s.kind = 'undo' AND o.kind = 'backfill' THEN o.kind"
        " WHEN s.facts ? 'history' THEN 'backfill' ELSE s.kind END AS kind"
        " FROM {d}.submission s LEFT JOIN {d}.submission o ON o.submission_id = s.undoes"
    )
    yield "DROP VIEW IF EXISTS {d}.record_person"
    branches = [
        f"SELECT '{t.code}'::text AS record_type, record_id, '{role.role}'::text AS role, {role.role}_ref AS person_id"
        f" FROM {{d}}.rec_{t.code} WHERE {role.role}_ref IS NOT NULL"
        for t in enabled
        for role in t.people
    ]
    if branches:
        yield f"CREATE VIEW {{d}}.record_person WITH (security_invoker = true) AS {' UNION ALL '.join(branches)}"
