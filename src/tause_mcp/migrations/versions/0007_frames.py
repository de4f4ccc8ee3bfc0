"""Frames of a tenant; the mark of an object whose bytes are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "dataframes",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("columns", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name"),
    )
    op.add_column("objects", sa.Column("lost_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("objects", "lost_at")
    op.drop_table("dataframes")
