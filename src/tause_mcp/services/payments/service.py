"""Payments of one tenant: the same order is the same charge."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable
from tause_mcp.outbound.wompi import Event, Wompi
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.attempts import Attempt, Maker, following, place
from tause_mcp.services.payments.by_link import heard
from tause_mcp.services.payments.ledger import KIND, Ledger, mismatch
from tause_mcp.services.payments.reconciling import Reconciler
from tause_mcp.services.payments.record import Row, Sealed, read
from tause_mcp.services.payments.sending import Sender
from tause_mcp.services.payments.values import (
    Acceptance,
    Completion,
    Customer,
    Method,
    Payment,
    Status,
    Terms,
    check_amount,
    check_customer,
    check_method,
    check_order,
    completed,
    missing,
    plain,
)
from tause_mcp.services.payments.voiding import Voids

BankNames = Callable[[Wompi], Awaitable[Mapping[str, str]]]


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
        told = (order_id, amount, currency, method, customer, description, acceptance)
        return await self.attempt(*await self._asked(*told), retry=retry)

    async def standing(
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
    ) -> Payment | None:
        """The payment that `create` would return as it stands; None: it would make an attempt.

        Raises:
            As `create`.
        """
        told = (order_id, amount, currency, method, customer, description, acceptance)
        return await self.stands(*await self._asked(*told), retry=retry)

    async def stands(self, wompi: Wompi, attempt: Attempt, *, retry: bool) -> Payment | None:
        """The payment that stands for an attempt, if any; `Conflict` when it cannot be made."""
        last = await self._ledger.book.last(attempt.order_id, wompi.account.environment)
        if last is None or following(last, attempt, retry=retry) is not None:
            return None
        return await self._ledger.shown(last)

    async def environment(self) -> str:
        """`test` or `prod`, by the keys in force."""
        return (await self._ledger.wompi()).account.environment

    async def _asked(
        self,
        order_id: str,
        amount: int,
        currency: str,
        method: Method,
        customer: Customer,
        description: str | None,
        acceptance: Acceptance | None,
    ) -> tuple[Wompi, Attempt]:
        """The account, and the attempt that the arguments of `create` ask for."""
        check_order(order_id)
        check_amount(amount, currency)
        customer = check_customer(customer)
        wompi = await self._ledger.wompi()
        banks = await self._banks(wompi) if method.bank_code is not None else None
        method = check_method(method, customer, banks, attended=acceptance is None)
        if acceptance is not None and method.type == "checkout":
            raise Invalid("method: a checkout needs the payer, who accepts there", field="method")
        return wompi, Attempt(
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

    async def lacking(self, id_: str) -> tuple[str, ...]:
        """What only its payer can add before it is sent, by the names of a `Completion`."""
        kept = await self._ledger.opened(await self._ledger.row(id_))
        return missing(kept.method, kept.customer) if kept.method is not None else ()

    async def qr_image(self, id_: str) -> str:
        """The QR code (base64 of an SVG or PNG) that a pending payment is paid by; "" if none.

        Raises:
            NotFound. Unavailable: the provider cannot be asked. Unconfigured.
        """
        row = await self._ledger.row(id_)
        if row.state != tables.PENDING or row.provider_id is None:
            return ""
        found = await (await self._ledger.account(row)).transaction(row.provider_id)
        return "" if found is None or mismatch(row, found) else found.qr_image

    async def accept(
        self, id_: str, terms: Terms, evidence: str, given: Completion | None = None
    ) -> Payment:
        """The payer accepts both terms, as shown: send the payment. Again: how it stands.

        `evidence` says where from (an address and a browser, say), `given` is what the payer adds;
        both are kept encrypted.

        Raises:
            NotFound. Invalid: naming what of `given` is wrong or missing. Conflict: too late, or
            the terms are others now. Unavailable: nothing was sent, the payer may try again.
            Unconfigured.
        """
        row = await self._ledger.row(id_)
        if row.kind == "payment" and row.state == tables.AWAITING:
            if row.expires_at <= times.now():
                raise Conflict("the time to pay is over: ask the shop for a new payment")
            kept = await self._completed(row, given or Completion())
            accepted = {**plain(terms), "accepted_at": times.iso(times.now()), "evidence": evidence}
            row = await self._sender.send(row, accepted, kept)
        return await self._ledger.shown(row)

    async def _completed(self, row: Row, given: Completion) -> Sealed:
        kept = await self._ledger.opened(row)
        if kept.method is None or not missing(kept.method, kept.customer):
            return kept
        banks = None
        if kept.method.type == "pse":
            banks = await self._banks(await self._ledger.wompi())
        method, customer = completed(kept.method, kept.customer, given, banks)
        return replace(kept, method=method, customer=customer)

    # reading ----------------------------------------------------------------------------------

    async def get(self, id_: str) -> Payment:
        """One payment; `NotFound` when absent, or another tenant's."""
        return await self._ledger.shown(await self._ledger.row(id_))

    async def by_order(self, order_id: str) -> Payment:
        """The last attempt at an order, in the environment of the keys in force; or `NotFound`."""
        environment = (await self._ledger.wompi()).account.environment
        row = await self._ledger.book.last(order_id, environment)
        if row is None:
            raise NotFound("no payment of this order", field="order_id")
        return await self._ledger.shown(row)

    async def recent(
        self,
        status: Status | None = None,
        order_id: str | None = None,
        after: tuple[int, str] | None = None,
        most: int = 50,
    ) -> list[Payment]:
        """At most `most` payments, newest first, behind a `(created_at, id)`."""
        rows = await self._ledger.book.recent(status, order_id, after, most)
        cipher = await self._ledger.cipher()
        return [read(row, cipher, self._ledger.pay_url(row.id)) for row in rows]

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

    async def voidable(self, id_: str, amount: int | None = None) -> tuple[Payment, int]:
        """The payment, and the cents that `void` would give back of it; 0: it is voided already.

        Raises:
            As `void`.
        """
        row, more = await self._voids.allowed(id_, amount)
        return await self._ledger.shown(row), more

    async def seen_event(self, event: Event) -> list[str]:
        """What a genuine event is about, by the ids to reconcile; each is due now: payments, or a
        transaction by one of our links that has none yet.

        Nothing of the event is believed: `reconcile` each of them.
        """
        told = event.of("transaction")
        reference, provider = str(told.get("reference") or ""), str(told.get("id") or "")
        link = str(told.get("payment_link_id") or "")

        async def work(tx: Transaction) -> list[str]:
            rows = await tx.all(tables.INTENTS.of_reference, of_reference=reference)
            rows += await tx.all(tables.INTENTS.of_provider, of_provider=provider)
            found = list(dict.fromkeys(row[0] for row in rows))
            for id_ in found:
                await due.put(tx, KIND, id_, times.now())
            by_link = None if found else await heard(tx, provider, link)
            return found if by_link is None else [by_link]

        return await self._ledger.database.write(work)


def _kind(method: Method, acceptance: Acceptance | None) -> str:
    if method.type == "checkout":
        return "checkout"
    return "payment" if acceptance is None else "unattended"
