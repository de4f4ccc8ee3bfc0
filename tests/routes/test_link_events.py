"""A payer pays by a link at Wompi; its event makes that a payment of the tenant's."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.shop import Shop, paid_by_link, shop

from tause_mcp.testing.walk import in_process
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Stall:
    """A shop with links, and where its events arrive."""

    shop: Shop
    http: httpx2.AsyncClient

    async def link(self, tenant: str = "acme", **told: Any) -> dict[str, Any]:
        asked = {"name": "Curso", "description": "Curso de pan", "amount": 500_000, **told}
        made: dict[str, Any] = await self.shop.call("payments_create_link", asked, tenant)
        return made

    async def pay(self, link: dict[str, Any], status: str = "APPROVED", **told: str) -> bytes:
        """Somebody pays by it, to an end; the event that Wompi sends."""
        made = await paid_by_link(link["url"], **told)
        self.shop.sandbox.decide(made, status)
        body: bytes = self.shop.sandbox.deliveries[-1].body
        assert json.loads(body)["data"]["transaction"]["payment_link_id"] == link["provider_id"]
        return body

    async def send(self, body: bytes, tenant: str = "acme") -> None:
        answer = await self.http.post(f"/webhooks/wompi/{tenant}", content=body)
        assert answer.status_code == 200

    async def payments(self, tenant: str = "acme") -> list[dict[str, Any]]:
        told = await self.shop.house.call("payments_list", {}, tenant)
        return list(told["items"])


@pytest.fixture
async def stall(tmp_path: Path) -> AsyncIterator[Stall]:
    sandbox = Sandbox(resolve_after="manual", auto_deliver=False)
    sandbox.webhook_url = "http://127.0.0.1:1/webhooks/wompi/acme"
    async with shop(tmp_path / "home", sandbox) as opened:
        async with in_process(opened.house.platform) as http:
            yield Stall(opened, http)


async def test_what_is_paid_by_a_link_is_listed_read_and_given_back(stall: Stall) -> None:
    link = await stall.link()
    await stall.send(await stall.pay(link))
    (paid,) = await stall.payments()
    assert (paid["status"], paid["method"], paid["link_id"]) == ("approved", "card", link["id"])
    assert paid["amount"] == {"amount": 500_000, "currency": "COP"}
    assert "customer" not in paid and "example.com" not in json.dumps(paid)
    house = stall.shop.house
    assert await house.call("payments_get", {"id": paid["id"]}, "acme") == paid
    assert await house.call("payments_get", {"order_id": paid["order_id"]}, "acme") == paid
    asked = await house.call("payments_void", {"id": paid["id"]}, "acme")
    assert "ana@example.com" in asked["summary"]
    given = await stall.shop.call("payments_void", {"id": paid["id"]})
    assert (given["status"], given["voided"]["amount"]) == ("voided", 500_000)
    (of_link,) = (await house.call("payments_list_links", {}, "acme"))["items"]
    assert of_link["status"] in ("active", "paid")  # the sweeper may have looked already
    told = await house.call("payments_reconcile", {"id": link["id"]}, "acme")
    assert told["status"] == "paid" and "url" not in told


async def test_an_event_again_and_several_at_once_are_one_payment(stall: Stall) -> None:
    body = await stall.pay(await stall.link())
    await asyncio.gather(*(stall.send(body) for _ in range(5)))
    await stall.send(body)
    assert len(await stall.payments()) == 1


async def test_a_declined_try_and_then_a_paid_one_are_two(stall: Stall) -> None:
    link = await stall.link()
    await stall.send(await stall.pay(link, "DECLINED", method="NEQUI", phone="3992222222"))
    await stall.send(await stall.pay(link))
    told = {one["status"]: one["method"] for one in await stall.payments()}
    assert told == {"declined": "nequi", "approved": "card"}


async def test_a_link_of_another_tenant_changes_nothing(stall: Stall) -> None:
    """Both collect into the installation's account: the event arrives at one of them."""
    link = await stall.link("globex")
    body = await stall.pay(link)
    await stall.send(body)
    assert await stall.payments() == []
    await stall.send(body, "globex")
    (paid,) = await stall.payments("globex")
    assert paid["link_id"] == link["id"] and await stall.payments() == []


async def test_a_link_that_nobody_here_made_changes_nothing(stall: Stall) -> None:
    link = await stall.link()
    state = stall.shop.sandbox.state
    with state.lock:
        state.links["other1"] = replace(state.links[link["provider_id"]], id="other1")
    there = {**link, "url": link["url"].replace(link["provider_id"], "other1")}
    await stall.send(await stall.pay({**there, "provider_id": "other1"}))
    assert await stall.payments() == []


async def test_another_amount_than_the_link_has_is_a_problem_of_the_link(stall: Stall) -> None:
    link = await stall.link()
    state = stall.shop.sandbox.state
    with state.lock:
        state.links[link["provider_id"]].fields["amount_in_cents"] = 150_000
    await stall.send(await stall.pay(link))
    assert await stall.payments() == []
    (told,) = (await stall.shop.house.call("payments_list_links", {}, "acme"))["items"]
    assert "another amount" in told["problem"]


async def test_while_wompi_is_away_the_event_is_taken_and_nothing_is_lost(stall: Stall) -> None:
    body = await stall.pay(await stall.link())
    stall.shop.sandbox.fail("GET /transactions*", "503", times=50)
    await stall.send(body)
    assert await stall.payments() == []
    made = json.loads(body)["data"]["transaction"]["id"]
    stall.shop.sandbox.clear_faults()
    told = await stall.shop.house.call("payments_reconcile", {"id": f"wtx_{made}"}, "acme")
    assert told["status"] == "approved"
    assert [one["id"] for one in await stall.payments()] == [told["id"]]
