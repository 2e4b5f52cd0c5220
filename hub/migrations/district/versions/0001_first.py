"""Areas, submissions, people, the feed and the audit of one district."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "area",
        sa.Column("area_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("successor_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("kind IN ('district','town','village')", name=op.f("ck_area_kind_known")),
        sa.PrimaryKeyConstraint("area_id", name=op.f("pk_area")),
        schema="district",
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="done", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint("outcome IN ('done','refused','failed')", name=op.f("ck_audit_outcome_known")),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        schema="district",
    )
    op.create_index("ix_audit_actor", "audit", ["actor", "at"], unique=False, schema="district")
    op.create_index("ix_audit_at", "audit", ["at"], unique=False, schema="district")
    op.create_table(
        "audit_seal",
        sa.Column("seal_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("audit_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seal_no", name=op.f("pk_audit_seal")),
        schema="district",
    )
    op.create_table(
        "change_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("changed_fields", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("areas_before", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("areas_after", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_change_log")),
        schema="district",
    )
    op.create_table(
        "delivery",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("page_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.Column("to_seq", sa.BigInteger(), nullable=False),
        sa.Column("first_delivery_no", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_digest", sa.Text(), nullable=True),
        sa.Column("mismatch", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "epoch", "page_no", name=op.f("pk_delivery")),
        schema="district",
    )
    op.create_index(
        "ix_delivery_from", "delivery", ["subscription_id", "epoch", "from_seq"], unique=False, schema="district"
    )
    op.create_table(
        "difference",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("record_key", sa.Text(), nullable=True),
        sa.Column("people", postgresql.ARRAY(sa.Uuid()), nullable=True),
        sa.Column("changed_fields", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("areas_before", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("areas_after", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("content_digest", sa.LargeBinary(), nullable=True),
        sa.Column("moves", sa.Boolean(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("submission_id", "row_no", name=op.f("pk_difference")),
        schema="district",
    )
    op.create_table(
        "feed_batch",
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.Column("to_seq", sa.BigInteger(), nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch", name=op.f("pk_feed_batch")),
        schema="district",
    )
    op.create_index("ix_feed_batch_recorded_at", "feed_batch", ["recorded_at"], unique=False, schema="district")
    op.create_index("ix_feed_batch_submission", "feed_batch", ["submission_id"], unique=False, schema="district")
    op.create_table(
        "feed_head",
        sa.Column("district", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("epoch_start", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_batch", sa.BigInteger(), nullable=False),
        sa.Column("last_link", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("district", name=op.f("pk_feed_head")),
        schema="district",
    )
    op.create_table(
        "idempotency_key",
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "key", name=op.f("pk_idempotency_key")),
        schema="district",
    )
    op.create_table(
        "operation",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_operation")),
        schema="district",
    )
    op.create_table(
        "person",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("home_area", sa.Integer(), nullable=True),
        sa.Column("home_since", sa.Date(), nullable=True),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person")),
        schema="district",
    )
    op.create_table(
        "person_identifier",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("submission_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_person_identifier")),
        schema="district",
    )
    op.create_table(
        "row_error",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("error_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sheet", sa.Text(), nullable=True),
        sa.Column("sheet_row", sa.Integer(), nullable=False),
        sa.Column("column_letter", sa.Text(), server_default="", nullable=False),
        sa.Column("header", sa.Text(), server_default="", nullable=False),
        sa.Column("field", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint("level IN ('error','hold','warning','note')", name=op.f("ck_row_error_level_known")),
        sa.PrimaryKeyConstraint("submission_id", "row_no", "error_no", name=op.f("pk_row_error")),
        schema="district",
    )
    op.create_table(
        "submission",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("receipt_number", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="regular", nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("stored_as", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("refusal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("received", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "state <> 'merged' OR received = accepted + unchanged + held + refused",
            name=op.f("ck_submission_counts_balance"),
        ),
        sa.CheckConstraint(
            "state IN ('received','checked','previewed','merged','refused','failed')",
            name=op.f("ck_submission_state_known"),
        ),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("pk_submission")),
        sa.UniqueConstraint("receipt_number", name=op.f("uq_submission_receipt_number")),
        schema="district",
    )
    op.create_index(
        "ix_submission_month", "submission", ["period", "organisation", "record_type"], unique=False, schema="district"
    )
    op.create_index(
        "ix_submission_operation", "submission", ["organisation", "operation_id"], unique=True, schema="district"
    )
    op.create_index("ix_submission_received_at", "submission", ["received_at"], unique=False, schema="district")
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default="1", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("start_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('active','suspended','ended')", name=op.f("ck_subscription_state_known")),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("pk_subscription")),
        sa.UniqueConstraint("code", name=op.f("uq_subscription_code")),
        schema="district",
    )
    op.create_table(
        "subscription_version",
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("catalogue_no", sa.Text(), server_default="", nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "version", name=op.f("pk_subscription_version")),
        schema="district",
    )
    op.create_table(
        "area_version",
        sa.Column("area_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="import", nullable=False),
        sa.ForeignKeyConstraint(["area_id"], ["district.area.area_id"], name=op.f("fk_area_version_area_id")),
        sa.PrimaryKeyConstraint("area_id", "version", name=op.f("pk_area_version")),
        schema="district",
    )
    op.create_index(op.f("ix_area_version_code"), "area_version", ["code"], unique=False, schema="district")
