"""The panel's lists: saved views; quality figures are kept."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # CREATE INDEX is not translated
    _make_saved_view(district)
    _make_quality_figures()
    _index_what_waits(district)
    _index_what_is_counted(district)


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


def _make_quality_figures() -> None:
    op.create_table(
        "quality_head",
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("district", name=op.f("pk_quality_head")),
        schema="district",
    )
    counts = ("received", "wrong", "records", "empty", "empty_today", "dated", "late", "judged", "contradicted")
    op.create_table(
        "quality_figure",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("month", "record_type", "organisation")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.Column("behind", JSONB(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("month", "record_type", "organisation", name=op.f("pk_quality_figure")),
        schema="district",
    )


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


def _index_what_is_counted(district: str) -> None:
    told = ["submission_id", "thread_id", "kind", "state", "dry_run", "received", "refused", "received_at"]
    op.drop_index("ix_submission_month", "submission", schema=district)
    month = ["period", "organisation", "record_type"]
    op.create_index("ix_submission_month", "submission", month, schema=district, postgresql_include=told)
    op.drop_index("ix_feed_batch_recorded_at", "feed_batch", schema=district)
    op.create_index(
        "ix_feed_batch_recorded_at",
        "feed_batch",
        ["recorded_at"],
        schema=district,
        postgresql_include=["from_seq", "to_seq"],
    )
    tally = ["round_id", "town", "village", "state", "result", "due_on", "answered_at"]
    op.create_index("ix_round_item_tally", "round_item", tally, schema=district)
    still = sa.text("state = 'open'")
    newest = ["opened_at", "item_id"]
    op.create_index("ix_comparison_item_newest", "comparison_item", newest, schema=district, postgresql_where=still)
