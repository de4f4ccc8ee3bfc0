"""Content is sealed: objects, parts of uploads and approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("objects", sa.Column("enc", sa.LargeBinary(), nullable=True))
    op.add_column("approvals", sa.Column("sealed", sa.LargeBinary(), nullable=True))
    op.add_column("upload_parts", sa.Column("enc", sa.LargeBinary(), nullable=True))
    op.add_column("upload_parts", sa.Column("sha256", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("upload_parts", "sha256")
    op.drop_column("upload_parts", "enc")
    op.drop_column("approvals", "sealed")
    op.drop_column("objects", "enc")
