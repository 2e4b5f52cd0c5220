"""What was sent and what became of it: the ledger, its row errors, the operations already done."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from hub.tables.base import DISTRICT, metadata

submission = Table(
    "submission",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("receipt_number", Text, nullable=False, unique=True),
    Column("operation_id", Text, nullable=False),  # sha256 of sender+type+period+bytes, or what a client chose
    Column("organisation", Text, nullable=False),
    Column("record_type", Text, nullable=False),
    Column("period", Text),  # YYYY-MM
    Column("kind", Text, nullable=False, server_default="regular"),  # regular nil backfill undo release system
    Column("door", Text, nullable=False),  # upload folder sftp api command system
    Column("actor", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("stored_as", Text, nullable=False),  # path below the home's files folder, made by the server
    Column("dry_run", Boolean, nullable=False, server_default="false"),
    Column("state", Text, nullable=False),  # received asking checked braked previewed merged refused failed
    Column("refusal", JSONB),  # the file-level error when state = refused: {code, params}
    Column("received", Integer, nullable=False, server_default="0"),
    Column("accepted", Integer, nullable=False, server_default="0"),
    Column("unchanged", Integer, nullable=False, server_default="0"),
    Column("held", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("facts", JSONB, nullable=False, server_default="{}"),  # sheets, effect, dropped columns, skipped rows
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("checked_at", DateTime(timezone=True)),
    Column("merged_at", DateTime(timezone=True)),
    Column("receipt", JSONB),  # the signed receipt, final once merged or refused
    Column("thread_id", Uuid),  # the first submission of the workbook that went back and forth; NULL: it began here
    Column("undoes", Uuid),  # kind undo: the submission whose effect is taken back
    Column("waiting", JSONB),  # asking: headers and suggestions; braked: what is unusual about the effect
    Column("released_by", Text),  # the second person who let an unusual effect happen
    CheckConstraint(
        "state IN ('received','asking','checked','braked','previewed','merged','refused','failed')", name="state_known"
    ),
    CheckConstraint("state <> 'merged' OR received = accepted + unchanged + held + refused", name="counts_balance"),
    Index("ix_submission_operation", "organisation", "operation_id", unique=True),
    Index(  # a month is told without a look at the rows, which are wide
        "ix_submission_month",
        "period",
        "organisation",
        "record_type",
        postgresql_include=[
            "submission_id",
            "thread_id",
            "kind",
            "state",
            "dry_run",
            "received",
            "refused",
            "received_at",
        ],
    ),
    Index("ix_submission_received_at", "received_at"),
    Index(  # the few that wait or failed
        "ix_submission_unsettled",
        "state",
        "organisation",
        "received_at",
        postgresql_where=text("state <> 'merged' AND state <> 'refused'"),
    ),
    Index("ix_submission_thread", "thread_id", postgresql_where=text("thread_id IS NOT NULL")),
    Index(
        "ix_submission_undoes",
        "undoes",
        unique=True,
        postgresql_where=text("undoes IS NOT NULL AND state <> 'refused'"),
    ),
    schema=DISTRICT,
)

row_error = Table(
    "row_error",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True, autoincrement=False),
    Column("error_no", Integer, primary_key=True, autoincrement=False),
    Column("sheet", Text),
    Column("sheet_row", Integer, nullable=False),  # the sheet's own row number
    Column("column_letter", Text, nullable=False, server_default=""),
    Column("header", Text, nullable=False, server_default=""),
    Column("field", Text, nullable=False, server_default=""),
    Column("code", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("value", Text),  # as sent; NULL for clinical fields, always
    Column("params", JSONB, nullable=False, server_default="{}"),
    CheckConstraint("level IN ('error','hold','warning','note')", name="level_known"),
    schema=DISTRICT,
)

operation = Table(
    "operation",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("submission_id", Uuid, nullable=False),
    Column("done_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_sha256", Text, nullable=False),
    Column("submission_id", Uuid, nullable=False),
    Column("used_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

# Rows of a preview or of an unusual effect, old and new side by side; plain fields only. Gone once it is decided.
effect_sample = Table(
    "effect_sample",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("outcome", Text, primary_key=True),  # new update void restore unchanged hold
    Column("sample_no", Integer, primary_key=True, autoincrement=False),
    Column("row_no", Integer, nullable=False),
    Column("sheet_row", Integer, nullable=False),
    Column("before", JSONB),  # NULL: not known before
    Column("after", JSONB),
    schema=DISTRICT,
)

# What a person said a header means that no mapping knows; asked once, then remembered for the organisation.
header_choice = Table(
    "header_choice",
    metadata,
    Column("organisation", Text, primary_key=True),
    Column("record_type", Text, primary_key=True),
    Column("header", Text, primary_key=True),  # normalised
    Column("shown", Text, nullable=False),  # as it stood in the file
    Column("field", Text, nullable=False),  # "" = not to be taken
    Column("confirmed_by", Text, nullable=False),
    Column("confirmed_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)
