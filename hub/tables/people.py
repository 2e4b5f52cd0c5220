"""Persons and how they are recognised, what is known of them, and what people decided about who is who."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hub.tables.base import DISTRICT, metadata

person = Table(
    "person",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("home_area", Integer),  # village or town where they live now; NULL = not known or outside the district
    Column("home_since", Date),
    Column("merged_into", Uuid),  # the person this one turned out to be
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("erased_at", DateTime(timezone=True)),  # lawfully erased: nothing is known of them any more
    schema=DISTRICT,
)

person_identifier = Table(
    "person_identifier",
    metadata,
    Column("kind", Text, primary_key=True),  # id_no birth_cert; row = a record that names nobody by number
    Column("value", Text, primary_key=True),
    Column("person_id", Uuid, nullable=False),
    Column("valid_to", Date),  # set when corrected; still finds the person
    Column("submission_id", Uuid),
    Column("replaced_by", Text),  # id_no: the number this person goes by now; NULL = this one
    Index("ix_person_identifier_person", "person_id"),
    Index("ix_person_identifier_replaced", "value", postgresql_where=text("replaced_by IS NOT NULL")),
    schema=DISTRICT,
)

# What people decided about persons: these two are one, this one is two, these are not the same.
person_decision = Table(
    "person_decision",
    metadata,
    Column("decision_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # merge split apart undo
    Column("organisation", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("person_id", Uuid, nullable=False),  # who is kept
    Column("other_id", Uuid),  # merge: who turned out to be the same; split: who begins to exist
    Column("id_no", Text),  # merge: the number that is right
    Column("identifiers", JSONB, nullable=False, server_default="[]"),  # split: [kind, value] that go to the other
    Column("undoes", Uuid),
    Column("state", Text, nullable=False, server_default="asked"),  # asked done refused undone
    Column("refusal", Text, nullable=False, server_default=""),
    Column("moved", JSONB, nullable=False, server_default="[]"),  # [kind, value] that really went over
    Column("submission_id", Uuid),  # the system submission that carried it out
    CheckConstraint("kind IN ('merge','split','apart','undo')", name="kind_known"),
    CheckConstraint("state IN ('asked','done','refused','undone')", name="state_known"),
    Index("ix_person_decision_person", "person_id"),
    Index("ix_person_decision_other", "other_id"),
    schema=DISTRICT,
)

# The attributes that follow from all sources by the declared precedence; may be computed anew at any time.
person_profile = Table(
    "person_profile",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("name", Text),
    Column(
        "name_key", Text(collation="C")
    ),  # the name as it is searched for: no dots, no spaces, simplified characters
    Column("sex", Text),
    Column("birth_date", Date),
    Column("id_no", Text),
    Column("home_area", Integer),
    Column("died_on", Date),
    Column("attributes", JSONB, nullable=False),  # name -> [value, record type, record id, source, since]
    Column("disagreeing", ARRAY(Text), nullable=False),  # attributes of which standing sources say different things
    Column("derived_at", DateTime(timezone=True), nullable=False),
    Index("ix_person_profile_name", "name_key", "home_area"),
    Index("ix_person_profile_birth", "birth_date", "name_key"),
    Index("ix_person_profile_disagreeing", "person_id", postgresql_where=text("disagreeing <> '{}'")),  # they are few
    schema=DISTRICT,
)

# How far a reader inside the hub has read the change log.
feed_reader = Table(
    "feed_reader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

# Two persons who may be one; a judgement is remembered.
person_pair = Table(
    "person_pair",
    metadata,
    Column("first_id", Uuid, primary_key=True),  # the smaller of the two ids
    Column("second_id", Uuid, primary_key=True),
    Column("score", Double, nullable=False),
    Column("features", JSONB, nullable=False),  # feature -> [level, weight]
    Column("state", Text, nullable=False),  # open same apart gone
    Column("organisation", Text, nullable=False, server_default=""),  # the unit that judges; "" = the bureau
    Column("found_at", DateTime(timezone=True), nullable=False),
    Column("judged_by", Text),
    Column("judged_at", DateTime(timezone=True)),
    Column("decision_id", Uuid),
    CheckConstraint("state IN ('open','same','apart','gone')", name="state_known"),
    Index("ix_person_pair_second", "second_id"),
    Index("ix_person_pair_open", "organisation", postgresql_where=text("state = 'open'")),
    schema=DISTRICT,
)

# A row that waits for a person, from the moment its submission is merged until somebody decides.
held_row = Table(
    "held_row",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True, autoincrement=False),
    Column("record_type", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("sheet_row", Integer, nullable=False),
    Column("codes", ARRAY(Text), nullable=False),  # why it waits
    Column("held_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),  # waiting released refused returned
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),
    Column("release_id", Uuid),  # the submission that took it down the line again
    CheckConstraint("state IN ('waiting','released','refused','returned')", name="state_known"),
    Index("ix_held_row_waiting", "organisation", "held_at", postgresql_where=text("state = 'waiting'")),
    Index(  # counted without a look at the rows
        "ix_held_row_open", "organisation", "record_type", "held_at", postgresql_where=text("state = 'waiting'")
    ),
    schema=DISTRICT,
)

# Who a held row may mean.
held_candidate = Table(
    "held_candidate",
    metadata,
    Column("submission_id", Uuid, primary_key=True),
    Column("row_no", Integer, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True),
    Column("person_id", Uuid, primary_key=True),
    Column("score", Double, nullable=False),
    Column("features", JSONB, nullable=False),
    schema=DISTRICT,
)

# What two sources say of one person that does not go together; worked off by a unit.
comparison_item = Table(
    "comparison_item",
    metadata,
    Column("item_id", Uuid, primary_key=True),
    Column("check_code", Text, nullable=False),
    Column("subject", Text, nullable=False),  # what makes the item the same one when it is found again
    Column("person_id", Uuid),
    Column("sides", JSONB, nullable=False),  # [{record_type, record_id, role, source}], one or two
    Column("organisation", Text, nullable=False),  # the unit that works it off
    Column("areas", ARRAY(Integer), nullable=False),
    Column("state", Text, nullable=False),  # open closed gone
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    Column("evidence", Text, nullable=False, server_default=""),
    Column("times", Integer, nullable=False, server_default="1"),  # how often it was opened
    CheckConstraint("state IN ('open','closed','gone')", name="state_known"),
    Index("ix_comparison_item_subject", "check_code", "subject", unique=True),
    Index("ix_comparison_item_open", "organisation", "check_code", postgresql_where=text("state = 'open'")),
    Index(  # the oldest first, and counted without a look at the rows
        "ix_comparison_item_waiting",
        "organisation",
        "opened_at",
        "item_id",
        "check_code",
        postgresql_where=text("state = 'open'"),
    ),
    Index("ix_comparison_item_newest", "opened_at", "item_id", postgresql_where=text("state = 'open'")),
    Index("ix_comparison_item_person", "person_id"),
    schema=DISTRICT,
)

# Each bulk verification of names and numbers: how many were asked, what came of it; nobody's name or number.
verification = Table(
    "verification",
    metadata,
    Column("verification_id", Uuid, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("match", Integer, nullable=False),
    Column("mismatch", Integer, nullable=False),
    Column("not_found", Integer, nullable=False),
    Index("ix_verification_day", "organisation", "asked_at"),
    schema=DISTRICT,
)

# How often an account looked for a person on its last day of doing so: a day's searches are limited.
person_search = Table(
    "person_search",
    metadata,
    Column("account", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("searches", Integer, nullable=False),
    schema=DISTRICT,
)

# The tombstones of lawful erasure.
erasure = Table(
    "erasure",
    metadata,
    Column("erasure_id", Uuid, primary_key=True),
    Column("person_id", Uuid, nullable=False),
    Column("basis", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    Column("submission_id", Uuid, nullable=False),
    Column("records", Integer, nullable=False),
    Index("ix_erasure_person", "person_id"),
    schema=DISTRICT,
)

# Each version of a record whose values are gone: where it belonged, and which row filters of slices it met, by digest.
# So a page of before can be derived again, blank, and every slice that held the record is told that it left.
erased_version = Table(
    "erased_version",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("record_type", Text, nullable=False),
    Column("areas", ARRAY(Integer), nullable=False),
    Column("whole", Boolean, nullable=False),  # the record was about the person; else it named them beside others
    Column("met", ARRAY(Text), nullable=False),  # hub.exchange.slice_sql.filter_digest
    schema=DISTRICT,
)
