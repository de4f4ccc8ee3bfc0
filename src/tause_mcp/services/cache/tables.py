"""Cached values in rows, for several processes without Redis. Every key leads with the tenant."""

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, metadata, upsert

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared by bytes on every database: a prefix is a range."""

cache_entries = sa.Table(
    "cache_entries",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("key", _BYTEWISE, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("used_at", sa.BigInteger, nullable=False),
    sa.Index("cache_entries_by_use", "tenant_id", "used_at"),
    sa.Index("cache_entries_by_expiry", "tenant_id", "expires_at"),
)
cache_usage = sa.Table(
    "cache_usage",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

_e, _u = cache_entries.c, cache_usage.c
_mine = _e.tenant_id == TENANT
_key: sa.BindParameter[str] = sa.bindparam("of_key", type_=_BYTEWISE)
_now: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_alive = sa.or_(_e.expires_at.is_(None), _e.expires_at > _now)
_ended = sa.and_(_mine, _e.expires_at <= _now)
_within = sa.and_(
    _mine,
    _e.key >= sa.bindparam("least", type_=_BYTEWISE),
    _e.key < sa.bindparam("most", type_=_BYTEWISE),
)

GET = Statement(sa.select(_e.value, _e.used_at).where(_mine, _e.key == _key, _alive))
HELD = Statement(sa.select(_e.value, _e.size, _e.expires_at).where(_mine, _e.key == _key))
PUT = upsert(cache_entries, ("tenant_id", "key"), ("value", "size", "expires_at", "used_at"))
TOUCH = Statement(
    sa.update(cache_entries)
    .where(_mine, _e.key == _key)
    .values(used_at=sa.bindparam("of_used_at", type_=sa.BigInteger))
)
DROP = Statement(sa.delete(cache_entries).where(_mine, _e.key == _key))
ENDED = Statement(sa.select(sa.func.coalesce(sa.func.sum(_e.size), 0)).where(_ended))
DROP_ENDED = Statement(sa.delete(cache_entries).where(_ended))
OLDEST = Statement(sa.select(_e.key, _e.size).where(_mine).order_by(_e.used_at, _e.key).limit(100))
WITHIN = Statement(
    sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_e.size), 0)).where(_within)
)
DROP_WITHIN = Statement(sa.delete(cache_entries).where(_within))
ALIVE = Statement(sa.select(sa.func.coalesce(sa.func.sum(_e.size), 0)).where(_mine, _alive))

BEGIN_USAGE = upsert(cache_usage, ("tenant_id",), ())
LOCK_USAGE = Statement(
    sa.update(cache_usage)
    .where(_u.tenant_id == TENANT)
    .values(bytes=cache_usage.c.bytes)
    .returning(_u.bytes)
)
"""Whoever changes a tenant's cache holds this row: its bytes are exact."""
SET_USAGE = Statement(
    sa.update(cache_usage)
    .where(_u.tenant_id == TENANT)
    .values(bytes=sa.bindparam("of_bytes", type_=sa.BigInteger))
)
