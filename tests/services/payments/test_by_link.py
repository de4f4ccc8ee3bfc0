"""What payers pay by a link: each transaction of Wompi's is one payment here, and only what fits."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog

from tause_mcp.errors import Conflict, NotFound, TauseError, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import Event, Transaction
from tause_mcp.services.payments.by_link import LinkPayments
from tause_mcp.services.payments.links import Links

from .conftest import B, Till, account, unsent
from .test_killed import dies

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


async def made(till: Till, **told: Any) -> Any:
    return await till.links.create("Curso", "Curso de pan", **{"amount": 500_000, **told})


def event(found: Transaction, **changed: Any) -> Event:
    told = {"id": found.id, "reference": found.reference, "payment_link_id": found.link_id}
    return Event("transaction.updated", {"transaction": {**told, **changed}}, "test", 1, "", ())


async def hear(till: Till, found: Transaction, **changed: Any) -> Any:
    """An event, and what the webhook does with it."""
    told = None
    for id_ in await till.payments.seen_event(event(found, **changed)):
        told = await till.reconciling.reconcile(id_)
    return told


async def test_what_is_paid_by_a_link_is_a_payment(till: Till) -> None:
    link = await made(till)
    found = till.provider.pay(link.provider_id)
    told = await hear(till, found)
    assert told == await till.payments.get(told.id)
    assert [one.id for one in await till.payments.recent()] == [told.id]
    assert (told.status, told.amount, told.method, told.link_id, told.provider_id) == (
        *("approved", 500_000, "card", link.id),
        found.id,
    )
    assert (told.order_id, told.description) == (f"{link.id}/{found.id}", "Curso")
    assert told.customer.email == "ana@example.com" and told.reference == found.reference
    assert told.id in till.changes


async def test_an_event_again_and_many_at_once_are_one_payment(till: Till) -> None:
    found = till.provider.pay((await made(till)).provider_id)
    told = await asyncio.gather(*(hear(till, found) for _ in range(6)))
    assert len({one.id for one in told}) == 1
    assert (await hear(till, found)).id == told[0].id
    again = await till.reconciling.reconcile(f"wtx_{found.id}")
    assert again.id == told[0].id
    assert len(await till.payments.recent()) == 1


async def test_each_transaction_of_a_link_is_a_payment_of_its_own(till: Till) -> None:
    link = await made(till, amount=None, single_use=False)
    for amount in (500_000, 500_000, 150_000):
        await hear(till, till.provider.pay(link.provider_id, amount=amount))
    found = await till.payments.recent()
    assert sorted(one.amount for one in found) == [150_000, 500_000, 500_000]
    assert {one.link_id for one in found} == {link.id}
    assert (await till.links.reconcile(link.id)).status == "active"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"amount": 499_999}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"merchant_key": "pub_test_thief"}, "merchant"),
        ({"amount": 1, "merchant_key": "pub_test_thief"}, "amount and merchant"),
    ],
)
async def test_what_does_not_fit_its_link_is_no_payment_but_a_problem(
    till: Till, other: dict[str, Any], says: str
) -> None:
    link = await made(till)
    found = till.provider.pay(link.provider_id, **other)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(Conflict, match=says):
                await hear(till, found)
    assert await till.payments.recent() == []
    shown = await till.links.get(link.id)
    assert says in shown.problem and found.id in shown.problem
    assert shown.status == "active"
    assert len([one for one in logs if one["event"] == "payment_does_not_fit"]) == 1
    assert await till.due() == []


async def test_a_link_that_is_not_ours_changes_nothing(till: Till) -> None:
    foreign = await made(replace(till, tenant=B))
    for link_id in (foreign.provider_id, "unknown", ""):
        assert await hear(till, till.provider.pay(link_id)) is None
    assert await till.due() == [] and await till.payments.recent() == []


async def test_the_link_that_counts_is_what_wompi_reads_not_what_an_event_says(till: Till) -> None:
    ours = await made(till)
    foreign = await made(replace(till, tenant=B))
    for link_id in (foreign.provider_id, ""):
        found = till.provider.pay(link_id)
        with pytest.raises(NotFound):
            await hear(till, found, payment_link_id=ours.provider_id)
    assert await till.due() == [] and await till.payments.recent() == []


async def test_a_link_that_is_perhaps_not_ours_counts_for_nothing(till: Till) -> None:
    till.provider.fail("create_link", "lost")
    await made(till)
    (there,) = till.provider.links.values()
    assert await hear(till, till.provider.pay(there.id)) is None


async def test_foreign_and_absent_transactions_are_alike(till: Till) -> None:
    found = till.provider.pay((await made(till)).provider_id)
    told = await hear(till, found)
    other = replace(till, tenant=B)
    said = []
    for id_ in (f"wtx_{found.id}", "wtx_1-1769351602-99999", told.id):
        with pytest.raises(NotFound) as absent:
            await other.reconciling.reconcile(id_)
        said.append(str(absent.value))
    assert len(set(said)) == 1
    assert await other.payments.recent() == []


async def test_whoever_guesses_at_a_foreign_transaction_writes_nothing(till: Till) -> None:
    """Several tenants may share one account at Wompi: what is there is not what is theirs."""
    found = till.provider.pay((await made(till)).provider_id)
    ledger = replace(till, tenant=B).ledger
    with pytest.raises(NotFound):
        await LinkPayments(ledger, Links(ledger)).reconcile(f"wtx_{found.id}")
    assert not ledger.database.changed


async def test_without_its_event_it_is_recorded_when_it_is_named(till: Till) -> None:
    link = await made(till)
    found = till.provider.pay(link.provider_id)
    told = await till.reconciling.reconcile(f"wtx_{found.id}")
    assert (told.status, told.link_id) == ("approved", link.id)


async def test_while_wompi_is_away_it_stays_due(till: Till, later: Later) -> None:
    found = till.provider.pay((await made(till)).provider_id)
    till.provider.fail("transaction", unsent())
    with pytest.raises(Unavailable):
        await hear(till, found)
    assert [(kind, id_) for kind, id_, _ in await till.due()] == [
        ("transaction", f"wtx_{found.id}")
    ]
    later(3)
    assert await till.sweep().once() >= 1
    (told,) = await till.payments.recent()
    assert told.status == "approved"


async def test_an_event_that_is_ahead_of_its_transaction_stays_due(
    till: Till, later: Later
) -> None:
    found = till.provider.pay((await made(till)).provider_id)
    till.provider.transactions.clear()
    with pytest.raises(NotFound):
        await hear(till, found)
    till.provider.transactions[found.reference] = found
    later(3)
    await till.sweep().once()
    assert len(await till.payments.recent()) == 1


async def test_with_other_keys_it_waits_for_those_of_its_link(till: Till, later: Later) -> None:
    ours = till.account
    found = till.provider.pay((await made(till)).provider_id)
    till.account = account(key="pub_test_new")
    with pytest.raises(Unconfigured):
        await hear(till, found)
    assert await till.payments.recent() == []
    till.account = ours
    later(3)
    await till.sweep().once()
    assert len(await till.payments.recent()) == 1


async def test_what_is_pending_is_kept_up_like_any_other(till: Till, later: Later) -> None:
    link = await made(till)
    found = till.provider.pay(link.provider_id, status="PENDING", method="PSE")
    told = await hear(till, found)
    assert (told.status, told.method) == ("pending", "pse")
    till.provider.set(found.reference, "APPROVED")
    later(3)
    await till.sweep().once()
    assert (await till.payments.get(told.id)).status == "approved"
    till.provider.set(found.reference, "DECLINED")
    assert (await till.payments.reconcile(told.id)).status == "approved", "states never go back"


async def test_a_single_use_link_is_paid_when_wompi_takes_no_more_by_it(
    till: Till, later: Later
) -> None:
    link = await made(till)
    await hear(till, till.provider.pay(link.provider_id, status="DECLINED"))
    await till.sweep().once()
    assert (await till.links.get(link.id)).status == "active"
    there = till.provider.links[link.provider_id]
    till.provider.links[link.provider_id] = replace(there, active=False)
    await hear(till, till.provider.pay(link.provider_id))
    later(3)
    await till.sweep().once()
    shown = await till.links.get(link.id)
    assert (shown.status, shown.url) == ("paid", None)
    assert (await till.links.cancel(link.id)).status == "paid"
    assert link.id in till.changes
    assert sorted(one.status for one in await till.payments.recent()) == ["approved", "declined"]
    assert await till.due() == []


async def test_a_link_that_was_closed_at_wompi_is_cancelled_here(till: Till) -> None:
    link = await made(till)
    there = till.provider.links[link.provider_id]
    assert (await till.links.reconcile(link.id)).status == "active"
    till.provider.links[link.provider_id] = replace(there, active=False)
    assert (await till.links.reconcile(link.id)).status == "cancelled"


async def test_by_card_it_can_be_voided_and_otherwise_not(till: Till) -> None:
    link = await made(till, single_use=False)
    card = await hear(till, till.provider.pay(link.provider_id))
    part = await till.payments.void(card.id, 100_000)
    assert (part.status, part.voided) == ("approved", 100_000)
    with pytest.raises(TauseError):
        await till.payments.void(card.id, 400_001)
    other = await hear(till, till.provider.pay(link.provider_id))
    assert (await till.payments.void(other.id)).status == "voided"
    nequi = await hear(till, till.provider.pay(link.provider_id, method="NEQUI"))
    with pytest.raises(Conflict):
        await till.payments.void(nequi.id)
    assert [amount for _, amount in till.provider.voids] == [100_000, 500_000]


async def test_an_order_that_took_its_place_does_not_pass_for_it(till: Till) -> None:
    link = await made(till)
    found = till.provider.pay(link.provider_id)
    await till.create(f"{link.id}/{found.id}")
    with pytest.raises(Conflict, match="another payment here"):
        await hear(till, found)
    assert [one.link_id for one in await till.payments.recent()] == [None]


@pytest.mark.embedded
@pytest.mark.parametrize("undone", [False, True], ids=["on its way", "undone"])
async def test_killed_at_any_moment_it_is_recorded_once(
    till: Till, later: Later, undone: bool
) -> None:
    """Once its event was written down, nobody has to send it again."""
    link = await made(till, single_use=False)
    at = 0
    while True:
        found = till.provider.pay(link.provider_id)
        (id_,) = await till.payments.seen_event(event(found))
        killed = await dies(till.reconciling.reconcile(id_), at, undone=undone)
        for _ in range(3):
            later(5)
            await till.sweep().once()
        told = [one for one in await till.payments.recent(most=500) if one.provider_id == found.id]
        assert [one.status for one in told] == ["approved"], at
        if not killed:
            break
        at += 1
    assert at >= 4
    assert [row for row in await till.due() if row[0] == "transaction"] == []
