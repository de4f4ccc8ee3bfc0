"""Secrets of every tenant, sealed by its data key, and the statements on them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

_NAME_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", _NAME_TEXT, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary),
    sa.Column("previous_until", sa.BigInteger),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
"""`value` and `previous` are sealed, each under its own version; `previous` until its grace ends."""

_c = secrets.c
_one = (_c.tenant_id == TENANT, _c.name == sa.bindparam("named", type_=_NAME_TEXT))
_INFO = (_c.name, _c.version, _c.description, _c.expires_at, _c.created_at, _c.updated_at)
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_HELD = sa.case((_c.previous_until > _NOW, _c.previous_until), else_=sa.null())

LOCK = Statement(sa.select(*_INFO, _HELD).where(*_one).with_for_update())
READ = Statement(
    sa.select(_c.version, _c.value, _c.previous, _c.previous_until, _c.expires_at).where(*_one)
)
LIST = Statement(
    sa.select(*_INFO, _HELD)
    .where(_c.tenant_id == TENANT, _c.name > sa.bindparam("after", type_=_NAME_TEXT))
    .order_by(_c.name)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
COUNT = Statement(sa.select(sa.func.count()).select_from(secrets).where(_c.tenant_id == TENANT))


def _insert(dialect: str) -> sa.sql.expression.ClauseElement:
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(secrets)
    clause: sa.sql.expression.ClauseElement = insert.on_conflict_do_nothing()
    return clause


INSERT = Statement(_insert)
"""A new secret; no row when the name is taken."""
UPDATE = Statement(
    sa.update(secrets)
    .where(*_one, _c.version == sa.bindparam("before", type_=sa.BigInteger))
    .values(
        version=_c.version + 1,
        value=sa.bindparam("fresh", type_=sa.LargeBinary),
        previous=sa.case(
            (sa.bindparam("until", type_=sa.BigInteger) > 0, _c.value), else_=sa.null()
        ),
        previous_until=sa.bindparam("until", type_=sa.BigInteger),
        description=sa.bindparam("about", type_=sa.Text),
        expires_at=sa.bindparam("ends", type_=sa.BigInteger),
        updated_at=_NOW,
    )
)
DELETE = Statement(sa.delete(secrets).where(*_one))
