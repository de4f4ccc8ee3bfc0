"""The same name is the same payout, and money leaves once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import Payouts as Wompi
from tause_mcp.services.payouts.values import Beneficiary

from .conftest import ANA, KEY, RESOLVE, B, Desk, order

pytestmark = pytest.mark.anyio


async def test_a_payout_is_sent_once_to_the_account_that_was_asked_for(desk: Desk) -> None:
    made = await desk.create(description="Quincena", payment_type="payroll")
    assert (made.status, made.attempt, made.environment) == ("pending", 1, "test")
    batch = desk.batches[0]
    assert batch.sent["reference"] == made.reference
    assert (batch.amount, batch.sent["paymentType"]) == (7_500_000, "PAYROLL")
    line = batch.sent["transactions"][0]
    assert (line["accountNumber"], line["accountType"]) == ("12345678901", "AHORROS")
    assert (line["legalIdType"], line["legalId"]) == ("CC", "1020304050")
    assert made.provider_id == batch.id
    assert made.beneficiary.account == "****8901" and made.beneficiary.bank == "BANCOLOMBIA"
    assert made.beneficiary.document == "CC ****4050"


async def test_what_wompi_says_of_it_becomes_its_state(desk: Desk) -> None:
    paid, failed = await desk.create("a"), await desk.create("b")
    desk.sandbox.decide(paid.provider_id, "APPROVED")
    desk.sandbox.decide(failed.provider_id, "FAILED")
    told = await desk.payouts.reconcile(paid.id)
    assert (told.status, told.provider_status) == ("approved", "TOTAL_PAYMENT")
    assert told.finalized_at
    told = await desk.payouts.reconcile(failed.id)
    assert told.status == "declined" and "inactiva" in told.status_message
    assert await desk.due() == []


async def test_the_same_arguments_return_the_payout_as_it_stands(desk: Desk) -> None:
    first = await desk.create()
    desk.end("APPROVED")
    await desk.payouts.reconcile(first.id)
    again = await desk.create()
    assert (again.id, again.status) == (first.id, "approved")
    assert len(desk.batches) == 1
    assert await desk.payouts.to_approve(order()) is None


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 7_500_001},
        {"beneficiary": replace(ANA, account_number="12345678902")},
        {"beneficiary": KEY},
        {"description": "else"},
        {"payment_type": "payroll"},
    ],
)
async def test_other_arguments_are_a_conflict_and_pay_nobody(desk: Desk, other: Any) -> None:
    await desk.create()
    for attempt in (desk.create(**other), desk.payouts.to_approve(order(**other))):
        with pytest.raises(Conflict, match="another beneficiary, amount or description"):
            await attempt
    assert len(desk.batches) == 1


async def test_any_number_of_racers_post_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wompi's own idempotency key would hide a second post: the posts are counted here."""
    posts, real = [], Wompi.create

    async def counted(self: Wompi, key: str, payout: Any) -> Any:
        posts.append(key)
        return await real(self, key, payout)

    monkeypatch.setattr(Wompi, "create", counted)
    made = await asyncio.gather(*(desk.create() for _ in range(12)))
    assert {one.id for one in made} == {made[0].id}
    assert posts == [made[0].reference]
    assert len(desk.batches) == 1
    assert desk.balance == 1_000_000_000 - 7_500_000
    assert (await desk.create()).status == "pending"


async def test_two_racers_with_other_beneficiaries_pay_one(desk: Desk) -> None:
    other = replace(ANA, account_number="99345678901")
    made = await asyncio.gather(
        *(desk.create(beneficiary=one) for one in (ANA, other) * 4), return_exceptions=True
    )
    assert {type(one) for one in made if isinstance(one, Exception)} == {Conflict}
    assert len(desk.batches) == 1


async def test_after_a_final_decline_a_retry_may_go_to_the_right_account(desk: Desk) -> None:
    first = await desk.create()
    right = replace(ANA, account_number="99345678901")
    with pytest.raises(Conflict, match="only after"):
        await desk.create(beneficiary=right, retry=True)
    desk.end("FAILED")
    await desk.payouts.reconcile(first.id)
    with pytest.raises(Conflict, match="call with retry"):
        await desk.create(beneficiary=right)
    with pytest.raises(Conflict, match="same amount"):
        await desk.create(beneficiary=right, amount=9_000_000, retry=True)
    second = await desk.create(beneficiary=right, retry=True)
    assert (second.attempt, second.status) == (2, "pending")
    assert second.reference != first.reference
    assert (await desk.create(beneficiary=right, retry=True)).id == second.id
    desk.end("APPROVED")
    await desk.payouts.reconcile(second.id)
    with pytest.raises(Conflict, match="is approved"):
        await desk.create(beneficiary=right, retry=True)
    assert (await desk.payouts.by_name("nomina-1")).id == second.id
    assert len(desk.batches) == 2


