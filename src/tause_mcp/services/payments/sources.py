"""Saved sources of one tenant: a card or Nequi account that its payer allowed to be charged again.

Saving one moves no money, and Wompi has no way to look one up but by its id: what it did not answer
is `unknown`, and is saved anew with another token.
"""

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, TauseError, Unavailable
from tause_mcp.intents import SOON, new_id, page_after
from tause_mcp.outbound.wompi import Wompi
from tause_mcp.services.payments import source_tables as tables
from tause_mcp.services.payments import tables as payment_tables
from tause_mcp.services.payments.attempts import PAYABLE, Attempt
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.record import Sealed
from tause_mcp.services.payments.saved import (
    Kept,
    SavedSource,
    SourceRow,
    SourceType,
    open_kept,
    seal_kept,
    source_of,
)
from tause_mcp.services.payments.saving import KIND, Saver
from tause_mcp.services.payments.service import Payments
from tause_mcp.services.payments.values import (
    Acceptance,
    Customer,
    Payment,
    Terms,
    check_amount,
    check_customer,
    check_order,
    check_token,
    plain,
)


class Sources:
    """The saved sources of the tenant that the ledger is bound to."""

    def __init__(self, ledger: Ledger, payments: Payments) -> None:
        self._ledger = ledger
        self._payments = payments
        self._saver = Saver(ledger)

    # saving -----------------------------------------------------------------------------------

    async def save(
        self,
        type_: SourceType,
        token: str,
        customer: Customer,
        *,
        acceptance: Acceptance | None = None,
    ) -> SavedSource:
        """Save a tokenised card or Nequi account; the same token again is the same source.

        Without `acceptance` the payer accepts the terms on `pay_url` first.

        Raises:
            Invalid. Conflict: the token was saved for somebody else. Unconfigured, Unavailable.
        """
        check_token(token, "token")
        customer = check_customer(customer)
        row, made = await self._insert(type_, token, customer, acceptance)
        if made:
            self._ledger.changed(row.id)
        elif open_kept(await self._ledger.cipher(), row).customer != customer:
            raise Conflict("this token was saved for another customer", field="token")
        if row.state == tables.READY:
            try:
                row = await self._saver.send(row, None)
            except Unavailable:  # it is sent in the background
                row = await self._saver.row(row.id)
        return await self._shown(row)

    async def _insert(
        self, type_: SourceType, token: str, customer: Customer, acceptance: Acceptance | None
    ) -> tuple[SourceRow, bool]:
        account = (await self._ledger.wompi()).account
        cipher, now, id_ = await self._ledger.cipher(), times.now(), new_id("src")
        kept = Kept(customer, token, plain(acceptance) if acceptance else None)
        told = {"token": token, "type": type_, "account": account.public_key}
        digest = self._ledger.names().digest("source", told)
        values = {
            "id": id_,
            "environment": account.environment,
            "account": account.public_key,
            "digest": digest,
            "type": type_,
            "state": tables.READY if acceptance else tables.AWAITING,
            "unattended": int(acceptance is not None),
            "provider_id": None,
            "status_message": None,
            "sealed": seal_kept(cipher, id_, kept),
            "claim": None,
            "claimed_until": 0,
            "created_at": now,
            "updated_at": now,
            "expires_at": now + PAYABLE,
        }

        async def work(tx: Transaction) -> tuple[SourceRow, bool]:
            await tx.run(tables.INSERT_SOURCE, **values)
            found = await tx.first(tables.SOURCE_OF, of_digest=digest)
            assert found is not None, "it is there, whoever made it"
            row = SourceRow(*found)
            if row.id == id_:
                at = now + SOON if acceptance else row.expires_at
                await due.put(tx, KIND, id_, at)
            return row, row.id == id_

        return await self._ledger.database.write(work)

    async def accept(self, id_: str, terms: Terms, evidence: str) -> SavedSource:
        """The payer accepts both terms: send it. Again: how it stands.

        Raises:
            As `Payments.accept`.
        """
        row = await self._saver.row(id_)
        if row.state == tables.AWAITING:
            if row.expires_at <= times.now():
                raise Conflict("the time to accept is over: ask the shop for a new link")
            accepted = {**plain(terms), "accepted_at": times.iso(times.now()), "evidence": evidence}
            row = await self._saver.send(row, accepted)
        return await self._shown(row)

    # reading ----------------------------------------------------------------------------------

    async def source(self, id_: str) -> SourceRow:
        """One source's row; `NotFound` when absent, or another tenant's."""
        return await self._saver.row(id_)

    async def account(self, row: SourceRow) -> Wompi:
        """The account that it was saved with; `Unconfigured` when another one is in force."""
        return await self._saver.account(row)

    async def get(self, id_: str) -> SavedSource:
        """One source; `NotFound` when absent, or another tenant's."""
        return await self._shown(await self._saver.row(id_))

    async def recent(
        self, after: tuple[int, str] | None = None, most: int = 50
    ) -> list[SavedSource]:
        """At most `most` sources, newest first, behind a `(created_at, id)`."""
        told = page_after(after, most)
        rows = await self._ledger.database.read(lambda tx: tx.all(tables.SOURCES, **told))
        cipher = await self._ledger.cipher()
        return [source_of(SourceRow(*row), cipher, self._ledger.pay_url(row[0])) for row in rows]

    async def _shown(self, row: SourceRow) -> SavedSource:
        return source_of(row, await self._ledger.cipher(), self._ledger.pay_url(row.id))

    # removing and reconciling -------------------------------------------------------------------

    async def remove(self, id_: str) -> SavedSource:
        """Forget a source, here at once and then at Wompi; its schedules end. Again: as it stands.

        Raises:
            NotFound.
        """

        async def work(tx: Transaction) -> bool:
            now = times.now()
            gone = await tx.run(tables.REMOVE_SOURCE, of=id_, now=now)
            if not gone:
                return False
            await due.put(tx, KIND, id_, now)
            for (schedule,) in await tx.all(tables.OF_SOURCE, of_source=id_):
                await end_schedule(tx, schedule, "the saved source was removed")
            return True

        await self._saver.row(id_)
        if await self._ledger.database.write(work):
            self._ledger.changed(id_)
        try:
            return await self.reconcile(id_)
        except TauseError:  # it goes on in the background
            return await self.get(id_)

    async def reconcile(self, id_: str) -> SavedSource:
        """Bring it to what Wompi has; what nobody can find out becomes `unknown`."""
        row = await self._saver.row(id_)
        now = times.now()
        if row.state == tables.READY and row.expires_at > now:
            row = await self._saver.send(row, None)
        elif row.state == tables.PENDING:
            row = await self._saver.read(row)
        elif row.state == tables.REMOVING:
            row = await self._saver.removed(row)
        else:
            row = await self._saver.lapsed(row, now)
        return await self._shown(row)

    # charging ---------------------------------------------------------------------------------

    async def charge(
        self,
        order_id: str,
        source_id: str,
        amount: int,
        currency: str,
        *,
        installments: int | None = None,
        description: str | None = None,
        retry: bool = False,
    ) -> Payment:
        """Charge a saved source for an order, at most once; the rules of `Payments.create`.

        Raises:
            NotFound: no such source. Conflict: it is not available, or the order has another
            payment. Invalid. Unconfigured.
        """
        told = (order_id, source_id, amount, currency, installments, description)
        return await self._payments.attempt(*await self._asked(*told), retry=retry)

    async def standing(
        self,
        order_id: str,
        source_id: str,
        amount: int,
        currency: str,
        *,
        installments: int | None = None,
        description: str | None = None,
        retry: bool = False,
    ) -> Payment | None:
        """The payment that `charge` would return as it stands; None: it would make one.

        Raises:
            As `charge`.
        """
        told = (order_id, source_id, amount, currency, installments, description)
        return await self._payments.stands(*await self._asked(*told), retry=retry)

    async def _asked(
        self,
        order_id: str,
        source_id: str,
        amount: int,
        currency: str,
        installments: int | None,
        description: str | None,
    ) -> tuple[Wompi, Attempt]:
        check_order(order_id)
        check_amount(amount, currency)
        row = await self._saver.row(source_id)
        wompi = await self._saver.account(row)
        return wompi, await self.attempt(row, order_id, amount, currency, installments, description)

    async def attempt(
        self,
        row: SourceRow,
        order_id: str,
        amount: int,
        currency: str,
        installments: int | None = None,
        description: str | None = None,
        *,
        schedule_id: str | None = None,
        expires_at: int = 0,
    ) -> Attempt:
        """What a charge of a source is made of; `Conflict` when it cannot be charged."""
        if row.state != tables.AVAILABLE or row.provider_id is None:
            raise Conflict(f"the source is {row.state}: only an available one can be charged")
        kept = open_kept(await self._ledger.cipher(), row)
        told = {
            "amount": amount,
            "currency": currency,
            "source": row.id,
            "installments": installments,
            "description": description,
        }
        return Attempt(
            order_id=order_id,
            kind="charge",
            amount=amount,
            currency=currency,
            method=row.type,
            kept=Sealed(
                kept.customer,
                None,
                description,
                source=row.provider_id,
                installments=(installments or 1) if row.type == "card" else None,
            ),
            digest=self._ledger.names().digest("charge", told),
            source_id=row.id,
            schedule_id=schedule_id,
            expires_at=expires_at,
        )


async def end_schedule(tx: Transaction, schedule_id: str, why: str) -> bool:
    """End a schedule, and what of it was not sent yet."""
    now = times.now()
    ended = await tx.run(tables.CANCEL, of=schedule_id, now=now)
    if ended:
        await due.end(tx, "schedule", schedule_id)
        await tx.run(payment_tables.EXPIRE_SCHEDULED, of_schedule=schedule_id, message=why, now=now)
    return bool(ended)
