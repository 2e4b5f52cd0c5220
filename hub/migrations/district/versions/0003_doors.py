"""Submissions may wait for a person, belong to a thread, or undo another; evidence of the SFTP door; channels."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATES = "state IN ('received','asking','checked','braked','previewed','merged','refused','failed')"


def upgrade() -> None:
    district = context.config.attributes["district"]  # ALTER TABLE and CREATE INDEX are not translated
    _widen_submission(district)
    _make_waiting_tables()
    _make_channel_tables()
    op.create_index("ix_sftp_event_organisation", "sftp_event", ["organisation", "at"], schema=district)
    op.create_index("ix_sftp_event_session", "sftp_event", ["session_id", "at"], schema=district)


def _widen_submission(district: str) -> None:
    for column in (
        sa.Column("thread_id", sa.Uuid(), nullable=True),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("waiting", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
    ):
        op.add_column("submission", column, schema=district)
    op.drop_constraint(op.f("ck_submission_state_known"), "submission", schema=district)
    op.create_check_constraint(op.f("ck_submission_state_known"), "submission", _STATES, schema=district)
    threads, undone = sa.text("thread_id IS NOT NULL"), sa.text("undoes IS NOT NULL AND state <> 'refused'")
    op.create_index("ix_submission_thread", "submission", ["thread_id"], schema=district, postgresql_where=threads)
    op.create_index(
        "ix_submission_undoes", "submission", ["undoes"], unique=True, schema=district, postgresql_where=undone
    )


def _make_waiting_tables() -> None:
    op.create_table(
        "effect_sample",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("sample_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("sheet_row", sa.Integer(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("submission_id", "outcome", "sample_no", name=op.f("pk_effect_sample")),
        schema="district",
    )
    op.create_table(
        "header_choice",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "record_type", "header", name=op.f("pk_header_choice")),
        schema="district",
    )


def _make_channel_tables() -> None:
    op.create_table(
        "sftp_event",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="done", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_sftp_event")),
        schema="district",
    )
    op.create_table(
        "channel_state",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("last_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_succeeded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("alarmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_channel_state")),
        schema="district",
    )
    op.create_table(
        "channel_item",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("receipt", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", "item", name=op.f("pk_channel_item")),
        schema="district",
    )
