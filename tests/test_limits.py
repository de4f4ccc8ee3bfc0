"""Calls per hour: asked of the shared state only where a tenant has a limit."""

import pytest
from tests.support.tenants import CATALOG, who

from tause_mcp.errors import RateLimited, Unavailable
from tause_mcp.limits import CALLS, TenantLimits
from tause_mcp.shared import MemoryRates, Rate, Taken
from tause_mcp.shared.gcra import SECOND
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

HOUR = 3600 * SECOND
A, AB = TenantId("a0"), TenantId("a0b")
GET = CATALOG.tools["tenants_get"]
CREATE = CATALOG.tools["tenants_create"]


class Fixed:
    """Limits as a test states them."""

    def __init__(self, **limits: int) -> None:
        self.limits = limits

    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        return self.limits.get(tenant) if name == "calls_per_hour" else None


class Down:
    """A store that cannot be asked."""

    async def take(self, tenant: TenantId, rate: Rate, cost: int) -> Taken:
        raise Unavailable("down")

    async def forget(self, tenant: TenantId, *names: str) -> None:
        raise Unavailable("down")


def limits(clock: list[int] | None = None, **per_hour: int) -> TenantLimits:
    clock = [0] if clock is None else clock
    return TenantLimits(Fixed(**per_hour), MemoryRates(lambda: clock[0]))


async def test_the_hour_is_refused_after_the_last_call_with_when_to_come_back() -> None:
    clock = [0]
    made = limits(clock, a0=3)
    for _ in range(3):
        await made.admit(who(A), GET)
    with pytest.raises(RateLimited) as refused:
        await made.admit(who(A), GET)
    assert refused.value.retry_after == pytest.approx(1200)
    assert "1200 s" in str(refused.value)
    clock[0] += HOUR // 3
    await made.admit(who(A), GET)


async def test_a_call_weighs_its_cost() -> None:
    made = limits(a0=7)
    await made.admit(who(A), CREATE)
    assert await made.left(A) == 7 - CREATE.cost
    with pytest.raises(RateLimited):
        await made.admit(who(A), CREATE)
    assert await made.left(A) == 7 - CREATE.cost


async def test_tenants_do_not_share_an_hour() -> None:
    made = limits(a0=1, a0b=1)
    await made.admit(who(A), GET)
    await made.admit(who(AB), GET)
    with pytest.raises(RateLimited):
        await made.admit(who(A), GET)


async def test_without_a_limit_nothing_is_asked() -> None:
    made = TenantLimits(Fixed(), Down())
    for _ in range(1000):
        await made.admit(who(A), GET)
    assert await made.left(A) is None


async def test_with_a_limit_a_store_that_is_down_admits_nobody() -> None:
    made = TenantLimits(Fixed(a0=1000), Down())
    with pytest.raises(Unavailable):
        await made.admit(who(A), GET)


async def test_a_forgotten_tenant_starts_anew() -> None:
    made = limits(a0=1)
    await made.admit(who(A), GET)
    await made.forget(A)
    await made.admit(who(A), GET)


async def test_a_limit_of_nothing_admits_nothing() -> None:
    made = limits(a0=0)
    with pytest.raises(RateLimited) as refused:
        await made.admit(who(A), GET)
    assert refused.value.retry_after == 3600
    assert await made.left(A) == 0
    assert Rate(CALLS, 0).nothing().wait == HOUR
