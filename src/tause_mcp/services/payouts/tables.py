"""Payouts: their table, and the only moves between their states."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

payouts = sa.Table(
    "payouts",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("payout_id", BYTEWISE, nullable=False),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("payment_type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text),
    sa.Column("provider_status", sa.Text),
    sa.Column("status_message", sa.Text),
    sa.Column("hint", sa.Text),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("claim", sa.Text),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("sent_at", sa.BigInteger),
    sa.Column("checks", sa.BigInteger, nullable=False),
    sa.Column("checked_at", sa.BigInteger, nullable=False),
    sa.Column("problem", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("finalized_at", sa.BigInteger),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint(
        "tenant_id", "environment", "payout_id", "attempt", name="one_payout_per_attempt"
    ),
    sa.UniqueConstraint("tenant_id", "reference", name="one_payout_per_reference"),
    sa.Index("payouts_by_provider", "tenant_id", "provider_id"),
    sa.Index("payouts_by_time", "tenant_id", "created_at", "id"),
)
"""One row is one attempt at paying one beneficiary, who is in `sealed`. `kind`: `account` or `key`.
`account` stands for whose keys it was made with, `account_id` for the account that pays. `sent_at`:
when it was last posted, unless it is certain that nothing was. `hint`: the provider's id as a genuine
event told it. `checks` counts the looks that found nothing since it was sent, `checked_at` is the
first of them. Amounts in cents; times in epoch microseconds."""

# --- states and the only moves ----------------------------------------------------------------

READY, SENDING, PENDING = "ready", "sending", "pending"
APPROVED, DECLINED, ERROR = "approved", "declined", "error"
EXPIRED, CANCELLED = "expired", "cancelled"
OPEN = (READY, SENDING)
FINAL = (APPROVED, DECLINED, ERROR, EXPIRED, CANCELLED)
AGAIN = (DECLINED, ERROR, EXPIRED, CANCELLED)
"""After these, and only these, a payout may be tried again."""
FORMER: dict[str, tuple[str, ...]] = {
    PENDING: OPEN,
    APPROVED: (*OPEN, PENDING),
    DECLINED: (*OPEN, PENDING),
}
"""What the provider says -> the states that may become it. What was given up here (refused or
expired, with no batch of the provider's) may too, when a batch turns up after all."""

_p = payouts.c
_ID: sa.BindParameter[str] = sa.bindparam("of", type_=sa.Text)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_CLAIM: sa.BindParameter[str] = sa.bindparam("of_claim", type_=sa.Text)
_mine = (_p.tenant_id == TENANT, _p.id == _ID)
_held = (*_mine, _p.state == SENDING, _p.claim == _CLAIM)
_no_claim = {"claim": sa.null(), "claimed_until": 0}

SHOWN = tuple(c for c in payouts.columns if c.name not in ("tenant_id", "claim"))
"""The columns of a `record.Row`, in its order."""


def _text(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.Text)


def _number(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _insert(dialect: str) -> sa.sql.expression.ClauseElement:
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(payouts)
    clause: sa.sql.expression.ClauseElement = insert.on_conflict_do_nothing()
    return clause


INSERT = Statement(_insert)
"""A new attempt; no row when somebody else made it first."""

GET = Statement(sa.select(*SHOWN).where(*_mine))
OF_REFERENCE = Statement(
    sa.select(*SHOWN).where(_p.tenant_id == TENANT, _p.reference == _text("of_reference"))
)
OF_PROVIDER = Statement(
    sa.select(*SHOWN).where(_p.tenant_id == TENANT, _p.provider_id == _text("of_provider"))
)
OF_NAME = Statement(
    sa.select(*SHOWN)
    .where(
        _p.tenant_id == TENANT,
        _p.environment == _text("of_environment"),
        _p.payout_id == sa.bindparam("of_name", type_=BYTEWISE),
    )
    .order_by(_p.attempt.desc())
    .limit(1)
)
"""The last attempt at what a caller calls so."""

_wanted = _text("wanted")
_name = sa.bindparam("of_name", type_=BYTEWISE)
_processing = sa.case((_p.state.in_(OPEN), "processing"), else_=_p.state)
LIST = Statement(
    sa.select(*SHOWN)
    .where(
        _p.tenant_id == TENANT,
        sa.or_(_wanted == "", _processing == _wanted),
        sa.or_(_name == "", _p.payout_id == _name),
        sa.or_(
            _p.created_at < _number("before"),
            sa.and_(_p.created_at == _number("before"), _p.id < _text("before_id")),
        ),
    )
    .order_by(_p.created_at.desc(), _p.id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
"""Newest first."""

CLAIM = Statement(
    sa.update(payouts)
    .where(
        *_mine,
        _p.state == READY,
        _p.expires_at > _NOW,
        _p.problem.is_(None),
        sa.func.coalesce(_p.sent_at, 0) == _number("seen"),
    )
    .values(
        state=SENDING,
        claim=_CLAIM,
        claimed_until=_number("until"),
        sent_at=_NOW,
        checks=0,
        checked_at=0,
        updated_at=_NOW,
    )
)
"""Touches one row for exactly one of any number of callers: only that one may post. `seen` is the
`sent_at` of the row that was looked up before: whoever looked at an older one has to look again."""

RELEASE = Statement(
    sa.update(payouts)
    .where(*_held)
    .values(
        state=READY,
        sent_at=sa.func.nullif(_number("seen"), 0),
        updated_at=_NOW,
        **_no_claim,
    )
)
"""Nothing was sent: its holder gives it back as it was."""

DOUBT = Statement(sa.update(payouts).where(*_held).values(claimed_until=_NOW, updated_at=_NOW))
"""It may have been sent: its holder posts no more, and whoever looks next may count."""

_refusal: dict[str, Any] = {
    "state": ERROR,
    "status_message": _text("message"),
    "finalized_at": _NOW,
    "updated_at": _NOW,
    **_no_claim,
}
REFUSE = Statement(sa.update(payouts).where(*_held).values(**_refusal))
"""The provider made nothing of it, and would not the next time either."""

WITHDRAW = Statement(
    sa.update(payouts)
    .where(*_mine, _p.state == READY, sa.func.coalesce(_p.sent_at, 0) == _number("seen"))
    .values(**_refusal)
)
"""It is not what was approved any more: it is not sent."""

CANCEL = Statement(
    sa.update(payouts)
    .where(*_mine, _p.state == READY, _p.sent_at.is_(None))
    .values(state=CANCELLED, finalized_at=_NOW, updated_at=_NOW)
)
"""Nothing was ever sent, and nothing will be."""

MISSED = Statement(
    sa.update(payouts)
    .where(*_mine, _p.state == SENDING, _p.claimed_until <= _NOW)
    .values(
        checks=_p.checks + 1,
        checked_at=sa.case((_p.checks == 0, _NOW), else_=_p.checked_at),
        updated_at=_NOW,
    )
)
"""The provider was asked after the claim ran out, and knows no such reference."""

RETURN = Statement(
    sa.update(payouts)
    .where(
        *_mine,
        _p.state == SENDING,
        _p.claimed_until <= _NOW,
        _p.checks >= 2,
        _p.checked_at <= _number("since"),
        _p.problem.is_(None),
        _p.hint.is_(None),
    )
    .values(state=READY, updated_at=_NOW, **_no_claim)
)
"""Asked twice, a minute apart, it knew nothing: the same reference may be sent again."""

EXPIRE = Statement(
    sa.update(payouts)
    .where(*_mine, _p.state == READY, _p.expires_at <= _number("over"))
    .values(state=EXPIRED, finalized_at=_NOW, updated_at=_NOW, **_no_claim)
)
"""It could not be sent in time, and is not any more."""


def _adopted(target: str) -> Statement:
    given_up = sa.and_(_p.state.in_(AGAIN), _p.provider_id.is_(None))
    values: dict[str, Any] = {
        "state": target,
        "provider_id": _text("of_provider"),
        "provider_status": _text("told"),
        "status_message": _text("message"),
        "problem": sa.null(),
        "finalized_at": sa.null() if target == PENDING else _NOW,
        "updated_at": _NOW,
    }
    return Statement(
        sa.update(payouts)
        .where(
            *_mine,
            sa.or_(_p.state.in_(FORMER[target]), given_up),
            sa.or_(_p.provider_id.is_(None), _p.provider_id == _text("of_provider")),
        )
        .values(**values, **_no_claim)
    )


ADOPT = {target: _adopted(target) for target in FORMER}
"""What the provider says, by state; no row when it may not become that."""

TOLD = Statement(
    sa.update(payouts)
    .where(*_mine, _p.state == PENDING, _p.provider_status != _text("told"))
    .values(provider_status=_text("told"), status_message=_text("message"), updated_at=_NOW)
)
"""Still pending, for another reason."""

HINT = Statement(
    sa.update(payouts)
    .where(*_mine, _p.provider_id.is_(None))
    .values(hint=_text("of_provider"), updated_at=_NOW)
)

PROBLEM = Statement(
    sa.update(payouts)
    .where(*_mine, sa.or_(_p.problem.is_(None), _p.problem != _text("said")))
    .values(problem=_text("said"), updated_at=_NOW)
)
