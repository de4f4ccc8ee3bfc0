"""Every limit that can be set is one that holds: each has its gauge, and a caller who meets it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tause_mcp.catalog import built_in
from tause_mcp.errors import QuotaExceeded, RateLimited, TauseError
from tause_mcp.limits import CALLS
from tause_mcp.services.tenants import Connections
from tause_mcp.services.tenants.values import AHEAD, LIMITS
from tause_mcp.testing.home import House, house

pytestmark = pytest.mark.anyio
COUNTED_HERE = {CALLS, "tenants"}
"""By the pipeline's rates, and by the tree itself."""
EVICTED = {"cache_memory"}
"""Nothing is refused for it: the cache makes room."""


def test_every_limit_has_a_gauge_and_none_of_them_twice() -> None:
    gauges = [name for capability in built_in() for name in capability.gauges]
    assert len(gauges) == len(set(gauges))
    measured = set(gauges) | COUNTED_HERE
    assert measured <= set(LIMITS), "a gauge of something that cannot be limited"
    assert set(LIMITS) - measured <= AHEAD | EVICTED
    assert not AHEAD & measured, "it is there now: take it out of AHEAD"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        yield opened


async def limited(home: House, **limits: int) -> None:
    await home.call("tenants_configure", {"tenant_id": "ta", "limits": limits})


async def met(home: House, tool: str, count: int, **arguments: Any) -> list[Any]:
    """So many calls at once, `{n}` in their texts numbered."""
    calls = [
        home.call(tool, {k: v.replace("{n}", str(n)) for k, v in arguments.items()}, "ta")
        for n in range(count)
    ]
    return list(await asyncio.gather(*calls, return_exceptions=True))


def passed(told: list[Any], wanted: type[TauseError]) -> int:
    refused = [t for t in told if isinstance(t, BaseException)]
    assert all(isinstance(t, wanted) for t in refused), refused
    return len(told) - len(refused)


async def used(home: House, name: str) -> tuple[int, int]:
    told = await home.call("tenants_get_usage", {"tenant_id": "ta"})
    (found,) = [limit for limit in told["limits"] if limit["name"] == name]
    return found["used"], found["left"]


async def test_storage_holds_and_usage_is_what_is_stored(home: House) -> None:
    await limited(home, storage=100)
    told = await met(home, "storage_put", 10, key="k{n}", content="x" * 30)
    assert passed(told, QuotaExceeded) == 3
    assert await used(home, "storage") == (90, 10)
    kept = next(t["key"] for t in told if isinstance(t, dict))
    await home.call("storage_delete", {"key": kept}, "ta")
    assert await used(home, "storage") == (60, 40)


async def test_calls_hold_and_say_when_to_come_back(home: House) -> None:
    await limited(home, calls_per_hour=5)
    told = await met(home, "access_whoami", 12)
    assert passed(told, RateLimited) == 5
    assert all(t.retry_after > 60 for t in told if isinstance(t, RateLimited))
    assert await used(home, "calls_per_hour") == (5, 0)


async def test_tenants_hold(home: House) -> None:
    await limited(home, tenants=2)
    told = await met(home, "tenants_create", 6, tenant_id="child-{n}")
    assert passed(told, QuotaExceeded) == 2
    assert await used(home, "tenants") == (2, 0)


async def test_connections_hold(home: House) -> None:
    await limited(home, connections=1)
    streams = home.platform.shared[Connections]
    async with streams.open(home.caller("ta").tenant):
        assert await used(home, "connections") == (1, 0)
        with pytest.raises(QuotaExceeded):
            async with streams.open(home.caller("ta").tenant):
                pass
    assert await used(home, "connections") == (0, 1)


@pytest.mark.parametrize("name", sorted(AHEAD))
async def test_a_limit_of_what_is_not_there_yet_is_kept_and_shown(home: House, name: str) -> None:
    await limited(home, **{name: 7})
    told = await home.call("tenants_get_usage", {"tenant_id": "ta"})
    assert told["limits"] == [{"name": name, "limit": 7}]


async def test_a_limit_of_zero_lets_nothing_in(home: House) -> None:
    await limited(home, storage=0, tenants=0)
    assert passed(await met(home, "storage_put", 2, key="k", content="x"), QuotaExceeded) == 0
    assert passed(await met(home, "tenants_create", 2, tenant_id="child-{n}"), QuotaExceeded) == 0
    await limited(home, calls_per_hour=0)
    assert passed(await met(home, "access_whoami", 2), RateLimited) == 0
