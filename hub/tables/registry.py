"""Who takes part and where: organisations (shared by all districts) and areas with their history."""

from sqlalchemy import Boolean, CheckConstraint, Column, Date, ForeignKey, Integer, Table, Text

from hub.tables.base import DISTRICT, SHARED, metadata

organisation = Table(
    "organisation",
    metadata,
    Column("code", Text, primary_key=True),  # public_security ..., a town by its 9 digits, a village by its 12
    Column("district", Text, nullable=False),  # district schema name it takes part in
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False),  # department care town village bureau information_centre upper
    Column("area_id", Integer),  # towns and villages: their own area
    Column("enabled", Boolean, nullable=False, server_default="true"),
    CheckConstraint(
        "kind IN ('department','care','town','village','bureau','information_centre','upper')", name="kind_known"
    ),
    schema=SHARED,
)

area = Table(
    "area",
    metadata,
    Column("area_id", Integer, primary_key=True, autoincrement=False),  # stable: survives recoding and renaming
    Column("kind", Text, nullable=False),  # district town village
    Column("parent_id", Integer),  # current parent
    Column("successor_id", Integer),  # set when merged away
    CheckConstraint("kind IN ('district','town','village')", name="kind_known"),
    schema=DISTRICT,
)

area_version = Table(
    "area_version",
    metadata,
    Column("area_id", Integer, ForeignKey(area.c.area_id), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False, index=True),  # 12 digits
    Column("name", Text, nullable=False),
    Column("parent_id", Integer),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),  # exclusive; NULL = in force
    Column("reason", Text, nullable=False, server_default="import"),  # import rename recode merge split
    schema=DISTRICT,
)
