"""Payouts: their table, and the only moves between their states."""

import sqlalchemy as sa

from tause_mcp.database import Statement, metadata
from tause_mcp.intents.statements import (
    BYTEWISE,
    NOW,
    STATES,
    Statements,
    number,
    text,
)

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

READY, SENDING, PENDING, ERROR, EXPIRED = STATES
APPROVED, DECLINED, CANCELLED = "approved", "declined", "cancelled"
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
_as_seen = sa.func.coalesce(_p.sent_at, 0) == number("seen")
"""`seen` is the `sent_at` of the row that was looked up before: whoever looked at an older one has
to look again."""
INTENTS = Statements(
    payouts,
    _p.payout_id,
    (READY,),
    claimable=(_p.problem.is_(None), _as_seen),
    releasing={"sent_at": sa.func.nullif(number("seen"), 0)},
    returnable=(_p.hint.is_(None),),
)

WITHDRAW = INTENTS.ended(
    ERROR, *INTENTS.mine, _p.state == READY, _as_seen, status_message=text("message")
)
"""It is not what was approved any more: it is not sent."""

CANCEL = INTENTS.ended(CANCELLED, *INTENTS.mine, _p.state == READY, _p.sent_at.is_(None))
"""Nothing was ever sent, and nothing will be."""

ADOPT = {
    target: INTENTS.adopt(target, former, AGAIN, provider_status=text("told"))
    for target, former in FORMER.items()
}
"""What the provider says, by state; no row when it may not become that."""

TOLD = Statement(
    sa.update(payouts)
    .where(*INTENTS.mine, _p.state == PENDING, _p.provider_status != text("told"))
    .values(provider_status=text("told"), status_message=text("message"), updated_at=NOW)
)
"""Still pending, for another reason."""

HINT = Statement(
    sa.update(payouts)
    .where(*INTENTS.mine, _p.provider_id.is_(None))
    .values(hint=text("of_provider"), updated_at=NOW)
)
"""The provider's id of what it took."""
