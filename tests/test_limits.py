"""Calls per hour: never more than allowed, never less than earned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tenants import CATALOG, who

from tause_mcp.errors import RateLimited
from tause_mcp.limits import HOUR, Gcra, TenantLimits
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio

A, AB = TenantId("a0"), TenantId("a0b")
GET = CATALOG.tools["tenants_get"]
CREATE = CATALOG.tools["tenants_create"]

steps = st.lists(
    st.tuples(st.integers(0, HOUR), st.integers(1, 10)),
    min_size=1,
    max_size=60,
)


class Fixed:
    """Limits as a test states them."""

    def __init__(self, **limits: int) -> None:
        self.limits = limits

    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        return self.limits.get(tenant) if name == "calls_per_hour" else None


@given(steps, st.integers(10, 5000))
def test_any_stretch_of_time_admits_an_hours_worth_and_what_it_earns(
    steps: list[tuple[int, int]], per_hour: int
) -> None:
    clock = [0]
    rates = Gcra(lambda: clock[0])
    admitted: list[tuple[int, int]] = []
    for wait, cost in steps:
        clock[0] += wait
        if not rates.take(A, cost, per_hour):
            admitted.append((clock[0], cost))
    for start in range(len(admitted)):
        for end in range(start, len(admitted)):
            span = admitted[end][0] - admitted[start][0]
            taken = sum(cost for _, cost in admitted[start : end + 1])
            assert taken <= per_hour + span * per_hour / HOUR + 1e-6


@given(steps, st.integers(10, 5000))
def test_a_refused_call_passes_after_exactly_the_time_told(
    steps: list[tuple[int, int]], per_hour: int
) -> None:
    clock = [0]
    rates = Gcra(lambda: clock[0])
    for wait, cost in steps:
        clock[0] += wait // 100
        told = rates.take(A, cost, per_hour)
        if told:
            clock[0] += told - 1
            assert rates.take(A, cost, per_hour) == 1
            clock[0] += 1
            assert rates.take(A, cost, per_hour) == 0


@given(steps, st.integers(10, 5000))
def test_what_is_left_can_be_taken_and_no_more(steps: list[tuple[int, int]], per_hour: int) -> None:
    clock = [0]
    rates = Gcra(lambda: clock[0])
    for wait, cost in steps:
        clock[0] += wait
        rates.take(A, cost, per_hour)
    left = rates.left(A, per_hour)
    assert all(rates.take(A, 1, per_hour) == 0 for _ in range(left))
    assert rates.take(A, 1, per_hour) > 0


def test_a_call_dearer_than_the_hour_takes_the_hour() -> None:
    rates = Gcra(lambda: 0)
    assert rates.take(A, 5, 3) == 0
    assert rates.left(A, 3) == 0
    assert rates.take(A, 1, 3) > 0


def test_a_limit_of_nothing_admits_nothing() -> None:
    rates = Gcra(lambda: 0)
    assert rates.take(A, 1, 0) == HOUR
    assert rates.left(A, 0) == 0


async def test_the_hour_is_refused_after_the_last_call_with_when_to_come_back() -> None:
    clock = [0]
    limits = TenantLimits(Fixed(a0=3), lambda: clock[0])
    caller = who(A)
    for _ in range(3):
        await limits.admit(caller, GET)
    with pytest.raises(RateLimited) as refused:
        await limits.admit(caller, GET)
    assert refused.value.retry_after == pytest.approx(1200)
    assert "1200 s" in str(refused.value)
    clock[0] += HOUR // 3
    await limits.admit(caller, GET)


async def test_a_call_weighs_its_cost() -> None:
    limits = TenantLimits(Fixed(a0=7), lambda: 0)
    await limits.admit(who(A), CREATE)
    assert limits.left(A) == 7 - CREATE.cost
    with pytest.raises(RateLimited):
        await limits.admit(who(A), CREATE)
    assert limits.left(A) == 7 - CREATE.cost


async def test_tenants_do_not_share_an_hour() -> None:
    limits = TenantLimits(Fixed(a0=1, a0b=1), lambda: 0)
    await limits.admit(who(A), GET)
    await limits.admit(who(AB), GET)
    with pytest.raises(RateLimited):
        await limits.admit(who(A), GET)


async def test_without_a_limit_nothing_is_counted() -> None:
    limits = TenantLimits(Fixed(), lambda: 0)
    for _ in range(1000):
        await limits.admit(who(A), GET)
    assert limits.left(A) is None


async def test_a_forgotten_tenant_starts_anew() -> None:
    limits = TenantLimits(Fixed(a0=1), lambda: 0)
    await limits.admit(who(A), GET)
    limits.forget(A)
    await limits.admit(who(A), GET)
