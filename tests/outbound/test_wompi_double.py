"""Every endpoint against the local double, and what it refuses in our terms."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from tests.support.wompi import PAYER
from tests.support.wompi_house import House, open_house

from tause_mcp.errors import Unconfigured
from tause_mcp.outbound.wompi import (
    KeysRefused,
    Method,
    NewLink,
    NewPayout,
    Payee,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
    read_event,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


# -- every endpoint --------------------------------------------------------------------------------


async def test_a_payment_is_made_found_and_read_to_its_end(house: House) -> None:
    made = await house.wompi.create(await house.charge())
    assert (made.status, made.amount, made.currency, made.method) == (
        "PENDING",
        4_490_000,
        "COP",
        "NEQUI",
    )
    assert made.merchant_key == house.account.public_key
    assert made.merchant_id == (await house.wompi.merchant()).id
    (found,) = await house.wompi.by_reference("tpref1")
    assert found.id == made.id
    ended = await house.wompi.transaction(made.id)
    assert ended is not None
    assert (ended.status, ended.final) == ("APPROVED", True)
    assert ended.finalized_at
    assert await house.wompi.by_reference("nothing") == []
    assert await house.wompi.transaction("1-2-3") is None


async def test_pse_shows_the_banks_address_and_its_marks(house: House) -> None:
    banks = await house.wompi.banks()
    assert "1" in [bank.code for bank in banks]
    made = await house.wompi.create(await house.charge(Method("pse", bank_code="1")))
    assert made.redirect_url == ""
    found = await house.wompi.transaction(made.id)
    assert found is not None
    assert found.redirect_url.startswith(house.served.url)
    house.sandbox.decide(made.id, "APPROVED")
    ended = await house.wompi.transaction(made.id)
    assert ended is not None
    assert {"ticket_id", "traceability_code", "external_identifier"} <= set(ended.details)


@pytest.mark.parametrize("kind", ["bancolombia_transfer", "bancolombia_qr", "daviplata"])
async def test_each_method_is_taken(house: House, kind: Any) -> None:
    made = await house.wompi.create(await house.charge(Method(kind)))
    assert made.method == kind.upper()
    found = await house.wompi.transaction(made.id)
    assert found is not None
    assert bool(found.qr_image) is (kind == "bancolombia_qr")
    assert bool(found.redirect_url) is (kind != "bancolombia_qr")


@pytest.mark.parametrize("bodied", [True, False])
async def test_a_card_is_charged_and_voided_in_part_and_in_whole(bodied: bool) -> None:
    async with open_house(void_body=bodied) as house:
        card = Method("card", token=await house.card(), installments=2)
        made = await house.wompi.create(await house.charge(card))
        found = await house.wompi.transaction(made.id)
        assert found is not None
        assert found.status == "APPROVED"
        voided = await house.wompi.void(made.id)
        assert (voided is not None) is bodied
        read = await house.wompi.transaction(made.id)
        assert read is not None
        assert read.status == "VOIDED"
        with pytest.raises(Refused):
            await house.wompi.void(made.id)


async def test_a_declined_card_says_why(house: House) -> None:
    card = Method("card", token=await house.card("4111111111111111"))
    made = await house.wompi.create(await house.charge(card))
    found = await house.wompi.transaction(made.id)
    assert found is not None
    assert (found.status, found.status_message) == (
        "DECLINED",
        "La transacción fue rechazada (Sandbox)",
    )
    with pytest.raises(Refused):
        await house.wompi.void(made.id)


async def test_a_source_is_saved_charged_and_forgotten(house: House) -> None:
    merchant = await house.wompi.merchant()
    source = await house.wompi.create_source(
        "card",
        await house.card(),
        "ana@example.com",
        merchant.terms.token,
        merchant.personal.token,
    )
    assert (source.status, source.type, source.email) == ("AVAILABLE", "CARD", "ana@example.com")
    assert await house.wompi.source(source.id) == source
    assert await house.wompi.source(999_999) is None
    charge = await house.charge(source_id=source.id, installments=1, recurrent=True)
    made = await house.wompi.create(replace(charge, method=None))
    assert made.source_id == source.id
    with pytest.raises(Rejected) as lacking:
        await house.wompi.create(replace(charge, method=None, installments=None, reference="r2"))
    assert lacking.value.field == "method.installments"
    await house.wompi.void_source(source.id)
    voided = await house.wompi.source(source.id)
    assert voided is not None
    assert voided.status == "VOIDED"
    again = await house.charge(source_id=source.id, installments=1, reference="tpref2")
    with pytest.raises(Rejected) as declined:
        await house.wompi.create(replace(again, method=None))
    assert declined.value.field == "source_id"


async def test_a_link_is_made_read_and_closed(house: House) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    made = await house.wompi.create_link(
        NewLink("Bill", "A bill", "tpsku", amount=150_000, expires=until)
    )
    assert (made.sku, made.amount, made.active) == ("tpsku", 150_000, True)
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as browser:
        assert (await browser.get(made.url)).status_code == 200
    closed = await house.wompi.close_link(made.id)
    found = await house.wompi.link(made.id)
    assert found is not None
    assert found.active is False
    assert closed in (None, found)
    assert await house.wompi.link("nothing") is None


async def test_the_checkout_address_opens_and_one_that_was_changed_does_not(house: House) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    address = house.wompi.checkout("tpref1", 4_490_000, expires=until, customer=PAYER)
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as browser:
        assert (await browser.get(address)).status_code == 200
        changed = address.replace("4490000", "150000")
        assert (await browser.get(changed)).status_code != 200


@pytest.mark.parametrize("mode", ["upper_checksum", "rotate_properties", "extra_property", ""])
async def test_the_doubles_events_are_genuine_and_its_wrong_ones_are_not(mode: str) -> None:
    async with open_house(auto_deliver=False, webhook_url="http://127.0.0.1:9/") as house:
        house.sandbox.webhooks(*([mode] if mode else []))
        made = await house.wompi.create(await house.charge())
        await house.wompi.transaction(made.id)
        (delivery,) = house.sandbox.deliveries
        event = read_event(delivery.body, house.account.events_secrets)
        assert event is not None
        assert event.text("transaction", "id") == made.id
        assert event.text("transaction", "reference") == "tpref1"
        assert read_event(delivery.body, ("test_events_other",)) is None
        assert (
            read_event(delivery.body.replace(b"4490000", b"4490001"), (house.sandbox.keys.events,))
            is None
        )


async def test_a_batch_is_paid_once_and_found(house: House) -> None:
    (funding,) = await house.payouts.accounts()
    bank = (await house.payouts.banks())[0]
    payee = Payee(
        "Ana Pérez",
        7_500_000,
        email="ana@example.com",
        bank_id=bank.id,
        account_number="9876543210",
        document_type="CC",
        document="1020304050",
        reference="line-1",
    )
    batch = NewPayout("tpref1", funding.id, (payee,))
    made = await house.payouts.create("key-1", batch)
    with pytest.raises(ReferenceUsed):
        await house.payouts.create("key-1", batch)
    (found,) = await house.payouts.by_reference("tpref1")
    assert (found.id, found.amount) == (made.id, 7_500_000)
    assert await house.payouts.by_reference("nothing") == []
    read = await house.payouts.payout(made.id)
    assert read is not None
    assert read.status == "TOTAL_PAYMENT"
    (paid,) = await house.payouts.transactions(made.id)
    assert (paid.status, paid.amount, paid.reference) == ("APPROVED", 7_500_000, "line-1")
    assert await house.payouts.payout("nothing") is None
    limits = await house.payouts.limits()
    assert limits.consumed == 7_500_000
    with pytest.raises(Rejected) as wrong:
        await house.payouts.create("key-2", replace(batch, payees=(replace(payee, bank_id="x"),)))
    assert wrong.value.field == "beneficiary.bank_code"
    with pytest.raises(Rejected, match="lacks the money"):
        much = replace(payee, amount=100_000_000_000)
        await house.payouts.create("key-3", replace(batch, payees=(much,)))
    with pytest.raises(KeysRefused):
        await house.paying(api_key="wrong").create("key-4", batch)


async def test_many_payees_come_on_many_pages(house: House) -> None:
    (funding,) = await house.payouts.accounts()
    payees = tuple(
        Payee(f"P{n}", 10_000, email="a@example.com", key="@elias123", reference=f"l-{n}")
        for n in range(25)
    )
    made = await house.payouts.create("key-1", NewPayout("tpref1", funding.id, payees))
    found = await house.payouts.transactions(made.id, keyed=True)
    assert {one.reference for one in found} == {f"l-{n}" for n in range(25)}
    assert (await house.payouts.payout(made.id, keyed=True)) is not None


async def test_a_bre_b_key_is_resolved_or_says_why_not(house: House) -> None:
    found = await house.payouts.resolve_key("@elias123")
    assert found is not None
    assert "***" in found.holder
    assert found.kind == "alphanumeric"
    assert (await house.payouts.resolve_key("3001234567", "phone")) is not None
    assert await house.payouts.resolve_key("noexiste@test.com") is None
    for key in ("12345", "inactiva@test.com"):
        with pytest.raises(Rejected):
            await house.payouts.resolve_key(key)


# -- what is refused -------------------------------------------------------------------------------


async def test_the_same_reference_twice_is_told_as_such(house: House) -> None:
    await house.wompi.create(await house.charge())
    with pytest.raises(ReferenceUsed):
        await house.wompi.create(await house.charge())
    assert house.sandbox.creates["tpref1"] == 1


async def test_terms_serve_once(house: House) -> None:
    charge = await house.charge()
    await house.wompi.create(charge)
    for stale in (charge, replace(charge, terms="x"), replace(charge, personal="")):
        with pytest.raises(StaleTerms):
            await house.wompi.create(replace(stale, reference="tpref2"))


async def test_another_secret_or_key_is_named(house: House) -> None:
    charge = await house.charge()
    with pytest.raises(KeysRefused, match="WOMPI_INTEGRITY_SECRET"):
        await house.other(integrity_secret="test_integrity_other").create(charge)
    for asks in (
        house.other(public_key="pub_test_other").merchant,
        lambda: house.other(public_key="pub_test_other").create(charge),
        lambda: house.other(private_key="prv_test_other").by_reference("tpref1"),
        lambda: house.other(private_key="prv_test_other").void("1-2-3"),
        lambda: house.other(private_key="prv_test_other").create_link(NewLink("a", "b", "c")),
    ):
        with pytest.raises(Unconfigured) as failed:
            await asks()
        assert "other" not in str(failed.value)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": 149_999}, "amount"),
        ({"currency": "USD"}, "amount.currency"),
        ({"customer": replace(PAYER, email="nobody")}, "customer.email"),
        ({"method": Method("nequi", phone="12")}, "method.phone"),
        ({"method": Method("card", token="tok_test_1_none")}, "method.token"),
    ],
)
async def test_a_wrong_argument_is_named_in_our_terms(
    house: House, changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(Rejected) as failed:
        await house.wompi.create(await house.charge(**changed))
    assert failed.value.field == field
    assert not house.sandbox.transactions


async def test_a_method_that_the_merchant_lacks_is_named() -> None:
    async with open_house(methods=("CARD",)) as house:
        with pytest.raises(Rejected, match="not enabled nequi") as failed:
            await house.wompi.create(await house.charge())
        assert failed.value.field == "method.type"
