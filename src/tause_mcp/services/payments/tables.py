"""Payment intents: their table, and the only moves between their states."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tause_mcp.database import TENANT, Statement, metadata

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared by bytes on every database: a prefix is a range."""

payments = sa.Table(
    "payments",
    metadata,
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("order_id", BYTEWISE, nullable=False),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text),
    sa.Column("status_message", sa.Text),
    sa.Column("redirect_url", sa.Text),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("claim", sa.Text),
    sa.Column("claimed_until", sa.BigInteger, nullable=False),
    sa.Column("sent_at", sa.BigInteger),
    sa.Column("checks", sa.BigInteger, nullable=False),
    sa.Column("checked_at", sa.BigInteger, nullable=False),
    sa.Column("voided", sa.BigInteger, nullable=False),
    sa.Column("voiding", sa.BigInteger, nullable=False),
    sa.Column("void_state", sa.Text),
    sa.Column("source_id", sa.Text),
    sa.Column("schedule_id", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    sa.Column("finalized_at", sa.BigInteger),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint(
        "tenant_id", "environment", "order_id", "attempt", name="one_payment_per_attempt"
    ),
    sa.UniqueConstraint("tenant_id", "reference", name="one_payment_per_reference"),
    sa.Index("payments_by_provider", "tenant_id", "provider_id"),
    sa.Index("payments_by_time", "tenant_id", "created_at", "id"),
    sa.Index("payments_by_schedule", "tenant_id", "schedule_id", "state"),
)
"""One row is one attempt at one order. `sealed` holds what is the payer's: customer, details of the
method, acceptance, description. Amounts in cents; times in epoch microseconds. `checks` counts the
looks at the provider that found nothing since it was sent, `checked_at` is the first of them.
`voiding` is the amount of the void whose outcome is awaited (`void_state`: `sending`, `unknown`)."""

# --- states and the only moves ----------------------------------------------------------------

AWAITING, READY, SENDING, PENDING = "awaiting_payer", "ready", "sending", "pending"
APPROVED, DECLINED, ERROR, VOIDED, EXPIRED = "approved", "declined", "error", "voided", "expired"
UNSENT = (AWAITING, READY)
FINAL = (APPROVED, DECLINED, ERROR, VOIDED, EXPIRED)
AGAIN = (DECLINED, ERROR, EXPIRED)
"""After these, and only these, an order may be tried again."""
OPEN = (AWAITING, READY, SENDING)
"""Nothing of the provider's is known yet."""
FORMER: dict[str, tuple[str, ...]] = {
    PENDING: OPEN,
    APPROVED: (*OPEN, PENDING),
    DECLINED: (*OPEN, PENDING),
    ERROR: (*OPEN, PENDING),
    VOIDED: (*OPEN, PENDING, APPROVED),
}
"""What the provider says -> the states that may become it. What we gave up ourselves (expired, or
refused, with no transaction of the provider's) may too, when a transaction turns up after all."""

_p = payments.c
_ID: sa.BindParameter[str] = sa.bindparam("of", type_=sa.Text)
_NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
_CLAIM: sa.BindParameter[str] = sa.bindparam("of_claim", type_=sa.Text)
_mine = (_p.tenant_id == TENANT, _p.id == _ID)
_held = (*_mine, _p.state == SENDING, _p.claim == _CLAIM)
_no_claim = {"claim": sa.null(), "claimed_until": 0}

SHOWN = tuple(c for c in payments.columns if c.name not in ("tenant_id", "claim"))
"""The columns of a `record.Row`, in its order."""


def _text(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.Text)


