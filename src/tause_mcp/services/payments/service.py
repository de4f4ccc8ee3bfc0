"""Payments of one tenant: the same order is the same charge."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tause_mcp import due, times
from tause_mcp.capability import Cipher
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable
from tause_mcp.outbound.wompi import Event, Wompi
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import KIND, SOON, Ledger
from tause_mcp.services.payments.reconciling import Reconciler
from tause_mcp.services.payments.record import Row, Sealed, new_id, read, status_of
from tause_mcp.services.payments.sending import Sender, next_look, payer
from tause_mcp.services.payments.values import (
    Acceptance,
    Customer,
    Method,
    Payment,
    Status,
    Terms,
    check_amount,
    check_customer,
    check_method,
    check_order,
    plain,
)
from tause_mcp.services.payments.voiding import Voids

PAYABLE = 24 * 3600 * times.SECOND
"""Microseconds that a payer has, and that an unattended payment is tried to be sent."""
_LEAD = 30 * times.SECOND
"""Until somebody else sends what its maker did not."""
_END = (2**63 - 1, "")

BankNames = Callable[[Wompi], Awaitable[Mapping[str, str]]]


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


class Payments:
    """The payments of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger, banks: BankNames) -> None:
        self._ledger = ledger
        self._banks = banks
        self._sender = Sender(ledger)
        self._reconciler = Reconciler(ledger, self._sender)
        self._voids = Voids(ledger)

    # making ----------------------------------------------------------------------------------

    async def create(
        self,
        order_id: str,
        amount: int,
        currency: str,
        method: Method,
        customer: Customer,
        *,
        description: str | None = None,
        retry: bool = False,
        acceptance: Acceptance | None = None,
    ) -> Payment:
        """The payment of an order, made at most once. `amount` in cents.

        Without `acceptance` nothing is sent: the payer accepts the terms on `pay_url` (or on
        Wompi's `checkout_url`). With it the payment is sent at once; what the provider did not
        answer is `processing`, and is found out in the background. The same arguments again
        return the payment as it stands. `retry`: a further attempt after a final decline.

        Raises:
            Invalid: naming the argument. Conflict: the order has other arguments, or is paid.
            Unconfigured, Unavailable: nothing was made.
        """
        check_order(order_id)
        check_amount(amount, currency)
        customer = check_customer(customer)
        wompi = await self._ledger.wompi()
        banks = await self._banks(wompi) if method.type == "pse" else None
        method = check_method(method, customer, banks)
        if acceptance is not None and method.type == "checkout":
            raise Invalid("method: a checkout needs the payer, who accepts there", field="method")
        attempt = Attempt(
            order_id=order_id,
            kind=_kind(method, acceptance),
            amount=amount,
            currency=currency,
            method=method.type,
            kept=Sealed(customer, method, description, plain(acceptance) if acceptance else None),
            digest=self._ledger.names().digest(
                "payment",
                {
                    "amount": amount,
                    "currency": currency,
                    "customer": plain(customer),
                    "method": plain(method),
                    "description": description,
                    "unattended": acceptance is not None,
                },
            ),
        )
        return await self.attempt(wompi, attempt, retry=retry)

    async def attempt(self, wompi: Wompi, attempt: Attempt, *, retry: bool = False) -> Payment:
        """Make an attempt, or find the one that stands for it; send what needs no payer."""
        row = await self.insert(wompi, attempt, retry=retry)
        if row.state == tables.READY:
            try:
                row = await self._sender.send(row)
            except Unavailable:  # it is sent in the background
                row = await self._ledger.row(row.id)
        return await self._ledger.shown(row)

    async def insert(self, wompi: Wompi, attempt: Attempt, *, retry: bool = False) -> Row:
        """The row of an attempt: any number of racers get the same one."""
        cipher = await self._ledger.cipher()

        async def work(tx: Transaction) -> tuple[Row, bool]:
            return await place(tx, Maker(self._ledger, wompi, cipher), attempt, retry=retry)

        row, made = await self._ledger.database.write(work)
        if made:
            self._ledger.changed(row.id)
        return row

    # the payer --------------------------------------------------------------------------------

    async def terms(self) -> tuple[str, Terms]:
        """The merchant's name, and what a payer accepts now.

        Raises:
            Unavailable, Unconfigured.
        """
        merchant = await (await self._ledger.wompi()).merchant()
        return merchant.name, Terms(merchant.terms.permalink, merchant.personal.permalink)

    async def accept(self, id_: str, terms: Terms, evidence: str) -> Payment:
        """The payer accepts both terms, as shown: send the payment. Again: how it stands.

        `evidence` says where from (an address and a browser, say); it is kept encrypted.

        Raises:
            NotFound. Conflict: too late, or the terms are others now. Unavailable: nothing was
            sent, the payer may try again. Unconfigured.
        """
        row = await self._ledger.row(id_)
        if row.kind == "payment" and row.state == tables.AWAITING:
            if row.expires_at <= times.now():
                raise Conflict("the time to pay is over: ask the shop for a new payment")
            accepted = {**plain(terms), "accepted_at": times.iso(times.now()), "evidence": evidence}
            row = await self._sender.send(row, accepted)
        return await self._ledger.shown(row)

    # reading ----------------------------------------------------------------------------------

    async def get(self, id_: str) -> Payment:
        """One payment; `NotFound` when absent, or another tenant's."""
        return await self._ledger.shown(await self._ledger.row(id_))

    async def by_order(self, order_id: str) -> Payment:
        """The last attempt at an order, in the environment of the keys in force; or `NotFound`."""
        environment = (await self._ledger.wompi()).account.environment
        row = await self._ledger.database.first(
            tables.OF_ORDER, of_order=order_id, of_environment=environment
        )
        if row is None:
            raise NotFound("no payment of this order", field="order_id")
        return await self._ledger.shown(Row(*row))

    async def recent(
        self,
        status: Status | None = None,
        order_id: str | None = None,
        after: tuple[int, str] | None = None,
        most: int = 50,
    ) -> list[Payment]:
        """At most `most` payments, newest first, behind a `(created_at, id)`."""
        before, before_id = after or _END
        rows = await self._ledger.database.read(
            lambda tx: tx.all(
                tables.LIST,
                wanted=status or "",
                of_order=order_id or "",
                before=before,
                before_id=before_id,
                most=most,
            )
        )
        cipher = await self._ledger.cipher()
        return [read(row, cipher, self._ledger.pay_url(row[0])) for row in rows]

    # the provider's word ----------------------------------------------------------------------

    async def reconcile(self, id_: str) -> Payment:
        """Bring it to what the provider has now: the same code for everybody and the sweeper.

        Raises:
            NotFound. Unavailable: the provider cannot be asked. Unconfigured.
        """
        asked = times.now()
        row = await self._reconciler.reconcile(await self._ledger.row(id_))
        if row.state in tables.FINAL and row.void_state is None:
            await self._ledger.database.write(lambda tx: due.end(tx, KIND, id_, since=asked))
        return await self._ledger.shown(row)

    async def void(self, id_: str, amount: int | None = None) -> Payment:
        """Give back an approved card payment, or `amount` cents of it; see `Voids.void`."""
        return await self._ledger.shown(await self._voids.void(id_, amount))

    async def seen_event(self, event: Event) -> list[str]:
        """The payments that a genuine event is about, by their ids; each is due now.

        Nothing of the event is believed: `reconcile` each of them.
        """
        told = event.of("transaction")
        reference, provider = str(told.get("reference") or ""), str(told.get("id") or "")

        async def work(tx: Transaction) -> list[str]:
            rows = await tx.all(tables.OF_REFERENCE, of_reference=reference)
            rows += await tx.all(tables.OF_PROVIDER, of_provider=provider)
            found = list(dict.fromkeys(row[0] for row in rows))
            for id_ in found:
                await due.put(tx, KIND, id_, times.now())
            return found

        return await self._ledger.database.write(work)


