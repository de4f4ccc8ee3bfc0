"""What the provider says is believed when it fits, adopted when it exists, and never sent blindly."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import (
    Event,
    KeysRefused,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
    Uncertain,
)
from tause_mcp.services.payments import sending, tables
from tause_mcp.services.payments.values import Terms

from .conftest import CARD, CHECKOUT, PSE, B, Till, account, unsent

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


def event(till: Till, **transaction: object) -> Event:
    return Event("transaction.updated", {"transaction": transaction}, "test", 1, "c", ())


async def approved(till: Till, order: str = "o1", **told: object) -> object:
    made = await till.sent(order, **told)
    till.provider.set(made.reference, "APPROVED")
    return await till.payments.reconcile(made.id)


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
            tables.CLAIM,
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
            lambda tx: tx.run(tables.DOUBT, of=made.id, of_claim="c", now=times.now())
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
    monkeypatch.setattr(sending, "_POST_WITHIN", -1.0)
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


# --- time ---------------------------------------------------------------------------------------


async def test_nobody_pays_after_its_time(till: Till, later: Later) -> None:
    made = await till.create()
    later(24 * 3600 + 1)
    with pytest.raises(Conflict, match="time to pay is over"):
        await till.accept(made.id)
    assert await till.sweep().once() == 1
    gone = await till.payments.get(made.id)
    assert (gone.status, gone.pay_url) == ("expired", None)
    assert till.provider.posts == []
    again = await till.create(retry=True)
    assert (again.attempt, again.status) == (2, "awaiting_payer")


async def test_what_could_not_be_sent_in_a_day_is_given_up(till: Till, later: Later) -> None:
    till.provider.fail("merchant", unsent())
    made = await till.sent()
    later(24 * 3600 + 1)
    assert (await till.payments.reconcile(made.id)).status == "expired"
    assert till.provider.posts == []


async def test_what_was_sent_without_an_answer_is_looked_up_before_it_is_given_up(
    till: Till, later: Later
) -> None:
    till.provider.fail("create", Uncertain("?"))
    made = await till.sent()
    for _ in range(2):
        later(61)
        await till.payments.reconcile(made.id)
    later(24 * 3600)
    assert (await till.payments.reconcile(made.id)).status == "expired"


async def test_the_way_to_the_bank_is_told_when_it_is_there(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_FOLLOW", (0.0, 0.0))
    made = await till.create()
    sent = await till.accept(made.id)
    assert sent.redirect_url is None
    till.provider.set(made.reference, "PENDING", redirect_url="https://bank.example/pay")
    seen = await till.payments.reconcile(made.id)
    assert seen.redirect_url == "https://bank.example/pay"
    till.provider.set(made.reference, "PENDING", redirect_url="javascript:alert(1)")
    assert (await till.payments.reconcile(made.id)).redirect_url == "https://bank.example/pay"


async def test_a_redirect_that_cannot_be_read_yet_is_no_failure(till: Till) -> None:
    made = await till.create()
    till.provider.fail("transaction", unsent())
    assert (await till.accept(made.id)).status == "pending"


# --- tenants ------------------------------------------------------------------------------------


async def test_a_payment_of_another_tenant_is_not_found(till: Till) -> None:
    made = await till.create()
    other = replace(till, tenant=B, changes=[])
    for asked in (
        other.payments.get(made.id),
        other.payments.reconcile(made.id),
        other.payments.void(made.id),
        other.accept(made.id),
        other.payments.by_order("o1"),
    ):
        with pytest.raises(NotFound):
            await asked
    assert await other.payments.recent() == []
    assert await other.payments.seen_event(event(till, reference=made.reference)) == []


async def test_a_new_tenant_of_the_same_id_has_other_references(till: Till) -> None:
    names = till.ledger.names()
    reborn = replace(till, born=2).ledger.names()
    other = replace(till, tenant=B).ledger.names()
    told = ("test", "o1", 1)
    found = {one.reference(*told) for one in (names, reborn, other)}
    assert len(found) == 3
    assert names.reference(*told) == replace(till).ledger.names().reference(*told)
    assert all(len(one) == 34 and one.startswith("tp") and one.isalnum() for one in found)
    assert names.reference("test", "o1", 11) != names.reference("test", "o11", 1)


async def test_a_list_is_newest_first_and_goes_on(till: Till, later: Later) -> None:
    for number in range(5):
        later(1)
        await till.create(f"o{number}")
    paid = await approved(till, "paid")
    first = await till.payments.recent(most=3)
    assert [one.order_id for one in first] == ["paid", "o4", "o3"]
    rest = await till.payments.recent(after=(first[-1].created_at, first[-1].id), most=9)
    assert [one.order_id for one in rest] == ["o2", "o1", "o0"]
    assert [one.id for one in await till.payments.recent("approved")] == [paid.id]
    assert [one.order_id for one in await till.payments.recent(order_id="o2")] == ["o2"]
    assert await till.payments.recent("processing") == []


async def test_what_does_not_open_hides_neither_the_payment_nor_the_list(till: Till) -> None:
    made = await till.create(description="Zapatos")
    broken = tables.sa.update(tables.payments).values(sealed=b"x" * 60)
    await till.rows.write(lambda tx: tx.run(tables.Statement(broken)))
    assert [one.id for one in await till.payments.recent()] == [made.id]
    assert (await till.payments.get(made.id)).description is None
    with pytest.raises(Unavailable):
        await till.accept(made.id)
    assert till.provider.posts == []
