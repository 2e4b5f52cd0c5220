"""A database becomes a hub's: schemas, fixed tables, record tables, grants. The only place that knows of Citus."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import ProgrammingError

import hub.migrations
from hub.database import Database, driver, run_sql, utc_now
from hub.errors import HubError, PendingMigration
from hub.operations.record_tables import reconcile
from hub.operations.row_security import enforce
from hub.people.verification_sql import SIGNATURE, verification_function
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.working_days import load_calendar
from hub.settings import Settings
from hub.sharing.entries import follow_record_types, today_in
from mappings.catalogue import Catalogue


class RolesMissing(HubError):
    """须由数据库管理员授予角色 hub_care。 The database's administrator must grant the role hub_care."""

    status, problem = 503, "roles-missing"


_MIGRATIONS = Path(hub.migrations.__file__).parent
_ROLES = ("hub_app", "hub_worker", "hub_read", "hub_audit", "hub_care")


def provision(owner_url: str, settings: Settings, catalogue: Catalogue) -> None:
    """Create or update everything the hub keeps, in one transaction; nothing happens when all is current."""
    engine = create_engine(owner_url, execution_options={"schema_translate_map": {"district": settings.district}})
    try:
        with engine.begin() as connection:
            run_sql(connection, "SELECT pg_advisory_xact_lock(hashtext('hub-provisioning'))")
            _create_schemas(connection, settings.district)
            _migrate(connection, "common", settings.district)
            _migrate(connection, "district", settings.district)
            _create_job_queue(connection)
            reconcile(connection, catalogue)
            _let_worker_refresh_statistics(connection)
            _let_people_be_verified(connection, catalogue)
            _begin_feed(connection, settings.district)
            _publish_entries(connection, settings, catalogue)
            _note_catalogue(connection, catalogue)
            _grant(connection, settings.district)
            enforce(connection, catalogue)
    finally:
        engine.dispose()


def require_current(database: Database, catalogue: Catalogue) -> None:
    """Refuse to start on a pending migration or on record tables made from another catalogue."""
    with database.begin() as connection:
        heads = {tree: _revision(connection, tree, database.district) for tree in ("common", "district")}
        wanted = {tree: ScriptDirectory.from_config(_alembic(tree)).get_current_head() for tree in heads}
        if heads != wanted:
            raise PendingMigration(f"{heads} -> {wanted}")
        noted = run_sql(connection, "SELECT obj_description(to_regclass('{d}.feed_head'), 'pg_class')")[0][0]
    if noted != f"catalogue {catalogue.version}":
        raise PendingMigration("mappings/record_types changed since the last hub migrate")


def _create_schemas(connection: Connection, district: str) -> None:
    for schema in ("shared", "admin", "jobs"):
        run_sql(connection, f"CREATE SCHEMA IF NOT EXISTS {schema}")
    if _is_citus(connection) and not _schema_exists(connection, district):
        run_sql(connection, "SET LOCAL citus.enable_schema_based_sharding = on")
        run_sql(connection, "CREATE SCHEMA {d}")
        run_sql(connection, "SET LOCAL citus.enable_schema_based_sharding = off")
    run_sql(connection, "CREATE SCHEMA IF NOT EXISTS {d}")


def _is_citus(connection: Connection) -> bool:
    return bool(run_sql(connection, "SELECT 1 FROM pg_extension WHERE extname = 'citus'"))


def _schema_exists(connection: Connection, schema: str) -> bool:
    return bool(run_sql(connection, "SELECT 1 FROM pg_namespace WHERE nspname = :schema", schema=schema))


def _alembic(tree: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS / tree))
    return config


def _migrate(connection: Connection, tree: str, district: str) -> None:
    config = _alembic(tree)
    config.attributes.update(connection=connection, district=district)
    command.upgrade(config, "head")
    if tree == "common" and _is_citus(connection):
        run_sql(connection, "SELECT create_reference_table('shared.organisation')")


def _revision(connection: Connection, tree: str, district: str) -> str | None:
    schema = "shared" if tree == "common" else district
    context = MigrationContext.configure(
        connection, opts={"version_table": "hub_version", "version_table_schema": schema}
    )
    return context.get_current_revision()


