"""Collections of documents: their rows, index, references and history."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "collection_history",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("collection", KEY_TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("indexes", sa.Text(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "collection", "version"),
    )
    op.create_table(
        "collections",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", KEY_TEXT, nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("indexes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name"),
    )
    op.create_table(
        "document_history",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("collection", KEY_TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", KEY_TEXT, nullable=False),
        sa.Column("kept", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "collection", "version", "id"),
    )
    op.create_index(
        "document_history_of", "document_history", ["tenant_id", "collection", "id"], unique=False
    )
    op.create_table(
        "document_index",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("collection", KEY_TEXT, nullable=False),
        sa.Column("id", KEY_TEXT, nullable=False),
        sa.Column("field", KEY_TEXT, nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.Double(), nullable=False),
        sa.Column("text", KEY_TEXT, nullable=False),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "collection", "id", "field"),
    )
    op.create_index(
        "document_index_order",
        "document_index",
        ["tenant_id", "collection", "field", "rank", "number", "text", "id"],
        unique=False,
    )
    op.create_index(
        "document_index_unique",
        "document_index",
        ["tenant_id", "collection", "field", "unique_key"],
        unique=True,
        postgresql_where=sa.text("unique_key IS NOT NULL"),
        sqlite_where=sa.text("unique_key IS NOT NULL"),
    )
    op.create_table(
        "document_references",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("collection", KEY_TEXT, nullable=False),
        sa.Column("id", KEY_TEXT, nullable=False),
        sa.Column("field", KEY_TEXT, nullable=False),
        sa.Column("target", KEY_TEXT, nullable=False),
        sa.Column("target_collection", KEY_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "collection", "id", "field", "target"),
    )
    op.create_index(
        "document_references_to",
        "document_references",
        ["tenant_id", "target_collection", "target"],
        unique=False,
    )
    op.create_table(
        "document_usage",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.create_table(
        "documents",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("collection", KEY_TEXT, nullable=False),
        sa.Column("id", KEY_TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "collection", "id"),
    )


def downgrade() -> None:
    for table in (
        "document_history",
        "collection_history",
        "document_usage",
        "document_references",
        "document_index",
        "documents",
        "collections",
    ):
        op.drop_table(table)
