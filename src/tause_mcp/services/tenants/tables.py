"""The tree of tenants, their values, limits and usage, and the statements on them.

Statements on another tenant of the tree name it `child`: they run in the caller's transaction, so
that the change and the caller's audit entry commit together.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

ACTIVE, SUSPENDED, DELETED = "active", "suspended", "deleted"
DEEPEST = 16
"""How many tenants stand on one line of the tree."""

tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("parent_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("plan", sa.Text),
    sa.Column("config_version", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Index("tenants_by_parent", "parent_id", "tenant_id"),
)
"""`state` `deleted` is the mark of a tenant that was deleted at `updated_at`: absent for everyone, and
it keeps the id from use until nothing of the former tenant can come late."""

tenant_values = sa.Table(
    "tenant_values",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
)
"""Configuration. `value` is JSON; `version` is the tenant's `config_version` that set it.

`environment` is empty for what holds in every one.
"""

tenant_limits = sa.Table(
    "tenant_limits",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("amount", sa.BigInteger, nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("capability", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)
"""Calls by hour (hours since the epoch), capability and latency bucket: counts only ever add."""

_t, _v, _l, _u = (table.c for table in (tenants, tenant_values, tenant_limits, usage))


def text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


_CHILD, _NOW = text("child"), number("now")
_CHILD_ROW = (_t.tenant_id == _CHILD, _t.state != DELETED)


def _upwards() -> sa.CTE:
    """The tenant `child` and its ancestors; `depth` 0 is the tenant itself."""
    columns = (_t.tenant_id, _t.parent_id, _t.state, _t.plan, _t.created_at)
    line = (
        sa.select(*columns, sa.literal(0, sa.Integer).label("depth"))
        .where(_t.tenant_id == _CHILD)
        .cte("line", recursive=True)
    )
    return line.union_all(
        sa.select(*columns, (line.c.depth + 1).label("depth"))
        .join(line, _t.tenant_id == line.c.parent_id)
        .where(line.c.depth < 2 * DEEPEST)
    )


BORN = Statement(sa.select(_t.created_at).where(_t.tenant_id == _CHILD))
_line = _upwards()
LINEAGE = Statement(sa.select(_line).order_by(_line.c.depth))
LINE_LIMITS = Statement(
    sa.select(_line.c.depth, _l.name, _l.amount)
    .join(tenant_limits, _l.tenant_id == _line.c.tenant_id)
    .order_by(_line.c.depth)
)
LINE_VALUES = Statement(
    sa.select(_line.c.depth, _v.key, _v.kind, _v.value, _v.version, _v.updated_at, _v.environment)
    .join(tenant_values, _v.tenant_id == _line.c.tenant_id)
    .where(sa.or_(_v.environment == "", _v.environment == text("environment")))
    .order_by(_line.c.depth, _v.key, _v.environment)
)
"""What holds in an environment; of one key, what holds in all of them comes first."""

_SHOWN = (
    _t.tenant_id,
    _t.parent_id,
    _t.name,
    _t.state,
    _t.plan,
    _t.config_version,
    _t.created_at,
    _t.updated_at,
)


def _downwards() -> sa.CTE:
    """The tenant `top` and its descendants; whoever is below a suspended one is suspended."""
    tree = sa.select(*_SHOWN).where(_t.tenant_id == text("top")).cte("tree", recursive=True)
    state = sa.case((tree.c.state == SUSPENDED, SUSPENDED), else_=_t.state).label("state")
    below = [state if column is _t.state else column for column in _SHOWN]
    return tree.union_all(
        sa.select(*below).join(tree, _t.parent_id == tree.c.tenant_id).where(_t.state != DELETED)
    )


_tree = _downwards()
SUBTREE = Statement(
    sa.select(_tree)
    .where(
        _tree.c.tenant_id > text("after"),
        sa.or_(text("parent") == "", _tree.c.parent_id == text("parent")),
        sa.or_(text("status") == "", _tree.c.state == text("status")),
    )
    .order_by(_tree.c.tenant_id)
    .limit(sa.bindparam("count", type_=sa.Integer))
)
DESCENDANTS = Statement(sa.select(sa.func.count() - 1).select_from(_tree))
ONE = Statement(sa.select(*_SHOWN).where(*_CHILD_ROW))
CHILDREN = Statement(sa.select(sa.func.count()).where(_t.parent_id == _CHILD, _t.state != DELETED))
LOCK = Statement(sa.select(_t.state, _t.config_version).where(*_CHILD_ROW).with_for_update())


def insert_into(table: sa.Table, dialect: str) -> Any:
    """INSERT of the dialect, which knows ON CONFLICT."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


