"""The approvals of every tenant, and the statements on them."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("amount", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("page_only", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("live", sa.SmallInteger),
    sa.Column("asked_at", sa.BigInteger),
    sa.Column("answered_at", sa.BigInteger),
    sa.Column("answered_by", sa.Text),
    sa.Column("means", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("consumed_at", sa.BigInteger),
    sa.UniqueConstraint("tenant_id", "digest", "principal", "live", name="one_live_approval"),
    sa.Index("approvals_by_time", "tenant_id", "created_at", "id"),
)
"""`summary` tells of the call's arguments: it is kept `sealed`, and empty itself (`sealed` NULL: an
older record, in plain). `live` is 1 while the record may still be answered or used, else NULL: one per exact call."""

_c = approvals.c
_mine = (_c.tenant_id == TENANT, _c.id == sa.bindparam("of"))
_call = (
    _c.tenant_id == TENANT,
    _c.tool == sa.bindparam("of_tool"),
    _c.digest == sa.bindparam("of_digest"),
    _c.principal == sa.bindparam("of_principal"),
    _c.live == 1,
)
_now: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)

SHOWN = (
    _c.id,
    _c.tool,
    _c.subject,
    _c.summary,
    _c.amount,
    _c.currency,
    _c.page_only,
    _c.status,
    _c.asked_at,
    _c.answered_at,
    _c.answered_by,
    _c.means,
    _c.created_at,
    _c.expires_at,
    _c.sealed,
)
"""The columns of a `Record`, in its order, and its sealed summary."""


def _insert(dialect: str) -> sa.sql.expression.ClauseElement:
    if dialect == "sqlite":
        return sqlite.insert(approvals).on_conflict_do_nothing()
    return postgresql.insert(approvals).on_conflict_do_nothing()


def _set(**values: object) -> sa.Update:
    return sa.update(approvals).values(**values)


INSERT = Statement(_insert)
"""A new record; nothing when the call has a live one."""

LIVE = Statement(sa.select(*SHOWN).where(*_call))
GET = Statement(sa.select(*SHOWN).where(*_mine))

LAPSE = Statement(_set(status="expired", live=sa.null()).where(*_call, _c.expires_at <= _now))
"""What ran out makes room for a new record of the same call."""

PAGE_ONLY = Statement(_set(page_only=1).where(*_mine, _c.status == "pending"))
"""The ceiling was lowered after the record was made."""

ASKED = Statement(_set(asked_at=_now).where(*_mine, _c.asked_at.is_(None)))

ANSWER = Statement(
    _set(
        status=sa.bindparam("answer"),
        means=sa.bindparam("how"),
        answered_by=sa.bindparam("person"),
        answered_at=_now,
    ).where(*_mine, _c.status == "pending", _c.live == 1, _c.expires_at > _now)
)

CONSUME = Statement(
    _set(status="consumed", live=sa.null(), consumed_at=_now).where(
        *_mine, _c.status == "approved", _c.live == 1, _c.expires_at > _now
    )
)
"""Touches one row for exactly one of any number of parallel calls."""

TOLD = Statement(_set(live=sa.null()).where(*_mine, _c.status == "denied", _c.live == 1))
"""A refusal is told once; the next call asks anew."""

SPEND = Statement(
    _set(expires_at=_now).where(*_mine, _c.status == "consumed", _c.expires_at > _now)
)
"""The approved change is committed. Its time is over: `RELEASE` does not find it any more."""

_other = approvals.alias("other")
RELEASE = Statement(
    _set(status="approved", live=1, consumed_at=sa.null()).where(
        *_mine,
        _c.status == "consumed",
        _c.means != "unattended",
        _c.expires_at > _now,
        ~sa.exists().where(
            _other.c.tenant_id == TENANT,
            _other.c.digest == _c.digest,
            _other.c.principal == _c.principal,
            _other.c.live == 1,
        ),
    )
)
"""The approved call failed. When the same call was asked again meanwhile, that record stands."""

_ran_out = sa.and_(sa.or_(_c.status == "pending", _c.status == "approved"), _c.expires_at <= _now)
_status = sa.case((_ran_out, "expired"), else_=_c.status)
_wanted: sa.BindParameter[str] = sa.bindparam("wanted", type_=sa.Text)
_before: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
_before_id: sa.BindParameter[str] = sa.bindparam("before_id", type_=sa.Text)

LIST = Statement(
    sa.select(*SHOWN)
    .where(
        _c.tenant_id == TENANT,
        sa.or_(_wanted == "", _status == _wanted),
        sa.or_(_c.created_at < _before, sa.and_(_c.created_at == _before, _c.id < _before_id)),
    )
    .order_by(_c.created_at.desc(), _c.id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
"""Newest first."""
