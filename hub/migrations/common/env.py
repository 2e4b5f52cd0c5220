"""Alembic's entry for the shared and admin schemas."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="hub_version", version_table_schema="shared")
with context.begin_transaction():
    context.run_migrations()
