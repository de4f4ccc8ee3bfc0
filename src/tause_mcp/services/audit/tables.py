"""The chains of every tenant, and the statements on them.

On PostgreSQL the application's role only reads these tables: it writes through the functions of
`migrations.audit_sql`. On SQLite triggers of the same file refuse what the program never does.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from tause_mcp.database import TENANT, Statement, metadata, upsert
from tause_mcp.migrations import audit_sql
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

audit_checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
"""Where retention cut each chain: the last record that it removed, and when."""

_a, _h, _k, _t = audit.c, audit_heads.c, audit_checkpoints.c, tenants.c


def _forgetting(table: sa.Table) -> Statement:
    """Remove what a deleted tenant leaves here; of a living one, nothing."""
    plain = sa.delete(table).where(table.c.tenant_id == TENANT)
    forget = sa.select(sa.func.tause_audit_forget())
    return Statement(lambda dialect: plain if dialect == "sqlite" else forget)


def _ddl(sql: str) -> Any:
    made: Any = sa.DDL(sql)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return made.execute_if(dialect="sqlite")


for _table in (audit, audit_heads, audit_checkpoints):
    _table.info["emptying"] = _forgetting(_table)
    for _sql in audit_sql.SQLITE[_table.name]:
        sa.event.listen(_table, "after_create", _ddl(_sql))


def text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


_count = sa.bindparam("count", type_=sa.Integer)

# --- PostgreSQL: one round trip -----------------------------------------------------------------

_FIELDS = ("actor", "home", "issuer", "credential", "action", "digest", "outcome", "door")
APPEND_AT_ONCE = Statement(sa.select(sa.func.tause_audit_append(*map(text, _FIELDS))))
"""The new record's place in the chain; NULL when the tenant is suspended or gone."""
PRUNE_AT_ONCE = Statement(sa.select(sa.func.tause_audit_prune(number("before"), _count)))
"""How many records were removed."""

# --- SQLite: the same in steps, under the one write lock ----------------------------------------

HEAD = Statement(
    sa.select(_h.seq, _h.hash)
    .join(tenants, _t.tenant_id == _h.tenant_id)
    .where(_h.tenant_id == TENANT, _t.state == ACTIVE)
)
"""The chain's end: no row when the tenant is suspended or gone.

So a change of a tenant that is no longer active cannot commit, however stale a cache is.
"""

_last = sa.select(_a.seq).where(_a.tenant_id == TENANT).order_by(_a.seq.desc()).limit(1)
_last_hash = sa.select(_a.hash).where(_a.tenant_id == TENANT).order_by(_a.seq.desc()).limit(1)


_first = sa.select(
    _t.tenant_id,
    sa.func.coalesce(_last.scalar_subquery(), 0),
    sa.func.coalesce(_last_hash.scalar_subquery(), sa.bindparam("genesis", type_=sa.Text)),
).where(_t.tenant_id == TENANT, _t.state == ACTIVE)
START = Statement(
    sqlite.insert(audit_heads)
    .from_select(["tenant_id", "seq", "hash"], _first)
    .on_conflict_do_nothing()
)
"""The head of a chain that has none, for an active tenant."""

ADVANCE = Statement(
    sa.update(audit_heads)
    .where(_h.tenant_id == TENANT)
    .values(seq=sa.bindparam("now_seq", type_=sa.BigInteger), hash=sa.bindparam("now_hash"))
)
APPEND = Statement(sa.insert(audit))
OLDEST = Statement(sa.select(_a.seq).where(_a.tenant_id == TENANT).order_by(_a.seq).limit(1))
NEWEST = Statement(_last)
FIRST_SINCE = Statement(
    sa.select(_a.seq)
    .where(_a.tenant_id == TENANT, _a.at >= number("since"))
    .order_by(_a.seq)
    .limit(1)
)
LAST_UNTIL = Statement(
    sa.select(_a.seq)
    .where(_a.tenant_id == TENANT, _a.at < number("until"))
    .order_by(_a.seq.desc())
    .limit(1)
)
ONE = Statement(sa.select(*_a).where(_a.tenant_id == TENANT, _a.seq == number("at_seq")))
CUT = Statement(sa.delete(audit).where(_a.tenant_id == TENANT, _a.seq <= number("cut")))
PUT_CHECKPOINT = upsert(audit_checkpoints, ("tenant_id",), ("seq", "hash", "at"))

# --- reading ------------------------------------------------------------------------------------

CHECKPOINT = Statement(sa.select(_k.seq, _k.hash, _k.at).where(_k.tenant_id == TENANT))
_within = (_a.tenant_id == TENANT, _a.at >= number("since"), _a.at < number("until"))


def _only(column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """Equal to the parameter; an empty one asks for nothing."""
    return sa.or_(text(name) == "", column == text(name))


SEARCH = Statement(
    sa.select(*_a)
    .where(
        *_within,
        _a.seq < number("before"),
        _only(_a.actor, "actor"),
        _only(_a.home, "home"),
        _only(_a.credential, "credential"),
        _only(_a.outcome, "outcome"),
        _only(_a.door, "door"),
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
    sa.select(*_a)
    .where(_a.tenant_id == TENANT, _a.seq > number("after"), _a.seq <= number("last"))
    .order_by(_a.seq)
    .limit(_count)
)
"""In the order of the chain."""

END = Statement(sa.select(_h.seq, _h.hash).where(_h.tenant_id == TENANT))

LATEST = Statement(
    sa.select(sa.func.max(_a.at)).where(_a.tenant_id == TENANT, _a.at < number("until"))
)
"""When the last record before a moment was made: finds the days with records one by one."""
