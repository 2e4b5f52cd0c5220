"""Second factors, requests that wait for a second person, locked addresses, machines' certificates and tokens."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ADMINISTRATORS = "ARRAY['system_administrator','security_administrator','auditor']"


def upgrade() -> None:
    _widen_accounts()
    _create_tables()
    _widen_keys()
    _widen_sessions()


def _widen_accounts() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("password_set_at", _MOMENT, nullable=True),
        sa.Column("first_password_until", _MOMENT, nullable=True),
        sa.Column("password_history", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("totp_confirmed_at", _MOMENT, nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=True),
        sa.Column("recovery_digests", postgresql.ARRAY(sa.LargeBinary()), server_default="{}", nullable=False),
        sa.Column("last_signed_in_at", _MOMENT, nullable=True),
        sa.Column("last_signed_in_from", sa.Text(), server_default="", nullable=False),
        sa.Column("previous_signed_in_at", _MOMENT, nullable=True),
        sa.Column("previous_signed_in_from", sa.Text(), server_default="", nullable=False),
    )
    for column in columns:
        op.add_column("account", column, schema="admin")
    op.create_check_constraint(
        op.f("ck_account_administrators_exclusive"),
        "account",
        f"NOT roles && {_ADMINISTRATORS} OR cardinality(roles) = 1",
        schema="admin",
    )


def _create_tables() -> None:
    op.create_table(
        "access_request",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", _MOMENT, nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting','confirmed','refused','withdrawn')", name=op.f("ck_access_request_state_known")
        ),
        sa.CheckConstraint(
            "state IN ('waiting','withdrawn') OR decided_by <> asked_by", name=op.f("ck_access_request_second_person")
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_access_request")),
        schema="admin",
    )
    op.create_index("ix_access_request_state", "access_request", ["state", "asked_at"], schema="admin")
    op.create_table(
        "sign_in_address",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("failed_attempts", sa.Integer(), nullable=False),
        sa.Column("locked_until", _MOMENT, nullable=True),
        sa.Column("last_failed_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_sign_in_address")),
        schema="admin",
    )
    op.create_table(
        "access_token",
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_access_token")),
        schema="admin",
    )
    op.create_index("ix_access_token_expires_at", "access_token", ["expires_at"], schema="admin")


def _widen_keys() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("kind", sa.Text(), server_default="secret", nullable=False),
        sa.Column("public_text", sa.Text(), server_default="", nullable=False),
        sa.Column("allowed_addresses", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("last_used_at", _MOMENT, nullable=True),
    )
    for column in columns:
        op.add_column("api_key", column, schema="admin")
    op.create_check_constraint(
        op.f("ck_api_key_kind_known"), "api_key", "kind IN ('secret','certificate','ssh')", schema="admin"
    )
    op.create_index("ix_api_key_secret_digest", "api_key", ["secret_digest"], schema="admin")


def _widen_sessions() -> None:
    """Every session of before ends: it has no number its owner could see it by."""
    op.execute("DELETE FROM admin.web_session")
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("browser", sa.Text(), server_default="", nullable=False),
        sa.Column("level", sa.Text(), server_default="full", nullable=False),
    )
    for column in columns:
        op.add_column("web_session", column, schema="admin")
    op.create_unique_constraint(op.f("uq_web_session_session_id"), "web_session", ["session_id"], schema="admin")
    op.create_check_constraint(
        op.f("ck_web_session_level_known"), "web_session", "level IN ('password','full')", schema="admin"
    )
