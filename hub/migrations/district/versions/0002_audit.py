"""An audit line says where the request came from and carries the hub's own mark; archives are numbered."""

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    district = context.config.attributes["district"]  # ALTER TABLE is not translated
    op.add_column("audit", sa.Column("address", sa.Text(), server_default="", nullable=False), schema=district)
    op.add_column("audit", sa.Column("mac", sa.LargeBinary(), nullable=True), schema=district)
    op.create_table(
        "audit_archive",
        sa.Column("archive_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("from_seal", sa.BigInteger(), nullable=False),
        sa.Column("to_seal", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("archive_no", name=op.f("pk_audit_archive")),
        schema="district",
    )
