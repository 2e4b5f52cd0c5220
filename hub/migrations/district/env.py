"""Alembic's entry for one district schema; ``district`` in the scripts is translated to its real name."""

from alembic import context

connection = context.config.attributes["connection"]
schema = context.config.attributes["district"]
connection = connection.execution_options(schema_translate_map={"district": schema})
context.configure(connection=connection, version_table="hub_version", version_table_schema=schema)
with context.begin_transaction():
    context.run_migrations()