# --- what is refused before anything is made ------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "member"),
    [
        ({"beneficiary": replace(ANA, name=None)}, "beneficiary.name"),
        ({"beneficiary": replace(ANA, document=None)}, "beneficiary.document"),
        ({"beneficiary": replace(ANA, document_type="PEP")}, "beneficiary.document_type"),
        ({"beneficiary": replace(ANA, document="abc")}, "beneficiary.document"),
        ({"beneficiary": replace(ANA, account_number="12345")}, "beneficiary.account_number"),
        ({"beneficiary": replace(ANA, account_number="000000")}, "beneficiary.account_number"),
        ({"beneficiary": replace(ANA, account_number="1234-5678")}, "beneficiary.account_number"),
        ({"beneficiary": replace(ANA, email="ana@")}, "beneficiary.email"),
        ({"beneficiary": replace(ANA, key_type="mail")}, "beneficiary.key_type"),
        ({"beneficiary": replace(ANA, key="@elias123")}, "beneficiary.bank_code"),
        ({"beneficiary": replace(ANA, bank_code="9999")}, "beneficiary.bank_code"),
        ({"beneficiary": Beneficiary()}, "beneficiary.name"),
        ({"beneficiary": Beneficiary(key="@elias123")}, "beneficiary.email"),
        ({"beneficiary": replace(KEY, key_type="phone")}, "beneficiary.key"),
        ({"amount": 99}, "amount"),
        ({"amount": 10**12 + 1}, "amount"),
        ({"name": "no spaces"}, "payout_id"),
        ({"account_id": "nobody"}, "account_id"),
    ],
)
async def test_a_wrong_part_is_named(desk: Desk, changed: Any, member: str) -> None:
    with pytest.raises(Invalid, match=f"^{member}") as refused:
        await desk.create(**changed)
    assert refused.value.field == member.partition(".")[0]
    assert desk.batches == [] and await desk.payouts.recent() == []


async def test_more_than_the_account_holds_is_refused_with_what_to_do(desk: Desk) -> None:
    with pytest.raises(Conflict, match="fund it at Wompi, or pay less"):
        await desk.create(amount=2_000_000_000)
    assert await desk.payouts.recent() == []


async def test_what_wompi_refuses_is_told_by_the_callers_own_argument(desk: Desk) -> None:
    prepared = await desk.payouts.prepare(order())
    desk.sandbox.state.ledger.banks.clear()
    row = await desk.payouts._insert(prepared, retry=False)
    told = await desk.payouts.reconcile(row.id)
    assert told.status == "error"
    assert told.status_message.startswith("beneficiary.bank_code: the bank cannot be paid")


async def test_money_that_went_meanwhile_ends_the_attempt(desk: Desk) -> None:
    prepared = await desk.payouts.prepare(order())
    desk.sandbox.state.ledger.balance = 100
    row = await desk.payouts._insert(prepared, retry=False)
    told = await desk.payouts.reconcile(row.id)
    assert told.status == "error"
    assert "lacks the money" in told.status_message and "fund it" in told.status_message
    desk.sandbox.state.ledger.balance = 1_000_000_000
    again = await desk.create(retry=True)
    assert (again.attempt, again.status) == (2, "pending")


async def test_keys_that_wompi_refuses_say_so(desk: Desk) -> None:
    with pytest.raises(Unconfigured, match=r"payouts\.wompi\.api_key"):
        await replace(desk, principal="somebody").create()


# --- Bre-B ------------------------------------------------------------------------------------------


