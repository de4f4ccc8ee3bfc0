"""The cache of each tenant, for several processes without Redis."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cache_entries",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", _BYTEWISE, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key"),
    )
    op.create_index("cache_entries_by_use", "cache_entries", ["tenant_id", "used_at"])
    op.create_index("cache_entries_by_expiry", "cache_entries", ["tenant_id", "expires_at"])
    op.create_table(
        "cache_usage",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )


def downgrade() -> None:
    op.drop_table("cache_usage")
    op.drop_index("cache_entries_by_expiry", table_name="cache_entries")
    op.drop_index("cache_entries_by_use", table_name="cache_entries")
    op.drop_table("cache_entries")
