"""The one way an intent reaches the provider: claim it, post it once, keep what is answered.

A process may die between any two lines here. What it leaves is `sending` with a due row, and whoever
looks next asks the provider by reference before anything is posted again.
"""

import asyncio
import secrets
from dataclasses import replace
from time import monotonic
from typing import Any

from tause_mcp import due, times
from tause_mcp.database import Transaction
from tause_mcp.errors import Conflict, TauseError, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import (
    Charge,
    Merchant,
    NotSent,
    ReferenceUsed,
    Refused,
    StaleTerms,
    Uncertain,
    Wompi,
)
from tause_mcp.outbound.wompi import Customer as Payer
from tause_mcp.outbound.wompi import Method as Means
from tause_mcp.outbound.wompi import Transaction as Found
from tause_mcp.services.payments import tables
from tause_mcp.services.payments.ledger import KIND, SOON, Ledger
from tause_mcp.services.payments.record import Row, Sealed
from tause_mcp.services.payments.values import REDIRECTS, Customer, Terms, members, plain

CLAIM = 120 * times.SECOND
"""Microseconds that a claim holds: several times longer than a post may take."""
_POST_WITHIN = 60.0
"""Seconds after its claim in which its holder may still post."""
_FOLLOW = (0.3, 0.7, 1.5)
"""Seconds between the looks for the address that the payer goes on to."""