def _create_job_queue(connection: Connection) -> None:
    if run_sql(connection, "SELECT to_regclass('jobs.procrastinate_jobs')")[0][0] is not None:
        return
    run_sql(connection, "SET LOCAL search_path = jobs")
    driver(connection).execute(SchemaManager.get_schema())
    run_sql(connection, "SET LOCAL search_path = public")


def _let_worker_refresh_statistics(connection: Connection) -> None:
    """ANALYZE needs ownership (or, from PostgreSQL 17 on, a right); this works on every version and on named tables only."""
    run_sql(
        connection,
        """
        CREATE OR REPLACE FUNCTION {d}.refresh_statistics(name text) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
        BEGIN
            EXECUTE format('ANALYZE {d}.%I', name);
        END
        $$
        """,
    )
    run_sql(connection, "REVOKE ALL ON FUNCTION {d}.refresh_statistics(text) FROM PUBLIC")


def _let_people_be_verified(connection: Connection, catalogue: Catalogue) -> None:
    """The serving role may not see whose a number is; it may ask whether a name goes with one."""
    run_sql(connection, verification_function(catalogue))
    run_sql(connection, f"REVOKE ALL ON FUNCTION {{d}}.{SIGNATURE} FROM PUBLIC")


def _begin_feed(connection: Connection, district: str) -> None:
    run_sql(
        connection,
        "INSERT INTO {d}.feed_head (district, epoch, epoch_start, last_seq, last_batch, last_link)"
        " VALUES (:district, :epoch, 0, 0, 0, :link) ON CONFLICT DO NOTHING",
        district=district,
        epoch=secrets.token_hex(6),
        link=b"",
    )


def _publish_entries(connection: Connection, settings: Settings, catalogue: Catalogue) -> None:
    """The data catalogue follows the record types: what is new is published, what changed is due."""
    now, migration = utc_now(), msgspec.structs.replace(SYSTEM_ACTOR, name="migration")
    today = today_in(settings, now)
    follow_record_types(connection, migration, catalogue, load_calendar(settings), now, today)


def _note_catalogue(connection: Connection, catalogue: Catalogue) -> None:
    run_sql(connection, f"COMMENT ON TABLE {{d}}.feed_head IS 'catalogue {catalogue.version}'")


def _grant(connection: Connection, district: str) -> None:
    """Least rights: the worker writes the line, the app receives and serves, staging is the worker's alone."""
    for role in _ROLES:
        if not run_sql(connection, "SELECT 1 FROM pg_roles WHERE rolname = :role", role=role):
            run_sql(connection, f"CREATE ROLE {role} NOLOGIN")
        run_sql(connection, f"GRANT USAGE ON SCHEMA shared, admin, jobs, {{d}} TO {role}")
    for statement in _GRANTS:
        run_sql(connection, statement)
    for table in _tables_like(connection, district, "stg\\_%"):
        run_sql(connection, f"REVOKE ALL ON {{d}}.{table} FROM hub_app, hub_read, hub_audit, hub_care")
    for table in _tables_like(connection, district, "rec\\_%\\_sealed"):
        run_sql(connection, f"REVOKE ALL ON {{d}}.{table} FROM hub_app, hub_read, hub_audit")
        run_sql(connection, f"GRANT SELECT ON {{d}}.{table} TO hub_care")
    _let_the_app_become_care(connection)


def _tables_like(connection: Connection, district: str, pattern: str) -> list[str]:
    statement = "SELECT tablename FROM pg_tables WHERE schemaname = :district AND tablename LIKE :pattern"
    return [str(table) for (table,) in run_sql(connection, statement, district=district, pattern=pattern)]


def _let_the_app_become_care(connection: Connection) -> None:
    """The serving role may become hub_care for a care slice, and has none of its rights before it does."""
    member = run_sql(connection, "SELECT pg_has_role('hub_app', 'hub_care', 'MEMBER')")[0][0]
    inherits = run_sql(connection, "SELECT rolinherit FROM pg_roles WHERE rolname = 'hub_app'")[0][0]
    if not member or inherits:
        try:
            run_sql(connection, "ALTER ROLE hub_app NOINHERIT")
            run_sql(connection, "GRANT hub_care TO hub_app")
        except ProgrammingError as refused:
            raise RolesMissing("ALTER ROLE hub_app NOINHERIT; GRANT hub_care TO hub_app") from refused


