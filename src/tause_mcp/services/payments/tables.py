"""Payment intents: their table, and the only moves between their states."""

from typing import Any

import sqlalchemy as sa

from tause_mcp.database import TENANT, Statement, metadata
from tause_mcp.intents import statements
from tause_mcp.intents.statements import (
    BYTEWISE,
    CLAIMED,
    DOUBTED,
    FREE,
    HOLDER,
    NOW,
    STATES,
    Statements,
    number,
    text,
    twice,
)

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
    sa.Column("link_id", sa.Text),
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
    sa.Index("payments_by_link", "tenant_id", "link_id"),
)
"""One row is one attempt at one order. `sealed` holds what is the payer's: customer, details of the
method, acceptance, description. Amounts in cents; times in epoch microseconds. `checks` counts the
looks at the provider that found nothing since it was sent, `checked_at` is the first of them.
`voiding` is the amount of the void whose outcome is awaited (`void_state`: `sending`, `unknown`)."""

# --- states and the only moves ----------------------------------------------------------------

READY, SENDING, PENDING, ERROR, EXPIRED = STATES
AWAITING, APPROVED, DECLINED, VOIDED = "awaiting_payer", "approved", "declined", "voided"
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
INTENTS = Statements(
    payments,
    _p.order_id,
    UNSENT,
    claiming={"sealed": sa.bindparam("of_sealed", type_=sa.LargeBinary)},
)

SKIP = INTENTS.ended(
    EXPIRED, *INTENTS.mine, _p.state == READY, _p.sent_at.is_(None), status_message=text("message")
)
"""A time of a schedule that was missed for too long is recorded, and never sent."""

EXPIRE_SCHEDULED = INTENTS.ended(
    EXPIRED,
    _p.tenant_id == TENANT,
    _p.schedule_id == text("of_schedule"),
    _p.state == READY,
    status_message=text("message"),
)
"""The schedule was ended before these were sent."""

PAID_BY_LINK = Statement(
    sa.select(_p.id)
    .where(
        _p.tenant_id == TENANT,
        _p.link_id == text("of_link"),
        _p.state.in_((APPROVED, VOIDED)),
    )
    .limit(1)
)
"""Whether anybody has paid by a link."""

_GIVEN_BACK = sa.case(
    (_p.void_state.is_not(None), _p.voided + _p.voiding),
    (_p.voided == 0, _p.amount),
    else_=_p.voided,
)
"""Of what the provider shows as voided: the void that was on its way was made (of a part, too: Wompi
shows both alike); or somebody gave all of it back elsewhere."""


def _adopted(target: str) -> Statement:
    also: dict[str, Any] = {"redirect_url": sa.func.coalesce(text("redirect"), _p.redirect_url)}
    if target == VOIDED:
        also |= {"voided": _GIVEN_BACK, "voiding": 0, "void_state": sa.null()}
    return INTENTS.adopt(target, FORMER[target], (ERROR, EXPIRED), **also)


ADOPT = {target: _adopted(target) for target in FORMER}
"""What the provider says, by state; no row when it may not become that."""

REDIRECT = Statement(
    sa.update(payments)
    .where(*INTENTS.mine, _p.state == PENDING, _p.redirect_url.is_(None))
    .values(redirect_url=text("redirect"), updated_at=NOW)
)
"""A pending payment's way to the bank is told later than it was made."""

# --- voids ------------------------------------------------------------------------------------

_VOID_SENDING, _VOID_UNKNOWN = "sending", "unknown"
CLAIM_VOID = Statement(
    sa.update(payments)
    .where(
        *INTENTS.mine,
        _p.state == APPROVED,
        _p.void_state.is_(None),
        _p.voided + number("more") <= _p.amount,
    )
    .values(**CLAIMED, void_state=_VOID_SENDING, voiding=number("more"))
)
"""One void at a time, and never more than what was paid and is not voided yet."""

_voiding = (*INTENTS.mine, _p.state == APPROVED, _p.void_state.is_not(None))
_void_held = (*_voiding, _p.claim == HOLDER)
_no_void = {"void_state": sa.null(), "voiding": 0, "updated_at": NOW, **FREE}
VOID_DONE = Statement(
    sa.update(payments)
    .where(*_void_held)
    .values(
        voided=_p.voided + _p.voiding,
        state=sa.case(
            (sa.or_(_p.voided + _p.voiding >= _p.amount, text("shown") == VOIDED), VOIDED),
            else_=APPROVED,
        ),
        problem=sa.null(),
        **_no_void,
    )
)
"""`shown`: the state that the answer shows; after a void of a part it may be voided too."""
VOID_FAILED = Statement(sa.update(payments).where(*_void_held).values(**_no_void))
"""The provider did nothing: its holder gives the claim back."""
VOID_DOUBT = Statement(
    sa.update(payments).where(*_void_held).values(**DOUBTED, void_state=_VOID_UNKNOWN)
)
VOID_MISSED = statements.missed(payments, *_voiding)
VOID_RETURN = Statement(
    sa.update(payments)
    .where(*_voiding, *twice(payments), _p.voiding == _p.amount)
    .values(**_no_void)
)
"""Read twice, a minute apart, as approved: the void of the whole did not happen. Of a part of it
nobody can tell, and it is never repeated."""
