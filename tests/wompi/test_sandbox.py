"""The double as a test holds it."""

import anyio
import pytest
from tests.wompi.endpoint import NEQUI, PSE, Endpoint, reference

from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio


async def test_of_parallel_creates_with_one_reference_exactly_one_is_made(
    wompi: Endpoint, sandbox: Sandbox
) -> None:
    named = reference()
    bodies = [await wompi.order(NEQUI, reference=named) for _ in range(12)]
    statuses: list[int] = []

    async def create(body: dict[str, object]) -> None:
        statuses.append((await wompi.ask("POST", "/transactions", json=body)).status_code)

    async with anyio.create_task_group() as group:
        for body in bodies:
            group.start_soon(create, body)
    assert sorted(statuses) == [201] + [422] * 11
    assert sandbox.creates[named] == 1
    assert sandbox.attempts[named] == 12
    assert [t.reference for t in sandbox.transactions] == [named]


async def test_pse_shows_its_url_while_it_is_pending_and_the_payer_ends_it(
    wompi: Endpoint,
) -> None:
    made = await wompi.pay(PSE, redirect_url="https://shop.example/back?order=7")
    assert "async_payment_url" not in made["payment_method"]["extra"]
    read = await wompi.read(made["id"])
    assert read["status"] == "PENDING"
    bank = read["payment_method"]["extra"]["async_payment_url"]
    chosen = await wompi.http.post(bank, data={"status": "continue"})
    assert chosen.status_code == 303
    there = f"https://shop.example/back?order=7&id={made['id']}&env=test"
    assert chosen.headers["location"] == there
    assert (await wompi.read(made["id"]))["status"] == "APPROVED"


async def test_of_parallel_voids_exactly_one_is_made(wompi: Endpoint, sandbox: Sandbox) -> None:
    made = await wompi.pay(await wompi.card())
    await wompi.ended(made["id"])
    statuses: list[int] = []

    async def void() -> None:
        path = f"/transactions/{made['id']}/void"
        statuses.append((await wompi.ask("POST", path, wompi.private)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(void)
    assert sorted(statuses) == [201] + [422] * 7
    assert [d.about for d in sandbox.deliveries] == [made["id"]] * 2
