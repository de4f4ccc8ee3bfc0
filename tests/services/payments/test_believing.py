"""What the provider says is believed when it fits, and changes nothing when it does not."""

from collections.abc import Callable

import pytest

from tause_mcp.errors import Invalid, Unconfigured
from tause_mcp.outbound.wompi import (
    Event,
)

from .conftest import CHECKOUT, PSE, Till, account

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


def event(till: Till, **transaction: object) -> Event:
    return Event("transaction.updated", {"transaction": transaction}, "test", 1, "c", ())


async def approved(till: Till, order: str = "o1", **told: object) -> object:
    made = await till.sent(order, **told)
    till.provider.set(made.reference, "APPROVED")
    return await till.payments.reconcile(made.id)


# --- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"amount": 1}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"merchant_key": "pub_test_other"}, "merchant"),
    ],
)
async def test_a_transaction_that_is_not_ours_changes_no_state(
    till: Till, told: dict, named: str
) -> None:
    made = await till.sent()
    till.provider.set(made.reference, "APPROVED", **told)
    seen = await till.payments.reconcile(made.id)
    assert seen.status == "pending"
    assert f"another {named}" in seen.problem
    assert [due[1] for due in await till.due()] == [made.id]  # it is looked at again
    assert (await till.payments.reconcile(made.id)).problem == seen.problem


async def test_an_answer_with_another_reference_is_not_this_payment(till: Till) -> None:
    other = await till.sent("o2")
    real = till.provider.ask

    async def mixed(operation: str, work: Callable) -> object:
        found = await real(operation, work)
        return till.provider.transactions[other.reference] if operation == "create" else found

    till.provider.ask = mixed  # type: ignore[method-assign]
    made = await till.sent("o1", method=PSE)
    assert made.status == "processing"
    assert "another reference" in made.problem
    till.provider.ask = real  # type: ignore[method-assign]
    found = await till.payments.reconcile(made.id)
    assert (found.status, found.problem) == ("pending", None)


async def test_a_status_that_is_not_known_changes_nothing(till: Till) -> None:
    made = await till.sent()
    till.provider.set(made.reference, "LIMBO")
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, "LIMBO" in seen.problem) == ("pending", True)
    till.provider.set(made.reference, "APPROVED")
    assert (await till.payments.reconcile(made.id)).problem is None


async def test_what_ended_does_not_go_back(till: Till) -> None:
    paid = await approved(till)
    till.provider.set(paid.reference, "PENDING")
    assert (await till.payments.reconcile(paid.id)).problem is None  # news of the past
    till.provider.set(paid.reference, "DECLINED")
    seen = await till.payments.reconcile(paid.id)
    assert (seen.status, "DECLINED" in seen.problem) == ("approved", True)


async def test_what_was_declined_and_then_paid_is_told(till: Till) -> None:
    made = await till.sent()
    till.provider.set(made.reference, "DECLINED")
    assert (await till.payments.reconcile(made.id)).status == "declined"
    till.provider.set(made.reference, "APPROVED", id="1-999")
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, "another transaction" in seen.problem) == ("declined", True)


async def test_an_old_word_of_another_transaction_is_no_news(till: Till) -> None:
    paid = await approved(till)
    till.provider.set(paid.reference, "DECLINED", id="1-999")
    till.provider.fail("transaction", None)
    assert (await till.payments.reconcile(paid.id)).status == "approved"


async def test_news_of_the_past_after_a_void_is_none(till: Till) -> None:
    paid = await approved(till)
    await till.payments.void(paid.id)
    till.provider.set(paid.reference, "APPROVED")
    seen = await till.payments.reconcile(paid.id)
    assert (seen.status, seen.problem) == ("voided", None)


async def test_a_transaction_that_is_gone_is_a_problem(till: Till) -> None:
    made = await till.sent()
    till.provider.transactions.clear()
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, "does not know" in seen.problem) == ("pending", True)


async def test_a_transaction_that_its_reference_does_not_show_is_read_by_its_id(
    till: Till,
) -> None:
    made = await till.sent()
    till.provider.set(made.reference, "APPROVED")
    real = till.provider.ask

    async def lagging(operation: str, work: Callable) -> object:
        return [] if operation == "by_reference" else await real(operation, work)

    till.provider.ask = lagging  # type: ignore[method-assign]
    assert (await till.payments.reconcile(made.id)).status == "approved"


