"""Wrapped keys: one row per generation of a tenant's data key, and the house's own secrets."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata, upsert

tenant_keys = sa.Table(
    "tenant_keys",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
house_secrets = sa.Table(
    "house_secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)
"""Of the installation, not of a tenant: wrapped by the master key."""

_k, _h = tenant_keys.c, house_secrets.c
_tenants = sa.table("tenants", sa.column("tenant_id", sa.Text), sa.column("state", sa.Text))
_alive = sa.exists().where(_tenants.c.tenant_id == TENANT, _tenants.c.state != "deleted")
_NAMED = sa.bindparam("named", type_=sa.Text)
_BEFORE = sa.bindparam("before", type_=sa.LargeBinary)
_AFTER = sa.bindparam("after", type_=sa.LargeBinary)

KEYS = Statement(
    sa.select(_k.generation, _k.wrapped).where(_k.tenant_id == TENANT).order_by(_k.generation)
)


def _add(dialect: str) -> sa.sql.expression.ClauseElement:
    """One row, unless there is one, or the tenant is gone: no call that is late revives a key."""
    fresh = sa.select(
        TENANT,
        sa.bindparam("generation", type_=sa.Integer),
        sa.bindparam("wrapped", type_=sa.LargeBinary),
        sa.bindparam("created_at", type_=sa.BigInteger),
    ).where(_alive)
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(tenant_keys)
    clause = insert.from_select([c.name for c in tenant_keys.columns], fresh)
    told: sa.sql.expression.ClauseElement = clause.on_conflict_do_nothing()
    return told


ADD_KEY = Statement(_add)
REWRAP_KEY = Statement(
    sa.update(tenant_keys)
    .where(
        _k.tenant_id == TENANT,
        _k.generation == sa.bindparam("of_generation", type_=sa.Integer),
        _k.wrapped == _BEFORE,
    )
    .values(wrapped=_AFTER)
)
BLANK_KEYS = Statement(
    sa.update(tenant_keys)
    .where(_k.tenant_id == TENANT, ~_alive)
    .values(wrapped=sa.bindparam("nothing", type_=sa.LargeBinary))
)
"""Before the row goes: its page is overwritten, not only marked free."""
END_KEYS = Statement(sa.delete(tenant_keys).where(_k.tenant_id == TENANT, ~_alive))
HOLDERS = Statement(
    sa.select(_tenants.c.tenant_id).where(_tenants.c.state != "deleted").order_by("tenant_id")
)

HOUSE_SECRET = Statement(sa.select(_h.value).where(_h.name == _NAMED))
HOUSE_SECRETS = Statement(sa.select(_h.name, _h.value).order_by(_h.name))
ADD_HOUSE_SECRET = upsert(house_secrets, ("name",), ())
REWRAP_HOUSE_SECRET = Statement(
    sa.update(house_secrets).where(_h.name == _NAMED, _h.value == _BEFORE).values(value=_AFTER)
)