_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {d} TO hub_worker",
    "REVOKE UPDATE, DELETE ON {d}.change_log, {d}.feed_batch, {d}.audit, {d}.audit_seal FROM hub_worker",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {d} TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.submission, {d}.delivery, {d}.subscription, {d}.subscription_version TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.area, {d}.area_version, {d}.idempotency_key TO hub_app",
    "GRANT INSERT, UPDATE, DELETE ON {d}.header_choice TO hub_app",
    "GRANT INSERT ON {d}.audit, {d}.sftp_event, {d}.person_decision, {d}.verification TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.person_search TO hub_app",
    "GRANT UPDATE ON {d}.person_pair, {d}.held_row, {d}.comparison_item, {d}.person_decision TO hub_app",
    "GRANT UPDATE (downloaded_at) ON {d}.round_town TO hub_app",
    "GRANT UPDATE (read_at, read_by) ON {d}.notice TO hub_app",
    "GRANT INSERT, DELETE ON {d}.contact TO hub_app",
    "GRANT INSERT, UPDATE, DELETE ON {d}.saved_view TO hub_app",
    "GRANT INSERT ON {d}.challenge TO hub_app",
    "GRANT UPDATE (state, answer, answer_text, answered_at, answered_by, closed_at, closed_by, insisted, reason, due_on)"
    " ON {d}.challenge TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.roll_check, {d}.roll_item TO hub_app",
    "GRANT DELETE ON {d}.roll_item TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.catalogue_entry, {d}.catalogue_version, {d}.licence_request, {d}.licence_answer TO hub_app",
    "GRANT INSERT, UPDATE ON {d}.copy_check TO hub_app, hub_care",
    "GRANT INSERT ON {d}.subscription_event, {d}.slice_export, {d}.certificate TO hub_app, hub_care",
    "REVOKE UPDATE, DELETE ON {d}.certificate, {d}.slice_export, {d}.subscription_event FROM hub_worker",
    "REVOKE SELECT ON {d}.feed_reader, {d}.erasure FROM hub_app",
    "GRANT SELECT (person_id, submission_id) ON {d}.erasure TO hub_app",  # the disclosure ledger of somebody erased
    "REVOKE SELECT ON {d}.feed_reader, {d}.erasure, {d}.verification, {d}.person_pair FROM hub_care",
    "REVOKE SELECT ON {d}.audit, {d}.audit_seal, {d}.audit_archive, {d}.difference, {d}.operation FROM hub_app",
    "REVOKE INSERT, UPDATE, DELETE ON {d}.audit_archive FROM hub_worker",
    "GRANT SELECT, INSERT ON {d}.audit, {d}.audit_seal TO hub_audit",
    "GRANT SELECT ON {d}.audit_archive TO hub_audit",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {d} TO hub_care",
    "REVOKE SELECT ON {d}.audit, {d}.audit_seal, {d}.audit_archive, {d}.difference, {d}.operation FROM hub_care",
    "REVOKE SELECT ON {d}.channel_item, {d}.channel_state FROM hub_app, hub_care",
    "GRANT SELECT (channel, last_tried_at, last_succeeded_at, next_at, failures, failure, disabled, alarmed_at)"
    " ON {d}.channel_state TO hub_app",  # how a channel stands; never how far it has read
    "GRANT INSERT, UPDATE ON {d}.delivery TO hub_care",
    "GRANT INSERT ON {d}.audit TO hub_care",
    "GRANT SELECT ON shared.organisation TO hub_care, hub_audit",
    "GRANT SELECT, INSERT, UPDATE ON shared.organisation TO hub_app, hub_worker",
    "GRANT SELECT ON shared.hub_version TO hub_app, hub_worker",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA admin TO hub_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO hub_app, hub_worker",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA jobs TO hub_app, hub_worker",
    "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA admin TO hub_worker",
    "GRANT EXECUTE ON FUNCTION {d}.refresh_statistics(text) TO hub_worker",
    f"GRANT EXECUTE ON FUNCTION {{d}}.{SIGNATURE} TO hub_app, hub_worker",
)
