"""An unknown outcome is looked up and adopted; it is never sent blindly."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tause_mcp.errors import Conflict, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import (
    KeysRefused,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
    Uncertain,
)
from tause_mcp.services.payments import sending, tables
from tause_mcp.services.payments.values import Terms

from .conftest import CARD, Till, unsent

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


# --- unknown outcomes ---------------------------------------------------------------------------


async def test_a_lost_answer_is_found_by_reference_and_adopted(till: Till) -> None:
    till.provider.fail("create", "lost")
    made = await till.sent()
    assert (made.status, made.provider_id) == ("processing", None)
    found = await till.payments.reconcile(made.id)
    assert (found.status, found.provider_id) == ("pending", "1-1")
    assert till.provider.posts == [made.reference]


async def test_what_the_provider_does_not_know_twice_is_sent_again_by_the_same_reference(
    till: Till, later: Later
) -> None:
    till.provider.fail("create", Uncertain("no answer"))
    made = await till.sent()
    later(1)
    assert (await till.payments.reconcile(made.id)).status == "processing"
    assert (await till.row(made.id)).checks == 1
    later(30)
    assert (await till.row((await till.payments.reconcile(made.id)).id)).state == tables.SENDING
    later(31)
    back = await till.payments.reconcile(made.id)
    assert (await till.row(back.id)).state == tables.READY
    sent = await till.payments.reconcile(made.id)
    assert (sent.status, sent.reference) == ("pending", made.reference)
    assert till.provider.posts == [made.reference]


async def test_of_a_payer_it_is_asked_again(till: Till, later: Later) -> None:
    made = await till.create()
    till.provider.fail("create", Uncertain("no answer"))
    assert (await till.accept(made.id)).status == "processing"
    for _ in range(2):
        later(61)
        await till.payments.reconcile(made.id)
    assert (await till.payments.get(made.id)).status == "awaiting_payer"
    assert (await till.accept(made.id)).status == "pending"
    assert till.provider.posts == [made.reference]


async def test_while_a_claim_holds_nothing_found_counts_for_nothing(
    till: Till, later: Later
) -> None:
    """Its holder may be about to post."""
    made = await till.create()
    wall = asyncio.Event()
    real = till.provider.ask

    async def slow(operation: str, work: Callable) -> object:
        if operation == "create":
            await wall.wait()
        return await real(operation, work)

    till.provider.ask = slow  # type: ignore[method-assign]
    accepting = asyncio.create_task(till.accept(made.id))
    while (await till.row(made.id)).state != tables.SENDING:
        await asyncio.sleep(0.01)
    for _ in range(3):
        later(39)
        await till.payments.reconcile(made.id)
    assert (await till.row(made.id)).checks == 0
    wall.set()
    assert (await accepting).status == "pending"


async def test_a_look_that_began_while_the_claim_held_counts_for_nothing(
    till: Till, later: Later
) -> None:
    """The post and its doubt fell between the question and its answer."""
    made = await till.create()
    await till.rows.write(
        lambda tx: tx.run(
            tables.INTENTS.claim,
            of=made.id,
            former=tables.AWAITING,
            of_claim="c",
            of_sealed=b"",
            until=10**18,
            now=1,
        )
    )
    real = till.provider.ask

    async def slow(operation: str, work: Callable) -> object:
        found = await real(operation, work)
        later(1)
        await till.rows.write(
            lambda tx: tx.run(tables.INTENTS.doubt, of=made.id, of_claim="c", now=times.now())
        )
        later(1)
        return found

    from tause_mcp import times

    till.provider.ask = slow  # type: ignore[method-assign]
    await till.payments.reconcile(made.id)
    assert (await till.row(made.id)).checks == 0


async def test_a_holder_that_was_held_up_posts_nothing(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await till.create()
    monkeypatch.setattr(sending, "POST_WITHIN", -1.0)
    with pytest.raises(Unavailable, match="nothing was sent"):
        await till.accept(made.id)
    assert till.provider.posts == []
    assert (await till.payments.get(made.id)).status == "awaiting_payer"


async def test_a_reference_that_was_used_is_adopted(till: Till, later: Later) -> None:
    """A post arrived after all, when the same reference was sent again."""
    till.provider.fail("create", "lost")
    made = await till.sent()
    kept = till.provider.transactions.pop(made.reference)  # not to be seen for a while
    for _ in range(2):
        later(61)
        await till.payments.reconcile(made.id)
    assert (await till.row(made.id)).state == tables.READY
    till.provider.transactions[made.reference] = kept
    hidden = till.provider.transactions

    real = till.provider.ask
    looks = []

    async def lagging(operation: str, work: Callable) -> object:
        if operation == "by_reference" and not looks:
            looks.append(1)
            return []
        return await real(operation, work)

    till.provider.ask = lagging  # type: ignore[method-assign]
    found = await till.payments.reconcile(made.id)
    assert (found.status, found.provider_id) == ("pending", kept.id)
    assert list(hidden) == [made.reference]


async def test_a_reference_said_to_be_used_with_nothing_there_is_a_problem_and_not_sent_again(
    till: Till, later: Later
) -> None:
    till.provider.fail("create", ReferenceUsed("used"))
    made = await till.sent()
    assert "shows no transaction" in made.problem
    for _ in range(4):
        later(130)
        assert (await till.payments.reconcile(made.id)).status == "processing"
    assert till.provider.posts == []


async def test_a_used_reference_that_cannot_be_looked_up_waits(till: Till) -> None:
    till.provider.fail("create", ReferenceUsed("used"))
    till.provider.fail("by_reference", unsent())
    made = await till.sent()
    assert (made.status, made.problem) == ("processing", None)


# --- nothing was made ---------------------------------------------------------------------------


async def test_what_was_not_sent_may_be_sent_by_the_payer_again(till: Till) -> None:
    made = await till.create()
    till.provider.fail("create", unsent())
    with pytest.raises(Unavailable):
        await till.accept(made.id)
    assert (await till.payments.get(made.id)).status == "awaiting_payer"
    assert (await till.accept(made.id)).status == "pending"


async def test_what_nobody_could_send_is_sent_in_the_background(till: Till, later: Later) -> None:
    till.provider.fail("merchant", unsent())
    made = await till.sent()
    assert made.status == "processing"
    later(60)
    assert await till.sweep().once() == 1
    assert (await till.payments.get(made.id)).status == "pending"


async def test_a_refusal_is_an_error_with_what_to_do(till: Till) -> None:
    till.provider.fail("create", Rejected("the token is used: ask for another", field="method"))
    made = await till.sent()
    assert (made.status, made.status_message) == ("error", "the token is used: ask for another")
    assert await till.due() == []
    again = await till.sent(retry=True, method=replace(CARD, token="tok_test_2_xyz"))
    assert (again.status, again.attempt) == ("pending", 2)
    assert again.reference != made.reference


async def test_a_refusal_of_what_was_sent_before_is_looked_up_first(
    till: Till, later: Later
) -> None:
    till.provider.fail("create", "lost")
    made = await till.sent()
    kept = till.provider.transactions.pop(made.reference)
    for _ in range(2):
        later(61)
        await till.payments.reconcile(made.id)
    till.provider.fail("create", Refused("no"), Refused("no"))
    till.provider.fail("by_reference", None, unsent())
    waits = await till.payments.reconcile(made.id)
    assert waits.status == "processing"  # it could not be looked up
    till.provider.transactions[made.reference] = kept
    assert (await till.payments.reconcile(made.id)).status == "pending"


async def test_a_refusal_of_what_the_provider_has_is_no_error(till: Till, later: Later) -> None:
    till.provider.fail("create", "lost")
    made = await till.sent()
    kept = till.provider.transactions.pop(made.reference)
    for _ in range(2):
        later(61)
        await till.payments.reconcile(made.id)
    real, looks = till.provider.ask, []

    async def lagging(operation: str, work: Callable) -> object:
        if operation == "by_reference" and not looks:
            looks.append(1)
            till.provider.transactions[made.reference] = kept
            return []
        return await real(operation, work)

    till.provider.ask = lagging  # type: ignore[method-assign]
    till.provider.fail("create", Refused("no"))
    assert (await till.payments.reconcile(made.id)).status == "pending"


async def test_a_refusal_again_with_nothing_there_is_final(till: Till, later: Later) -> None:
    till.provider.fail("create", Uncertain("?"), Refused("no such method"))
    made = await till.sent()
    for _ in range(4):
        later(61)
        made = await till.payments.reconcile(made.id)
    assert (made.status, made.status_message) == ("error", "no such method")


async def test_used_terms_are_fetched_anew_once(till: Till) -> None:
    till.provider.fail("create", StaleTerms("used"))
    assert (await till.sent("a")).status == "pending"
    till.provider.fail("create", StaleTerms("used"), StaleTerms("used"))
    with pytest.raises(StaleTerms):
        await till.sent("b")
    assert (await till.row((await till.payments.by_order("b")).id)).state == tables.READY


async def test_keys_that_the_provider_refuses_leave_it_unsent(till: Till) -> None:
    till.provider.fail("create", KeysRefused("check the keys"))
    with pytest.raises(Unconfigured, match="check the keys"):
        await till.sent()
    assert (await till.sent()).status == "pending"


async def test_other_terms_than_were_shown_are_shown_again(till: Till) -> None:
    made = await till.create()
    with pytest.raises(Conflict, match="terms changed"):
        await till.payments.accept(made.id, Terms("https://w/old", "https://w/data"), "x")
    assert till.provider.posts == []
    name, shown = await till.payments.terms()
    assert name == "Tienda"
    assert (await till.payments.accept(made.id, shown, "x")).status == "pending"
