"""What is told of each frame; its rows are an object of the tenant's storage.

`columns` is sealed: it holds the least and the greatest values.
"""

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, metadata, upsert

NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

dataframes = sa.Table(
    "dataframes",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", NAME_TEXT, primary_key=True),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("columns", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("memory", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)

_d = dataframes.c
_NAME = sa.bindparam("name", type_=NAME_TEXT)
_TOLD = (_d.name, _d.height, _d.width, _d.size, _d.memory, _d.updated_at)

GET = Statement(sa.select(*_TOLD, _d["columns"]).where(_d.tenant_id == TENANT, _d.name == _NAME))
LIST = Statement(
    sa.select(*_TOLD)
    .where(_d.tenant_id == TENANT, _d.name > sa.bindparam("after", type_=NAME_TEXT))
    .order_by(_d.name)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
PUT = upsert(
    dataframes,
    ("tenant_id", "name"),
    ("height", "width", "columns", "size", "memory", "updated_at"),
)
REMOVE = Statement(sa.delete(dataframes).where(_d.tenant_id == TENANT, _d.name == _NAME))
