"""The house's own looks at payments: a tenant pays for none of them, and its chain holds what changed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.shop import Shop, order, shop

from tause_mcp.due import Due, by_tool
from tause_mcp.errors import RateLimited
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.wompi import Sandbox

pytestmark = pytest.mark.anyio
ACME = TenantId("acme")
YES = {"accepted_at": "2026-01-31T12:00:00Z", "evidence": "call 17"}


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Shop]:
    sandbox = Sandbox(resolve_after="polls:1,PSE=manual,NEQUI=manual")
    async with shop(tmp_path / "home", sandbox) as made:
        yield made


async def look(opened: Shop, id_: str, times: int = 1) -> None:
    """As the sweeper does it, who is not waited for here and may look as well."""
    run = by_tool(opened.house.platform, {"payment": "payments_reconcile"}, "payments:write")
    for _ in range(times):
        await run(Due(ACME, "payment", id_, 0, 0, 0))


async def records(opened: Shop) -> list[str]:
    """Who reconciled, of what stands in the tenant's chain."""
    asked = {"action": "payments_reconcile", "limit": 100}
    found = await opened.house.call("audit_search", asked, "acme")
    return [item["actor"] for item in found["items"]]


async def limited(opened: Shop) -> None:
    """Not one call is left to the tenant in this hour."""
    told = {"tenant_id": "acme", "limits": {"calls_per_hour": 1}}
    await opened.house.call("tenants_configure", told)
    with pytest.raises(RateLimited):
        for _ in range(3):
            await opened.house.call("access_whoami", {}, "acme")


async def pending(opened: Shop) -> Any:
    shopkeeper = opened.house.caller("acme", scopes=["payments:write", "payments:unattended"])
    made = await opened.call("payments_create", order("o-1", acceptance=YES), shopkeeper)
    assert made["status"] == "pending"
    await look(opened, made["id"], 2)
    return made


async def test_a_tenant_at_its_limit_still_has_its_payments_settled(opened: Shop) -> None:
    made = await pending(opened)
    await limited(opened)
    (sent,) = opened.sandbox.transactions
    opened.sandbox.decide(sent.id, "APPROVED")
    await look(opened, made["id"])
    unlimited = {"tenant_id": "acme", "unlimited": ["calls_per_hour"]}
    await opened.house.call("tenants_configure", unlimited)
    assert (await opened.call("payments_get", {"id": made["id"]}))["status"] == "approved"


async def test_looks_that_find_nothing_new_leave_no_record_and_no_usage(opened: Shop) -> None:
    made = await pending(opened)
    before = await records(opened)
    used = (await opened.call("tenants_get_usage", {}))["calls"]
    await look(opened, made["id"], 20)
    assert await records(opened) == before
    assert (await opened.call("tenants_get_usage", {}))["calls"] - used < 5


async def test_what_a_look_changed_is_recorded_once_and_the_chain_holds(opened: Shop) -> None:
    made = await pending(opened)
    before = await records(opened)
    (sent,) = opened.sandbox.transactions
    opened.sandbox.decide(sent.id, "APPROVED")
    await look(opened, made["id"], 3)
    assert await records(opened) == ["reconciler", *before]
    assert (await opened.house.call("audit_verify", {}, "acme"))["intact"]
    await opened.call("payments_reconcile", {"id": made["id"]})
    assert await records(opened) == ["local:owner", "reconciler", *before]
