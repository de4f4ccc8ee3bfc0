"""Rates: never more than allowed, never less than earned, whoever asks and from where."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.conftest import SEVERAL, Open
from tests.shared.racers import raced, taking

from tause_mcp.settings import Settings
from tause_mcp.shared import MemoryRates, Rate, SharedState
from tause_mcp.shared.gcra import SECOND
from tause_mcp.tenancy import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]

A, AB = TenantId("a0"), TenantId("a0b")
HOUR = 3600 * SECOND

steps = st.lists(st.tuples(st.integers(0, HOUR), st.integers(1, 10)), min_size=1, max_size=60)


class Clocked:
    """Memory rates under a clock that the test moves; asked without a loop."""

    def __init__(self, per_hour: int) -> None:
        self.now = 0
        self.rate = Rate("calls", per_hour)
        self._rates = MemoryRates(lambda: self.now)

    def take(self, cost: int) -> int:
        return self.ask(cost)[0]

    def ask(self, cost: int) -> tuple[int, int]:
        asked = self._rates.take(A, self.rate, cost)
        try:
            asked.send(None)
        except StopIteration as done:
            return tuple(done.value)  # type: ignore[return-value]
        raise AssertionError("memory waits for nothing")


@given(steps, st.integers(10, 5000))
def test_any_stretch_of_time_admits_an_hours_worth_and_what_it_earns(
    steps: list[tuple[int, int]], per_hour: int
) -> None:
    rates = Clocked(per_hour)
    admitted: list[tuple[int, int]] = []
    for wait, cost in steps:
        rates.now += wait
        if not rates.take(cost):
            admitted.append((rates.now, cost))
    for start in range(len(admitted)):
        for end in range(start, len(admitted)):
            span = admitted[end][0] - admitted[start][0]
            taken = sum(cost for _, cost in admitted[start : end + 1])
            assert taken <= per_hour + span * per_hour / HOUR + 1e-6


@given(steps, st.integers(10, 5000))
def test_a_refused_call_passes_after_exactly_the_time_told(
    steps: list[tuple[int, int]], per_hour: int
) -> None:
    rates = Clocked(per_hour)
    for wait, cost in steps:
        rates.now += wait // 100
        told = rates.take(cost)
        if told:
            rates.now += told - 1
            assert rates.take(cost) == 1
            rates.now += 1
            assert rates.take(cost) == 0


@given(steps, st.integers(10, 5000))
def test_what_is_left_can_be_taken_and_no_more(steps: list[tuple[int, int]], per_hour: int) -> None:
    rates = Clocked(per_hour)
    for wait, cost in steps:
        rates.now += wait
        rates.take(cost)
    left = rates.ask(0)[1]
    assert all(rates.take(1) == 0 for _ in range(left))
    assert rates.take(1) > 0


@given(st.integers(1, 2**53), st.integers(1, 100))
def test_no_amount_breaks_the_reckoning(amount: int, cost: int) -> None:
    rates = Clocked(amount)
    wait, left = rates.ask(cost)
    assert wait == 0 and 0 <= left <= amount
    assert rates.rate.each >= 1 and rates.rate.burst < 2**53


async def test_an_amount_is_taken_once_and_then_refused(state: SharedState) -> None:
    rate = Rate("calls", 3)
    assert [(await state.rates.take(A, rate, 1)).left for _ in range(3)] == [2, 1, 0]
    refused = await state.rates.take(A, rate, 1)
    assert 1190 * SECOND < refused.wait <= 1200 * SECOND
    assert (await state.rates.take(A, rate, 0)) == (0, 0)


async def test_a_refused_call_takes_nothing(state: SharedState) -> None:
    rate = Rate("calls", 10)
    await state.rates.take(A, rate, 7)
    assert (await state.rates.take(A, rate, 5)).wait > 0
    assert (await state.rates.take(A, rate, 3)).wait == 0


async def test_what_is_earned_back_can_be_taken(state: SharedState) -> None:
    rate = Rate("calls", 3, seconds=6)
    for _ in range(3):
        assert (await state.rates.take(A, rate, 1)).wait == 0
    refused = await state.rates.take(A, rate, 1)
    assert 0 < refused.wait <= 2 * SECOND
    await asyncio.sleep(refused.wait / SECOND + 0.02)
    assert (await state.rates.take(A, rate, 1)).wait == 0


async def test_asking_takes_nothing(state: SharedState) -> None:
    rate = Rate("calls", 2)
    for _ in range(5):
        assert await state.rates.take(A, rate, 0) == (0, 2)
    assert (await state.rates.take(A, rate, 2)).wait == 0


async def test_more_than_the_amount_takes_the_amount(state: SharedState) -> None:
    rate = Rate("calls", 3)
    assert await state.rates.take(A, rate, 5) == (0, 0)
    assert (await state.rates.take(A, rate, 1)).wait > 0


async def test_a_rate_of_nothing_admits_nothing(state: SharedState) -> None:
    assert await state.rates.take(A, Rate("calls", 0), 1) == (HOUR, 0)


async def test_a_lowered_limit_holds_and_keeps_nobody_out_for_longer_than_its_period(
    state: SharedState,
) -> None:
    await state.rates.take(A, Rate("calls", 1000), 1000)
    refused = await state.rates.take(A, Rate("calls", 10), 1)
    assert 0 < refused.wait <= HOUR // 10


async def test_tenants_and_rates_do_not_share(state: SharedState) -> None:
    for tenant, name in ((A, "x"), (AB, "x"), (A, "y"), (TenantId("a"), "0:x"), (A, "x:y")):
        assert (await state.rates.take(tenant, Rate(name, 1), 1)).wait == 0


async def test_a_forgotten_tenant_starts_anew_and_its_neighbour_does_not(
    state: SharedState,
) -> None:
    rate = Rate("calls", 1)
    await state.rates.take(A, rate, 1)
    await state.rates.take(AB, rate, 1)
    await state.rates.forget(A, "calls")
    assert (await state.rates.take(A, rate, 1)).wait == 0
    assert (await state.rates.take(AB, rate, 1)).wait > 0


async def test_parallel_callers_take_exactly_the_amount(state: SharedState) -> None:
    rate = Rate("calls", 50)
    taken = await asyncio.gather(*(state.rates.take(A, rate, 1) for _ in range(200)))
    assert sum(t.wait == 0 for t in taken) == 50


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_what_one_process_takes_is_gone_for_another(
    state: SharedState, another: Open
) -> None:
    async with another() as other:
        assert (await state.rates.take(A, Rate("calls", 1), 1)).wait == 0
        assert (await other.rates.take(A, Rate("calls", 1), 1)).wait > 0


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_processes_that_race_take_exactly_the_amount(
    state: SharedState, stated: Settings
) -> None:
    works = [taking("a0", amount=40, tries=30) for _ in range(3)]
    assert sum(await asyncio.to_thread(raced, stated, *works)) == 40
