"""One process at a time does what a lease is for; when it dies another one takes over."""

import asyncio
import time

import pytest
from tests.shared.conftest import SEVERAL, Open
from tests.shared.racers import holding, raced
from tests.shared.test_signals import until
from tests.support.clock import BUSY

from tause_mcp.settings import Settings
from tause_mcp.shared import SharedState

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient_redis")]


async def test_it_is_held_by_one_and_free_afterwards(state: SharedState) -> None:
    async with state.lease("sweep", 5) as first, state.lease("sweep", 5) as second:
        assert (first, second) == (True, False)
    async with state.lease("sweep", 5) as third:
        assert third


async def test_another_name_is_another_lease(state: SharedState) -> None:
    async with state.lease("sweep", 5) as first, state.lease("sweep2", 5) as second:
        assert first and second


async def test_a_block_that_fails_gives_it_back(state: SharedState) -> None:
    with pytest.raises(ZeroDivisionError):
        async with state.lease("sweep", 5):
            _ = 1 / 0
    async with state.lease("sweep", 5) as held:
        assert held


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_it_is_renewed_while_its_work_lasts(state: SharedState, another: Open) -> None:
    async with another() as other, state.lease("sweep", 2) as first:
        await asyncio.sleep(2.5)
        async with other.lease("sweep", 2) as second:
            assert (first, second) == (True, False)


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_the_lease_of_a_dead_holder_runs_out(state: SharedState, another: Open) -> None:
    async with another() as dying:
        leases, alive = dying.leases, asyncio.Event()

        async def die() -> None:
            async with leases.lease("sweep", 2) as held:
                assert held
                alive.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(die())
        await alive.wait()
        await _silence(task)
        async with state.lease("sweep", 5) as held:
            assert not held
        latest = time.monotonic() + BUSY
        while True:
            async with state.lease("sweep", 5) as held:
                if held:
                    break
            assert time.monotonic() < latest, "it does not run out"
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _silence(holder: asyncio.Task[None]) -> None:
    """As `kill -9`: its renewal stops, and nothing is given back."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == "_keep":
            task.cancel()
    assert not holder.done()


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_a_block_whose_lease_was_taken_is_left(state: SharedState, another: Open) -> None:
    finished = False
    async with another() as other:
        async with state.lease("sweep", 0.9) as held:
            assert held
            await _steal(other, "sweep")
            await asyncio.sleep(5)
            finished = True
        assert not finished


async def _steal(state: SharedState, name: str) -> None:
    """Make the lease another's, as if it had run out meanwhile."""
    if state.kind == "redis":
        client = state.source
        await client._redis.set(f"{client.prefix}:lease:{name}", "thief", px=5000)
        return
    import sqlalchemy as sa

    from tause_mcp.database import Statement
    from tause_mcp.shared import tables

    stolen = Statement(sa.update(tables.leases).values(token="thief"))
    await state.source.write(None, lambda tx: tx.run(stolen))


@pytest.mark.parametrize("kind", SEVERAL, indirect=True)
async def test_of_processes_that_race_one_holds_it(state: SharedState, stated: Settings) -> None:
    held = await asyncio.to_thread(raced, stated, *[holding("raced", 1.0)] * 3)
    assert sorted(held) == [False, False, True]


async def test_work_alone_is_done_by_one_at_a_time_and_goes_on_in_another(
    state: SharedState,
) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        done.append(name)
        await asyncio.Event().wait()

    first = asyncio.create_task(state.alone("w", lambda: work("first"), ttl=1))
    await until(lambda: bool(done))
    second = asyncio.create_task(state.alone("w", lambda: work("second"), ttl=1))
    await asyncio.sleep(0.3)
    assert done == ["first"]
    first.cancel()
    await until(lambda: len(done) == 2)
    assert done == ["first", "second"]
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
