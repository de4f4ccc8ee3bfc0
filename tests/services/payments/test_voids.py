"""A card payment is given back once, and never more than was paid."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tause_mcp.errors import Conflict, Invalid, Unavailable
from tause_mcp.outbound.wompi import Refused, Uncertain
from tause_mcp.services.payments import tables

from .conftest import NEQUI, Till, unsent

pytestmark = pytest.mark.anyio
AMOUNT = 2_490_000


async def paid(till: Till, order: str = "o1", **told: Any) -> Any:
    made = await till.sent(order, **told)
    till.provider.set(made.reference, "APPROVED")
    return await till.payments.reconcile(made.id)


async def test_a_void_gives_all_of_it_back_once(till: Till) -> None:
    made = await paid(till)
    gone = await till.payments.void(made.id)
    assert (gone.status, gone.voided) == ("voided", AMOUNT)
    assert (await till.payments.void(made.id)).status == "voided"
    assert till.provider.refunded("1-1") == AMOUNT
    assert len(till.provider.voids) == 1
    await till.payments.reconcile(made.id)
    assert await till.due() == []


async def test_parts_never_add_up_to_more_than_was_paid(till: Till) -> None:
    made = await paid(till)
    part = await till.payments.void(made.id, 2_000_000)
    assert (part.status, part.voided) == ("approved", 2_000_000)
    with pytest.raises(Invalid, match="490000 cents"):
        await till.payments.void(made.id, 490_001)
    with pytest.raises(Invalid):
        await till.payments.void(made.id, 0)
    assert (await till.payments.void(made.id)).status == "voided"
    assert till.provider.voids == [("1-1", 2_000_000), ("1-1", 490_000)]
    with pytest.raises(Conflict):
        await till.payments.void(made.id, 5)


async def test_of_many_voids_at_once_one_is_made(till: Till) -> None:
    made = await paid(till)
    told = [till.payments.void(made.id) for _ in range(12)]
    done = await asyncio.gather(*told, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in done) >= 1
    assert len(till.provider.voids) == 1
    assert (await till.payments.get(made.id)).voided == AMOUNT


@pytest.mark.parametrize("state", ["PENDING", "DECLINED"])
async def test_only_what_was_approved_is_voided(till: Till, state: str) -> None:
    made = await till.sent()
    till.provider.set(made.reference, state)
    await till.payments.reconcile(made.id)
    with pytest.raises(Conflict, match="only an approved payment by card"):
        await till.payments.void(made.id)


async def test_only_cards_are_voided(till: Till) -> None:
    made = await paid(till, method=NEQUI)
    with pytest.raises(Conflict, match="by card"):
        await till.payments.void(made.id)
    assert till.provider.voids == []


@pytest.mark.parametrize("fault", [Refused("too late"), unsent()])
async def test_what_was_not_voided_may_be_asked_again(till: Till, fault: Exception) -> None:
    made = await paid(till)
    till.provider.fail("void", fault)
    with pytest.raises((Refused, Unavailable)):
        await till.payments.void(made.id)
    assert (await till.payments.void(made.id)).status == "voided"


async def test_a_lost_answer_is_read_back(till: Till) -> None:
    made = await paid(till)
    till.provider.fail("void", "lost")
    waits = await till.payments.void(made.id)
    assert (waits.status, waits.void_status) == ("approved", "processing")
    with pytest.raises(Conflict, match="under way"):
        await till.payments.void(made.id)
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, seen.voided, seen.void_status) == ("voided", AMOUNT, None)
    assert await till.due() == []


async def test_a_void_that_did_not_happen_is_known_after_a_minute(
    till: Till, later: Callable[[float], None]
) -> None:
    made = await paid(till)
    till.provider.fail("void", Uncertain("?"))
    await till.payments.void(made.id)
    later(2)
    assert (await till.payments.reconcile(made.id)).void_status == "processing"
    later(61)
    assert (await till.payments.reconcile(made.id)).void_status is None
    assert (await till.payments.void(made.id)).status == "voided"
    assert len(till.provider.voids) == 1


async def test_whether_a_part_was_voided_nobody_can_tell_and_it_is_not_repeated(
    till: Till, later: Callable[[float], None]
) -> None:
    made = await paid(till)
    till.provider.fail("void", "lost")
    await till.payments.void(made.id, 10_000)
    for _ in range(4):
        later(61)
        seen = await till.payments.reconcile(made.id)
    assert (seen.status, seen.voided, seen.void_status) == ("approved", 0, "processing")
    assert "whether the void of 10000 cents" in seen.problem
    with pytest.raises(Conflict):
        await till.payments.void(made.id, 10_000)
    assert len(till.provider.voids) == 1
    till.provider.set(made.reference, "VOIDED")  # it was, and is shown at last
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, seen.voided, seen.problem) == ("voided", 10_000, None)


async def test_after_a_part_the_provider_may_show_all_as_voided(till: Till) -> None:
    till.provider.parts_end_it = True
    made = await paid(till)
    part = await till.payments.void(made.id, 10_000)
    assert (part.status, part.voided) == ("voided", 10_000)
    with pytest.raises(Conflict):
        await till.payments.void(made.id, 5)
    till.provider.fail("void", "lost")
    other = await paid(till, "o2")
    await till.payments.void(other.id, 10_000)
    seen = await till.payments.reconcile(other.id)
    assert (seen.status, seen.voided) == ("voided", 10_000)
    till.provider.mute = True
    third = await paid(till, "o3")
    assert (await till.payments.void(third.id, 10_000)).status == "approved"
    seen = await till.payments.reconcile(third.id)
    assert (seen.status, seen.voided) == ("voided", 10_000)


async def test_a_void_answered_with_no_word_is_read_back(till: Till) -> None:
    made = await paid(till)
    till.provider.mute = True
    assert (await till.payments.void(made.id)).void_status == "processing"
    assert (await till.payments.reconcile(made.id)).status == "voided"
    other = await paid(till, "o2")
    part = await till.payments.void(other.id, 10_000)  # it was taken, as far as one can know
    assert (part.status, part.voided) == ("approved", 10_000)


async def test_what_was_voided_elsewhere_is_voided_here(till: Till) -> None:
    made = await paid(till)
    till.provider.set(made.reference, "VOIDED")
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, seen.voided) == ("voided", AMOUNT)


async def test_an_answer_about_another_payment_is_not_believed(till: Till) -> None:
    made, other = await paid(till), await paid(till, "o2", amount=300_000)
    real = till.provider.ask

    async def mixed(operation: str, work: Callable) -> object:
        found = await real(operation, work)
        return till.provider.transactions[other.reference] if operation == "void" else found

    till.provider.ask = mixed  # type: ignore[method-assign]
    assert (await till.payments.void(made.id)).void_status == "processing"
    assert (await till.payments.reconcile(made.id)).status == "voided"
    assert (await till.row(other.id)).state == tables.APPROVED


async def test_a_claim_of_a_void_that_was_lost_is_a_conflict(till: Till) -> None:
    made = await paid(till)
    row = await till.row(made.id)
    voids = till.payments._voids
    taken = [await voids._claim(row, 5, "a"), await voids._claim(row, 5, "b")]
    assert taken == [True, False]


async def test_what_was_read_before_another_void_bounds_nothing(till: Till) -> None:
    """The bound holds in the claim itself."""
    made = await paid(till)
    stale = await till.row(made.id)
    await till.payments.void(made.id, 2_000_000)
    assert await till.payments._voids._claim(stale, 490_001, "a") is False
    assert await till.payments._voids._claim(stale, 490_000, "b") is True
