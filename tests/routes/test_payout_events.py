"""What Wompi tells of payouts by itself is believed when it is genuine, and then only looked up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.shop import Shop, pays_out, shop

from tause_mcp.testing.walk import in_process
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio
PAY = {
    "payout_id": "nomina-1",
    "amount": 7_500_000,
    "beneficiary": {"key": "ecolon@wompi.com", "key_type": "mail"},
}


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop(tmp_path, Sandbox(resolve_after="manual")) as opened:
        for tenant in ("acme", "globex"):

            async def run(tool: str, told: Any, tenant: str = tenant) -> Any:
                return await opened.house.call(tool, told, tenant)

            await pays_out(run, opened.sandbox)
        yield opened


@pytest.fixture
async def http(till: Shop) -> AsyncIterator[httpx2.AsyncClient]:
    async with in_process(till.house.platform) as client:
        yield client


def events(till: Shop, name: str) -> list[bytes]:
    """The bodies that Wompi would have posted."""
    return [d.body for d in till.sandbox.deliveries if d.event == name]


async def post(http: httpx2.AsyncClient, body: bytes, tenant: str = "acme") -> httpx2.Response:
    return await http.post(f"/webhooks/wompi/{tenant}", content=body)


async def batch(till: Shop) -> Any:
    (made,) = till.sandbox.state.ledger.batches.values()
    return made


@pytest.mark.parametrize("name", ["payout.updated", "transaction.updated"])
async def test_a_genuine_event_brings_the_payout_to_its_end(
    till: Shop, http: httpx2.AsyncClient, name: str
) -> None:
    paid = await till.call("payouts_create", PAY)
    till.sandbox.decide((await batch(till)).id, "APPROVED")
    (body,) = events(till, name)
    for _ in range(2):  # twice is once
        assert (await post(http, body)).status_code == 200
    found = await till.call("payouts_get", {"id": paid["id"]})
    assert found["status"] == "approved" and "problem" not in found


async def test_what_is_not_genuine_or_nobodys_is_answered_alike(
    till: Shop, http: httpx2.AsyncClient
) -> None:
    paid = await till.call("payouts_create", PAY)
    till.sandbox.webhooks("wrong_checksum")
    till.sandbox.decide((await batch(till)).id, "APPROVED")
    (forged,) = events(till, "payout.updated")
    answers = [
        await post(http, forged),
        await post(http, forged, "nobody"),
        await post(http, b"{}"),
        await post(http, forged.replace(b"APPROVED", b"FAILED")),
    ]
    assert {(a.status_code, a.content) for a in answers} == {(401, answers[0].content)}
    assert (await till.call("payouts_get", {"id": paid["id"]}))["status"] == "pending"


async def test_an_event_of_a_payout_whose_answer_was_lost_names_it(
    till: Shop, http: httpx2.AsyncClient
) -> None:
    till.sandbox.fail("POST /payouts/v2/payouts", "500_after")
    paid = await till.call("payouts_create", PAY)
    assert paid["status"] == "processing"
    till.sandbox.fail("GET /payouts/v1/payouts", "503", times=99)
    made = await batch(till)
    till.sandbox.decide(made.id, "APPROVED")
    till.sandbox.state.faults.asked.clear()
    (body,) = events(till, "payout.updated")
    assert (await post(http, body)).status_code == 200
    found = await till.call("payouts_get", {"id": paid["id"]})
    assert (found["status"], found["provider_id"]) == ("approved", made.id)


async def test_an_event_of_payments_still_opens_the_same_door(
    till: Shop, http: httpx2.AsyncClient
) -> None:
    till.sandbox.emit(
        "transaction.updated",
        {"transaction": {"id": "1-1-1", "status": "APPROVED", "amount_in_cents": 1}},
        ["transaction.id", "transaction.status", "transaction.amount_in_cents"],
    )
    (body,) = events(till, "transaction.updated")
    assert (await post(http, body)).status_code == 200


async def test_another_tenants_payout_is_not_touched(till: Shop, http: httpx2.AsyncClient) -> None:
    """Both pay from one account of Wompi's, so that the event is genuine for both."""
    paid = await till.call("payouts_create", PAY)
    till.sandbox.decide((await batch(till)).id, "APPROVED")
    (body,) = events(till, "payout.updated")
    assert (await post(http, body, "globex")).status_code == 200
    assert (await till.call("payouts_get", {"id": paid["id"]}))["status"] == "pending"
