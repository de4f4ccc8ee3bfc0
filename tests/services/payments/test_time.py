"""Time, tenants and lists."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tause_mcp.errors import Conflict, NotFound, Unavailable
from tause_mcp.outbound.wompi import (
    Event,
    Uncertain,
)
from tause_mcp.services.payments import sending, tables

from .conftest import B, Till, unsent

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


def event(till: Till, **transaction: object) -> Event:
    return Event("transaction.updated", {"transaction": transaction}, "test", 1, "c", ())


async def approved(till: Till, order: str = "o1", **told: object) -> object:
    made = await till.sent(order, **told)
    till.provider.set(made.reference, "APPROVED")
    return await till.payments.reconcile(made.id)


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
