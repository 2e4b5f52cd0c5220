"""Slices with a licence: the data catalogue, requests, exports, certificates, comparisons of copies, alarms."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # ALTER TABLE and CREATE INDEX are not translated
    _extend_subscriptions(district)
    _make_catalogue_entry(district)
    _make_catalogue_version(district)
    _make_licence_request(district)
    _make_licence_answer(district)
    _make_subscription_event(district)
    _make_slice_export(district)
    _make_certificate(district)
    _make_copy_check(district)
    _make_freshness_alarm(district)


def _extend_subscriptions(district: str) -> None:
    op.add_column(
        "subscription",
        sa.Column("providers", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        schema=district,
    )
    op.add_column("subscription", sa.Column("freshness_hours", sa.Integer(), nullable=True), schema=district)
    op.add_column(
        "subscription_version", sa.Column("scope", sa.Text(), server_default="", nullable=False), schema=district
    )
    op.add_column(
        "subscription_version",
        sa.Column("mode", sa.Text(), server_default="interface", nullable=False),
        schema=district,
    )
    op.add_column("subscription_version", sa.Column("request_id", sa.Uuid(), nullable=True), schema=district)
    op.add_column("delivery", sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True), schema=district)
    op.add_column("delivery", sa.Column("fetched_by", sa.Text(), nullable=True), schema=district)
    op.create_index(
        "ix_delivery_unacknowledged", "delivery", ["delivered_at"], schema=district,
        postgresql_where=sa.text("acknowledged_at IS NULL AND count > 0"),
    )  # fmt: skip
    op.create_index(
        "ix_delivery_unfetched", "delivery", ["subscription_id", "epoch", "to_seq"], schema=district,
        postgresql_where=sa.text("fetched_at IS NULL"),
    )  # fmt: skip
    op.create_index("ix_change_log_record", "change_log", ["record_id"], schema=district)
    op.create_index(
        "ix_audit_look", "audit", ["object"], schema=district,
        postgresql_where=sa.text("act IN ('read-person', 'judge-person', 'work-comparison', 'unmask')"),
    )  # fmt: skip


def _make_catalogue_entry(district: str) -> None:
    op.create_table(
        "catalogue_entry",
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("catalogue_no", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("record_type", name=op.f("pk_catalogue_entry")),
        sa.UniqueConstraint("catalogue_no", name=op.f("uq_catalogue_entry_catalogue_no")),
        schema="district",
    )


def _make_catalogue_version(district: str) -> None:
    op.create_table(
        "catalogue_version",
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("caused_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("extended_on", sa.Date(), nullable=True),
        sa.Column("extension_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_by", sa.Text(), nullable=True),
        sa.Column("review_due_on", sa.Date(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "state IN ('due','draft','submitted','returned','published','replaced','withdrawn')",
            name=op.f("ck_catalogue_version_state_known"),
        ),
        sa.PrimaryKeyConstraint("record_type", "version", name=op.f("pk_catalogue_version")),
        schema="district",
    )
    op.create_index(
        "ix_catalogue_version_open",
        "catalogue_version",
        ["due_on"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state IN ('due','draft','submitted','returned')"),
    )


def _make_licence_request(district: str) -> None:
    op.create_table(
        "licence_request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("request_no", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subscription_code", sa.Text(), nullable=False),
        sa.Column("wanted", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("providers", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("missing", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deliver_by", sa.Date(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("level", sa.Integer(), server_default="0", nullable=False),
        sa.Column("level_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("kind IN ('new','change','renew')", name=op.f("ck_licence_request_kind_known")),
        sa.CheckConstraint(
            "state IN ('draft','incomplete','submitted','approved','refused','withdrawn')",
            name=op.f("ck_licence_request_state_known"),
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_licence_request")),
        sa.UniqueConstraint("request_no", name=op.f("uq_licence_request_request_no")),
        schema="district",
    )
    op.create_index(
        "ix_licence_request_open",
        "licence_request",
        ["submitted_at"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'submitted'"),
    )
    op.create_index(
        "ix_licence_request_organisation",
        "licence_request",
        ["organisation", "asked_at"],
        unique=False,
        schema=district,
    )


def _make_licence_answer(district: str) -> None:
    op.create_table(
        "licence_answer",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("record_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sharing", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reply_by", sa.Date(), nullable=False),
        sa.Column("extension_days", sa.Integer(), server_default="0", nullable=False),
        sa.Column("extension_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("extension_by", sa.Text(), nullable=True),
        sa.Column("reminded_on", sa.Date(), nullable=True),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consented_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting','approved','refused')", name=op.f("ck_licence_answer_state_known")),
        sa.PrimaryKeyConstraint("request_id", "provider", name=op.f("pk_licence_answer")),
        schema="district",
    )


def _make_subscription_event(district: str) -> None:
    op.create_table(
        "subscription_event",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_subscription_event")),
        schema="district",
    )
    op.create_index(
        "ix_subscription_event_subscription",
        "subscription_event",
        ["subscription_id", "at"],
        unique=False,
        schema=district,
    )


def _make_slice_export(district: str) -> None:
    op.create_table(
        "slice_export",
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("export_no", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False),
        sa.Column("to_seq", sa.BigInteger(), nullable=False),
        sa.Column("areas", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("record_types", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("form IN ('xlsx','csv','ndjson')", name=op.f("ck_slice_export_form_known")),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_slice_export")),
        sa.UniqueConstraint("export_no", name=op.f("uq_slice_export_export_no")),
        schema="district",
    )
    op.create_index(
        "ix_slice_export_subscription", "slice_export", ["subscription_id", "made_at"], unique=False, schema=district
    )


def _make_certificate(district: str) -> None:
    op.create_table(
        "certificate",
        sa.Column("certificate_no", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("fetched", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_no", name=op.f("pk_certificate")),
        schema="district",
    )
    op.create_index(
        "ix_certificate_subscription", "certificate", ["subscription_id", "issued_at"], unique=False, schema=district
    )


def _make_copy_check(district: str) -> None:
    op.create_table(
        "copy_check",
        sa.Column("check_id", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("definition_version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("surplus", sa.Integer(), server_default="0", nullable=False),
        sa.Column("different", sa.Integer(), server_default="0", nullable=False),
        sa.Column("repaired", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("finished", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("check_id", name=op.f("pk_copy_check")),
        schema="district",
    )
    op.create_index(
        "ix_copy_check_subscription", "copy_check", ["subscription_id", "begun_at"], unique=False, schema=district
    )


def _make_freshness_alarm(district: str) -> None:
    op.create_table(
        "freshness_alarm",
        sa.Column("alarm_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('slice','backlog','source','channel','correction')", name=op.f("ck_freshness_alarm_kind_known")
        ),
        sa.PrimaryKeyConstraint("alarm_id", name=op.f("pk_freshness_alarm")),
        sa.UniqueConstraint("kind", "about", "opened_at", name="uq_freshness_alarm_once"),
        schema="district",
    )
    op.create_index(
        "ix_freshness_alarm_open",
        "freshness_alarm",
        ["kind", "about"],
        unique=True,
        schema=district,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
