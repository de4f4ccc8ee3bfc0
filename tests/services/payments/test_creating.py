"""The same order is the same charge."""

import asyncio

import pytest

from tause_mcp.errors import Conflict
from tause_mcp.services.payments.values import Customer

from .conftest import NEQUI, Till

pytestmark = pytest.mark.anyio


async def test_an_attended_payment_waits_for_its_payer_and_nothing_is_sent(till: Till) -> None:
    made = await till.create(description="Zapatos")
    assert (made.status, made.attempt, made.environment) == ("awaiting_payer", 1, "test")
    assert made.pay_url == f"https://shop.example/pay/ta.{made.id}"
    assert (made.description, made.method, made.provider_id) == ("Zapatos", "pse", None)
    assert till.provider.posts == []
    assert till.changes == [made.id]


async def test_what_the_payer_accepts_is_sent_once(till: Till) -> None:
    made = await till.create()
    sent = await till.accept(made.id)
    assert (sent.status, sent.provider_id) == ("pending", "1-1")
    assert (await till.accept(made.id)).status == "pending"
    assert till.provider.posts == [made.reference]


async def test_a_payment_with_a_recorded_acceptance_is_sent_at_once(till: Till) -> None:
    made = await till.sent()
    assert made.status == "pending"
    assert made.pay_url is None
    assert till.provider.posts == [made.reference]


async def test_the_same_arguments_return_the_payment_as_it_stands(till: Till) -> None:
    first = await till.sent()
    till.provider.set(first.reference, "APPROVED")
    await till.payments.reconcile(first.id)
    again = await till.sent()
    assert (again.id, again.status) == (first.id, "approved")
    assert till.provider.posts == [first.reference]


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 2_490_001},
        {"method": NEQUI},
        {"customer": Customer("eva@example.com", *("Ana Pérez", "3001234567", "CC", "1020304050"))},
        {"description": "else"},
    ],
)
async def test_other_arguments_are_a_conflict(till: Till, other: dict) -> None:
    await till.create()
    with pytest.raises(Conflict, match="other arguments"):
        await till.create(**other)


async def test_any_number_of_racers_get_one_row_and_one_post(till: Till) -> None:
    made = await asyncio.gather(*(till.sent() for _ in range(24)))
    assert len({one.id for one in made}) == 1
    assert till.provider.posts == [made[0].reference]


async def test_racers_with_other_arguments_lose(till: Till) -> None:
    told = [till.sent(amount=200_000 + number) for number in range(8)]
    done = await asyncio.gather(*told, return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 7
    assert len(till.provider.posts) == 1


async def test_payers_who_click_twice_pay_once(till: Till) -> None:
    made = await till.create()
    await asyncio.gather(*(till.accept(made.id) for _ in range(16)))
    assert till.provider.posts == [made.reference]
