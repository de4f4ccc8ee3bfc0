"""The one way an intent reaches the provider, by the rule of `tause_mcp.intents`."""

import asyncio
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from tause_mcp import times
from tause_mcp.errors import Conflict, TauseError, Unavailable, Unconfigured
from tause_mcp.intents import POST_WITHIN, SOON
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
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.record import Row, Sealed
from tause_mcp.services.payments.values import REDIRECTS, Customer, Terms, members, plain

_FOLLOW = (0.3, 0.7, 1.5)
"""Seconds between the looks for the address that the payer goes on to."""
_NOT_SHOWN = "Wompi says that the reference was used, and shows no transaction with it"


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
        sealed, started = kept.closed(await self._ledger.cipher(), row.id), monotonic()
        claim = await self._ledger.book.claim(row, of_sealed=sealed)
        if claim is None:
            return await self._ledger.row(row.id)
        if monotonic() - started > POST_WITHIN:
            await self._back(row, claim)
            raise Unavailable("the payment was held up: nothing was sent; try again")
        return await self._post(wompi, row, kept, merchant, claim)

    async def _post(
        self, wompi: Wompi, row: Row, kept: Sealed, merchant: Merchant, claim: str
    ) -> Row:
        book, look = self._ledger.book, partial(self._ledger.look, wompi)
        try:
            found = await self._created(wompi, row, kept, merchant)
        except ReferenceUsed:
            return await book.used(row, claim, look, _NOT_SHOWN)
        except Uncertain:
            return await book.doubt(row, claim)
        except StaleTerms:
            await self._back(row, claim)
            raise
        except Refused as refused:
            return await book.refused(row, claim, look, str(refused))
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
        at = next_look(row, row.unsent, times.now() + SOON)
        await self._ledger.book.release(row, claim, at)

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
