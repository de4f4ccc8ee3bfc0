"""What processes of an installation do at the same time; forked from one that has the imports."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from tause_mcp.database import open_database
from tause_mcp.migrations import database_url
from tause_mcp.settings import Settings
from tause_mcp.shared import Rate, SharedState, open_shared_state
from tause_mcp.tenancy import TenantId

PROCESSES = 3


async def _with_state(settings: Settings, work: Any, at: float) -> Any:
    async with (
        open_database(database_url(settings)) as database,
        open_shared_state(settings, database) as state,
    ):
        await asyncio.sleep(max(at - time.time(), 0))
        return await work(state)


def _one(settings: Settings, work: Any, at: float) -> Any:
    return asyncio.run(_with_state(settings, work, at))


def raced(settings: Settings, *works: Callable[[SharedState], Any]) -> list[Any]:
    """Each work in a process of its own, all begun at the same moment; what they answered."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.shared.racers", "redis.asyncio", "asyncpg"])
    with ProcessPoolExecutor(len(works), mp_context=context) as pool:
        at = time.time() + 1.5
        futures = [pool.submit(_one, settings, work, at) for work in works]
        return [future.result(60) for future in futures]


async def _taken(state: SharedState, tenant: str, amount: int, tries: int) -> int:
    rate = Rate("raced", amount)
    takes = [state.rates.take(TenantId(tenant), rate, 1) for _ in range(tries)]
    return sum(taken.wait == 0 for taken in await asyncio.gather(*takes))


async def _spent(state: SharedState, names: list[str]) -> list[str]:
    now = time.time()
    tries = [state.once.spend(n, issued=now + 1, until=now + 60) for n in names]
    results = await asyncio.gather(*tries)
    return [name for name, fresh in zip(names, results, strict=True) if fresh]


async def _held(state: SharedState, name: str, seconds: float) -> bool:
    async with state.lease(name, 5) as held:
        await asyncio.sleep(seconds)
        return held


def taking(tenant: str, amount: int, tries: int) -> Callable[[SharedState], Any]:
    return partial(_taken, tenant=tenant, amount=amount, tries=tries)


def spending(names: list[str]) -> Callable[[SharedState], Any]:
    return partial(_spent, names=names)


def holding(name: str, seconds: float) -> Callable[[SharedState], Any]:
    return partial(_held, name=name, seconds=seconds)
