"""The quality figures as they were last counted, and as of when."""

from sqlalchemy import BigInteger, Column, DateTime, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from hub.tables.base import DISTRICT, metadata

# As of when all figures are: whatever was numbered or closed until then is in them.
quality_head = Table(
    "quality_head",
    metadata,
    Column("district", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # the log was followed to here
    Column("rules", Text, nullable=False),  # by which they were counted; others: nothing is kept
    Column("counted_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

# One organisation's month of one record type: counts, never a value.
quality_figure = Table(
    "quality_figure",
    metadata,
    Column("month", Text, primary_key=True),  # YYYY-MM
    Column("record_type", Text, primary_key=True),
    Column("organisation", Text, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("wrong", BigInteger, nullable=False),  # rows whose cells contradict one another
    Column("records", BigInteger, nullable=False),
    Column("empty", BigInteger, nullable=False),  # cells of first versions
    Column("empty_today", BigInteger, nullable=False),
    Column("dated", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("judged", BigInteger, nullable=False),
    Column("contradicted", BigInteger, nullable=False),
    Column("behind", JSONB, nullable=False),  # measure -> reason -> rows; the reason "": all of them
    Column("mark", Text, nullable=False),  # fingerprint of what no log tells of
    schema=DISTRICT,
)
