"""Saved sources: allowed by their payer, charged by the rules of any payment, and removed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tause_mcp.errors import Conflict, Invalid, NotFound, Unavailable, Unconfigured
from tause_mcp.outbound.wompi import KeysRefused, Refused, Uncertain
from tause_mcp.services.payments.values import Terms

from .conftest import ANA, SHOWN, YES, B, Till, account, unsent

pytestmark = pytest.mark.anyio
TOKEN = "tok_test_1_abc"
Later = Callable[[float], None]


async def saved(till: Till, type_: str = "card", token: str = TOKEN, **told: Any) -> Any:
    return await till.sources.save(type_, token, ANA, **{"acceptance": YES, **told})


async def test_a_source_is_saved_once_the_payer_accepts(till: Till) -> None:
    made = await saved(till, acceptance=None)
    assert (made.status, made.type, made.email) == ("awaiting_payer", "card", "ana@example.com")
    assert made.pay_url == f"https://shop.example/pay/ta.{made.id}"
    assert till.provider.sources == {}
    done = await asyncio.gather(*(till.sources.accept(made.id, SHOWN, "x") for _ in range(6)))
    assert {one.id for one in done} == {made.id}
    assert len(till.provider.sources) == 1
    found = await till.sources.get(made.id)
    assert (found.status, found.label, found.pay_url) == ("available", {"last_four": "4242"}, None)
    assert await till.due() == []


async def test_the_same_token_is_the_same_source(till: Till) -> None:
    first, again = await saved(till), await saved(till)
    assert first.id == again.id
    assert len(till.provider.sources) == 1
    with pytest.raises(Conflict, match="another customer"):
        await till.sources.save("card", TOKEN, replace(ANA, email="eva@example.com"))
    assert [one.id for one in await till.sources.recent()] == [first.id]
    assert await till.sources.recent(after=(first.created_at, first.id)) == []


async def test_a_nequi_account_waits_for_its_payer(till: Till) -> None:
    made = await saved(till, "nequi", "nequi_test_abc")
    assert made.status == "pending"
    assert (await till.sources.reconcile(made.id)).status == "pending"
    (number,) = till.provider.sources
    till.provider.sources[number] = replace(till.provider.sources[number], status="AVAILABLE")
    assert await till.sweep().once() == 0
    assert (await till.sources.reconcile(made.id)).status == "available"


@pytest.mark.parametrize("status", ["DECLINED", None])
async def test_what_its_payer_declined_is_an_error(till: Till, status: str | None) -> None:
    made = await saved(till, "nequi", "nequi_test_abc")
    (number,) = till.provider.sources
    if status is None:
        till.provider.sources.clear()
    else:
        till.provider.sources[number] = replace(till.provider.sources[number], status=status)
    assert (await till.sources.reconcile(made.id)).status == "error"


@pytest.mark.parametrize("fault", [unsent(), KeysRefused("check the keys")])
async def test_what_was_not_sent_is_sent_again(till: Till, fault: Exception, later: Later) -> None:
    made = await saved(till, acceptance=None)
    till.provider.fail("create_source", fault)
    with pytest.raises((Unavailable, Unconfigured)):
        await till.sources.accept(made.id, SHOWN, "x")
    assert (await till.sources.get(made.id)).status == "awaiting_payer"
    assert (await till.sources.accept(made.id, SHOWN, "x")).status == "available"


async def test_an_unattended_one_is_sent_in_the_background(till: Till, later: Later) -> None:
    till.provider.fail("merchant", unsent())
    made = await saved(till)
    assert made.status == "processing"
    later(60)
    assert await till.sweep().once() == 1
    assert (await till.sources.get(made.id)).status == "available"


async def test_an_answer_that_is_lost_is_told_and_not_repeated(till: Till) -> None:
    till.provider.fail("create_source", Uncertain("?"))
    made = await saved(till)
    assert (made.status, "another token" in made.status_message) == ("unknown", True)
    assert (await saved(till)).status == "unknown"
    assert await till.due() == []


async def test_a_refusal_says_why(till: Till) -> None:
    till.provider.fail("create_source", Refused("the token is used"))
    made = await saved(till)
    assert (made.status, made.status_message) == ("error", "the token is used")


async def test_whoever_died_while_saving_leaves_it_unknown(till: Till, later: Later) -> None:
    till.provider.fail("create_source", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await saved(till)
    made = await saved(till)
    assert (await till.sources.reconcile(made.id)).status == "processing"
    later(130)
    assert await till.sweep().once() == 1
    assert (await till.sources.get(made.id)).status == "unknown"
    assert await till.due() == []


@pytest.mark.parametrize(
    "told", [{"type": "NEQUI"}, {"email": "x@example.com"}, {"status": "VOIDED"}]
)
async def test_an_answer_about_another_source_is_not_believed(till: Till, told: dict) -> None:
    real = till.provider.ask

    async def mixed(operation: str, work: Callable) -> object:
        found = await real(operation, work)
        return replace(found, **told) if operation == "create_source" else found

    till.provider.ask = mixed  # type: ignore[method-assign]
    assert (await saved(till)).status == "error"


async def test_nobody_accepts_after_its_time_or_other_terms(till: Till, later: Later) -> None:
    made = await saved(till, acceptance=None)
    with pytest.raises(Conflict, match="terms changed"):
        await till.sources.accept(made.id, Terms("https://w/old", "https://w/data"), "x")
    later(86_500)
    with pytest.raises(Conflict, match="over"):
        await till.sources.accept(made.id, SHOWN, "x")
    assert await till.sweep().once() == 1
    assert (await till.sources.get(made.id)).status == "expired"


# --- charging -----------------------------------------------------------------------------------


async def charge(till: Till, source: Any, order: str = "o1", **told: Any) -> Any:
    return await till.sources.charge(order, source.id, 500_000, "COP", **told)


async def test_an_order_is_charged_once(till: Till) -> None:
    source = await saved(till)
    done = await asyncio.gather(*(charge(till, source, installments=3) for _ in range(12)))
    assert len({one.id for one in done}) == 1
    assert (done[0].source_id, done[0].method, done[0].pay_url) == (source.id, "card", None)
    assert till.provider.posts == [done[0].reference]
    with pytest.raises(Conflict, match="other arguments"):
        await charge(till, source)
    found = till.provider.transactions[done[0].reference]
    assert found.source_id == next(iter(till.provider.sources))


async def test_a_card_charged_from_a_source_is_voided(till: Till) -> None:
    made = await charge(till, await saved(till))
    till.provider.set(made.reference, "APPROVED")
    await till.payments.reconcile(made.id)
    assert (await till.payments.void(made.id)).status == "voided"


async def test_only_an_available_source_of_ones_own_is_charged(till: Till) -> None:
    source = await saved(till, acceptance=None)
    with pytest.raises(Conflict, match="awaiting_payer"):
        await charge(till, source)
    with pytest.raises(Invalid):
        await till.sources.charge("o1", source.id, 10, "COP")
    foreign = replace(till, tenant=B)
    for asked in (charge(foreign, source), foreign.sources.get(source.id)):
        with pytest.raises(NotFound):
            await asked
    with pytest.raises(NotFound):
        await foreign.sources.remove(source.id)


async def test_other_keys_charge_no_source_of_before(till: Till) -> None:
    source = await saved(till)
    till.account = account(key="pub_test_new")
    with pytest.raises(Unconfigured, match="other Wompi keys"):
        await charge(till, source)


# --- removing -----------------------------------------------------------------------------------


async def test_a_removed_source_is_charged_no_more(till: Till) -> None:
    source = await saved(till)
    assert (await till.sources.remove(source.id)).status == "removed"
    assert [one.status for one in till.provider.sources.values()] == ["VOIDED"]
    assert (await till.sources.remove(source.id)).status == "removed"
    with pytest.raises(Conflict, match="removed"):
        await charge(till, source)
    assert await till.due() == []


async def test_one_that_waits_is_removed_with_nobody_asked(till: Till) -> None:
    source = await saved(till, acceptance=None)
    till.provider.fail("source", unsent())
    assert (await till.sources.remove(source.id)).status == "removed"


@pytest.mark.parametrize("at", ["source", "void_source"])
async def test_what_the_provider_did_not_hear_is_told_again(till: Till, at: str) -> None:
    source = await saved(till)
    till.provider.fail(at, unsent())
    assert (await till.sources.remove(source.id)).status == "removing"
    with pytest.raises(Conflict):
        await charge(till, source)
    assert await till.sweep().once() == 1
    assert (await till.sources.get(source.id)).status == "removed"
