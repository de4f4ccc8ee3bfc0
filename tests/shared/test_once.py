"""What may be used once is used once, by whichever process; a store that is down refuses."""

import asyncio
import time

import pytest
from tests.shared.conftest import SEVERAL, Open
from tests.shared.racers import raced, spending

from tause_mcp.settings import Settings
from tause_mcp.shared import SharedState

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]


def fresh() -> dict[str, float]:
    now = time.time()
    return {"issued": now, "until": now + 60}


async def test_it_is_used_once(state: SharedState) -> None:
    assert await state.once.spend("iss\x1fone", **fresh())
    assert not await state.once.spend("iss\x1fone", **fresh())
    assert await state.once.spend("iss\x1ftwo", **fresh())


@pytest.mark.parametrize("name", ["", "\ud800", "a" * 9000, "since", "{x}", "a\r\nSET b 1"])
async def test_any_name_is_a_name(state: SharedState, name: str) -> None:
    assert await state.once.spend(name, **fresh())
    assert not await state.once.spend(name, **fresh())


async def test_of_parallel_callers_one_has_it(state: SharedState) -> None:
    tries = [state.once.spend("one", **fresh()) for _ in range(20)]
    assert sum(await asyncio.gather(*tries)) == 1


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_what_one_process_used_is_used_for_another(state: SharedState, another: Open) -> None:
    async with another() as other:
        assert await state.once.spend("one", **fresh())
        assert not await other.once.spend("one", **fresh())


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_of_processes_that_race_one_has_each(state: SharedState, stated: Settings) -> None:
    names = [f"n{number}" for number in range(20)]
    found = await asyncio.to_thread(raced, stated, *[spending(names)] * 3)
    assert sorted(name for mine in found for name in mine) == sorted(names)
