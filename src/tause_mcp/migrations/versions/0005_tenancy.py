"""A chain of audit that the application cannot rewrite; configuration by environment, with history."""

import sqlalchemy as sa
from alembic import op

from tause_mcp.migrations import audit_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    for statement in _making():
        op.get_bind().exec_driver_sql(statement)
    op.create_table(
        "tenant_changes",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("home", sa.Text(), nullable=False),
        sa.Column("was", sa.Text(), nullable=True),
        sa.Column("became", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "version", "what", "environment"),
    )
    op.create_index(
        "tenant_changes_by_what", "tenant_changes", ["tenant_id", "what", "version"], unique=False
    )
    op.create_table(
        "tenant_connections",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id"),
    )
    _values_by_environment()


def _values_by_environment() -> None:
    """A new table in place of the old: SQLite cannot change a primary key."""
    op.create_table(
        "tenant_values_next",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", "environment"),
    )
    op.execute(
        "INSERT INTO tenant_values_next "
        "(tenant_id, key, environment, kind, value, version, updated_at) "
        "SELECT tenant_id, key, '', kind, value, version, updated_at FROM tenant_values"
    )
    op.drop_table("tenant_values")
    op.rename_table("tenant_values_next", "tenant_values")


def _making() -> list[str]:
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        return [trigger for triggers in audit_sql.SQLITE.values() for trigger in triggers]
    schema = bind.exec_driver_sql("SELECT current_schema()").scalar()
    return list(audit_sql.postgresql(str(schema)))


def downgrade() -> None:
    bind = op.get_bind()
    dropping = [f"DROP TRIGGER {name}" for name in audit_sql.SQLITE_NAMES]
    for statement in dropping if bind.dialect.name == "sqlite" else audit_sql.DROP:
        bind.exec_driver_sql(statement)
    op.drop_table("audit_checkpoints")
    op.drop_index("tenant_changes_by_what", table_name="tenant_changes")
    op.drop_table("tenant_changes")
    op.drop_table("tenant_connections")
    op.execute("DELETE FROM tenant_values WHERE environment <> ''")
    with op.batch_alter_table("tenant_values") as table:
        table.drop_column("environment")
