"""Any Wompi, by its base URL and keys: the double, or the real sandbox.

Signatures are computed here once more, from the documentation's words alone.
"""

import hashlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2

from tause_mcp.testing.wompi import Sandbox, Served

PSE = {
    "type": "PSE",
    "user_type": 0,
    "user_legal_id_type": "CC",
    "user_legal_id": "1999888777",
    "financial_institution_code": "1",
    "payment_description": "Pago de prueba",
}
NEQUI = {"type": "NEQUI", "phone_number": "3991111111"}
CARD = {
    "number": "4242424242424242",
    "cvc": "123",
    "exp_month": "12",
    "exp_year": "39",
    "card_holder": "Pedro Pérez",
}
_NUMBERS = itertools.count()


def reference() -> str:
    """A new one, also for a real sandbox that remembers the last run's."""
    return f"tause-{time.time_ns()}-{next(_NUMBERS)}"


def signed(secret: str, reference: str, amount: int, currency: str = "COP", until: str = "") -> str:
    return hashlib.sha256(f"{reference}{amount}{currency}{until}{secret}".encode()).hexdigest()


@dataclass
class Endpoint:
    """A Wompi and a merchant of it."""

    base_url: str
    public: str
    private: str
    integrity: str
    http: httpx2.AsyncClient
    patience: float = 0.0
    """Seconds between two reads."""

    @classmethod
    @asynccontextmanager
    async def of(cls, sandbox: Sandbox, served: Served) -> AsyncIterator["Endpoint"]:
        keys = sandbox.keys
        async with httpx2.AsyncClient(
            base_url=served.base_url, trust_env=False, verify=False
        ) as http:
            yield cls(served.base_url, keys.public, keys.private, keys.integrity, http)

    async def ask(
        self, method: str, path: str, key: str | None = "", json: Any = None, **options: Any
    ) -> httpx2.Response:
        """A request; `key`: the public one for '', none for None."""
        headers = options.pop("headers", {})
        if key is not None:
            headers["authorization"] = f"Bearer {key or self.public}"
        return await self.http.request(method, path, json=json, headers=headers, **options)

    async def acceptance(self) -> dict[str, str]:
        """Fresh tokens of both texts."""
        told = (await self.ask("GET", f"/merchants/{self.public}", None)).json()["data"]
        return {
            "acceptance_token": told["presigned_acceptance"]["acceptance_token"],
            "accept_personal_auth": told["presigned_personal_data_auth"]["acceptance_token"],
        }

    async def order(self, payment_method: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
        """The body of a payment, signed."""
        body = {
            **await self.acceptance(),
            "amount_in_cents": 150_000,
            "currency": "COP",
            "customer_email": "pagador@example.com",
            "reference": reference(),
            "payment_method": payment_method,
            **more,
        }
        until = body.get("expiration_time", "")
        mark = signed(
            self.integrity, body["reference"], body["amount_in_cents"], body["currency"], until
        )
        return {k: v for k, v in {"signature": mark, **body}.items() if v is not None}

    async def pay(self, payment_method: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
        """Make a payment; its `data`."""
        answer = await self.ask(
            "POST", "/transactions", json=await self.order(payment_method, **more)
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def card(self, **changed: Any) -> dict[str, Any]:
        """A payment method of a fresh card token."""
        answer = await self.ask("POST", "/tokens/cards", json={**CARD, **changed})
        assert answer.status_code == 201, answer.text
        return {"type": "CARD", "token": answer.json()["data"]["id"], "installments": 1}

    async def read(self, identity: str) -> dict[str, Any]:
        answer = await self.ask("GET", f"/transactions/{identity}", None)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def ended(self, identity: str) -> dict[str, Any]:
        """Read a payment until it is no longer pending."""
        for _ in range(30):
            read = await self.read(identity)
            if read["status"] != "PENDING":
                return read
            await anyio.sleep(self.patience)
        raise AssertionError(f"still pending: {read}")
