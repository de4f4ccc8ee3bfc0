"""Every endpoint and every fault, against the local double: each tells what may have happened."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from tests.support.wompi import PAYER

from tause_mcp.errors import Unavailable, Unconfigured
from tause_mcp.outbound import Outbound, Policy
from tause_mcp.outbound.wompi import (
    Account,
    Charge,
    KeysRefused,
    Method,
    NewLink,
    NewPayout,
    NotSent,
    Payee,
    Payouts,
    PayoutsAccount,
    ReferenceUsed,
    Refused,
    Rejected,
    StaleTerms,
    Uncertain,
    Wompi,
    api,
    read_event,
)
from tause_mcp.settings import Settings
from tause_mcp.testing.wompi import Sandbox, Served, running

pytestmark = pytest.mark.anyio


class House:
    """Clients of one sandbox."""

    def __init__(self, sandbox: Sandbox, served: Served, client: Outbound) -> None:
        self.sandbox, self.served, self.client = sandbox, served, client
        keys = sandbox.keys
        self.account = Account.of(
            Settings.read(
                {"WOMPI_BASE_URL": served.base_url, "WOMPI_CHECKOUT_URL": served.checkout_url}
            ),
            public_key=keys.public,
            private_key=keys.private,
            integrity_secret=keys.integrity,
            events_secrets=(keys.events,),
        )
        self.wompi = Wompi(self.account, client)
        self.payouts = self.paying()

    def paying(self, **changed: str) -> Payouts:
        keys = {
            "api_key": self.sandbox.keys.payouts_api,
            "user_principal_id": self.sandbox.keys.payouts_principal,
            "environment": "test",
        }
        settings = Settings.read({"WOMPI_PAYOUTS_URL": self.served.payouts_url})
        return Payouts(PayoutsAccount.of(settings, **{**keys, **changed}), self.client)

    def other(self, **changed: Any) -> Wompi:
        return Wompi(replace(self.account, **changed), self.client)

    async def charge(self, method: Method | None = None, **changed: Any) -> Charge:
        """A charge whose terms are fresh."""
        merchant = await self.wompi.merchant()
        told: dict[str, Any] = {
            "reference": "tpref1",
            "amount": 4_490_000,
            "customer": PAYER,
            "terms": merchant.terms.token,
            "personal": merchant.personal.token,
            "method": method or Method("nequi", phone="3991111111"),
        }
        return Charge(**{**told, **changed})

    async def card(self, number: str = "4242424242424242") -> str:
        """A token, as the payer's browser gets it: a card's number is nothing of ours."""
        card = {
            "number": number,
            "cvc": "123",
            "exp_month": "08",
            "exp_year": "30",
            "card_holder": "Ana Pérez",
        }
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.post(
                f"{self.served.base_url}/tokens/cards",
                json=card,
                headers={"authorization": f"Bearer {self.account.public_key}"},
            )
        return str(answer.json()["data"]["id"])


@asynccontextmanager
async def open_house(**options: Any) -> AsyncIterator[House]:
    sandbox = Sandbox(**options)
    async with running(sandbox) as served, Outbound(trusted=True) as client:
        yield House(sandbox, served, client)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine answers within a second; a fault never does."""
    monkeypatch.setattr(api, "SENDING", Policy(deadline=1.0, attempts=2, pause=0.001))
    monkeypatch.setattr(api, "READING", Policy(deadline=1.0, attempts=1))


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
    async with httpx2.AsyncClient(trust_env=False) as browser:
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
    async with httpx2.AsyncClient(trust_env=False) as browser:
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
    assert wrong.value.field == "payee.bank_code"
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


@pytest.mark.parametrize("key", ["timeout@test.com", "error@test.com"])
async def test_a_directory_that_is_down_is_asked_again_later(
    house: House, key: str, impatient: None
) -> None:
    with pytest.raises(Unavailable) as failed:
        await house.payouts.resolve_key(key)
    assert failed.value.retry_after


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