async def test_other_keys_read_no_payment_of_before(till: Till) -> None:
    made = await till.sent()
    till.account = account(key="pub_test_new")
    with pytest.raises(Unconfigured, match="other Wompi keys"):
        await till.payments.reconcile(made.id)
    assert (await till.payments.get(made.id)).status == "pending"


async def test_an_order_of_the_sandbox_is_not_the_order_of_production(till: Till) -> None:
    tried = await approved(till)
    till.account = account("prod")
    real = await till.sent()
    assert (real.environment, real.status, real.attempt) == ("prod", "pending", 1)
    assert real.reference != tried.reference
    assert (await till.payments.by_order("o1")).id == real.id


# --- events -------------------------------------------------------------------------------------


async def test_an_event_makes_its_payments_due_and_is_not_believed(till: Till) -> None:
    made = await till.sent()
    told = event(till, id="1-1", reference=made.reference, status="APPROVED")
    assert await till.payments.seen_event(told) == [made.id]
    assert (await till.payments.get(made.id)).status == "pending"
    till.provider.set(made.reference, "APPROVED")
    assert await till.sweep().once() == 1
    assert (await till.payments.get(made.id)).status == "approved"
    assert await till.due() == []
    assert await till.payments.seen_event(event(till, id=made.provider_id)) == [made.id]
    assert await till.payments.seen_event(event(till, id="1-7", reference="x")) == []
    assert await till.payments.seen_event(event(till)) == []
    assert await till.payments.seen_event(event(till, id=["x"], reference={"a": 1})) == []


async def test_an_event_that_comes_while_a_payment_is_read_is_not_lost(till: Till) -> None:
    paid = await approved(till)
    real = till.provider.ask

    async def interrupted(operation: str, work: Callable) -> object:
        found = await real(operation, work)
        if operation == "by_reference":
            await till.payments.seen_event(event(till, reference=paid.reference))
        return found

    till.provider.ask = interrupted  # type: ignore[method-assign]
    await till.payments.reconcile(paid.id)
    assert [id_ for _, id_, _ in await till.due()] == [paid.id]


# --- the checkout of the provider's own ---------------------------------------------------------


async def test_a_checkout_is_found_by_its_reference(till: Till) -> None:
    made = await till.create(method=CHECKOUT)
    assert made.checkout_url.startswith("https://checkout.example/p/?public-key=pub_test_fake")
    assert made.reference in made.checkout_url
    assert "expiration-time" in made.checkout_url
    assert (await till.accept(made.id)).status == "awaiting_payer"  # they accept there
    assert (await till.payments.reconcile(made.id)).status == "awaiting_payer"
    pays(till, made, "APPROVED")
    seen = await till.payments.reconcile(made.id)
    assert (seen.status, seen.checkout_url, seen.pay_url) == ("approved", None, None)


def pays(till: Till, made: object, status: str) -> None:
    """A payer on the provider's own page."""
    from tause_mcp.outbound.wompi import Transaction

    told = (made.amount, "COP")
    till.provider.transactions[made.reference] = Transaction("9-1", status, made.reference, *told)


async def test_a_checkout_of_which_nothing_is_heard_expires_after_a_last_look(
    till: Till, later: Later
) -> None:
    made = await till.create(method=CHECKOUT)
    later(24 * 3600 + 60)
    assert (await till.payments.reconcile(made.id)).status == "awaiting_payer"
    later(900)
    assert (await till.payments.reconcile(made.id)).status == "expired"
    assert await till.due() == []


async def test_what_was_paid_after_all_is_not_called_expired(till: Till, later: Later) -> None:
    made = await till.create(method=CHECKOUT)
    later(26 * 3600)
    assert (await till.payments.reconcile(made.id)).status == "expired"
    pays(till, made, "APPROVED")
    await till.payments.seen_event(event(till, id="9-1", reference=made.reference))
    assert await till.sweep().once() == 1
    assert (await till.payments.get(made.id)).status == "approved"


async def test_a_checkout_needs_its_payer(till: Till) -> None:
    with pytest.raises(Invalid, match="needs the payer"):
        await till.sent(method=CHECKOUT)
