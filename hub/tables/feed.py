"""The numbered change log, the staged difference before it, and what was delivered from it (design: change feed)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hub.tables.base import DISTRICT, metadata

feed_head = Table(
    "feed_head",
    metadata,
    Column("district", Text, primary_key=True),
    Column("epoch", Text, nullable=False),  # new after every restore
    Column("epoch_start", BigInteger, nullable=False),  # last_seq when the epoch began
    Column("last_seq", BigInteger, nullable=False),
    Column("last_batch", BigInteger, nullable=False),
    Column("last_link", LargeBinary, nullable=False),
    schema=DISTRICT,
)

feed_batch = Table(
    "feed_batch",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("from_seq", BigInteger, nullable=False),
    Column("to_seq", BigInteger, nullable=False),
    Column("submission_id", Uuid, nullable=False),
    Column("content", LargeBinary, nullable=False),  # digest over the versions' keyed digests
    Column("link", LargeBinary, nullable=False),  # sha256(previous link, content, range)
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("ix_feed_batch_submission", "submission_id"),  # a submission's changes are the batch's range
    # where a month lies in the log is told without a look at the batches
    Index("ix_feed_batch_recorded_at", "recorded_at", postgresql_include=["from_seq", "to_seq"]),
    schema=DISTRICT,
)

change_log = Table(
    "change_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False),
    Column("record_type", Text, nullable=False),
    Column("record_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("op", Text, nullable=False),  # new update void restore reroute relink dispute settle
    Column("changed_fields", ARRAY(Text)),  # NULL for new, void, restore: all of them
    Column("areas_before", ARRAY(Integer)),
    Column("areas_after", ARRAY(Integer)),
    Column("submission_id", Uuid, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Index("ix_change_log_record", "record_id"),  # what happened to one record: the disclosure ledger
    schema=DISTRICT,
)

difference = Table(
    "difference",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True, autoincrement=False),  # < 0: a record re-routed, not a row sent
    Column("record_type", Text, nullable=False),
    Column("outcome", Text, nullable=False),  # an op of the log; unchanged hold refuse
    Column("record_id", Uuid),
    Column("version", Integer),
    Column("record_key", Text),
    Column("people", ARRAY(Uuid)),  # in the order of the type's roles; NULL elements where absent
    Column("changed_fields", ARRAY(Text)),
    Column("areas_before", ARRAY(Integer)),
    Column("areas_after", ARRAY(Integer)),
    Column("content_digest", LargeBinary),
    Column("moves", Boolean),  # the row places somebody elsewhere, or later, than known so far
    Column("finding", Text),  # code of the row error this comparison gives, if any
    schema=DISTRICT,
)

subscription = Table(
    "subscription",
    metadata,
    Column("subscription_id", Uuid, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("organisation", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("state", Text, nullable=False),  # active suspended ended
    Column("epoch", Integer, nullable=False, server_default="1"),  # new when its rights change
    Column("version", Integer, nullable=False, server_default="1"),
    Column("start_seq", BigInteger, nullable=False, server_default="0"),
    Column("providers", ARRAY(Text), nullable=False, server_default="{}"),  # organisations whose record types it names
    Column("freshness_hours", Integer),  # how old the newest fetch may be; NULL: no target
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('active','suspended','ended')", name="state_known"),
    schema=DISTRICT,
)

subscription_version = Table(
    "subscription_version",
    metadata,
    Column("subscription_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("definition", JSONB, nullable=False),  # hub.registry.slice_definition.SliceDefinition
    Column("purpose", Text, nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("catalogue_no", Text, nullable=False, server_default=""),
    Column("expires_on", Date),
    Column("scope", Text, nullable=False, server_default=""),  # within what bounds it is used
    Column("mode", Text, nullable=False, server_default="interface"),  # interface exchange download
    Column("request_id", Uuid),  # the request it was approved by
    Column("created_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

delivery = Table(
    "delivery",
    metadata,
    Column("subscription_id", Uuid, primary_key=True),
    Column("epoch", Text, primary_key=True),  # feed epoch . subscription epoch
    Column("page_no", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # page snapshot
    Column("definition_version", Integer, nullable=False),
    Column("from_seq", BigInteger, nullable=False),  # exclusive
    Column("to_seq", BigInteger, nullable=False),  # inclusive
    Column("first_delivery_no", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("delivered_at", DateTime(timezone=True), nullable=False),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("acknowledged_digest", Text),
    Column("mismatch", Boolean, nullable=False, server_default="false"),
    Column("fetched_at", DateTime(timezone=True)),  # the reader came back with the cursor behind it, or acknowledged
    Column("fetched_by", Text),
    Index("ix_delivery_from", "subscription_id", "epoch", "from_seq"),
    Index("ix_delivery_unacknowledged", "delivered_at", postgresql_where=text("acknowledged_at IS NULL AND count > 0")),
    Index("ix_delivery_unfetched", "subscription_id", "epoch", "to_seq", postgresql_where=text("fetched_at IS NULL")),
    schema=DISTRICT,
)