# -- faults ----------------------------------------------------------------------------------------

AFTER = ["timeout", "500_after", "502_after", "truncated", "cut", "reset_after", "html_after"]
BEFORE = ["timeout_before", "500", "502", "503", "reset_before", "html"]


@pytest.mark.parametrize("fault", [*AFTER, *BEFORE])
async def test_what_a_fault_leaves_unknown_is_found_by_its_reference(
    house: House, fault: str, impatient: None
) -> None:
    charge = await house.charge()
    house.sandbox.fail("POST /transactions", fault)
    with pytest.raises(Uncertain):
        await house.wompi.create(charge)
    assert house.sandbox.attempts["tpref1"] <= 1
    found = await house.wompi.by_reference("tpref1")
    assert len(found) == house.sandbox.creates["tpref1"] == (fault in AFTER)


@pytest.mark.parametrize("fault", ["timeout", "500_after", "truncated", "cut", "reset_after"])
async def test_a_batch_of_unknown_end_is_found_and_was_sent_once(
    house: House, fault: str, impatient: None
) -> None:
    (funding,) = await house.payouts.accounts()
    payee = Payee("Ana", 10_000, email="a@example.com", key="@elias123")
    house.sandbox.fail("POST /payouts/v2/payouts", fault)
    with pytest.raises(Uncertain):
        await house.payouts.create("key-1", NewPayout("tpref1", funding.id, (payee,)))
    assert len(await house.payouts.by_reference("tpref1")) == 1


async def test_a_busy_wompi_made_nothing(house: House) -> None:
    charge = await house.charge()
    house.sandbox.fail("POST /transactions", "429", retry_after=7)
    with pytest.raises(NotSent) as failed:
        await house.wompi.create(charge)
    assert failed.value.retry_after == 7.0
    assert house.sandbox.attempts["tpref1"] == 0
    await house.wompi.create(charge)


async def test_a_wompi_that_is_down_was_sent_nothing() -> None:
    async with open_house() as house:
        charge = await house.charge()
    async with Outbound(trusted=True) as client:
        with pytest.raises(NotSent):
            await Wompi(house.account, client).create(charge)


@pytest.mark.parametrize("fault", ["500", "503", "reset_before", "truncated", "cut", "html", "429"])
async def test_a_read_is_tried_again(house: House, fault: str) -> None:
    """All but half of an answer that says it is whole."""
    made = await house.wompi.create(await house.charge())
    house.sandbox.fail(f"GET /transactions/{made.id}", fault)
    if fault == "truncated":
        with pytest.raises(Unavailable):
            await house.wompi.transaction(made.id)
    assert await house.wompi.transaction(made.id) is not None


READS: dict[str, Callable[[House], Awaitable[object]]] = {
    "/merchants/*": lambda house: house.wompi.merchant(),
    "/pse/*": lambda house: house.wompi.banks(),
    "/transactions": lambda house: house.wompi.by_reference("tpref1"),
    "/payment_sources/*": lambda house: house.wompi.source(1),
    "/payment_links/*": lambda house: house.wompi.link("x"),
    "/payouts/v1/banks": lambda house: house.payouts.banks(),
    "/payouts/v1/payouts": lambda house: house.payouts.by_reference("tpref1"),
    "/payouts/v1/payouts/*": lambda house: house.payouts.payout("x"),
    "/payouts/v2/breb/*": lambda house: house.payouts.resolve_key("@elias123"),
}


@pytest.mark.parametrize("path", READS)
async def test_a_read_that_fails_for_good_is_never_an_answer(
    house: House, path: str, impatient: None
) -> None:
    for fault in ("500", "429", "cut", "reset_before", "html"):
        house.sandbox.reset()
        house.sandbox.fail(f"GET {path}", fault, times=9)
        with pytest.raises(Unavailable) as failed:
            await READS[path](house)
        assert not isinstance(failed.value, Uncertain)
