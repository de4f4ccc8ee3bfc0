"""A house whose installation collects through the local double of Wompi."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tause_mcp.pipeline import Invocation
from tause_mcp.platform import Platform
from tause_mcp.services.payments import Links
from tause_mcp.tenancy import Caller, Scopes, TenantId
from tause_mcp.testing.home import House, house
from tause_mcp.testing.walk_stage import Scene
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
        "WOMPI_PAYOUTS_URL": served.payouts_url,
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
        return await token(self.sandbox, self.served, number)


@asynccontextmanager
async def shop(home: Path, sandbox: Sandbox | None = None, **more: str) -> AsyncIterator[Shop]:
    """A house with the tenants `acme` and `globex`, and a served double."""
    sandbox = sandbox or Sandbox()
    async with running(sandbox) as served:
        async with house(home, **settings(sandbox, served), **more) as opened:
            for name in ("acme", "globex"):
                await opened.tenant(name)
            yield Shop(opened, sandbox, served)


async def token(sandbox: Sandbox, served: Served, number: str = "4242424242424242") -> str:
    """What Wompi's own form gives for a card."""
    card = {"number": number, "cvc": "123", "exp_month": "12", "exp_year": "40"}
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        answer = await http.post(
            f"{served.base_url}/tokens/cards",
            json={**card, "card_holder": "Ana Perez"},
            headers={"Authorization": f"Bearer {sandbox.keys.public}"},
        )
    return str(answer.json()["data"]["id"])


async def paid_by_link(url: str, **told: str) -> str:
    """Somebody pays by a link of the double's, at its own page; Wompi's id of the transaction."""
    form = {
        **{"accept-terms": "on", "accept-personal": "on", "customer-data:email": ANA["email"]},
        **{"method": "CARD", "card": "4242424242424242", **told},
    }
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        answer = await http.post(url, data=form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rpartition("/")[2].rpartition("id=")[2].partition("&")[0]


async def pays_out(run: Callable[[str, dict[str, Any]], Any], sandbox: Sandbox) -> None:
    """Give a tenant, whose tools `run` runs, keys of its own for payouts."""
    keys = sandbox.keys
    named = {
        "api_key": keys.payouts_api,
        "user_principal_id": keys.payouts_principal,
        "events_secret": keys.payouts_events,
    }
    values = {"payouts.wompi.environment": "test"}
    for name, value in named.items():
        await run("secrets_put", {"name": f"payouts_{name}", "value": value})
        values[f"payouts.wompi.{name}"] = f"secret://payouts_{name}"
    await run("tenants_configure", {"values": values})


def stocked(platform: Platform, sandbox: Sandbox, served: Served) -> Callable[[Scene], Any]:
    """For the isolation walk: every tenant begins with a saved card that can be charged and with a
    payment by a link, which its own key could not bring about without a payer, and with keys of
    payouts."""

    async def prepare(scene: Scene) -> None:
        owner = Caller("local:walk", TenantId(scene.tenant), Scopes(frozenset({"*:*"})))

        async def run(tool: str, arguments: dict[str, Any]) -> Any:
            call = Invocation(owner, arguments)
            return await platform.pipeline.run(platform.catalog.tools[tool], call)

        await pays_out(run, sandbox)
        scopes = Scopes(frozenset({"payments:write", "payments:unattended"}))
        caller = Caller("local:walk", TenantId(scene.tenant), scopes)
        arguments = {
            "type": "card",
            "token": await token(sandbox, served),
            "customer": {"email": f"{scene.canary.content()}@example.com"},
            "acceptance": {"accepted_at": "2026-01-31T12:00:00Z", "evidence": "walk"},
        }
        saved = platform.catalog.tools["payments_save_source"]
        made = await platform.pipeline.run(saved, Invocation(caller, arguments))
        assert made.value["status"] == "available", made.value
        scene.handles.harvest("payments_save_source", made.value)
        link = await platform.binding(caller, saved).service(Links).create("Curso", "x")
        email = {"customer-data:email": arguments["customer"]["email"], "amount-in-cents": "500000"}
        named = f"wtx_{await paid_by_link(str(link.url), **email)}"
        reconcile = platform.catalog.tools["payments_reconcile"]
        paid = await platform.pipeline.run(reconcile, Invocation(caller, {"id": named}))
        assert paid.value["link_id"] == link.id, paid.value
        told = {name: paid.value[name] for name in ("id", "link_id", "provider_id", "reference")}
        scene.handles.harvest("payments_reconcile", [{"id": named}, told])

    return prepare
