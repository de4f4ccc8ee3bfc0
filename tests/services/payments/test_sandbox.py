"""The ledger against the local Wompi, over a real socket: faults, events, and both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.wompi_house import House, open_house

from tause_mcp.errors import TauseError
from tause_mcp.outbound.wompi import Wompi, read_event
from tause_mcp.services.payments import sending, tables
from tause_mcp.services.payments.ledger import Ledger
from tause_mcp.services.payments.values import Method

from .conftest import ANA, CARD, CHECKOUT, NEQUI, PSE, YES, Till

pytestmark = pytest.mark.anyio
Later = Callable[[float], None]


@dataclass
class Shop(Till):
    """A till at the sandbox."""

    house: House | None = None

    @property
    def ledger(self) -> Ledger:
        async def wompi() -> Wompi:
            assert self.house is not None
            return self.house.wompi

        return replace(super().ledger, wompi=wompi)

    async def accept(self, id_: str) -> Any:
        _, shown = await self.payments.terms()
        return await self.payments.accept(id_, shown, "192.0.2.1")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


@pytest.fixture
async def shop(till: Till, house: House) -> Shop:
    return Shop(till.database, house=house)


async def ended(shop: Shop, id_: str) -> Any:
    """The payment, once the sandbox has decided it."""
    for _ in range(20):
        found = await shop.payments.reconcile(id_)
        if found.final:
            break
        await asyncio.sleep(0.05)
    return found


async def test_a_payer_accepts_goes_to_the_bank_and_the_payment_is_approved(
    shop: Shop, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_FOLLOW", (0.05,) * 20)
    made = await shop.create(method=PSE)
    sent = await shop.accept(made.id)
    assert sent.status in ("pending", "approved")
    if sent.status == "pending":
        assert sent.redirect_url.startswith("http")
        house.sandbox.decide(sent.provider_id, "APPROVED")
    done = await ended(shop, made.id)
    assert (done.status, done.provider_id) == ("approved", sent.provider_id)
    assert house.sandbox.creates[made.reference] == 1


async def test_a_bank_that_declines_and_a_further_attempt(shop: Shop, house: House) -> None:
    made = await shop.create(method=replace(PSE, bank_code="2"))
    house.sandbox.decide((await shop.accept(made.id)).provider_id, "DECLINED")
    assert (await ended(shop, made.id)).status == "declined"
    again = await shop.create(method=PSE, retry=True)
    house.sandbox.decide((await shop.accept(again.id)).provider_id, "APPROVED")
    assert (await ended(shop, again.id)).status == "approved"
    assert len(house.sandbox.transactions) == 2


@pytest.mark.parametrize("kind", ["reset_after", "500_after", "truncated", "html_after", "cut"])
async def test_an_answer_lost_after_the_charge_is_adopted(
    shop: Shop, house: House, kind: str, later: Later
) -> None:
    house.sandbox.fail("POST /transactions", kind)
    made = await shop.sent(method=NEQUI)
    assert made.status == "processing"
    done = await ended(shop, made.id)
    assert done.status == "approved"
    assert house.sandbox.attempts[made.reference] == 1


@pytest.mark.parametrize("kind", ["reset_before", "503"])
async def test_what_never_arrived_is_sent_again_by_the_same_reference(
    shop: Shop, house: House, kind: str, later: Later
) -> None:
    house.sandbox.fail("POST /transactions", kind)
    made = await shop.sent(method=NEQUI)
    assert made.status == "processing"
    for _ in range(6):
        later(61)
        made = await shop.payments.reconcile(made.id)
    assert (await ended(shop, made.id)).status == "approved"
    assert house.sandbox.creates[made.reference] == 1
    assert len(house.sandbox.transactions) == 1


async def test_too_many_requests_send_nothing(shop: Shop, house: House) -> None:
    house.sandbox.fail("POST /transactions", "429")
    made = await shop.create(method=NEQUI)
    with pytest.raises(TauseError) as told:
        await shop.accept(made.id)
    assert told.value.retry_after is not None
    assert (await shop.row(made.id)).state == tables.AWAITING
    await shop.accept(made.id)
    assert (await ended(shop, made.id)).status == "approved"


async def test_a_card_is_charged_and_given_back(shop: Shop, house: House) -> None:
    method = Method("card", token=await house.card())
    made = await ended(shop, (await shop.sent(method=method)).id)
    assert made.status == "approved"
    house.sandbox.fail("POST /transactions/*/void", "reset_after")
    waits = await shop.payments.void(made.id)
    assert waits.void_status == "processing"
    done = await shop.payments.reconcile(made.id)
    assert (done.status, done.voided) == ("voided", made.amount)


async def test_a_token_that_is_used_up_is_an_error_that_says_so(shop: Shop, house: House) -> None:
    made = await shop.sent(method=replace(CARD, token="tok_test_1_unknown"))
    assert made.status == "error"
    assert "token" in made.status_message
    method = Method("card", token=await house.card())
    again = await shop.sent(method=method, retry=True)
    assert (await ended(shop, again.id)).status == "approved"


async def test_a_genuine_event_is_read_again_and_then_believed(shop: Shop, house: House) -> None:
    made = await shop.sent(method=NEQUI)
    await ended(shop, made.id)
    event = read_event(house.sandbox.deliveries[-1].body, [house.sandbox.keys.events])
    assert event is not None
    assert await shop.payments.seen_event(event) == [made.id]
    assert (await shop.payments.reconcile(made.id)).status == "approved"


async def test_a_source_is_saved_charged_and_removed(shop: Shop, house: House) -> None:
    source = await shop.sources.save("card", await house.card(), ANA, acceptance=YES)
    assert (source.status, source.email) == ("available", ANA.email)
    made = await shop.sources.charge("o1", source.id, 500_000, "COP", installments=2)
    assert (await ended(shop, made.id)).status == "approved"
    assert (await shop.sources.remove(source.id)).status == "removed"


async def test_a_link_is_made_and_closed(shop: Shop, house: House) -> None:
    link = await shop.links.create("Curso", "Curso de pan", amount=500_000)
    assert link.status == "active"
    assert (await shop.links.cancel(link.id)).status == "cancelled"


async def test_a_checkout_waits_to_be_paid_there(shop: Shop) -> None:
    made = await shop.create(method=CHECKOUT)
    assert made.reference in made.checkout_url
    assert (await shop.payments.reconcile(made.id)).status == "awaiting_payer"
