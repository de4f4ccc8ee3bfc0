"""Audit: checkpoints of retention, and a chain that the application itself cannot rewrite."""

import sqlalchemy as sa
from alembic import op

from tause_mcp.migrations import audit_sql

revision = "0002"
down_revision = "0001"


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
