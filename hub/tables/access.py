"""Who may come in and what they did: accounts, keys, sessions (admin schema) and the district's audit."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from hub.tables.base import ADMIN, DISTRICT, metadata

account = Table(
    "account",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("must_change_password", Boolean, nullable=False, server_default="true"),
    Column("disabled", Boolean, nullable=False, server_default="false"),
    Column("failed_attempts", Integer, nullable=False, server_default="0"),
    Column("locked_until", DateTime(timezone=True)),
    Column("language", Text, nullable=False, server_default="zh"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    schema=ADMIN,
)

api_key = Table(
    "api_key",
    metadata,
    Column("key_id", Uuid, primary_key=True),
    Column("prefix", Text, nullable=False, unique=True),  # shown
    Column("secret_digest", LargeBinary, nullable=False),  # sha256 of the secret part (256 random bits)
    Column("organisation", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),  # rights
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    schema=ADMIN,
)

web_session = Table(
    "web_session",
    metadata,
    Column(
        "session_digest", LargeBinary, primary_key=True
    ),  # sha256 of the cookie's value; the value itself is not kept
    Column("account_id", Uuid),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_web_session_account", "account_id"),
    schema=ADMIN,
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Uuid, primary_key=True),  # UUIDv7: in time order per writer
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("act", Text, nullable=False),  # a right of hub.registry.permissions
    Column("object", Text, nullable=False, server_default=""),
    Column("outcome", Text, nullable=False, server_default="done"),  # done refused failed
    Column(
        "facts", JSONB, nullable=False, server_default="{}"
    ),  # purpose, filter, count, digest of ids; never personal data
    CheckConstraint("outcome IN ('done','refused','failed')", name="outcome_known"),
    Index("ix_audit_at", "at"),
    Index("ix_audit_actor", "actor", "at"),
    schema=DISTRICT,
)

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("seal_no", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_ids", ARRAY(Uuid), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("link", LargeBinary, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)
