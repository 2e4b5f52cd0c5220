"""Wires to other machines: what was seen at the SFTP door, what the hub fetched and where its channels stand."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from hub.tables.base import DISTRICT, metadata

# Evidence: one row an open, close, rename, remove, sign-in or refusal.
sftp_event = Table(
    "sftp_event",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("organisation", Text, nullable=False),  # "" before anybody was recognised
    Column("actor", Text, nullable=False),  # the key's name
    Column("address", Text, nullable=False),
    Column("act", Text, nullable=False),  # connect sign-in open close rename remove refused cut end
    Column("path", Text, nullable=False, server_default=""),  # as the client named it
    Column("size", BigInteger),
    Column("outcome", Text, nullable=False, server_default="done"),
    Column("facts", JSONB, nullable=False, server_default="{}"),
    Index("ix_sftp_event_organisation", "organisation", "at"),
    Index("ix_sftp_event_session", "session_id", "at"),
    schema=DISTRICT,
)

channel_state = Table(
    "channel_state",
    metadata,
    Column("channel", Text, primary_key=True),  # the name of its file in <home>/channels
    Column("last_tried_at", DateTime(timezone=True)),
    Column("last_succeeded_at", DateTime(timezone=True)),
    Column("next_at", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("failure", Text, nullable=False, server_default=""),  # the last one's sentence
    Column("cursor", JSONB, nullable=False, server_default="{}"),
    Column("disabled", Boolean, nullable=False, server_default="false"),  # the other side said: never again (410)
    Column("alarmed_at", DateTime(timezone=True)),  # silent for too long, and said so
    schema=DISTRICT,
)

# What was fetched or delivered, so that nothing is fetched or delivered twice.
channel_item = Table(
    "channel_item",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("item", Text, primary_key=True),  # the remote name, size and time; or the delivery's number
    Column("sha256", Text, nullable=False, server_default=""),
    Column("receipt", Text, nullable=False, server_default=""),
    Column("at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)
