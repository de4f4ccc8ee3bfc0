"""One row per attempt at an order: what it is made of, and which one stands for a call."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tause_mcp import due, times
from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict
from tause_mcp.intents import LEAD, SOON, new_id
from tause_mcp.outbound.wompi import Wompi
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import KIND, Ledger
from tause_mcp.services.payments.record import Row, Sealed, status_of
from tause_mcp.services.payments.sending import next_look, payer

PAYABLE = 24 * 3600 * times.SECOND
"""Microseconds that a payer has, and that an unattended payment is tried to be sent."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a new attempt at an order is made of."""

    order_id: str
    kind: str
    amount: int
    currency: str
    method: str
    kept: Sealed
    digest: str
    source_id: str | None = None
    schedule_id: str | None = None
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the row of an attempt. Waits for nothing: it works inside the transaction."""

    ledger: Ledger
    wompi: Wompi
    cipher: Cipher

    @property
    def environment(self) -> str:
        return self.wompi.account.environment

    def row(self, attempt: Attempt, number: int) -> dict[str, Any]:
        """The columns of the attempt with that number."""
        now, id_ = times.now(), new_id("pay")
        reference = self.ledger.names().reference(self.environment, attempt.order_id, number)
        expires = attempt.expires_at or now + PAYABLE
        kept = attempt.kept
        if attempt.kind == "checkout":
            kept = replace(kept, checkout_url=self._checkout(attempt, id_, reference, expires))
        attended = attempt.kind in ("payment", "checkout")
        return {
            "id": id_,
            "environment": self.environment,
            "order_id": attempt.order_id,
            "attempt": number,
            "reference": reference,
            "digest": attempt.digest,
            "kind": attempt.kind,
            "account": self.wompi.account.public_key,
            "amount": attempt.amount,
            "currency": attempt.currency,
            "method": attempt.method,
            "state": tables.AWAITING if attended else tables.READY,
            "sealed": kept.closed(self.cipher, id_),
            "voided": 0,
            "voiding": 0,
            "source_id": attempt.source_id,
            "schedule_id": attempt.schedule_id,
            "created_at": now,
            "updated_at": now,
            "expires_at": expires,
        }

    def _checkout(self, attempt: Attempt, id_: str, reference: str, expires: int) -> str:
        return self.wompi.checkout(
            reference,
            attempt.amount,
            attempt.currency,
            self.ledger.pay_url(id_),
            datetime.fromtimestamp(expires / times.SECOND, UTC),
            payer(attempt.kept.customer),
        )


async def place(
    tx: Transaction, maker: Maker, attempt: Attempt, *, retry: bool = False
) -> tuple[Row, bool]:
    """The row that stands for an attempt, and whether it was made just now.

    Raises:
        Conflict: the order has a payment with other arguments, or may not be tried again.
    """
    of = {"of_name": attempt.order_id, "of_environment": maker.environment}
    row, made = await maker.ledger.book.place(
        tx,
        of,
        lambda last, again: following(last, attempt, retry=again),
        lambda number: maker.row(attempt, number),
        retry=retry,
    )
    if not made:
        return row, False
    soon = row.created_at + (SOON if row.kind == "checkout" else LEAD)
    await due.put(tx, KIND, row.id, next_look(row, row.state, soon))
    return row, True


def following(last: Row, attempt: Attempt, *, retry: bool) -> int | None:
    """The number of the next attempt at an order; None: the last one stands for this call."""
    same = last.digest == attempt.digest
    if not retry:
        if same:
            return None
        again = ": call with retry for a further attempt" if last.state in tables.AGAIN else ""
        raise Conflict(
            f"the order has a payment with other arguments ({last.id}, "
            f"{status_of(last.state)}){again}",
            field="order_id",
        )
    if last.state not in tables.AGAIN:
        if same and last.state not in (tables.APPROVED, tables.VOIDED):
            return None
        raise Conflict(
            f"the order's last payment ({last.id}) is {status_of(last.state)}: only after a "
            "final decline, error or expiry it may be tried again",
            field="order_id",
        )
    if (last.amount, last.currency) != (attempt.amount, attempt.currency):
        raise Conflict(
            f"the order was for {last.amount} cents of {last.currency}: a further attempt is for "
            "the same amount",
            field="amount",
        )
    return last.attempt + 1
