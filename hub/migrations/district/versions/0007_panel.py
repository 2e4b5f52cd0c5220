"""The panel's lists: saved views."""

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # CREATE INDEX is not translated
    _make_saved_view(district)
    _index_what_waits(district)


def _make_saved_view(district: str) -> None:
    op.create_table(
        "saved_view",
        sa.Column("view_id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 40 AND length(query) <= 2000", name=op.f("ck_saved_view_short")),
        sa.PrimaryKeyConstraint("view_id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("login", "page", "name", name=op.f("uq_saved_view_login_page_name")),
        schema="district",
    )
    op.create_index("ix_saved_view_organisation", "saved_view", ["organisation", "page"], schema=district)


def _index_what_waits(district: str) -> None:
    waits, still = sa.text("state = 'waiting'"), sa.text("state = 'open'")
    unsettled = sa.text("state <> 'merged' AND state <> 'refused'")
    for name, table, columns, where in (
        ("ix_held_row_open", "held_row", ["organisation", "record_type", "held_at"], waits),
        (
            "ix_comparison_item_waiting",
            "comparison_item",
            ["organisation", "opened_at", "item_id", "check_code"],
            still,
        ),
        ("ix_submission_unsettled", "submission", ["state", "organisation", "received_at"], unsettled),
    ):
        op.create_index(name, table, columns, schema=district, postgresql_where=where)
