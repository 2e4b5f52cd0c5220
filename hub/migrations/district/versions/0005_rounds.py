"""The month with the towns: rounds and their lines, challenges to a source, rolls, the month's account, notices."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # ALTER TABLE and CREATE INDEX are not translated
    _make_monthly_round(district)
    _make_round_town(district)
    _make_round_item(district)
    _make_round_change(district)
    _make_challenge(district)
    _make_roll_check(district)
    _make_roll_item(district)
    _make_balance_month(district)
    _make_balance(district)
    _make_balance_movement(district)
    _make_resident_stock(district)
    _make_balance_joined(district)
    _make_notice(district)
    _make_notice_sending(district)
    _make_contact(district)
    op.create_index(
        "ix_person_profile_disagreeing", "person_profile", ["person_id"], schema=district,
        postgresql_where=sa.text("disagreeing <> '{}'"),
    )  # fmt: skip


def _make_monthly_round(district: str) -> None:
    op.create_table(
        "monthly_round",
        sa.Column("round_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("after_seq", sa.BigInteger(), nullable=False),
        sa.Column("up_to_seq", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open','closed')", name=op.f("ck_monthly_round_state_known")),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_monthly_round")),
        sa.UniqueConstraint("month", name=op.f("uq_monthly_round_month")),
        schema="district",
    )


def _make_round_town(district: str) -> None:
    op.create_table(
        "round_town",
        sa.Column("round_id", sa.Uuid(), nullable=False),
        sa.Column("town", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("downloaded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_return_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("late", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("round_id", "town", name=op.f("pk_round_town")),
        schema="district",
    )


def _make_round_item(district: str) -> None:
    op.create_table(
        "round_item",
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.Column("round_id", sa.Uuid(), nullable=False),
        sa.Column("town", sa.Integer(), nullable=False),
        sa.Column("village", sa.Integer(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("event_date", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("came", sa.Text(), server_default="change", nullable=False),
        sa.Column("came_from", sa.Uuid(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("answers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("sent_to", sa.Integer(), nullable=True),
        sa.CheckConstraint("came IN ('change','transfer','again')", name=op.f("ck_round_item_came_known")),
        sa.CheckConstraint("change IN ('enter','update','leave','void')", name=op.f("ck_round_item_change_known")),
        sa.CheckConstraint(
            "state IN ('open','answered','transferred','deferred')", name=op.f("ck_round_item_state_known")
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_round_item")),
        sa.UniqueConstraint("round_id", "town", "record_id", name="uq_round_item_record"),
        schema="district",
    )
    op.create_index("ix_round_item_number", "round_item", ["round_id", "town", "number"], unique=False, schema=district)
    op.create_index("ix_round_item_record", "round_item", ["record_id"], unique=False, schema=district)


def _make_round_change(district: str) -> None:
    op.create_table(
        "round_change",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("town", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("round_id", sa.Uuid(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("seq", "town", name=op.f("pk_round_change")),
        schema="district",
    )
    op.create_index("ix_round_change_item", "round_change", ["item_id"], unique=False, schema=district)


def _make_challenge(district: str) -> None:
    op.create_table(
        "challenge",
        sa.Column("challenge_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("field", sa.Text(), server_default="", nullable=False),
        sa.Column("claimed", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("raised_by", sa.Text(), nullable=False),
        sa.Column("raised_by_name", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("against", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.Column("answer_text", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("areas", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.Column("submission_id", sa.Uuid(), nullable=True),
        sa.Column("insisted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_version", sa.Integer(), nullable=True),
        sa.Column("settled_version", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "answer IN ('','corrected','voided','registered','stands')", name=op.f("ck_challenge_answer_known")
        ),
        sa.CheckConstraint(
            "kind IN ('value','untrue','nobody','elsewhere','unreported')", name=op.f("ck_challenge_kind_known")
        ),
        sa.CheckConstraint("state IN ('open','answered','closed','withdrawn')", name=op.f("ck_challenge_state_known")),
        sa.PrimaryKeyConstraint("challenge_id", name=op.f("pk_challenge")),
        schema="district",
    )
    op.create_index(
        "ix_challenge_against",
        "challenge",
        ["against", "due_on"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_challenge_item", "challenge", ["item_id"], unique=False, schema=district)
    op.create_index("ix_challenge_raised_by", "challenge", ["raised_by", "raised_at"], unique=False, schema=district)
    op.create_index("ix_challenge_record", "challenge", ["record_id"], unique=False, schema=district)


def _make_roll_check(district: str) -> None:
    op.create_table(
        "roll_check",
        sa.Column("roll_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("town", sa.Integer(), nullable=False),
        sa.Column("village", sa.Integer(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("stored_as", sa.Text(), server_default="", nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("refusal", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "state IN ('received','compared','refused','closed')", name=op.f("ck_roll_check_state_known")
        ),
        sa.PrimaryKeyConstraint("roll_id", name=op.f("pk_roll_check")),
        schema="district",
    )
    op.create_index(
        "ix_roll_check_organisation", "roll_check", ["organisation", "asked_at"], unique=False, schema=district
    )


def _make_roll_item(district: str) -> None:
    op.create_table(
        "roll_item",
        sa.Column("roll_id", sa.Uuid(), nullable=False),
        sa.Column("item_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("village", sa.Integer(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("sheet_row", sa.Integer(), nullable=True),
        sa.Column("told", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("decision", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submission_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("decision IN ('','roll','register','ask')", name=op.f("ck_roll_item_decision_known")),
        sa.CheckConstraint(
            "kind IN ('missing_here','missing_there','different','duplicated','unreadable')",
            name=op.f("ck_roll_item_kind_known"),
        ),
        sa.CheckConstraint("state IN ('open','decided')", name=op.f("ck_roll_item_state_known")),
        sa.PrimaryKeyConstraint("roll_id", "item_no", name=op.f("pk_roll_item")),
        schema="district",
    )
    op.create_index("ix_roll_item_kind", "roll_item", ["roll_id", "kind", "village"], unique=False, schema=district)


def _make_balance_month(district: str) -> None:
    op.create_table(
        "balance_month",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("up_to_seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('drawn','closed')", name=op.f("ck_balance_month_state_known")),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_balance_month")),
        schema="district",
    )


def _make_balance(district: str) -> None:
    op.create_table(
        "balance",
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("area", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("opening", sa.Integer(), server_default="0", nullable=False),
        sa.Column("births", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moved_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moved_out", sa.Integer(), server_default="0", nullable=False),
        sa.Column("corrected_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("corrected_out", sa.Integer(), server_default="0", nullable=False),
        sa.Column("adjusted_in", sa.Integer(), server_default="0", nullable=False),
        sa.Column("adjusted_out", sa.Integer(), server_default="0", nullable=False),
        sa.Column("excused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unexplained", sa.Integer(), server_default="0", nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", "area", name=op.f("pk_balance")),
        schema="district",
    )


def _make_balance_movement(district: str) -> None:
    op.create_table(
        "balance_movement",
        sa.Column("movement_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_area", sa.Integer(), nullable=True),
        sa.Column("to_area", sa.Integer(), nullable=True),
        sa.Column("of_month", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), server_default="", nullable=False),
        sa.Column("record_id", sa.Uuid(), nullable=True),
        sa.Column("event_date", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("excused_by", sa.Text(), nullable=True),
        sa.Column("excused_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('opening','birth','death','moved','correction','excused','unexplained')",
            name=op.f("ck_balance_movement_kind_known"),
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_balance_movement")),
        schema="district",
    )
    op.create_index("ix_balance_movement_month", "balance_movement", ["month", "kind"], unique=False, schema=district)
    op.create_index("ix_balance_movement_person", "balance_movement", ["person_id"], unique=False, schema=district)


def _make_resident_stock(district: str) -> None:
    op.create_table(
        "resident_stock",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("area", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_resident_stock")),
        schema="district",
    )


def _make_balance_joined(district: str) -> None:
    op.create_table(
        "balance_joined",
        sa.Column("area", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("joined_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("area", name=op.f("pk_balance_joined")),
        schema="district",
    )


def _make_notice(district: str) -> None:
    op.create_table(
        "notice",
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), server_default="0", nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notice")),
        sa.UniqueConstraint("organisation", "kind", "about", "level", name="uq_notice_once"),
        schema="district",
    )
    op.create_index(
        "ix_notice_unread",
        "notice",
        ["organisation", "made_at"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("read_at IS NULL"),
    )


def _make_notice_sending(district: str) -> None:
    op.create_table(
        "notice_sending",
        sa.Column("notice_id", sa.Uuid(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("state IN ('waiting','sent','failed')", name=op.f("ck_notice_sending_state_known")),
        sa.CheckConstraint("way IN ('mail','sms')", name=op.f("ck_notice_sending_way_known")),
        sa.PrimaryKeyConstraint("notice_id", "way", "address", name=op.f("pk_notice_sending")),
        schema="district",
    )
    op.create_index(
        "ix_notice_sending_waiting",
        "notice_sending",
        ["next_at"],
        unique=False,
        schema=district,
        postgresql_where=sa.text("state = 'waiting'"),
    )


def _make_contact(district: str) -> None:
    op.create_table(
        "contact",
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mail", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("contact_id", name=op.f("pk_contact")),
        schema="district",
    )
    op.create_index("ix_contact_organisation", "contact", ["organisation"], unique=False, schema=district)
