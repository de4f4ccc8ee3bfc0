"""Wompi's clients over the local double, served on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
from tests.support.wompi import PAYER

from tause_mcp.outbound import Outbound
from tause_mcp.outbound.wompi import Account, Charge, Method, Payouts, PayoutsAccount, Wompi
from tause_mcp.settings import Settings
from tause_mcp.testing.wompi import Sandbox, Served, running


class House:
    """Clients of one sandbox."""

    def __init__(self, sandbox: Sandbox, served: Served, client: Outbound) -> None:
        self.sandbox, self.served, self.client = sandbox, served, client
        keys = sandbox.keys
        self.account = Account.of(
            Settings.read(
                {"WOMPI_BASE_URL": served.base_url, "WOMPI_CHECKOUT_URL": served.checkout_url}
            ),
            public_key=keys.public,
            private_key=keys.private,
            integrity_secret=keys.integrity,
            events_secrets=(keys.events,),
        )
        self.wompi = Wompi(self.account, client)
        self.payouts = self.paying()

    def paying(self, **changed: str) -> Payouts:
        keys = {
            "api_key": self.sandbox.keys.payouts_api,
            "user_principal_id": self.sandbox.keys.payouts_principal,
            "environment": "test",
        }
        settings = Settings.read({"WOMPI_PAYOUTS_URL": self.served.payouts_url})
        return Payouts(PayoutsAccount.of(settings, **{**keys, **changed}), self.client)

    def other(self, **changed: Any) -> Wompi:
        return Wompi(replace(self.account, **changed), self.client)

    async def charge(self, method: Method | None = None, **changed: Any) -> Charge:
        """A charge whose terms are fresh."""
        merchant = await self.wompi.merchant()
        told: dict[str, Any] = {
            "reference": "tpref1",
            "amount": 4_490_000,
            "customer": PAYER,
            "terms": merchant.terms.token,
            "personal": merchant.personal.token,
            "method": method or Method("nequi", phone="3991111111"),
        }
        return Charge(**{**told, **changed})

    async def card(self, number: str = "4242424242424242") -> str:
        """A token, as the payer's browser gets it: a card's number is nothing of ours."""
        card = {
            "number": number,
            "cvc": "123",
            "exp_month": "08",
            "exp_year": "30",
            "card_holder": "Ana Pérez",
        }
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as browser:
            answer = await browser.post(
                f"{self.served.base_url}/tokens/cards",
                json=card,
                headers={"authorization": f"Bearer {self.account.public_key}"},
            )
        return str(answer.json()["data"]["id"])


@asynccontextmanager
async def open_house(**options: Any) -> AsyncIterator[House]:
    sandbox = Sandbox(**options)
    async with running(sandbox) as served, Outbound(trusted=True) as client:
        yield House(sandbox, served, client)
