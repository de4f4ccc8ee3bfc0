"""Payments by a link know the link."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("payments", sa.Column("link_id", sa.Text(), nullable=True))
    op.create_index("payments_by_link", "payments", ["tenant_id", "link_id"], unique=False)


def downgrade() -> None:
    op.drop_index("payments_by_link", "payments")
    op.drop_column("payments", "link_id")
