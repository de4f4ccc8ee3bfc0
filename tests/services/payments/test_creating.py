"""The same order is the same charge."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tause_mcp.errors import Conflict
from tause_mcp.services.payments.service import Attempt, place
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


async def ended(till: Till, status: str, **told: Any) -> Any:
    made = await till.sent(**told)
    till.provider.set(made.reference, status)
    return await till.payments.reconcile(made.id)


@pytest.mark.parametrize("status", ["DECLINED", "ERROR"])
async def test_a_further_attempt_is_made_only_when_asked_for(till: Till, status: str) -> None:
    first = await ended(till, status)
    assert (await till.sent()).id == first.id
    with pytest.raises(Conflict, match="call with retry"):
        await till.sent(method=NEQUI)
    again = await till.sent(method=NEQUI, retry=True)
    assert (again.attempt, again.status, again.order_id) == (2, "pending", "o1")
    assert again.reference != first.reference
    assert (await till.sent(method=NEQUI, retry=True)).id == again.id  # the same call again
    assert len(till.provider.posts) == 2


async def test_racing_retries_are_one_attempt(till: Till) -> None:
    await ended(till, "DECLINED")
    made = await asyncio.gather(*(till.sent(retry=True) for _ in range(12)))
    assert {one.attempt for one in made} == {2}
    assert len(till.provider.posts) == 2


@pytest.mark.parametrize("status", ["APPROVED", "VOIDED"])
async def test_what_was_paid_is_not_tried_again(till: Till, status: str) -> None:
    await ended(till, status)
    with pytest.raises(Conflict, match="only after a final decline"):
        await till.sent(retry=True)
    assert len(till.provider.posts) == 1


async def test_while_one_attempt_is_open_there_is_no_other(till: Till) -> None:
    await till.sent()
    with pytest.raises(Conflict, match="only after a final decline"):
        await till.sent(method=NEQUI, retry=True)


async def test_a_further_attempt_is_for_the_same_amount(till: Till) -> None:
    await ended(till, "DECLINED")
    with pytest.raises(Conflict, match="for the same amount") as wrong:
        await till.sent(amount=200_000, retry=True)
    assert wrong.value.field == "amount"


async def test_a_racer_that_came_second_takes_the_row_of_the_first(till: Till) -> None:
    """Between the look at the order and the insert: on a server, transactions overlap."""
    first = await till.create()
    row = await till.row(first.id)
    attempt = Attempt("o1", "payment", row.amount, "COP", "pse", None, row.digest)  # type: ignore[arg-type]  # not sealed here

    class Overlapping:
        """A transaction that does not see the other's row before its own insert."""

        looks = 0

        async def first(self, statement: Any, **told: Any) -> Any:
            self.looks += 1
            return None if self.looks == 1 else tuple(row)

        async def run(self, statement: Any, **told: Any) -> int:
            return 0

    class Making:
        environment, ledger = "test", till.ledger

        def row(self, attempt: Attempt, number: int) -> dict[str, Any]:
            return {"id": "pay_second"}

    found, made = await place(Overlapping(), Making(), attempt)  # type: ignore[arg-type]
    assert (found.id, made) == (first.id, False)
    other = replace(attempt, digest="other")
    with pytest.raises(Conflict):
        await place(Overlapping(), Making(), other)  # type: ignore[arg-type]
