"""Persons and how they are recognised."""

from sqlalchemy import Column, Date, DateTime, Integer, Table, Text, Uuid

from hub.tables.base import DISTRICT, metadata

person = Table(
    "person",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("home_area", Integer),  # village or town where they live now; NULL = not known or outside the district
    Column("home_since", Date),
    Column("merged_into", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    schema=DISTRICT,
)

person_identifier = Table(
    "person_identifier",
    metadata,
    Column("kind", Text, primary_key=True),  # id_no birth_cert ...
    Column("value", Text, primary_key=True),
    Column("person_id", Uuid, nullable=False),
    Column("valid_to", Date),  # set when corrected; still finds the person
    Column("submission_id", Uuid),
    schema=DISTRICT,
)
