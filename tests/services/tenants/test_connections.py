"""The limit of open streams: exact over processes, and free again when they end, however."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.tenants import House, open_house

from tause_mcp import times
from tause_mcp.errors import NotFound, QuotaExceeded
from tause_mcp.services.tenants import Connections, connections
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
AA = TenantId("aa")


@pytest.fixture
async def tree(house: House) -> House:
    await house.grow("aa", "aa1")
    await house.call("tenants_configure", tenant_id="aa", limits={"connections": 3})
    return house


@pytest.fixture
async def other(tree: House, path: Path) -> AsyncIterator[House]:
    """Another process of the same installation."""
    async with open_house(path) as opened:
        yield opened


def streams(house: House) -> Connections:
    return Connections(house.directory)


async def used(house: House, tenant: str = "aa") -> int:
    return await connections.count(house.database_of(TenantId(tenant)))


async def taken(opened: Connections, count: int, stack: AsyncExitStack) -> int:
    """How many of so many streams, all at once, were let in."""
    asked = [stack.enter_async_context(opened.open(AA)) for _ in range(count)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(t is None or isinstance(t, QuotaExceeded) for t in told), told
    return sum(t is None for t in told)


async def test_parallel_openings_of_two_processes_share_the_limit(
    tree: House, other: House
) -> None:
    async with AsyncExitStack() as stack:
        found = await asyncio.gather(*(taken(streams(h), 5, stack) for h in (tree, other)))
        assert sum(found) == 3
        assert await used(tree) == 3
    assert await used(tree) == 0


async def test_a_refusal_says_when_to_come_back(tree: House) -> None:
    opened = streams(tree)
    async with AsyncExitStack() as stack:
        assert await taken(opened, 3, stack) == 3
        with pytest.raises(QuotaExceeded, match="limit of 3 open streams") as refused:
            await stack.enter_async_context(opened.open(AA))
        assert refused.value.retry_after == connections.RENEW


async def test_what_ended_makes_room_at_once(tree: House) -> None:
    opened = streams(tree)
    for _ in range(5):
        async with opened.open(AA), opened.open(AA), opened.open(AA):
            pass


async def test_a_stream_whose_caller_was_cancelled_ends_too(tree: House) -> None:
    opened = streams(tree)

    async def hold() -> None:
        async with opened.open(AA):
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    while await used(tree) == 0:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await used(tree) == 0


async def test_a_killed_processs_streams_are_forgotten_after_their_lease(
    tree: House, other: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        await taken(streams(other), 3, stack)
        now = times.now
        late = int((connections.LEASE + 1) * times.SECOND)
        monkeypatch.setattr(connections.times, "now", lambda: now() + late)
        assert await used(tree) == 0
        assert await taken(streams(tree), 3, stack) == 3


async def test_what_is_renewed_does_not_run_out(
    tree: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = streams(tree)
    async with AsyncExitStack() as stack:
        await taken(opened, 2, stack)
        now = times.now
        late = int((connections.LEASE + 1) * times.SECOND)
        monkeypatch.setattr(connections.times, "now", lambda: now() + late)
        await opened.renew()
        assert await used(tree) == 2
        assert await taken(opened, 2, stack) == 1


async def test_streams_from_before_the_limit_count_once_it_is_set(tree: House) -> None:
    await tree.call("tenants_configure", tenant_id="aa", unlimited=["connections"])
    opened = streams(tree)
    async with AsyncExitStack() as stack:
        assert await taken(opened, 5, stack) == 5
        assert await used(tree) == 0
        await tree.call("tenants_configure", tenant_id="aa", limits={"connections": 6})
        await opened.renew()
        assert await taken(opened, 5, stack) == 1


async def test_the_streams_of_a_tenant_below_are_its_own(tree: House) -> None:
    opened = streams(tree)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(opened.open(TenantId("aa1")))
        assert await taken(opened, 3, stack) == 3


async def test_a_tenant_that_is_not_there_opens_nothing(tree: House) -> None:
    with pytest.raises(NotFound):
        async with streams(tree).open(TenantId("nobody")):
            pass


async def test_what_is_left_is_told(tree: House) -> None:
    tree.directory.gauges[connections.LIMIT] = connections.count
    async with streams(tree).open(AA):
        told = await tree.call("tenants_get_usage", tenant_id="aa")
    assert told["limits"] == [{"name": "connections", "limit": 3, "used": 1, "left": 2}]
