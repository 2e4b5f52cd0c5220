"""The month with the towns: rounds, what each town is asked, challenges to a source, rolls, the month's account."""

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

monthly_round = Table(
    "monthly_round",
    metadata,
    Column("round_id", Uuid, primary_key=True),
    Column("month", Text, nullable=False, unique=True),  # YYYY-MM, the statistical month
    Column("epoch", Text, nullable=False),  # of the feed, when it was opened
    Column("after_seq", BigInteger, nullable=False),  # exclusive; where the round before ended
    Column("up_to_seq", BigInteger, nullable=False),  # inclusive
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("due_on", Date, nullable=False),  # the town's answers
    Column("state", Text, nullable=False, server_default="open"),  # open closed
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    CheckConstraint("state IN ('open','closed')", name="state_known"),
    schema=DISTRICT,
)

# What a town has of a round, and how far it is. Counts of items are taken from round_item.
round_town = Table(
    "round_town",
    metadata,
    Column("round_id", Uuid, primary_key=True),
    Column("town", Integer, primary_key=True, autoincrement=False),  # area id
    Column("organisation", Text, nullable=False),
    Column("downloaded_at", DateTime(timezone=True)),  # first
    Column("returned_at", DateTime(timezone=True)),  # first answer
    Column("last_return_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),  # nothing open any more
    Column("late", Boolean, nullable=False, server_default="false"),  # something was answered after it was due
    schema=DISTRICT,
)

# One line of a town's change list: a record that changed, whatever it took to get there.
round_item = Table(
    "round_item",
    metadata,
    Column("item_id", Uuid, primary_key=True),
    Column("round_id", Uuid, nullable=False),
    Column("town", Integer, nullable=False),
    Column("village", Integer),
    Column("number", Integer, nullable=False),  # in the town's list, from 1
    Column("record_type", Text, nullable=False),
    Column("record_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),  # as it is told
    Column("seq", BigInteger, nullable=False),  # its latest change in the round
    Column("role", Text, nullable=False, server_default=""),  # by whom the record touches the town
    Column("person_id", Uuid),
    Column("change", Text, nullable=False),  # enter update leave void
    Column("event_date", Date),
    Column("source", Text, nullable=False),
    Column("came", Text, nullable=False, server_default="change"),  # change transfer again
    Column("came_from", Uuid),  # the item it was transferred from, or could not be verified in
    Column("due_on", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),  # open answered transferred deferred
    Column("result", Text),  # code of mappings/codes/verdict.toml
    Column("answers", Integer, nullable=False, server_default="0"),  # how many; what an answer builds on
    Column("answered_at", DateTime(timezone=True)),
    Column("answered_by", Text),
    Column("sent_to", Integer),  # the town it was transferred to
    CheckConstraint("change IN ('enter','update','leave','void')", name="change_known"),
    CheckConstraint("came IN ('change','transfer','again')", name="came_known"),
    CheckConstraint("state IN ('open','answered','transferred','deferred')", name="state_known"),
    UniqueConstraint("round_id", "town", "record_id", name="uq_round_item_record"),
    Index("ix_round_item_number", "round_id", "town", "number"),
    Index("ix_round_item_record", "record_id"),
    # how far rounds are is counted without a look at the lines
    Index("ix_round_item_tally", "round_id", "town", "village", "state", "result", "due_on", "answered_at"),
    schema=DISTRICT,
)

# Every change of the log and the line that tells it: each change is in one round of each town it touches.
round_change = Table(
    "round_change",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("town", Integer, primary_key=True, autoincrement=False),
    Column("round_id", Uuid, nullable=False),
    Column("item_id", Uuid, nullable=False),
    Index("ix_round_change_item", "item_id"),
    schema=DISTRICT,
)

# A unit says that a source's record is not right, or that nothing was registered; the source answers within its days.
challenge = Table(
    "challenge",
    metadata,
    Column("challenge_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # value untrue nobody elsewhere unreported
    Column("record_type", Text, nullable=False),  # of the record; unreported: of what should have been sent
    Column("record_id", Uuid),
    Column("field", Text, nullable=False, server_default=""),
    Column("claimed", Text, nullable=False, server_default=""),  # what is right, as the challenger says
    Column("reason", Text, nullable=False, server_default=""),
    Column("raised_by", Text, nullable=False),  # organisation
    Column("raised_by_name", Text, nullable=False),
    Column("raised_at", DateTime(timezone=True), nullable=False),
    Column("against", Text, nullable=False),  # organisation: the source
    Column("due_on", Date, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),  # open answered closed withdrawn
    Column("answer", Text, nullable=False, server_default=""),  # corrected voided registered stands
    Column("answer_text", Text, nullable=False, server_default=""),
    Column("answered_at", DateTime(timezone=True)),
    Column("answered_by", Text),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    Column("item_id", Uuid),  # the line of the change list it comes from
    Column("person_id", Uuid),
    Column("areas", ARRAY(Integer), nullable=False, server_default="{}"),  # of the record then: who may look at it
    Column("submission_id", Uuid),  # the return, or the report, it comes from
    Column("insisted", Integer, nullable=False, server_default="0"),  # how often an answer was not accepted
    Column("opened_version", Integer),  # of the record: from here on it is marked as disputed
    Column("settled_version", Integer),  # from here on it is not
    CheckConstraint("kind IN ('value','untrue','nobody','elsewhere','unreported')", name="kind_known"),
    CheckConstraint("state IN ('open','answered','closed','withdrawn')", name="state_known"),
    CheckConstraint("answer IN ('','corrected','voided','registered','stands')", name="answer_known"),
    Index("ix_challenge_against", "against", "due_on", postgresql_where=text("state = 'open'")),
    Index("ix_challenge_raised_by", "raised_by", "raised_at"),
    Index("ix_challenge_record", "record_id"),
    Index("ix_challenge_item", "item_id"),
    schema=DISTRICT,
)

# A town's own roll, compared with the register and with its roll before.
roll_check = Table(
    "roll_check",
    metadata,
    Column("roll_id", Uuid, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("town", Integer, nullable=False),
    Column("village", Integer),  # the roll is of this village alone
    Column("file_name", Text, nullable=False),
    Column("stored_as", Text, nullable=False, server_default=""),
    Column("sha256", Text, nullable=False),
    Column("state", Text, nullable=False),  # received compared refused closed
    Column("refusal", Text, nullable=False, server_default=""),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("compared_at", DateTime(timezone=True)),
    Column("counts", JSONB, nullable=False, server_default="{}"),  # rows same missing_here missing_there different ...
    CheckConstraint("state IN ('received','compared','refused','closed')", name="state_known"),
    Index("ix_roll_check_organisation", "organisation", "asked_at"),
    schema=DISTRICT,
)

roll_item = Table(
    "roll_item",
    metadata,
    Column("roll_id", Uuid, primary_key=True),
    Column("item_no", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # missing_here missing_there different duplicated unreadable
    Column("organisation", Text, nullable=False),
    Column("village", Integer),
    Column("person_id", Uuid),
    Column("sheet_row", Integer),  # of the roll
    Column(
        "told", JSONB, nullable=False
    ),  # field -> [roll, register, last roll]; of the whole row where one is missing
    Column("state", Text, nullable=False, server_default="open"),  # open decided
    Column("decision", Text, nullable=False, server_default=""),  # roll register ask
    Column("reason", Text, nullable=False, server_default=""),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("submission_id", Uuid),  # that carried the decision down the line
    CheckConstraint(
        "kind IN ('missing_here','missing_there','different','duplicated','unreadable')", name="kind_known"
    ),
    CheckConstraint("state IN ('open','decided')", name="state_known"),
    CheckConstraint("decision IN ('','roll','register','ask')", name="decision_known"),
    Index("ix_roll_item_kind", "roll_id", "kind", "village"),
    schema=DISTRICT,
)

# The month's account: start + opening + births - deaths + in - out + corrections + adjustments = end.
balance_month = Table(
    "balance_month",
    metadata,
    Column("month", Text, primary_key=True),
    Column("as_of", Date, nullable=False),  # the month's last day
    Column("up_to_seq", BigInteger, nullable=False),  # what the log said then
    Column("state", Text, nullable=False),  # drawn closed
    Column("drawn_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    CheckConstraint("state IN ('drawn','closed')", name="state_known"),
    schema=DISTRICT,
)

balance = Table(
    "balance",
    metadata,
    Column("month", Text, primary_key=True),
    Column("area", Integer, primary_key=True, autoincrement=False),  # village, town and district
    Column("start", Integer, nullable=False),
    Column("opening", Integer, nullable=False, server_default="0"),  # taken into the books this month
    Column("births", Integer, nullable=False, server_default="0"),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("moved_in", Integer, nullable=False, server_default="0"),
    Column("moved_out", Integer, nullable=False, server_default="0"),
    Column("corrected_in", Integer, nullable=False, server_default="0"),
    Column("corrected_out", Integer, nullable=False, server_default="0"),
    Column("adjusted_in", Integer, nullable=False, server_default="0"),  # of a month that is closed
    Column("adjusted_out", Integer, nullable=False, server_default="0"),
    Column("excused", Integer, nullable=False, server_default="0"),  # net; let pass with a reason
    Column("unexplained", Integer, nullable=False, server_default="0"),  # people who make the difference
    Column("end", Integer, nullable=False),  # counted, not computed
    schema=DISTRICT,
)

# Who makes a figure of the account: one line a person and move.
balance_movement = Table(
    "balance_movement",
    metadata,
    Column("movement_id", Uuid, primary_key=True),
    Column("month", Text, nullable=False),
    Column("person_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),  # opening birth death moved correction excused unexplained
    Column("from_area", Integer),
    Column("to_area", Integer),
    Column("of_month", Text, nullable=False),  # where it belongs; earlier than month: an adjustment
    Column("record_type", Text, nullable=False, server_default=""),
    Column("record_id", Uuid),
    Column("event_date", Date),
    Column("reason", Text, nullable=False, server_default=""),
    Column("excused_by", Text),
    Column("excused_at", DateTime(timezone=True)),
    CheckConstraint(
        "kind IN ('opening','birth','death','moved','correction','excused','unexplained')", name="kind_known"
    ),
    Index("ix_balance_movement_month", "month", "kind"),
    Index("ix_balance_movement_person", "person_id"),
    schema=DISTRICT,
)

# Who lived where when the last month was closed.
resident_stock = Table(
    "resident_stock",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("area", Integer, nullable=False),
    schema=DISTRICT,
)

# Towns and departments whose people are in the books, and since which month.
balance_joined = Table(
    "balance_joined",
    metadata,
    Column("area", Integer, primary_key=True, autoincrement=False),  # town
    Column("month", Text, nullable=False),
    Column("joined_at", DateTime(timezone=True), nullable=False),
    Column("joined_by", Text, nullable=False),
    schema=DISTRICT,
)

# What units are told of: in the hub always, by mail and by short message where they have an address.
notice = Table(
    "notice",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("kind", Text, nullable=False),  # round_opened due_soon overdue escalated transferred challenged reported ...
    Column("about", Text, nullable=False),  # what it is told of, once: round/2026-11, challenge/<id>
    Column("level", Integer, nullable=False, server_default="0"),  # 0 told, 1 reminded, 2 overdue, 3 escalated
    Column("facts", JSONB, nullable=False, server_default="{}"),  # counts and dates, never a person
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True)),
    Column("read_by", Text),
    UniqueConstraint("organisation", "kind", "about", "level", name="uq_notice_once"),
    Index("ix_notice_unread", "organisation", "made_at", postgresql_where=text("read_at IS NULL")),
    schema=DISTRICT,
)

notice_sending = Table(
    "notice_sending",
    metadata,
    Column("notice_id", Uuid, primary_key=True),
    Column("way", Text, primary_key=True),  # mail sms
    Column("address", Text, primary_key=True),
    Column("state", Text, nullable=False, server_default="waiting"),  # waiting sent failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("problem", Text, nullable=False, server_default=""),
    CheckConstraint("way IN ('mail','sms')", name="way_known"),
    CheckConstraint("state IN ('waiting','sent','failed')", name="state_known"),
    Index("ix_notice_sending_waiting", "next_at", postgresql_where=text("state = 'waiting'")),
    schema=DISTRICT,
)

# Whom a unit wants told, and how.
contact = Table(
    "contact",
    metadata,
    Column("contact_id", Uuid, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mail", Text, nullable=False, server_default=""),
    Column("phone", Text, nullable=False, server_default=""),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
    Index("ix_contact_organisation", "organisation"),
    schema=DISTRICT,
)