def _number(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _insert(dialect: str) -> sa.sql.expression.ClauseElement:
    insert: Any = (sqlite if dialect == "sqlite" else postgresql).insert(payments)
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
OF_ORDER = Statement(
    sa.select(*SHOWN)
    .where(
        _p.tenant_id == TENANT,
        _p.environment == _text("of_environment"),
        _p.order_id == sa.bindparam("of_order", type_=BYTEWISE),
    )
    .order_by(_p.attempt.desc())
    .limit(1)
)
"""The last attempt at an order."""

_wanted = _text("wanted")
_order = sa.bindparam("of_order", type_=BYTEWISE)
_processing = sa.case((_p.state.in_((READY, SENDING)), "processing"), else_=_p.state)
LIST = Statement(
    sa.select(*SHOWN)
    .where(
        _p.tenant_id == TENANT,
        sa.or_(_wanted == "", _processing == _wanted),
        sa.or_(_order == "", _p.order_id == _order),
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
    sa.update(payments)
    .where(*_mine, _p.state == _text("former"), _p.expires_at > _NOW)
    .values(
        state=SENDING,
        claim=_CLAIM,
        claimed_until=_number("until"),
        sent_at=_NOW,
        checks=0,
        checked_at=0,
        sealed=sa.bindparam("of_sealed", type_=sa.LargeBinary),
        updated_at=_NOW,
    )
)
"""Touches one row for exactly one of any number of callers: only that one may post."""

RELEASE = Statement(
    sa.update(payments).where(*_held).values(state=_text("former"), updated_at=_NOW, **_no_claim)
)
"""Nothing was sent: its holder gives it back."""

DOUBT = Statement(sa.update(payments).where(*_held).values(claimed_until=_NOW, updated_at=_NOW))
"""It may have been sent: its holder posts no more, and whoever looks next may count."""

REFUSE = Statement(
    sa.update(payments)
    .where(*_held)
    .values(
        state=ERROR,
        status_message=_text("message"),
        finalized_at=_NOW,
        updated_at=_NOW,
        **_no_claim,
    )
)
"""The provider made nothing of it, and would not the next time either."""

MISSED = Statement(
    sa.update(payments)
    .where(*_mine, _p.state == SENDING, _p.claimed_until <= _NOW)
    .values(
        checks=_p.checks + 1,
        checked_at=sa.case((_p.checks == 0, _NOW), else_=_p.checked_at),
        updated_at=_NOW,
    )
)
"""The provider was asked after the claim ran out, and knows no such reference."""

RETURN = Statement(
    sa.update(payments)
    .where(
        *_mine,
        _p.state == SENDING,
        _p.claimed_until <= _NOW,
        _p.checks >= 2,
        _p.checked_at <= _number("since"),
        _p.problem.is_(None),
    )
    .values(state=_text("former"), updated_at=_NOW, **_no_claim)
)
"""Asked twice, a minute apart, it knew nothing: the same reference may be sent again."""

EXPIRE = Statement(
    sa.update(payments)
    .where(*_mine, _p.state.in_(UNSENT), _p.expires_at <= _number("over"))
    .values(state=EXPIRED, finalized_at=_NOW, updated_at=_NOW, **_no_claim)
)
"""Nobody paid in time."""

SKIP = Statement(
    sa.update(payments)
    .where(*_mine, _p.state == READY, _p.sent_at.is_(None))
    .values(
        state=EXPIRED,
        status_message=_text("message"),
        finalized_at=_NOW,
        updated_at=_NOW,
    )
)
"""A time of a schedule that was missed for too long is recorded, and never sent."""

EXPIRE_SCHEDULED = Statement(
    sa.update(payments)
    .where(_p.tenant_id == TENANT, _p.schedule_id == _text("of_schedule"), _p.state == READY)
    .values(
        state=EXPIRED,
        status_message=_text("message"),
        finalized_at=_NOW,
        updated_at=_NOW,
        **_no_claim,
    )
)
"""The schedule was ended before these were sent."""


_GIVEN_BACK = sa.case(
    (_p.void_state.is_not(None), _p.voided + _p.voiding),
    (_p.voided == 0, _p.amount),
    else_=_p.voided,
)
"""Of what the provider shows as voided: the void that was on its way was made (of a part, too: Wompi
shows both alike); or somebody gave all of it back elsewhere."""


def _adopted(target: str) -> Statement:
    given_up = sa.and_(_p.state.in_((ERROR, EXPIRED)), _p.provider_id.is_(None))
    values: dict[str, Any] = {
        "state": target,
        "provider_id": _text("of_provider"),
        "status_message": _text("message"),
        "redirect_url": sa.func.coalesce(_text("redirect"), _p.redirect_url),
        "problem": sa.null(),
        "finalized_at": sa.null() if target == PENDING else _number("final"),
        "updated_at": _NOW,
    }
    if target == VOIDED:
        values |= {"voided": _GIVEN_BACK, "voiding": 0, "void_state": sa.null()}
    return Statement(
        sa.update(payments)
        .where(
            *_mine,
            sa.or_(_p.state.in_(FORMER[target]), given_up),
            sa.or_(_p.provider_id.is_(None), _p.provider_id == _text("of_provider")),
        )
        .values(**values, **_no_claim)
    )


ADOPT = {target: _adopted(target) for target in FORMER}
"""What the provider says, by state; no row when it may not become that."""

REDIRECT = Statement(
    sa.update(payments)
    .where(*_mine, _p.state == PENDING, _p.redirect_url.is_(None))
    .values(redirect_url=_text("redirect"), updated_at=_NOW)
)
"""A pending payment's way to the bank is told later than it was made."""

PROBLEM = Statement(
    sa.update(payments)
    .where(*_mine, sa.or_(_p.problem.is_(None), _p.problem != _text("said")))
    .values(problem=_text("said"), updated_at=_NOW)
)

# --- voids ------------------------------------------------------------------------------------

_VOID_SENDING, _VOID_UNKNOWN = "sending", "unknown"
CLAIM_VOID = Statement(
    sa.update(payments)
    .where(
        *_mine,
        _p.state == APPROVED,
        _p.void_state.is_(None),
        _p.voided + _number("more") <= _p.amount,
    )
    .values(
        void_state=_VOID_SENDING,
        voiding=_number("more"),
        claim=_CLAIM,
        claimed_until=_number("until"),
        checks=0,
        checked_at=0,
        updated_at=_NOW,
    )
)
"""One void at a time, and never more than what was paid and is not voided yet."""

_voiding = (*_mine, _p.state == APPROVED, _p.void_state.is_not(None))
_void_held = (*_voiding, _p.claim == _CLAIM)
_no_void = {"void_state": sa.null(), "voiding": 0, **_no_claim}
VOID_DONE = Statement(
    sa.update(payments)
    .where(*_void_held)
    .values(
        voided=_p.voided + _p.voiding,
        state=sa.case(
            (sa.or_(_p.voided + _p.voiding >= _p.amount, _text("shown") == VOIDED), VOIDED),
            else_=APPROVED,
        ),
        problem=sa.null(),
        updated_at=_NOW,
        **_no_void,
    )
)
"""`shown`: the state that the answer shows; after a void of a part it may be voided too."""
VOID_FAILED = Statement(sa.update(payments).where(*_void_held).values(updated_at=_NOW, **_no_void))
"""The provider did nothing: its holder gives the claim back."""
VOID_DOUBT = Statement(
    sa.update(payments)
    .where(*_void_held)
    .values(claimed_until=_NOW, void_state=_VOID_UNKNOWN, updated_at=_NOW)
)
VOID_MISSED = Statement(
    sa.update(payments)
    .where(*_voiding, _p.claimed_until <= _NOW)
    .values(
        checks=_p.checks + 1,
        checked_at=sa.case((_p.checks == 0, _NOW), else_=_p.checked_at),
        updated_at=_NOW,
    )
)
VOID_RETURN = Statement(
    sa.update(payments)
    .where(
        *_voiding,
        _p.claimed_until <= _NOW,
        _p.checks >= 2,
        _p.checked_at <= _number("since"),
        _p.voiding == _p.amount,
    )
    .values(updated_at=_NOW, **_no_void)
)
"""Read twice, a minute apart, as approved: the void of the whole did not happen. Of a part of it
nobody can tell, and it is never repeated."""
