"""What the panel keeps for its users: the views of lists they saved."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, Table, Text, UniqueConstraint, Uuid

from hub.tables.base import DISTRICT, metadata

# How somebody looks at a list: filters, columns and order as the query of its address. Never a person's name or number.
saved_view = Table(
    "saved_view",
    metadata,
    Column("view_id", Uuid, primary_key=True),
    Column("login", Text, nullable=False),  # whose it is
    Column("organisation", Text, nullable=False),
    Column("role", Text, nullable=False, server_default=""),  # shared with this role of the same organisation; "": not
    Column("page", Text, nullable=False),  # code of the list
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("is_default", Boolean, nullable=False, server_default="false"),  # of its owner, for this list
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("login", "page", "name"),
    CheckConstraint("length(name) BETWEEN 1 AND 40 AND length(query) <= 2000", name="short"),
    Index("ix_saved_view_organisation", "organisation", "page"),
    schema=DISTRICT,
)
