"""One row per attempt at a payout: what it is made of, and which one stands for a call."""

from dataclasses import dataclass
from typing import Any

from tause_mcp import due, times
from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict
from tause_mcp.intents import LEAD, new_id
from tause_mcp.outbound.wompi import Payouts
from tause_mcp.services.payouts import tables
from tause_mcp.services.payouts.ledger import KIND, Ledger
from tause_mcp.services.payouts.record import Row, Sealed, status_of
from tause_mcp.services.payouts.values import CURRENCY, Order, plain

SENDABLE = 23 * 3600 * times.SECOND
"""Microseconds in which a payout is tried to be sent: Wompi's idempotency key of a first post lives
24 hours, so every further post of it is refused there."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the row of an attempt. Waits for nothing: it works inside the transaction."""

    ledger: Ledger
    wompi: Payouts
    cipher: Cipher
    order: Order
    account_id: str
    kept: Sealed
    digest: str

    @property
    def environment(self) -> str:
        return self.wompi.account.environment

    def row(self, number: int) -> dict[str, Any]:
        """The columns of the attempt with that number."""
        now, id_, order = times.now(), new_id("pyo"), self.order
        return {
            "id": id_,
            "environment": self.environment,
            "payout_id": order.payout_id,
            "attempt": number,
            "reference": self.ledger.names().reference(self.environment, order.payout_id, number),
            "digest": self.digest,
            "kind": "key" if order.beneficiary.key else "account",
            "account": self.ledger.whose(self.wompi),
            "account_id": self.account_id,
            "amount": order.amount,
            "currency": CURRENCY,
            "payment_type": order.payment_type,
            "state": tables.READY,
            "sealed": self.kept.closed(self.cipher, id_),
            "created_at": now,
            "updated_at": now,
            "expires_at": now + SENDABLE,
        }


def told(order: Order) -> dict[str, Any]:
    """What two calls have to say alike to be the same payout."""
    return {**plain(order), "beneficiary": plain(order.beneficiary)}


async def place(tx: Transaction, maker: Maker, *, retry: bool) -> Row:
    """The row that stands for an order, made when there is none.

    Raises:
        Conflict: the name has a payout with other arguments, or may not be tried again.
    """
    of = {"of_name": maker.order.payout_id, "of_environment": maker.environment}
    row, made = await maker.ledger.book.place(
        tx,
        of,
        lambda last, again: next_of(last, maker.order, maker.digest, retry=again),
        maker.row,
        retry=retry,
    )
    if made:
        await due.put(tx, KIND, row.id, row.created_at + LEAD)
    return row


def next_of(last: Row, order: Order, digest: str, *, retry: bool) -> int | None:
    """The number of the next attempt; None: the last one stands for this call."""
    same = last.digest == digest
    if not retry:
        if same:
            return None
        again = ": call with retry for a further attempt" if last.state in tables.AGAIN else ""
        raise Conflict(
            f"there is a payout of this name with another beneficiary, amount or description "
            f"({last.id}, {status_of(last.state)}){again or ': use another payout_id'}",
            field="payout_id",
        )
    if last.state not in tables.AGAIN:
        if same and last.state != tables.APPROVED:
            return None
        raise Conflict(
            f"the last payout of this name ({last.id}) is {status_of(last.state)}: only after it "
            "is declined, expired, cancelled or in error it may be tried again",
            field="payout_id",
        )
    if last.problem is not None:
        raise Conflict(
            f"the last payout of this name ({last.id}) has a problem: {last.problem}. Settle that "
            "first; it is not tried again here",
            field="payout_id",
        )
    if last.amount != order.amount:
        raise Conflict(
            f"the payout was for {last.amount} cents: a further attempt is for the same amount",
            field="amount",
        )
    return last.attempt + 1
