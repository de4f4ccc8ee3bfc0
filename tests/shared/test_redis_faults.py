"""Redis stopped, paused, killed, full, or something else: bounded refusals, and recovery."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.shared.test_signals import A, Ears, until
from tests.support.clock import BUSY
from tests.support.redis import Server

from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.limits import Due
from tause_mcp.services.cache import Place
from tause_mcp.services.cache.backends.redis import RedisStore
from tause_mcp.shared import Rate, SharedState, Signal
from tause_mcp.shared.redis_state import open_redis_state

pytestmark = pytest.mark.anyio
RATE = Rate("calls", 100)
BOUND = 3.0 + BUSY
"""Seconds in which any question is answered, whatever the server does, and a busy machine."""


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    made = Server()
    yield made
    made.remove()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    yield shared_server
    shared_server.kill()
    shared_server.start()


@pytest.fixture
async def state(server: Server) -> AsyncIterator[SharedState]:
    async with open_redis_state(server.url()) as opened:
        yield opened


def fresh(life: float = 60) -> dict[str, float]:
    return {"issued": time.time(), "until": time.time() + life}


async def refused(state: SharedState) -> None:
    """Everything that has to be safe refuses in time, many callers at once included."""
    began = time.monotonic()
    asked = [state.rates.take(A, RATE, 1) for _ in range(40)]
    asked += [state.once.spend(f"n{n}", **fresh()) for n in range(40)]  # type: ignore[misc]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(r) for r in results] == [Unavailable] * 80
    assert time.monotonic() - began < BOUND
    began = time.monotonic()
    async with state.lease("sweep", 5) as held:
        assert not held
    with pytest.raises(Unavailable):
        await state.check()
    assert time.monotonic() - began < BOUND


async def recovered(state: SharedState) -> None:
    await until_answers(state)
    assert (await state.rates.take(A, RATE, 1)).wait == 0
    results = [await state.rates.take(A, RATE, 1) for _ in range(30)]
    assert all(taken.wait == 0 for taken in results)


async def until_answers(state: SharedState) -> None:
    began = time.monotonic()
    while True:
        try:
            await state.check()
            return
        except Unavailable:
            assert time.monotonic() - began < BOUND
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("way", ["stop", "kill", "pause"])
async def test_a_server_that_is_gone_refuses_in_time_and_recovers(
    server: Server, state: SharedState, way: str
) -> None:
    await asyncio.gather(*(state.rates.take(A, RATE, 1) for _ in range(30)))
    getattr(server, way)()
    await refused(state)
    server.resume() if way == "pause" else server.start()
    await recovered(state)


async def test_a_server_that_comes_up_later_is_found(server: Server) -> None:
    server.kill()
    async with open_redis_state(server.url()) as state:
        await refused(state)
        server.start()
        await recovered(state)
        assert await state.once.spend("one", issued=time.time() + 1, until=time.time() + 60)


async def test_news_are_heard_again_after_an_outage_and_the_gap_is_told(
    server: Server, state: SharedState
) -> None:
    async with open_redis_state(server.url().rsplit("/", 1)[0] + "/0") as one:
        async with open_redis_state(server.url().rsplit("/", 1)[0] + "/0") as two:
            ears = Ears(two.signals)
            await until(lambda: two.signals.connected)
            before = ears.gaps
            server.kill()
            one.signals.send(Signal(A, "tools"))
            await asyncio.sleep(0.3)
            server.start()
            await until(lambda: ears.gaps > before)
            one.signals.send(Signal(A, "prompts"))
            await until(lambda: Signal(A, "prompts") in ears.heard)


async def test_news_stop_when_the_server_hangs_and_come_again(
    server: Server, state: SharedState
) -> None:
    async with open_redis_state(server.url().rsplit("/", 1)[0] + "/0") as one:
        ears = Ears(one.signals)
        await until(lambda: one.signals.connected)
        before = ears.gaps
        server.pause()
        await asyncio.sleep(5)
        server.resume()
        await until(lambda: ears.gaps > before)


async def test_a_server_that_lost_its_memory_takes_nothing_issued_before(
    server: Server, state: SharedState
) -> None:
    old = fresh()
    assert await state.once.spend("stolen", **old)
    server.kill()
    await asyncio.sleep(0.01)
    server.start()
    await until_answers(state)
    assert not await state.once.spend("stolen", **old)
    assert await state.once.spend("new", **fresh())


async def test_a_full_server_refuses_and_says_so_in_one_word(
    server: Server, state: SharedState
) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    with pytest.raises(Unavailable) as told:
        await state.rates.take(A, RATE, 1)
    assert "127.0.0.1" not in str(told.value) and "maxmemory" not in str(told.value)
    assert not await held(state)
    with pytest.raises(Unavailable):
        await state.once.spend("n", **fresh())


async def held(state: SharedState) -> bool:
    async with state.lease("sweep", 5) as mine:
        return mine


async def test_a_restart_without_the_scripts_is_not_noticed(
    server: Server, state: SharedState
) -> None:
    assert (await state.rates.take(A, RATE, 1)).wait == 0
    server.command("SCRIPT", "FLUSH")
    assert (await state.rates.take(A, RATE, 1)).left == 98


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff\x00\xff\r\n",
        b"$99999999999\r\n",
        b"*-5\r\n",
        b":x\r\n",
        b"",
    ],
)
async def test_something_else_on_the_port_is_unavailable(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(100) and reply:
                writer.write(reply)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with open_redis_state(f"redis://127.0.0.1:{port}/0") as state:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await state.rates.take(A, RATE, 1)
            with pytest.raises(Unavailable):
                await state.check()
            assert time.monotonic() - began < 2 * BOUND
        await asyncio.sleep(0.05)  # the peer's side closes too


def documented() -> list[str]:
    """The rights that docs/operations.md tells an operator to give."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    found = re.search(r"ACL SETUSER tause on >PASSWORD ([^`]+)```", text)
    assert found is not None
    return found[1].split()


async def test_a_user_with_the_least_rights_can_do_everything_and_nothing_else(
    server: Server,
) -> None:
    server.command("ACL", "SETUSER", "tause", "on", ">s3cret", *documented())
    url = f"redis://tause:s3cret@127.0.0.1:{server.port}/0"
    async with open_redis_state(url) as one, open_redis_state(url) as two:
        ears = Ears(two.signals)
        await until(lambda: two.signals.connected)
        assert (await one.rates.take(A, RATE, 1)).wait == 0
        await one.rates.forget(A, "calls")
        assert await one.once.spend("n", issued=time.time() + 1, until=time.time() + 60)
        assert await held(one)
        one.signals.send(Signal(A, "tools"))
        await until(lambda: bool(ears.heard))
        await one.check()
        await cached(one)
    async with open_redis_state(url.replace("/0", "/0?prefix=other")) as foreign:
        with pytest.raises(Unavailable):
            await foreign.rates.take(A, RATE, 1)


async def cached(state: SharedState) -> None:
    """Everything that a cache asks."""
    store = RedisStore(state.source)
    at = Place(A, 1, 400, None, None)  # type: ignore[arg-type]  # Redis needs neither rows nor keys
    for key in ("a:1", "a:2", "b", "c"):
        await store.set(at, key, b"1", 100)
    assert await store.get(at, "c", Due(A, RATE, 1)) == b"1"
    assert await store.increment(at, "n", 1, None) == 1
    assert await store.delete(at, "n")
    await store.clear(at, "a:")
    await store.clear(at, "")
    await store.leave(A, 1)


async def test_a_wrong_password_is_unavailable_and_is_not_told(server: Server) -> None:
    server.command("CONFIG", "SET", "requirepass", "s3cret-right")
    url = f"redis://:s3cret-wrong@127.0.0.1:{server.port}/0"
    async with open_redis_state(url) as state:
        with pytest.raises(Unavailable) as told:
            await state.rates.take(A, RATE, 1)
        assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:notaport/0",
        "redis://127.0.0.1/0?no_such_option=1",
        "redis://127.0.0.1/0?socket_timeout=soon",
        "redis://127.0.0.1/0?prefix=a:b",
        "redis://127.0.0.1/0?prefix=",
        "redis://[::1",
    ],
)
async def test_a_url_that_cannot_be_meant_refuses_to_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="TAUSE_CACHE_URL"):
        async with open_redis_state(url):
            pass
