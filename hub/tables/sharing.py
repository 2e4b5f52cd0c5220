"""Slices with a licence: the data catalogue, requests and their answers, exports, certificates, comparisons, alarms."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hub.tables.base import DISTRICT, metadata

# One line per record type that can be shared: which version is published. Versions are never changed once published.
catalogue_entry = Table(
    "catalogue_entry",
    metadata,
    Column("record_type", Text, primary_key=True),
    Column("catalogue_no", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),  # organisation that answers requests for it
    Column("version", Integer, nullable=False, server_default="0"),  # published; 0: none yet
    Column("published_at", DateTime(timezone=True)),
    schema=DISTRICT,
)

catalogue_version = Table(
    "catalogue_version",
    metadata,
    Column("record_type", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),  # due draft submitted returned published replaced withdrawn
    Column("content", JSONB, nullable=False),  # hub.sharing.entry_content.EntryContent
    Column("cause", Text, nullable=False, server_default=""),  # what made the update necessary
    Column("caused_on", Date, nullable=False),
    Column("due_on", Date, nullable=False),  # 10 working days after caused_on
    Column("extended_on", Date),  # at most 5 working days more
    Column("extension_reason", Text, nullable=False, server_default=""),
    Column("submitted_at", DateTime(timezone=True)),
    Column("submitted_by", Text),
    Column("review_due_on", Date),  # 2 working days after it was submitted
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    Column("answer", Text, nullable=False, server_default=""),
    CheckConstraint(
        "state IN ('due','draft','submitted','returned','published','replaced','withdrawn')", name="state_known"
    ),
    Index("ix_catalogue_version_open", "due_on", postgresql_where=text("state IN ('due','draft','submitted','returned')")),
    schema=DISTRICT,
)  # fmt: skip

# What an organisation asks for, and how far it is. Each provider concerned answers for its own record types.
licence_request = Table(
    "licence_request",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("request_no", Text, nullable=False, unique=True),
    Column("organisation", Text, nullable=False),  # who asks
    Column("kind", Text, nullable=False),  # new change renew
    Column("subscription_code", Text, nullable=False),  # of a new one: the code it will have
    Column("wanted", JSONB, nullable=False),  # hub.sharing.licence.Wanted: definition and terms
    Column("providers", ARRAY(Text), nullable=False, server_default="{}"),
    Column("state", Text, nullable=False),  # draft incomplete submitted approved refused withdrawn
    Column("missing", ARRAY(Text), nullable=False, server_default="{}"),  # the one list of what is missing
    Column("asked_by", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("submitted_at", DateTime(timezone=True)),
    Column("decided_at", DateTime(timezone=True)),
    Column("deliver_by", Date),  # 20 working days after the approval
    Column("delivered_at", DateTime(timezone=True)),  # first delivery under it
    Column("level", Integer, nullable=False, server_default="0"),  # escalation: 0 none 1 bureau 2 superior 3 government
    Column("level_reason", Text, nullable=False, server_default=""),
    CheckConstraint("kind IN ('new','change','renew')", name="kind_known"),
    CheckConstraint(
        "state IN ('draft','incomplete','submitted','approved','refused','withdrawn')", name="state_known"
    ),
    Index("ix_licence_request_organisation", "organisation", "asked_at"),
    Index("ix_licence_request_open", "submitted_at", postgresql_where=text("state = 'submitted'")),
    schema=DISTRICT,
)  # fmt: skip

licence_answer = Table(
    "licence_answer",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("record_types", ARRAY(Text), nullable=False),
    Column("sharing", Text, nullable=False),  # the stricter of its record types: unconditional conditional
    Column("state", Text, nullable=False, server_default="waiting"),  # waiting approved refused
    Column("reply_by", Date, nullable=False),  # 1 or 10 working days
    Column("extension_days", Integer, nullable=False, server_default="0"),  # asked for, at most 10 working days
    Column("extension_reason", Text, nullable=False, server_default=""),
    Column("extension_by", Text),
    Column("reminded_on", Date),  # by the bureau
    Column("consented_at", DateTime(timezone=True)),  # the bureau's consent; reply_by is then the later day
    Column("consented_by", Text),
    Column("reason", Text, nullable=False, server_default=""),  # of a refusal, or conditions of an approval
    Column("answered_at", DateTime(timezone=True)),
    Column("answered_by", Text),
    CheckConstraint("state IN ('waiting','approved','refused')", name="state_known"),
    schema=DISTRICT,
)

# What happened to a subscription, and why: approved, suspended, resumed, ended, lapsed, renewed.
subscription_event = Table(
    "subscription_event",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_subscription_event_subscription", "subscription_id", "at"),
    schema=DISTRICT,
)

# A numbered file for people. One of the whole slice is no delivery: the feed goes on where it was.
slice_export = Table(
    "slice_export",
    metadata,
    Column("export_id", Uuid, primary_key=True),
    Column("export_no", Text, nullable=False, unique=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column("form", Text, nullable=False),  # xlsx csv ndjson
    Column(
        "whole", Boolean, nullable=False
    ),  # the slice as it stands at to_seq; else the changes of (from_seq, to_seq]
    Column("from_seq", BigInteger, nullable=False),
    Column("to_seq", BigInteger, nullable=False),
    Column("areas", ARRAY(Integer)),  # narrower than the subscription's, if chosen
    Column("record_types", ARRAY(Text)),  # likewise
    Column("rows", Integer, nullable=False),
    Column("digest", Text, nullable=False),  # sha256 of the rows as NDJSON
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("form IN ('xlsx','csv','ndjson')", name="form_known"),
    Index("ix_slice_export_subscription", "subscription_id", "made_at"),
    schema=DISTRICT,
)

certificate = Table(
    "certificate",
    metadata,
    Column("certificate_no", Text, primary_key=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("period", Text, nullable=False),  # YYYY-MM, or from..to by delivery numbers
    Column("expected", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("fetched", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False),  # all four are the same, nothing differs
    Column("content", JSONB, nullable=False),  # the signed statement
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("issued_by", Text, nullable=False),
    Index("ix_certificate_subscription", "subscription_id", "issued_at"),
    schema=DISTRICT,
)

# A receiver compared its own copy with the slice.
copy_check = Table(
    "copy_check",
    metadata,
    Column("check_id", Uuid, primary_key=True),
    Column("subscription_id", Uuid, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),  # where the receiver stands; the slice is taken as it was there
    Column("records", BigInteger, nullable=False),  # of the slice
    Column(
        "parts", Integer, nullable=False, server_default="0"
    ),  # parts of rows compared: one sent again is not counted
    Column("missing", Integer, nullable=False, server_default="0"),
    Column("surplus", Integer, nullable=False, server_default="0"),
    Column("different", Integer, nullable=False, server_default="0"),
    Column("repaired", ARRAY(Uuid), nullable=False, server_default="{}"),  # records told again, as of seq; few
    Column("finished", Boolean, nullable=False, server_default="false"),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("ix_copy_check_subscription", "subscription_id", "begun_at"),
    schema=DISTRICT,
)

freshness_alarm = Table(
    "freshness_alarm",
    metadata,
    Column("alarm_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # slice backlog source channel correction
    Column("about", Text, nullable=False),  # subscription/<code>, source/<organisation>/<type>, channel/<name>
    Column("organisation", Text, nullable=False),  # whose business it is
    Column("facts", JSONB, nullable=False, server_default="{}"),  # counts and times, never a person
    Column("since", DateTime(timezone=True), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('slice','backlog','source','channel','correction')", name="kind_known"),
    UniqueConstraint("kind", "about", "opened_at", name="uq_freshness_alarm_once"),
    Index("ix_freshness_alarm_open", "kind", "about", unique=True, postgresql_where=text("closed_at IS NULL")),
    schema=DISTRICT,
)
