"""Wompi's payments API for one account: docs.wompi.co, sections 4.2 and 4.3 of its reference.

A change is sent once. Everything that is read is for the caller to compare with what it knows.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from tause_mcp.errors import Invalid
from tause_mcp.outbound.client import Outbound
from tause_mcp.outbound.paths import expand
from tause_mcp.outbound.wompi import reading, writing
from tause_mcp.outbound.wompi.accounts import Account
from tause_mcp.outbound.wompi.api import Api, unclear, unreadable
from tause_mcp.outbound.wompi.errors import KeysRefused, Refused
from tause_mcp.outbound.wompi.quoting import quoted
from tause_mcp.outbound.wompi.refusals import DIALECT, NO_MERCHANT, absent_part, not_known
from tause_mcp.outbound.wompi.signatures import expiration, integrity
from tause_mcp.outbound.wompi.values import (
    Bank,
    Charge,
    Customer,
    Link,
    Merchant,
    NewLink,
    Source,
    SourceType,
    Transaction,
)

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FAILED = frozenset({"DECLINED", "ERROR", "FAILED", "REJECTED"})


class Wompi:
    """One account over one client.

    Every method may raise `KeysRefused` (the operator or the tenant has to act) and `Unavailable`;
    those that change something raise `Refused` and its kinds, `NotSent` or `Uncertain`, which say
    what happened.
    """

    def __init__(self, account: Account, client: Outbound) -> None:
        self.account = account
        self._api = Api(client, account.base_url, DIALECT)

    async def merchant(self) -> Merchant:
        """The merchant, with acceptance tokens that each serve one transaction or source."""
        path = expand("/merchants/{key}", key=self.account.public_key)
        told = await self._api.read(path, absent=True)
        if told is None:
            raise KeysRefused(NO_MERCHANT)
        found = reading.merchant(told)
        if found is None:
            raise unreadable()
        return found

    async def banks(self) -> list[Bank]:
        """The banks of PSE, as they are today."""
        told = await self._api.read("/pse/financial_institutions", credential=self.account.public)
        found = reading.banks(told)
        if found is None:
            raise unreadable()
        return found

    # -- transactions ------------------------------------------------------------------------------

    async def create(self, charge: Charge) -> Transaction:
        """Sign and send a transaction. It is born PENDING; where the payer goes is read later.

        Raises:
            ReferenceUsed: look it up by reference. StaleTerms: with fresh tokens it may go.
        """
        if (charge.method is None) == (charge.source_id is None):
            raise Invalid("name a method or a saved source, and not both", field="method")
        told = await self._create(writing.charge(charge, self.account.integrity_secret), charge)
        return _made(reading.transaction(reading.data(told)))

    async def _create(self, body: Mapping[str, Any], charge: Charge) -> Any:
        saved = charge.source_id is not None
        key = self.account.private if saved else self.account.public
        try:
            return await self._api.send("POST", "/transactions", body, credential=key)
        except Refused as refused:
            raise (absent_part(refused, charge) if not_known(refused) else refused) from None

    async def transaction(self, transaction_id: str) -> Transaction | None:
        """A transaction of any merchant, whatever its state; None when there is none."""
        if not _ID.fullmatch(transaction_id):
            return None
        told = await self._api.read(expand("/transactions/{id}", id=transaction_id), absent=True)
        if told is None:
            return None
        found = reading.transaction(reading.data(told))
        if found is None or found.id != transaction_id:
            raise unreadable()
        return found

    async def by_reference(self, reference: str) -> list[Transaction]:
        """This account's transactions of a reference: none or one, unless Wompi is at fault."""
        told = await self._api.read(
            "/transactions", query={"reference": reference}, credential=self.account.private
        )
        found = reading.objects(told)
        known = [reading.transaction(one) for one in found or ()]
        # A filter that was not applied must never read as "there is no such reference".
        if found is None or any(one is None or one.reference != reference for one in known):
            raise unreadable()
        return [one for one in known if one is not None]

    async def void(self, transaction_id: str, amount: int | None = None) -> Transaction | None:
        """Give back an approved card payment, or `amount` cents of it.

        None when Wompi says only that it took the request: read the transaction.
        """
        told = await self._api.send(
            "POST",
            expand("/transactions/{id}/void", id=transaction_id),
            None if amount is None else {"amount_in_cents": amount},
            credential=self.account.private,
        )
        found = reading.data(told)
        if reading.text(found, "status") in _FAILED:
            reason = quoted(found.get("status_message"))
            said = f". Wompi: {reason!r}" if reason else ""
            raise Refused(f"Wompi did not void the payment{said}", reason=reason)
        return reading.transaction(reading.inner(found, "transaction"))

    # -- saved sources -----------------------------------------------------------------------------

    async def create_source(
        self, kind: SourceType, token: str, email: str, terms: str, personal: str
    ) -> Source:
        """Save a tokenized card or Nequi account; PENDING until a Nequi payer agrees."""
        body = {
            "type": kind.upper(),
            "token": token,
            "customer_email": email,
            "acceptance_token": terms,
            "accept_personal_auth": personal,
        }
        told = await self._api.send(
            "POST", "/payment_sources", body, credential=self.account.private
        )
        return _made(reading.source(reading.data(told)))

    async def source(self, source_id: int) -> Source | None:
        """A saved source of this account; None when there is none."""
        path = expand("/payment_sources/{id}", id=f"{source_id:d}")
        told = await self._api.read(path, credential=self.account.private, absent=True)
        if told is None:
            return None
        found = reading.source(reading.data(told))
        if found is None or found.id != source_id:
            raise unreadable()
        return found

    async def void_source(self, source_id: int) -> Source | None:
        """Forget a saved source. None when Wompi says only that it took the request."""
        path = expand("/payment_sources/{id}/void", id=f"{source_id:d}")
        told = await self._api.send("PUT", path, credential=self.account.private)
        return reading.source(reading.data(told))

    # -- links and the checkout --------------------------------------------------------------------

    async def create_link(self, new: NewLink) -> Link:
        """Make a payment link. Wompi has no way to look one up but by its id."""
        told = await self._api.send(
            "POST", "/payment_links", writing.link(new), credential=self.account.private
        )
        return _made(reading.link(reading.data(told), self.account.checkout_url))

    async def link(self, link_id: str) -> Link | None:
        """A payment link of any merchant; None when there is none."""
        if not _ID.fullmatch(link_id):
            return None
        told = await self._api.read(expand("/payment_links/{id}", id=link_id), absent=True)
        if told is None:
            return None
        found = reading.link(reading.data(told), self.account.checkout_url)
        if found is None or found.id != link_id:
            raise unreadable()
        return found

    async def close_link(self, link_id: str) -> Link | None:
        """Take a link back. None when Wompi says only that it took the request."""
        told = await self._api.send(
            "PATCH",
            expand("/payment_links/{id}", id=link_id),
            {"active": False},
            credential=self.account.private,
        )
        return reading.link(reading.data(told), self.account.checkout_url)

    def checkout(
        self,
        reference: str,
        amount: int,
        currency: str = "COP",
        redirect_url: str = "",
        expires: datetime | None = None,
        customer: Customer | None = None,
    ) -> str:
        """The address of Wompi's own checkout for one payment, signed; nothing is sent."""
        until = expiration(expires) if expires else ""
        secret = self.account.integrity_secret
        told = {
            "public-key": self.account.public_key,
            "currency": currency,
            "amount-in-cents": f"{amount:d}",
            "reference": reference,
            "signature:integrity": integrity(reference, amount, currency, secret, until),
            "redirect-url": redirect_url,
            "expiration-time": until,
            **_prefilled(customer),
        }
        query = urlencode({name: value for name, value in told.items() if value}, safe=":")
        return f"{self.account.checkout_url}/p/?{query}"


def _prefilled(customer: Customer | None) -> dict[str, str]:
    if customer is None:
        return {}
    names = {"customer-data:email": customer.email}
    for name, value in writing.payer(customer).items():
        names[f"customer-data:{name.replace('_', '-')}"] = value
    return names


def _made(found: T | None) -> T:
    """What a change answered; when it cannot be read, it may have happened."""
    if found is None:
        raise unclear()
    return found
