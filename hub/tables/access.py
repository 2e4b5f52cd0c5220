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
    text,
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
    Column("password_set_at", DateTime(timezone=True)),
    Column("first_password_until", DateTime(timezone=True)),  # of a first or reset password: until when it is good
    Column("password_history", ARRAY(Text), nullable=False, server_default="{}"),  # earlier hashes, newest first
    Column("totp_sealed", LargeBinary),  # the second factor's secret, sealed with the hub's key
    Column("totp_confirmed_at", DateTime(timezone=True)),  # NULL: begun, or none
    Column("totp_last_step", BigInteger),  # the time step last accepted: a code is good once
    Column("recovery_digests", ARRAY(LargeBinary), nullable=False, server_default="{}"),  # sha256 of codes not yet used
    Column("last_signed_in_at", DateTime(timezone=True)),
    Column("last_signed_in_from", Text, nullable=False, server_default=""),
    Column("previous_signed_in_at", DateTime(timezone=True)),  # shown after a sign-in: was that me?
    Column("previous_signed_in_from", Text, nullable=False, server_default=""),
    CheckConstraint(
        "NOT roles && ARRAY['system_administrator','security_administrator','auditor'] OR cardinality(roles) = 1",
        name="administrators_exclusive",
    ),
    schema=ADMIN,
)

# An act of the system administrator (or of a department's data officer) waiting for the security administrator.
access_request = Table(
    "access_request",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("act", Text, nullable=False),  # open_account reset_password enable_account save_organisation issue_key ...
    Column("object", Text, nullable=False),
    Column("content", JSONB, nullable=False, server_default="{}"),  # what to do; never a password in clear
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("answer", Text, nullable=False, server_default=""),
    CheckConstraint("state IN ('waiting','confirmed','refused','withdrawn')", name="state_known"),
    CheckConstraint("state IN ('waiting','withdrawn') OR decided_by <> asked_by", name="second_person"),
    Index("ix_access_request_state", "state", "asked_at"),
    schema=ADMIN,
)

sign_in_address = Table(
    "sign_in_address",
    metadata,
    Column("address", Text, primary_key=True),
    Column("failed_attempts", Integer, nullable=False),
    Column("locked_until", DateTime(timezone=True)),
    Column("last_failed_at", DateTime(timezone=True), nullable=False),
    schema=ADMIN,
)

api_key = Table(
    "api_key",
    metadata,
    Column("key_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False, server_default="secret"),  # secret certificate ssh
    Column("prefix", Text, nullable=False, unique=True),  # shown: of a certificate or an SSH key, its fingerprint
    Column("secret_digest", LargeBinary, nullable=False),  # sha256 of the secret (256 random bits), certificate or key
    Column("public_text", Text, nullable=False, server_default=""),  # certificate subject or SSH public key
    Column("organisation", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),  # rights
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("allowed_addresses", ARRAY(Text), nullable=False, server_default="{}"),  # CIDR; none: from anywhere
    Column("last_used_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('secret','certificate','ssh')", name="kind_known"),
    Index("ix_api_key_secret_digest", "secret_digest"),
    schema=ADMIN,
)

access_token = Table(
    "access_token",
    metadata,
    Column("token_digest", LargeBinary, primary_key=True),  # sha256 of the token
    Column("key_id", Uuid, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("ix_access_token_expires_at", "expires_at"),
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
    Column("session_id", Uuid, nullable=False, unique=True),  # what its owner sees and ends it by; opens nothing
    Column("address", Text, nullable=False, server_default=""),
    Column("browser", Text, nullable=False, server_default=""),
    Column("level", Text, nullable=False, server_default="full"),  # password: the second factor is still missing
    CheckConstraint("level IN ('password','full')", name="level_known"),
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
    Column("address", Text, nullable=False, server_default=""),  # where the request came from
    Column("mac", LargeBinary),  # by the hub's own key: a line written past the hub has none that fits
    CheckConstraint("outcome IN ('done','refused','failed')", name="outcome_known"),
    Index("ix_audit_at", "at"),
    Index("ix_audit_actor", "actor", "at"),
    Index(  # who looked at one person: few lines among many
        "ix_audit_look",
        "object",
        postgresql_where=text("act IN ('read-person', 'judge-person', 'work-comparison', 'unmask')"),
    ),
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

audit_archive = Table(
    "audit_archive",
    metadata,
    Column("archive_no", Integer, primary_key=True, autoincrement=False),
    Column("from_seal", BigInteger, nullable=False),
    Column("to_seal", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("archived_at", DateTime(timezone=True), nullable=False),
    Column("mac", LargeBinary, nullable=False),  # by the hub's own key: an archive entered by hand has none that fits
    schema=DISTRICT,
)
