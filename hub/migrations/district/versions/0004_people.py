"""Persons are merged, split, corrected and erased; what is known of them; who and what waits for a person's judgement."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # ALTER TABLE and CREATE INDEX are not translated
    _widen_persons(district)
    _make_person_decision(district)
    _make_person_profile(district)
    _make_feed_reader(district)
    _make_person_pair(district)
    _make_held_row(district)
    _make_held_candidate(district)
    _make_comparison_item(district)
    _make_verification(district)
    _make_person_search(district)
    _make_erasure(district)
    _make_erased_version()


def _widen_persons(district: str) -> None:
    op.add_column("person", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True), schema=district)
    op.add_column("person_identifier", sa.Column("replaced_by", sa.Text(), nullable=True), schema=district)
    op.create_index("ix_person_identifier_person", "person_identifier", ["person_id"], schema=district)
    op.create_index(
        "ix_person_identifier_replaced",
        "person_identifier",
        ["value"],
        schema=district,
        postgresql_where=sa.text("replaced_by IS NOT NULL"),
    )


def _make_person_decision(district: str) -> None:
    op.create_table(
        "person_decision",
        sa.Column("decision_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=True),
        sa.Column("id_no", sa.Text(), nullable=True),
        sa.Column("identifiers", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("refusal", sa.Text(), server_default="", nullable=False),
        sa.Column("moved", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("kind IN ('merge','split','apart','undo')", name=op.f("ck_person_decision_kind_known")),
        sa.CheckConstraint("state IN ('asked','done','refused','undone')", name=op.f("ck_person_decision_state_known")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_person_decision")),
        schema="district",
    )
    op.create_index("ix_person_decision_other", "person_decision", ["other_id"], unique=False, schema=district)
    op.create_index("ix_person_decision_person", "person_decision", ["person_id"], unique=False, schema=district)


def _make_person_profile(district: str) -> None:
    op.create_table(
        "person_profile",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("name_key", sa.Text(collation="C"), nullable=True),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("id_no", sa.Text(), nullable=True),
        sa.Column("home_area", sa.Integer(), nullable=True),
        sa.Column("died_on", sa.Date(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("disagreeing", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("derived_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person_profile")),
        schema="district",
    )
    op.create_index(
        "ix_person_profile_birth", "person_profile", ["birth_date", "name_key"], unique=False, schema=district
    )
    op.create_index(
        "ix_person_profile_name", "person_profile", ["name_key", "home_area"], unique=False, schema=district
    )


def _make_feed_reader(district: str) -> None:
    op.create_table(
        "feed_reader",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_reader")),
        schema="district",
    )


def _make_person_pair(district: str) -> None:
    op.create_table(
        "person_pair",
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), server_default="", nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_by", sa.Text(), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("state IN ('open','same','apart','gone')", name=op.f("ck_person_pair_state_known")),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_person_pair")),
        schema="district",
    )
    op.create_index(
        "ix_person_pair_open",
        "person_pair",
        ["organisation"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_person_pair_second", "person_pair", ["second_id"], unique=False, schema=district)


def _make_held_row(district: str) -> None:
    op.create_table(
        "held_row",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("sheet_row", sa.Integer(), nullable=False),
        sa.Column("codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("release_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting','released','refused','returned')", name=op.f("ck_held_row_state_known")
        ),
        sa.PrimaryKeyConstraint("submission_id", "row_no", name=op.f("pk_held_row")),
        schema="district",
    )
    op.create_index(
        "ix_held_row_waiting",
        "held_row",
        ["organisation", "held_at"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'waiting'"),
    )


def _make_held_candidate(district: str) -> None:
    op.create_table(
        "held_candidate",
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("submission_id", "row_no", "role", "person_id", name=op.f("pk_held_candidate")),
        schema="district",
    )


def _make_comparison_item(district: str) -> None:
    op.create_table(
        "comparison_item",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("check_code", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("sides", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("areas", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), server_default="", nullable=False),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("state IN ('open','closed','gone')", name=op.f("ck_comparison_item_state_known")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_comparison_item")),
        schema="district",
    )
    op.create_index(
        "ix_comparison_item_open",
        "comparison_item",
        ["organisation", "check_code"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_comparison_item_person", "comparison_item", ["person_id"], unique=False, schema=district)
    op.create_index(
        "ix_comparison_item_subject", "comparison_item", ["check_code", "subject"], unique=True, schema=district
    )


def _make_verification(district: str) -> None:
    op.create_table(
        "verification",
        sa.Column("verification_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("match", sa.Integer(), nullable=False),
        sa.Column("mismatch", sa.Integer(), nullable=False),
        sa.Column("not_found", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("verification_id", name=op.f("pk_verification")),
        schema="district",
    )
    op.create_index("ix_verification_day", "verification", ["organisation", "asked_at"], unique=False, schema=district)


def _make_person_search(district: str) -> None:
    op.create_table(
        "person_search",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("searches", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_person_search")),
        schema=district,
    )


def _make_erasure(district: str) -> None:
    op.create_table(
        "erasure",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", name=op.f("pk_erasure")),
        schema="district",
    )
    op.create_index("ix_erasure_person", "erasure", ["person_id"], unique=False, schema=district)


def _make_erased_version() -> None:
    op.create_table(
        "erased_version",
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("areas", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("met", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "version", name=op.f("pk_erased_version")),
        schema="district",
    )
