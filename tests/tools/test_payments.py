"""Payments as callers see them: what is asked of a person, what comes back, what is refused first."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support.shop import ANA, Shop, order, shop

from tause_mcp.errors import Conflict, Forbidden, Invalid, NotFound, TauseError, Unconfigured
from tause_mcp.outbound.wompi import Rejected
from tause_mcp.testing.home import house
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio

CARD = "4242 4242 4242 4242"
WRITE = {"payments:write", "payments:read"}
YES = {"accepted_at": "2026-01-31T12:00:00Z", "evidence": "call 17"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop(tmp_path / "home", Sandbox(resolve_after="polls:1")) as opened:
        yield opened


def alone(here: Shop, tenant: str = "acme") -> Any:
    """A caller who may act without the payer."""
    return here.house.caller(tenant, scopes={*WRITE, "payments:unattended"})


async def available(here: Shop) -> str:
    """A saved card that can be charged."""
    told = {"type": "card", "token": await here.token(), "customer": ANA, "acceptance": YES}
    saved = await here.call("payments_save_source", told, alone(here))
    assert saved["status"] == "available"
    return str(saved["id"])


# --- what a person is asked, and when ------------------------------------------------------------


async def test_a_person_is_asked_in_plain_words_and_nothing_is_kept_until_then(here: Shop) -> None:
    told = await here.house.call("payments_create", order(), "acme")
    assert told["status"] == "approval_required"
    assert told["summary"] == (
        "Collect $ 24.900 COP by PSE from ana@example.com for order o-1. Sandbox: no real money."
    )
    assert (await here.call("payments_list", {}))["items"] == []
    assert not here.sandbox.attempts


async def test_the_same_call_returns_the_payment_and_asks_nobody_again(here: Shop) -> None:
    first = await here.call("payments_create", order())
    assert first["status"] == "awaiting_payer" and first["pay_url"].endswith(first["id"])
    assert first["amount"] == {"amount": 2_490_000, "currency": "COP"}
    again = await here.house.call("payments_create", order(), "acme")
    assert again == first
    waiting = await here.house.call("approvals_list", {"status": "pending"}, "acme")
    assert waiting["items"] == []


async def test_any_number_of_callers_at_once_get_one_payment(here: Shop) -> None:
    await here.call("payments_create", order())
    found: list[str] = []

    async def one() -> None:
        found.append((await here.house.call("payments_create", order(), "acme"))["id"])

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(one)
    assert len(found) == 8 and len(set(found)) == 1


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        ({"amount": 3_000_000}, Conflict, "other arguments"),
        ({"method": "nequi"}, Conflict, "other arguments"),
        ({"retry": True, "method": "nequi"}, Conflict, "only after a final"),
        ({"order_id": "o-2", "amount": 149_999}, Invalid, "amount"),
        ({"order_id": "o-2", "amount": 24_900.0}, Invalid, "loses cents"),
        ({"order_id": "o-2", "amount": True}, Invalid, "amount"),
        ({"order_id": "o-2", "amount": {"amount": 1e6}}, Invalid, "loses cents"),
        ({"order_id": "o-2", "amount": {"amount": 200_000, "currency": "USD"}}, Invalid, "COP"),
        ({"order_id": "o 2"}, Invalid, "order_id"),
        ({"order_id": "o-2", "method": "cash"}, Invalid, "method.type"),
        ({"order_id": "o-2", "method": "card"}, Invalid, "method.token"),
        ({"order_id": "o-2", "method": {"type": "pse", "bank_code": "99"}}, Invalid, "bank_code"),
        ({"order_id": "o-2", "method": {"type": "nequi", "token": "tok_x_1"}}, Invalid, "token"),
        ({"order_id": "o-2", "customer": {"email": "ana"}}, Invalid, "customer.email"),
        ({"order_id": "o-2", "customer": {**ANA, "phone": "12"}}, Invalid, "customer.phone"),
        ({"order_id": "o-2", "customer": {**ANA, "cvv": "123"}}, Invalid, "customer.cvv"),
        ({"order_id": "o-2", "cvc": "123"}, Invalid, "cvc: is not an argument"),
        ({"order_id": "o-2", "acceptance": YES}, Forbidden, "payments:unattended"),
    ],
)
async def test_what_would_be_refused_anyway_is_not_asked(
    here: Shop, changed: dict[str, Any], error: type[TauseError], told: str
) -> None:
    await here.call("payments_create", order())
    with pytest.raises(error, match=told):
        await here.house.call("payments_create", order(**changed), "acme")
    waiting = await here.house.call("approvals_list", {"status": "pending"}, "acme")
    assert waiting["items"] == []


async def test_an_owner_may_do_everything_and_still_not_speak_for_a_payer(here: Shop) -> None:
    told = {"type": "card", "token": "tok_test_1_abc", "customer": ANA, "acceptance": YES}
    with pytest.raises(Forbidden, match="granted by name"):
        await here.house.call("payments_save_source", told, "acme")


async def test_a_further_attempt_comes_after_a_final_decline_and_asks_again(here: Shop) -> None:
    told = order(method={"type": "card", "token": await here.token("4111111111111111")})
    first = await here.call("payments_create", {**told, "acceptance": YES}, alone(here))
    declined = await here.call("payments_reconcile", {"id": first["id"]})
    assert (declined["status"], declined["attempt"]) == ("declined", 1)
    asked = await here.house.call("payments_create", order(retry=True), "acme")
    assert "as a further attempt" in asked["summary"]
    again = await here.call("payments_create", order(retry=True))
    assert (again["status"], again["attempt"]) == ("awaiting_payer", 2)
    assert (await here.call("payments_get", {"order_id": "o-1"}))["id"] == again["id"]


# --- card numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"description": f"my card is {CARD}"},
        {"order_id": "4242424242424242"},
        {"method": {"type": "card", "token": CARD}},
        {"customer": {**ANA, "full_name": "Ana 4242-4242-4242-4242"}},
        {"customer": {**ANA, "document": 4242424242424242}},
        {"unknown": {"deep": [CARD]}},
    ],
)
async def test_a_card_number_is_refused_and_nothing_of_it_stays(
    here: Shop, changed: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Invalid, match="card's number") as refused:
        await here.house.call("payments_create", order(**changed), "acme", key="k1")
    assert "4242" not in str(refused.value)
    trail = await here.house.call("audit_search", {"limit": 50}, "acme")
    waiting = await here.house.call("approvals_list", {}, "acme")
    kept = json.dumps([trail, waiting]) + "".join(capfd.readouterr())
    assert "4242" not in kept
    made = await here.house.call("payments_create", order(), "acme", key="k1")
    assert made["status"] == "approval_required", "the key is still free"


async def test_every_tool_of_payments_and_the_small_door_refuse_it(here: Shop) -> None:
    tools = here.house.platform.catalog.tools.values()
    for name in sorted(o.name for o in tools if o.capability == "payments"):
        with pytest.raises(Invalid, match="card's number"):
            await here.house.call(name, {"anything": CARD}, "acme")
    nested = {"name": "payments_create", "arguments": order(description=CARD)}
    with pytest.raises(Invalid, match="card's number"):
        await here.house.call("catalog_call", nested, "acme")


# --- the rest ---------------------------------------------------------------------------------------


async def test_a_saved_card_is_charged_once_for_an_order(here: Shop) -> None:
    source = await available(here)
    told = {"order_id": "sub-1", "source_id": source, "amount": 1_000_000}
    asked = await here.house.call("payments_charge_source", told, "acme")
    assert "Charge $ 10.000 COP to the saved card of ana@example.com" in asked["summary"]
    first = await here.call("payments_charge_source", told)
    assert (await here.house.call("payments_charge_source", told, "acme"))["id"] == first["id"]
    assert sum(here.sandbox.creates.values()) == 1
    removed = await here.call("payments_remove_source", {"id": source})
    assert removed["status"] == "removed"
    with pytest.raises(Conflict):
        await here.house.call("payments_charge_source", {**told, "order_id": "sub-2"}, "acme")


async def test_a_void_is_bounded_before_anybody_is_asked(here: Shop) -> None:
    told = order(method={"type": "card", "token": await here.token()}, acceptance=YES)
    made = await here.call("payments_create", told, alone(here))
    with pytest.raises(Conflict, match="approved payment by card"):
        await here.house.call("payments_void", {"id": made["id"]}, "acme")
    paid = await here.call("payments_reconcile", {"id": made["id"]})
    assert paid["status"] == "approved"
    with pytest.raises(Invalid, match="which are left"):
        await here.house.call("payments_void", {"id": made["id"], "amount": 9_990_000}, "acme")
    asked = await here.house.call("payments_void", {"id": made["id"]}, "acme")
    assert asked["summary"].startswith("Give back $ 24.900 COP of the card payment of $ 24.900 COP")
    voided = await here.call("payments_void", {"id": made["id"]})
    assert (voided["status"], voided["voided"]["amount"]) == ("voided", 2_490_000)
    again = await here.house.call("payments_void", {"id": made["id"]}, "acme")
    assert again["status"] == "voided", "nobody is asked for what is done"


async def test_a_schedule_says_what_it_comes_to(here: Shop) -> None:
    told = {
        "source_id": await available(here),
        "amount": 5_000_000,
        "every": "month",
        "start_at": "2030-01-31T09:00:00-05:00",
        "count": 12,
    }
    asked = await here.house.call("payments_schedule", told, "acme")
    assert "every month from 2030-01-31, 12 times at most, $ 600.000 COP in all" in asked["summary"]
    made = await here.call("payments_schedule", told)
    assert made["status"] == "active" and made["next_at"].startswith("2030-01-31T14:00")
    assert (await here.house.call("payments_schedule", told, "acme"))["id"] == made["id"]
    ended = await here.call("payments_unschedule", {"id": made["id"]})
    assert ended["status"] == "cancelled"
    with pytest.raises(Invalid, match="with its zone"):
        await here.house.call("payments_schedule", {**told, "start_at": "2030-01-31"}, "acme")


async def test_a_link_is_made_listed_and_closed(here: Shop) -> None:
    told = {"name": "Donate", "description": "What you like"}
    asked = await here.house.call("payments_create_link", told, "acme")
    assert "whatever the payer chooses, once" in asked["summary"]
    made = await here.call("payments_create_link", told)
    assert made["status"] == "active" and made["url"].startswith(here.served.checkout_url)
    assert [one["id"] for one in (await here.call("payments_list_links", {}))["items"]] == [
        made["id"]
    ]
    assert (await here.call("payments_cancel_link", {"id": made["id"]}))["status"] == "cancelled"


async def test_pages_follow_each_other_and_filters_bind_their_cursor(here: Shop) -> None:
    ids = [(await here.call("payments_create", order(f"o-{n}")))["id"] for n in range(3)]
    first = await here.call("payments_list", {"limit": 2})
    rest = await here.call("payments_list", {"limit": 2, "cursor": first["next_cursor"]})
    assert [one["id"] for one in first["items"] + rest["items"]] == ids[::-1]
    with pytest.raises(Invalid, match="cursor"):
        await here.call("payments_list", {"status": "pending", "cursor": first["next_cursor"]})


async def test_another_tenant_finds_nothing(here: Shop) -> None:
    made = await here.call("payments_create", order())
    for tool, told in (
        ("payments_get", {"id": made["id"]}),
        ("payments_get", {"order_id": "o-1"}),
        ("payments_reconcile", {"id": made["id"]}),
        ("payments_void", {"id": made["id"]}),
    ):
        with pytest.raises(NotFound):
            await here.house.call(tool, told, "globex")
    mine = await here.call("payments_create", order(), "globex")
    assert mine["id"] != made["id"] and mine["reference"] != made["reference"]


async def test_without_keys_nothing_is_offered_and_each_call_says_what_to_do(
    tmp_path: Path,
) -> None:
    async with house(tmp_path / "home") as plain:
        async with plain.client(toolsets=("all",)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert not [name for name in (*tools, *prompts) if "payment" in name]
        with pytest.raises(Unconfigured, match="tenants_configure"):
            await plain.call("payments_create", order())


async def test_what_wompi_refuses_is_told_with_its_field(here: Shop) -> None:
    told = order(method={"type": "card", "token": "tok_test_0_unknown"}, acceptance=YES)
    made = await here.call("payments_create", told, alone(here))
    assert made["status"] == "error" and made["status_message"]
    assert issubclass(Rejected, Invalid)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_real_client_collects_and_reads_the_resource(here: Shop, mode: Any) -> None:
    made = await here.call("payments_create", order())
    async with here.house.client("acme", mode=mode, toolsets=("payments",)) as client:
        again = await client.call_tool("payments_create", order())
        assert again.structured_content == made
        uri = f"tause://acme/payments/{made['id']}"
        read = await client.read_resource(uri)
        assert json.loads(read.contents[0].text) == made
        from mcp_types import ResourceTemplateReference

        ref = ResourceTemplateReference(uri="tause://{tenant_id}/payments/{id}")
        typed = {"name": "id", "value": made["id"][:8]}
        assert (await client.complete(ref, typed)).completion.values == [made["id"]]
        shown = await client.get_prompt("collect_payment", {"order_id": "o-1"})
        assert "'o-1'" in shown.messages[0].content.text
        wrong = await client.call_tool("payments_create", order(amount=1.5))
        assert wrong.is_error and wrong.meta["pro.tause/error"]["field"] == "amount"


async def test_a_tenant_below_inherits_the_names_of_the_secrets_and_never_the_secrets(
    here: Shop,
) -> None:
    keys = here.sandbox.keys
    held = {"private": keys.private, "integrity": keys.integrity, "events": keys.events}
    for name, value in held.items():
        await here.call("secrets_put", {"name": name, "value": value})
    values = {"payments.wompi.public_key": keys.public}
    values["payments.wompi.private_key"] = "secret://private"
    values |= {f"payments.wompi.{n}_secret": f"secret://{n}" for n in ("integrity", "events")}
    await here.call("tenants_configure", {"values": values})
    await here.house.tenant("below", parent="acme")
    await here.call("payments_create", order())
    for name, value in held.items():
        with pytest.raises(Unconfigured) as lacking:
            await here.call("payments_create", order(), "below")
        assert str(lacking.value) == (
            f"payments.wompi.*: this tenant has no secret '{name}', or it has expired: store it with "
            "secrets_put (what names a secret is inherited from a tenant above, the secret never)"
        )
        await here.call("secrets_put", {"name": name, "value": value}, "below")
    assert (await here.call("payments_create", order(), "below"))["status"] == "awaiting_payer"
