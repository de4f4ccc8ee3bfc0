"""A house whose installation collects through the local double of Wompi."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tause_mcp.testing.home import House, house
from tause_mcp.testing.wompi import Sandbox, Served, running


def settings(sandbox: Sandbox, served: Served) -> dict[str, str]:
    """What an operator sets to collect through it."""
    return {
        "WOMPI_PUBLIC_KEY": sandbox.keys.public,
        "WOMPI_PRIVATE_KEY": sandbox.keys.private,
        "WOMPI_EVENTS_SECRET": sandbox.keys.events,
        "WOMPI_INTEGRITY_SECRET": sandbox.keys.integrity,
        "WOMPI_BASE_URL": served.base_url,
        "WOMPI_CHECKOUT_URL": served.checkout_url,
    }


ANA = {
    "email": "ana@example.com",
    "full_name": "Ana Pérez",
    "phone": "3001234567",
    "document_type": "CC",
    "document": "1020304050",
}
PSE = {"type": "pse", "bank_code": "1", "person_type": "natural"}


def order(order_id: str = "o-1", **told: Any) -> dict[str, Any]:
    """Arguments of payments_create that the payer has to accept."""
    asked = {"order_id": order_id, "amount": 2_490_000, "method": PSE, "customer": ANA}
    return {**asked, **told}


@dataclass(frozen=True, slots=True)
class Shop:
    """An open house, and the double that it collects through."""

    house: House
    sandbox: Sandbox
    served: Served

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Any = "acme") -> Any:
        """Run a tool; whatever a person is asked, they approve."""
        told = await self.house.call(tool, arguments, caller)
        if told.get("status") == "approval_required":
            await self.house.platform.answer(told["id"], True, by="local:owner", means="cli")
            told = await self.house.call(tool, arguments, caller)
        return told

    async def token(self, number: str = "4242424242424242") -> str:
        """What Wompi's own form gives for a card."""
        import httpx2

        card = {"number": number, "cvc": "123", "exp_month": "12", "exp_year": "40"}
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{self.served.base_url}/tokens/cards",
                json={**card, "card_holder": "Ana Perez"},
                headers={"Authorization": f"Bearer {self.sandbox.keys.public}"},
            )
        return str(answer.json()["data"]["id"])


@asynccontextmanager
async def shop(home: Path, sandbox: Sandbox | None = None, **more: str) -> AsyncIterator[Shop]:
    """A house with the tenants `acme` and `globex`, and a served double."""
    sandbox = sandbox or Sandbox()
    async with running(sandbox) as served:
        async with house(home, **settings(sandbox, served), **more) as opened:
            for name in ("acme", "globex"):
                await opened.tenant(name)
            yield Shop(opened, sandbox, served)
