"""Several processes on one cache: counts are exact, and the limit holds."""

import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pytest
from tests.services.cache.conftest import Shelves
from tests.support.ciphers import ciphers

from tause_mcp.database import TenantDatabase, open_database
from tause_mcp.errors import Unavailable
from tause_mcp.migrations import database_url
from tause_mcp.platform import open_shared_state
from tause_mcp.services.cache import CAPABILITY, Place
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]
SEVERAL = pytest.mark.parametrize("kind", ["sqlite", "postgresql", "redis"], indirect=True)
A = TenantId("aa")


async def _counted(settings: Settings, number: int, at: float) -> None:
    async with (
        open_database(database_url(settings)) as database,
        open_shared_state(settings, database, workers=2) as state,
    ):
        assert CAPABILITY.keeps is not None
        store = CAPABILITY.keeps(state)
        place = Place(A, 1, 3000, TenantDatabase(database, A), lambda: ciphers().cipher(A))
        await asyncio.sleep(max(at - time.time(), 0))
        for turn in range(20):
            await _tried(store.increment(place, "n", 1, None))
            await _tried(store.set(place, f"k{number}:{turn}", b"x" * 200, None))


async def _tried(change: object) -> None:
    """Several SQLite writers may tell each other to wait."""
    try:
        await change  # type: ignore[misc]  # a coroutine
    except Unavailable:
        raise AssertionError("a change was refused under a short race") from None


def count(settings: Settings, number: int, at: float) -> None:
    asyncio.run(_counted(settings, number, at))


@SEVERAL
async def test_processes_that_race_count_exactly_and_stay_within_the_limit(
    shelves: Shelves, settings: Settings
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.services.cache.test_races", "redis.asyncio", "asyncpg"])
    keep = asyncio.create_task(_kept_fresh(shelves))
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        at = time.time() + 1.5
        futures = [pool.submit(count, settings, number, at) for number in range(3)]
        await asyncio.to_thread(lambda: [future.result(60) for future in futures])
    keep.cancel()
    place = shelves.of(limit=3000)
    assert await shelves.store.increment(place, "n", 0, None) == 60
    assert await shelves.used(place) <= 3000


async def _kept_fresh(shelves: Shelves) -> None:
    """The counter is used all the time: eviction takes others."""
    while True:
        await shelves.store.get(shelves.of(limit=3000), "n", None)
        await asyncio.sleep(0.05)
