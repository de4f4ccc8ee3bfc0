"""Payouts through the whole house and a real client, against a local Wompi."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.shop import pays_out

from tause_mcp.errors import Conflict, Forbidden, Invalid, NotFound, Unconfigured
from tause_mcp.testing.home import House, house
from tause_mcp.testing.wompi import Sandbox, running

pytestmark = pytest.mark.anyio
ALL = {"toolsets": ("all",)}
ANA = {
    "name": "Ana Pérez",
    "document_type": "CC",
    "document": "1020304050",
    "bank_code": "1007",
    "account_type": "savings",
    "account_number": "12345678901",
}
PAY = {"payout_id": "nomina-1", "amount": 7_500_000, "beneficiary": ANA}
KEY = {**PAY, "beneficiary": {"key": "ecolon@wompi.com", "key_type": "mail"}}


@dataclass
class Payroll:
    """A house with two tenants that pay from the same sandbox, and one that has no keys."""

    home: House
    sandbox: Sandbox

    async def configure(self, tenant: str) -> None:
        await pays_out(lambda tool, told: self.home.call(tool, told, tenant), self.sandbox)

    async def approve(self, waiting: Any, yes: bool = True) -> None:
        assert waiting["status"] == "approval_required", waiting
        await self.home.platform.answer(waiting["id"], yes, by="ana", means="cli")

    async def pay(self, told: Any = PAY, tenant: str = "acme", **changed: Any) -> Any:
        """The payout, once a person has approved it."""
        arguments = {**told, **changed}
        waiting = await self.home.call("payouts_create", arguments, tenant)
        await self.approve(waiting)
        return await self.home.call("payouts_create", arguments, tenant)

    @property
    def batches(self) -> list[Any]:
        return list(self.sandbox.state.ledger.batches.values())


@pytest.fixture
async def payroll(tmp_path: Path) -> AsyncIterator[Payroll]:
    sandbox = Sandbox(resolve_after="manual")
    async with (
        running(sandbox) as served,
        house(tmp_path, WOMPI_PAYOUTS_URL=served.payouts_url) as home,
    ):
        made = Payroll(home, sandbox)
        for tenant in ("acme", "globex", "bare"):
            await home.tenant(tenant)
        for tenant in ("acme", "globex"):
            await made.configure(tenant)
        yield made


async def test_a_tenant_without_keys_of_its_own_has_no_payouts(payroll: Payroll) -> None:
    home = payroll.home
    async with home.client("bare", **ALL) as client:
        assert not [t for t in (await client.list_tools()).tools if t.name.startswith("payouts")]
    for name, told in (("payouts_create", PAY), ("payouts_list", {})):
        with pytest.raises(Unconfigured, match=r"payouts\.wompi\.api_key"):
            await home.call(name, told, "bare")
    async with home.client("acme", **ALL) as client:
        assert [t for t in (await client.list_tools()).tools if t.name == "payouts_create"]


async def test_a_tenant_below_cannot_pay_with_the_keys_of_one_above(payroll: Payroll) -> None:
    home = payroll.home
    await home.tenant("acme-child", parent="acme")
    with pytest.raises(Unconfigured, match="tenant has no secret 'payouts_api_key'"):
        await home.call("payouts_create", PAY, "acme-child")
    assert payroll.batches == []


async def test_a_person_approves_and_the_money_leaves_once(payroll: Payroll) -> None:
    async with payroll.home.client("acme", **ALL) as client:
        asked = (await client.call_tool("payouts_create", PAY)).structured_content
        assert asked["status"] == "approval_required"
        assert payroll.batches == []
        for part in ("$ 75.000", "Ana Pérez", "****8901", "BANCOLOMBIA", "nomina-1", "Sandbox"):
            assert part in asked["summary"], asked["summary"]
        assert "12345678901" not in asked["summary"] and "1020304050" not in asked["summary"]
        await payroll.approve(asked)
        paid = (await client.call_tool("payouts_create", PAY)).structured_content
        assert (paid["status"], paid["amount"]) == (
            "pending",
            {"amount": 7_500_000, "currency": "COP"},
        )
        again = (await client.call_tool("payouts_create", PAY)).structured_content
        assert again["id"] == paid["id"], "what stands is not asked about again"
        payroll.sandbox.decide(payroll.batches[0].id, "APPROVED")
        done = (await client.call_tool("payouts_reconcile", {"id": paid["id"]})).structured_content
        assert done["status"] == "approved" and done["finalized_at"]
        found = (
            await client.call_tool("payouts_get", {"payout_id": "nomina-1"})
        ).structured_content
        assert found["id"] == paid["id"]
        listed = (await client.call_tool("payouts_list", {"status": "approved"})).structured_content
        assert [one["id"] for one in listed["items"]] == [paid["id"]]
        assert "12345678901" not in str(listed) and "1020304050" not in str(listed)
    assert len(payroll.batches) == 1


async def test_a_refusal_pays_nobody(payroll: Payroll) -> None:
    waiting = await payroll.home.call("payouts_create", PAY, "acme")
    await payroll.approve(waiting, yes=False)
    with pytest.raises(Forbidden):
        await payroll.home.call("payouts_create", PAY, "acme")
    assert payroll.batches == []


async def test_an_approval_of_a_key_holds_for_its_holder_alone(
    payroll: Payroll, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tause_mcp.testing.wompi import breb

    waiting = await payroll.home.call("payouts_create", KEY, "acme")
    assert "ELI*** COL***" in waiting["summary"] and "eco***@wompi.com" in waiting["summary"]
    await payroll.approve(waiting)
    with monkeypatch.context() as patched:
        patched.setitem(breb.HOLDERS, "ecolon@wompi.com", ("MAL*** HOM***", "MAIL"))
        anew = await payroll.home.call("payouts_create", KEY, "acme")
        assert anew["status"] == "approval_required" and "MAL*** HOM***" in anew["summary"]
        assert payroll.batches == []
    paid = await payroll.home.call("payouts_create", KEY, "acme")
    assert paid["beneficiary"]["holder"] == "ELI*** COL***"
    assert len(payroll.batches) == 1


async def test_an_unattended_caller_pays_under_the_ceiling_and_no_more(payroll: Payroll) -> None:
    home = payroll.home
    robot = home.caller("acme", scopes=["payouts:write", "payouts:unattended"])
    assert (await home.call("payouts_create", PAY, robot))["status"] == "approval_required"
    limits = {"approval_ceiling_cop": 10_000_000}
    await home.call("tenants_configure", {"tenant_id": "acme", "limits": limits})
    paid = await home.call("payouts_create", {**PAY, "payout_id": "p2"}, robot)
    assert paid["status"] == "pending"
    more = {**PAY, "payout_id": "p3", "amount": 10_000_001}
    assert (await home.call("payouts_create", more, robot))["status"] == "approval_required"
    owner = await home.call("payouts_create", {**PAY, "payout_id": "p4"}, "acme")
    assert owner["status"] == "approval_required", "an owner's *:* is not unattended"
    assert len(payroll.batches) == 1


async def test_what_would_be_refused_is_refused_before_anyone_is_asked(payroll: Payroll) -> None:
    home = payroll.home
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"beneficiary": {**ANA, "bank_code": "9"}}, Invalid),
        ({"beneficiary": {"key": "noexiste@test.com", "email": "a@example.com"}}, Invalid),
        ({"amount": 2_000_000_000}, Conflict),
        ({"amount": 75_000.5}, Invalid),
        ({"amount": {"amount": 7_500_000, "currency": "USD"}}, Invalid),
        ({"beneficiary": {**ANA, "cvc": "123"}}, Invalid),
    ]
    for changed, error in wrong:
        with pytest.raises(error):
            await home.call("payouts_create", {**PAY, **changed}, "acme")
    assert (await home.call("approvals_list", {}, "acme"))["items"] == []


async def test_another_beneficiary_under_the_same_name_is_a_conflict(payroll: Payroll) -> None:
    await payroll.pay()
    other = {**PAY, "beneficiary": {**ANA, "account_number": "12345678902"}}
    with pytest.raises(Conflict):
        await payroll.home.call("payouts_create", other, "acme")
    assert len(payroll.batches) == 1


async def test_long_account_numbers_pass_and_numbers_of_cards_do_not(payroll: Payroll) -> None:
    home = payroll.home
    lucky = {**ANA, "account_number": "630000000012"}  # passes Luhn, as one in ten does
    assert (await payroll.pay(beneficiary=lucky))["status"] == "pending"
    for beneficiary in (
        {**ANA, "account_number": "4242424242424242"},
        {**ANA, "document": "378282246310005"},
        {**ANA, "name": "Ana 630000000012"},
    ):
        with pytest.raises(Invalid, match="card") as refused:
            await home.call("payouts_create", {**PAY, "beneficiary": beneficiary}, "acme")
        assert "4242" not in str(refused.value)


async def test_a_foreign_payout_looks_absent(payroll: Payroll) -> None:
    paid = await payroll.pay()
    told = []
    for id_ in (paid["id"], f"pyo_{'0' * 32}"):
        for name in ("payouts_get", "payouts_cancel", "payouts_reconcile"):
            with pytest.raises(NotFound) as absent:
                await payroll.home.call(name, {"id": id_}, "globex")
            told.append((str(absent.value), absent.value.describe()))
    assert len(set(map(str, told))) == 1
    assert (await payroll.home.call("payouts_list", {}, "globex"))["items"] == []
    other = await payroll.pay(tenant="globex")
    assert other["id"] != paid["id"] and len(payroll.batches) == 2


async def test_the_sweeper_brings_it_to_its_end(payroll: Payroll) -> None:
    from tause_mcp import due, times

    paid = await payroll.pay()
    payroll.sandbox.decide(payroll.batches[0].id, "APPROVED")
    platform = payroll.home.platform
    run = due.by_tool(platform, {"payout": "payouts_reconcile"}, "payouts:write")
    await due.Sweep(platform.database, ["payout"], run).once(times.now() + 60 * times.SECOND)
    found = await payroll.home.call("payouts_get", {"id": paid["id"]}, "acme")
    assert found["status"] == "approved"


async def test_banks_accounts_and_keys_can_be_looked_at(payroll: Payroll) -> None:
    async def call(name: str, told: Any = None) -> Any:
        return await payroll.home.call(name, told or {}, "acme")

    assert {"code": "1007", "name": "BANCOLOMBIA"} in (await call("payouts_list_banks"))["items"]
    (account,) = (await call("payouts_list_accounts"))["items"]
    assert account["balance"] == {"amount": 1_000_000_000, "currency": "COP"}
    assert (await payroll.pay(account_id=account["id"]))["account_id"] == account["id"]
    told = await call("payouts_resolve_key", {"key": "3001234567", "key_type": "phone"})
    assert told == {
        "holder": "JUA*** PER***",
        "bank": "BANCOLOMBIA",
        "bank_code": "001",
        "key_type": "phone",
    }
    with pytest.raises(Invalid):
        await call("payouts_get", {})