def _insert(dialect: str) -> sa.sql.expression.ClauseElement:
    clause: sa.sql.expression.ClauseElement = (
        insert_into(tenants, dialect)
        .values(
            tenant_id=_CHILD,
            parent_id=text("parent"),
            name=text("named"),
            state=ACTIVE,
            plan=text("plan"),
            config_version=0,
            created_at=_NOW,
            updated_at=_NOW,
        )
        .on_conflict_do_nothing()
    )
    return clause


INSERT = Statement(_insert)
"""A new tenant; no row when the id is taken."""

SET_STATE = Statement(
    sa.update(tenants)
    .where(*_CHILD_ROW, _t.state == text("state_before"))
    .values(state=text("state_after"), updated_at=_NOW)
)
MARK_DELETED = Statement(
    sa.update(tenants).where(*_CHILD_ROW).values(state=DELETED, name="", plan=None, updated_at=_NOW)
)
_SEEN = (_t.state == DELETED, _t.updated_at == number("seen"))
RENEW_MARK = Statement(
    sa.update(tenants).where(_t.tenant_id == _CHILD, *_SEEN).values(updated_at=_NOW)
)
LEAVING = Statement(
    sa.select(_t.tenant_id, _t.updated_at).where(_t.state == DELETED).order_by(_t.tenant_id)
)
IS_LEAVING = Statement(sa.select(_t.state, _t.updated_at).where(_t.tenant_id == TENANT))
FORGET = Statement(sa.delete(tenants).where(_t.tenant_id == TENANT, *_SEEN))

CONFIGURE = Statement(
    sa.update(tenants)
    .where(*_CHILD_ROW)
    .values(
        name=text("named"),
        plan=text("plan"),
        config_version=_t.config_version + number("more"),
        updated_at=_NOW,
    )
)


def _put(table: sa.Table, keys: tuple[str, ...], fields: tuple[str, ...]) -> Statement:
    """Store one row of the tenant `child`; the parameters are named `of_<column>`."""

    def build(dialect: str) -> sa.sql.expression.ClauseElement:
        given = {
            name: sa.bindparam(f"of_{name}", type_=table.c[name].type) for name in keys + fields
        }
        clause = insert_into(table, dialect).values(tenant_id=_CHILD, **given)
        fresh = {name: clause.excluded[name] for name in fields}
        told: sa.sql.expression.ClauseElement = clause.on_conflict_do_update(
            index_elements=["tenant_id", *keys], set_=fresh
        )
        return told

    return Statement(build)


_VALUE = (
    _v.tenant_id == _CHILD,
    _v.key == text("of_key"),
    _v.environment == text("of_environment"),
)
PUT_VALUE = _put(tenant_values, ("key", "environment"), ("kind", "value", "version", "updated_at"))
OLD_VALUE = Statement(sa.select(_v.value).where(*_VALUE))
DROP_VALUE = Statement(sa.delete(tenant_values).where(*_VALUE))
COUNT_VALUES = Statement(
    sa.select(sa.func.count()).select_from(tenant_values).where(_v.tenant_id == _CHILD)
)
_LIMIT = (_l.tenant_id == _CHILD, _l.name == text("of_name"))
PUT_LIMIT = _put(tenant_limits, ("name",), ("amount",))
OLD_LIMIT = Statement(sa.select(_l.amount).where(*_LIMIT))
DROP_LIMIT = Statement(sa.delete(tenant_limits).where(*_LIMIT))


def _add_usage(dialect: str) -> sa.sql.expression.ClauseElement:
    """Add counts to one row, unless the tenant is gone: a late flush must not outlive it."""
    columns = [c.name for c in usage.columns]
    fresh = sa.select(*(sa.bindparam(f"of_{c.name}", type_=c.type) for c in usage.columns)).where(
        sa.exists().where(_t.tenant_id == text("of_tenant_id"), _t.state != DELETED)
    )
    clause = insert_into(usage, dialect).from_select(columns, fresh)
    more = {n: usage.c[n] + clause.excluded[n] for n in ("calls", "errors", "bytes")}
    told: sa.sql.expression.ClauseElement = clause.on_conflict_do_update(
        index_elements=columns[:4], set_=more
    )
    return told


ADD_USAGE = Statement(_add_usage)
READ_USAGE = Statement(
    sa.select(_u.hour, _u.capability, _u.bucket, _u.calls, _u.errors, _u.bytes).where(
        _u.tenant_id == TENANT, _u.hour >= number("first"), _u.hour <= number("last")
    )
)