# --- one row per attempt ----------------------------------------------------------------------


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
            **dict.fromkeys(_EMPTY),
            **dict.fromkeys(_ZERO, 0),
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


_EMPTY = (
    *("provider_id", "status_message", "redirect_url", "claim", "sent_at", "void_state"),
    *("problem", "finalized_at"),
)
_ZERO = ("claimed_until", "checks", "checked_at", "voided", "voiding")


async def place(
    tx: Transaction, maker: Maker, attempt: Attempt, *, retry: bool = False
) -> tuple[Row, bool]:
    """The row that stands for an attempt, and whether it was made just now.

    Raises:
        Conflict: the order has a payment with other arguments, or may not be tried again.
    """
    of = {"of_order": attempt.order_id, "of_environment": maker.environment}
    last = await tx.first(tables.OF_ORDER, **of)
    number = 1
    if last is not None:
        next_number = following(Row(*last), attempt, retry=retry)
        if next_number is None:
            return Row(*last), False
        number = next_number
    values = maker.row(attempt, number)
    await tx.run(tables.INSERT, **values)
    found = await tx.first(tables.OF_ORDER, **of)
    assert found is not None, "the attempt is there, whoever made it"
    row = Row(*found)
    if row.id != values["id"]:  # a racer's: it is ours too, if it says the same
        following(row, attempt, retry=False)
        return row, False
    soon = row.created_at + (SOON if row.kind == "checkout" else _LEAD)
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


def _kind(method: Method, acceptance: Acceptance | None) -> str:
    if method.type == "checkout":
        return "checkout"
    return "payment" if acceptance is None else "unattended"