async def test_a_key_is_resolved_and_paid(desk: Desk) -> None:
    prepared = await desk.payouts.to_approve(order(beneficiary=KEY))
    assert prepared is not None and prepared.kept.holder == "ELI*** COL***"
    made = await desk.create(beneficiary=KEY)
    assert made.beneficiary.holder == "ELI*** COL***"
    assert made.beneficiary.key == "eco***@wompi.com"
    batch = desk.batches[0]
    assert batch.version == "v2" and batch.sent["transactions"][0]["key"] == KEY.key
    desk.end("APPROVED")
    assert (await desk.payouts.reconcile(made.id)).status == "approved"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("@elias123", "alphanumeric"),
        ("ecolon@wompi.com", "mail"),
        ("3001234567", "phone"),
        ("1020304050", "identification"),
        ("900123456", None),
    ],
)
async def test_every_kind_of_key_resolves(desk: Desk, key: str, kind: Any) -> None:
    found = await desk.payouts.resolve_key(key, kind)
    assert "***" in found.holder and found.bank == "BANCOLOMBIA"


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        ("noexiste@test.com", Invalid, "ask its owner"),
        ("inactiva@test.com", Invalid, "not active"),
        ("12345", Invalid, "no Bre-B key"),
        ("a b", Invalid, "no Bre-B key"),
        ("timeout@test.com", Unavailable, "again"),
        ("error@test.com", Unavailable, "again"),
    ],
)
async def test_a_key_that_leads_to_nobody_pays_nobody(
    desk: Desk, key: str, error: type[Exception], text: str
) -> None:
    payee = Beneficiary(key=key, email="ana@example.com")
    for attempt in (desk.payouts.resolve_key(key), desk.create(beneficiary=payee)):
        with pytest.raises(error, match=text):
            await attempt
    assert desk.batches == [] and await desk.payouts.recent() == []


async def test_a_key_that_changed_hands_after_it_was_approved_is_not_paid(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.testing.wompi import breb

    prepared = await desk.payouts.prepare(order(beneficiary=KEY))
    row = await desk.payouts._insert(prepared, retry=False)
    monkeypatch.setitem(breb.HOLDERS, str(KEY.key), ("MAL*** HOM***", "MAIL"))
    told = await desk.payouts.reconcile(row.id)
    assert told.status == "error" and "another holder" in told.status_message
    assert desk.batches == []


async def test_a_directory_that_is_down_at_sending_leaves_it_waiting(desk: Desk) -> None:
    prepared = await desk.payouts.prepare(order(beneficiary=KEY))
    row = await desk.payouts._insert(prepared, retry=False)
    desk.sandbox.fail(RESOLVE, "503", times=9)
    with pytest.raises(Unavailable):
        await desk.payouts.reconcile(row.id)
    assert (await desk.payouts.get(row.id)).status == "processing"
    assert desk.batches == []


# --- other tenants ----------------------------------------------------------------------------------


async def test_a_foreign_payout_is_not_found(desk: Desk) -> None:
    made, other = await desk.create(), desk.of(B)
    for attempt in (
        other.payouts.get(made.id),
        other.payouts.cancel(made.id),
        other.payouts.reconcile(made.id),
        other.payouts.by_name("nomina-1"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await other.payouts.recent() == []
    mine = await other.create()
    assert mine.reference != made.reference and len(desk.batches) == 2


async def test_what_is_kept_of_a_beneficiary_is_sealed(desk: Desk) -> None:
    made = await desk.create()
    row = await desk.row(made.id)
    told = repr(row)
    for kept in ("12345678901", "1020304050", "Ana", desk.sandbox.keys.payouts_principal):
        assert kept not in told


async def test_a_list_goes_on_behind_its_last(desk: Desk) -> None:
    made = [await desk.create(f"p{n}") for n in range(3)]
    first = await desk.payouts.recent(most=2)
    rest = await desk.payouts.recent(after=(first[-1].created_at, first[-1].id))
    assert [one.id for one in (*first, *rest)] == [one.id for one in reversed(made)]
    assert [one.id for one in await desk.payouts.recent(payout_id="p1")] == [made[1].id]
    assert await desk.payouts.recent("approved") == []
    assert len(await desk.payouts.recent("pending")) == 3


async def test_several_accounts_that_pay_have_to_be_told_apart(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.outbound.wompi import FundingAccount, Payouts

    two = [FundingAccount(name, f"****{name}", None, "ACTIVE") for name in ("a1", "a2")]

    async def accounts(_: Any) -> list[FundingAccount]:
        return two

    monkeypatch.setattr(Payouts, "accounts", accounts)
    with pytest.raises(Invalid, match=r"account_id: has to name one of a1 .*a2"):
        await desk.payouts.prepare(order())
    assert (await desk.payouts.prepare(order(account_id="a2"))).account.id == "a2"