class Sender:
    """Sends intents of one tenant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def send(
        self, row: Row, accepted: dict[str, Any] | None = None, kept: Sealed | None = None
    ) -> Row:
        """Post an intent that waits, unless somebody else does; how it stands then.

        `accepted`: the payer's acceptance of just now, of which `policy_url` and
        `personal_data_url` say what was shown; `kept`: with what the payer added.

        Raises:
            Conflict: the terms are others now. Unavailable: nothing was sent. Unconfigured.
        """
        wompi = await self._ledger.account(row)
        kept = kept or await self._ledger.opened(row)
        merchant = await wompi.merchant()
        if accepted is not None:
            same_terms(merchant, accepted)
            kept = replace(kept, acceptance=accepted)
        claim, started = secrets.token_hex(8), monotonic()
        if not await self._claim(row, kept, claim):
            return await self._ledger.row(row.id)
        self._ledger.changed(row.id)
        if monotonic() - started > _POST_WITHIN:
            await self._back(row, claim)
            raise Unavailable("the payment was held up: nothing was sent; try again")
        return await self._post(wompi, row, kept, merchant, claim)

    async def _claim(self, row: Row, kept: Sealed, claim: str) -> bool:
        sealed = kept.closed(await self._ledger.cipher(), row.id)

        async def work(tx: Transaction) -> bool:
            now = times.now()
            taken = await tx.run(
                tables.CLAIM,
                of=row.id,
                former=row.unsent,
                of_claim=claim,
                of_sealed=sealed,
                until=now + CLAIM,
                now=now,
            )
            if taken:  # whoever finds it after this process died
                await due.put(tx, KIND, row.id, now + CLAIM)
            return bool(taken)

        return await self._ledger.database.write(work)

    async def _post(
        self, wompi: Wompi, row: Row, kept: Sealed, merchant: Merchant, claim: str
    ) -> Row:
        try:
            found = await self._created(wompi, row, kept, merchant)
        except ReferenceUsed:
            return await self._used(wompi, row, claim)
        except Uncertain:
            return await self._doubt(row, claim)
        except StaleTerms:
            await self._back(row, claim)
            raise
        except Refused as refused:
            return await self._refused(wompi, row, claim, str(refused))
        except (NotSent, Unconfigured):
            await self._back(row, claim)
            raise
        return await self.follow(wompi, await self._ledger.believe(row, found))

    async def _created(self, wompi: Wompi, row: Row, kept: Sealed, merchant: Merchant) -> Found:
        url = self._ledger.pay_url(row.id) if row.attended else self._ledger.public_url
        try:
            return await wompi.create(charge_of(row, kept, merchant, url))
        except StaleTerms:  # nothing was made; the next ones are fresh
            return await wompi.create(charge_of(row, kept, await wompi.merchant(), url))

    async def _back(self, row: Row, claim: str) -> None:
        """Nothing was sent: it waits again, and may be sent by anybody."""

        async def work(tx: Transaction) -> None:
            now = times.now()
            given = await tx.run(
                tables.RELEASE, of=row.id, of_claim=claim, former=row.unsent, now=now
            )
            if given:
                await due.put(tx, KIND, row.id, next_look(row, row.unsent, now + SOON))

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)

    async def _doubt(self, row: Row, claim: str) -> Row:
        """It may have been sent: nothing more is posted, and it is looked up soon."""

        async def work(tx: Transaction) -> None:
            now = times.now()
            if await tx.run(tables.DOUBT, of=row.id, of_claim=claim, now=now):
                await due.put(tx, KIND, row.id, now + SOON)

        await self._ledger.database.write(work)
        return await self._ledger.row(row.id)

    async def _used(self, wompi: Wompi, row: Row, claim: str) -> Row:
        """The reference exists already: what there is under it is this payment."""
        fresh = await self._doubt(row, claim)
        try:
            found = await self._ledger.find(wompi, fresh)
        except TauseError:
            return fresh
        if found is not None:
            return await self._ledger.believe(fresh, found)
        return await self._ledger.trouble(
            fresh, "Wompi says that the reference was used, and shows no transaction with it"
        )

    async def _refused(self, wompi: Wompi, row: Row, claim: str, message: str) -> Row:
        """Nothing was made of it. What was sent before may have been: that is looked up first."""
        if row.sent_at is not None:
            try:
                found = await self._ledger.find(wompi, row)
            except TauseError:
                return await self._doubt(row, claim)
            if found is not None:
                return await self._ledger.believe(row, found)

        async def work(tx: Transaction) -> None:
            told = {"message": message[:500], "now": times.now()}
            if await tx.run(tables.REFUSE, of=row.id, of_claim=claim, **told):
                await due.end(tx, KIND, row.id)

        await self._ledger.database.write(work)
        self._ledger.changed(row.id)
        return await self._ledger.row(row.id)

    async def follow(self, wompi: Wompi, row: Row) -> Row:
        """Wait a moment for the address that the payer goes on to, where there will be one."""
        for seconds in _FOLLOW:
            waits = row.state == tables.PENDING and row.method in REDIRECTS
            if not waits or row.redirect_url is not None or row.provider_id is None:
                break
            await asyncio.sleep(seconds)
            try:
                found = await wompi.transaction(row.provider_id)
            except TauseError:
                break
            if found is not None:
                row = await self._ledger.believe(row, found)
        return row


def next_look(row: Row, state: str, soon: int) -> int:
    """When an intent in this state is to be looked at."""
    return row.expires_at if state == tables.AWAITING and row.kind != "checkout" else soon


def same_terms(merchant: Merchant, accepted: dict[str, Any]) -> None:
    shown = Terms(accepted["policy_url"], accepted["personal_data_url"])
    if shown != Terms(merchant.terms.permalink, merchant.personal.permalink):
        raise Conflict("the terms changed meanwhile: show them again, and accept those")


def payer(customer: Customer) -> Payer:
    """A customer as the provider's room takes it."""
    return Payer(**{name: given or "" for name, given in members(customer).items()})


def charge_of(row: Row, kept: Sealed, merchant: Merchant, redirect_url: str) -> Charge:
    """What is posted for an intent. The acceptance tokens are good for one post."""
    customer, method = kept.customer, kept.method
    return Charge(
        reference=row.reference,
        amount=row.amount,
        currency=row.currency,
        customer=payer(customer),
        terms=merchant.terms.token,
        personal=merchant.personal.token,
        method=None if method is None else Means(**plain(method)),
        source_id=kept.source,
        installments=kept.installments,
        description=kept.description or row.order_id,
        redirect_url=redirect_url,
        recurrent=True if row.schedule_id else None,
    )
