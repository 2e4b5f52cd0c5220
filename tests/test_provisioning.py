"""A database becomes a hub's, once, and again without effect."""

from sqlalchemy import create_engine

from hub.database import Database, run_sql
from hub.embedded import Urls
from hub.operations.provisioning import provision, require_current
from hub.settings import Settings
from hub.tables import metadata
from mappings.catalogue import Catalogue


def _columns(connection, schemas):  # type: ignore[no-untyped-def]
    return run_sql(
        connection,
        "SELECT CASE WHEN table_schema = :d THEN 'district' ELSE table_schema END, table_name, column_name, data_type,"
        " udt_name, is_nullable FROM information_schema.columns WHERE table_schema = ANY(:schemas)"
        " AND table_name NOT LIKE ALL (ARRAY['rec\\_%', 'stg\\_%', 'ver\\_%', 'record\\_person',"
        " 'area\\_place', 'submission\\_kind', 'hub\\_version'])"
        " ORDER BY 1, 2, 3",
        d=schemas[0],
        schemas=list(schemas),
    )


def test_provisioning_twice_changes_nothing(urls: Urls, settings: Settings, catalogue: Catalogue) -> None:
    database = Database(urls.owner, settings.district)
    with database.begin() as connection:
        before = _columns(connection, (settings.district, "shared", "admin"))
    provision(urls.owner, settings, catalogue)
    with database.begin() as connection:
        assert _columns(connection, (settings.district, "shared", "admin")) == before
    database.close()


def test_the_migrations_lead_to_the_declared_tables(urls: Urls, settings: Settings) -> None:
    translate = {"district": "x_district", "shared": "x_shared", "admin": "x_admin"}
    engine = create_engine(urls.superuser, execution_options={"schema_translate_map": translate})
    with engine.begin() as connection:
        for schema in translate.values():
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        metadata.create_all(connection)
        migrated = _columns(connection, (settings.district, "shared", "admin"))
        declared = _columns(connection, ("x_district", "x_shared", "x_admin"))
        indexes = [
            _indexes(connection, names) for names in ([settings.district, "shared", "admin"], list(translate.values()))
        ]
    engine.dispose()
    assert [row[1:] for row in migrated] == [
        row[1:] for row in sorted(declared, key=lambda r: (_real(r[0]), r[1], r[2]))
    ]
    assert indexes[0] == indexes[1]


def _indexes(connection, schemas):  # type: ignore[no-untyped-def]
    rows = run_sql(
        connection,
        "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = ANY(:schemas)"
        " AND tablename NOT LIKE ALL (ARRAY['rec\\_%', 'stg\\_%', 'hub\\_version'])",
        schemas=schemas,
    )
    return {(table, index) for table, index in rows}


def _real(schema: str) -> str:
    return schema.removeprefix("x_")


def test_a_current_schema_lets_the_hub_start(database: Database, catalogue: Catalogue) -> None:
    require_current(database, catalogue)


def test_no_serving_role_owns_anything_or_reaches_staging(database: Database, app_database: Database) -> None:
    with app_database.begin() as connection:
        rights = run_sql(
            connection,
            "SELECT tablename FROM pg_tables WHERE schemaname = :d AND tablename LIKE 'stg\\_%'"
            " AND has_table_privilege(current_user, format('%I.%I', schemaname, tablename), 'SELECT')",
            d=app_database.district,
        )
        owned = run_sql(connection, "SELECT tablename FROM pg_tables WHERE tableowner = current_user")
    assert rights == []
    assert owned == []
