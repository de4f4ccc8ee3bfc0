"""The chains of every tenant, and the statements on them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata
from tause_mcp.services.tenants.tables import ACTIVE, tenants

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("home", sa.Text, nullable=False),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("credential", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("door", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("audit_by_time", "tenant_id", "at", "seq"),
)
"""One row per change, in the order of `services.audit.verify.Record`."""

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
"""The end of each chain: its lock on PostgreSQL, and what shows that the last rows were removed."""

_a, _h, _t = audit.c, audit_heads.c, tenants.c

HEAD = Statement(
    sa.select(_h.seq, _h.hash)
    .join(tenants, _t.tenant_id == _h.tenant_id)
    .where(_h.tenant_id == TENANT, _t.state == ACTIVE)
    .with_for_update(key_share=True)
)
"""The chain's end, locked with its tenant: no row when the tenant is suspended or gone.

So a change of a tenant that is no longer active cannot commit, however stale a cache is.
"""

_last = sa.select(_a.seq).where(_a.tenant_id == TENANT).order_by(_a.seq.desc()).limit(1)
_last_hash = sa.select(_a.hash).where(_a.tenant_id == TENANT).order_by(_a.seq.desc()).limit(1)


def _start(dialect: str) -> sa.sql.expression.ClauseElement:
    first: Any = sa.select(
        _t.tenant_id,
        sa.func.coalesce(_last.scalar_subquery(), 0),
        sa.func.coalesce(_last_hash.scalar_subquery(), sa.bindparam("genesis", type_=sa.Text)),
    ).where(_t.tenant_id == TENANT, _t.state == ACTIVE)
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(audit_heads)
    clause: sa.sql.expression.ClauseElement = insert.from_select(
        ["tenant_id", "seq", "hash"], first
    ).on_conflict_do_nothing()
    return clause


START = Statement(_start)
"""The head of a chain that has none, for an active tenant."""

ADVANCE = Statement(
    sa.update(audit_heads)
    .where(_h.tenant_id == TENANT)
    .values(seq=sa.bindparam("now_seq", type_=sa.BigInteger), hash=sa.bindparam("now_hash"))
)
APPEND = Statement(sa.insert(audit))


def text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


_count = sa.bindparam("count", type_=sa.Integer)
_within = (_a.tenant_id == TENANT, _a.at >= number("since"), _a.at < number("until"))

SEARCH = Statement(
    sa.select(*_a)
    .where(
        *_within,
        _a.seq < number("before"),
        sa.or_(text("actor") == "", _a.actor == text("actor")),
        sa.or_(
            text("action") == "",
            _a.action == text("action"),
            sa.and_(
                sa.bindparam("length", type_=sa.Integer) > 0,
                sa.func.substr(_a.action, 1, sa.bindparam("length", type_=sa.Integer))
                == text("action"),
            ),
        ),
    )
    .order_by(_a.seq.desc())
    .limit(_count)
)
"""Newest first. `length` > 0: `action` is a beginning of that many characters."""

WALK = Statement(
    sa.select(*_a).where(*_within, _a.seq > number("after")).order_by(_a.seq).limit(_count)
)
"""In the order of the chain."""

END = Statement(sa.select(_h.seq, _h.hash).where(_h.tenant_id == TENANT))

LATEST = Statement(
    sa.select(sa.func.max(_a.at)).where(_a.tenant_id == TENANT, _a.at < number("until"))
)
"""When the last record before a moment was made: finds the days with records one by one."""
