"""SIGTERM: balancers are told, what runs is finished and answered, nothing new is taken, it ends."""

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx2
import pytest
from tests.support.clock import BUSY
from tests.support.forked import Zygote, alive, forking
from tests.support.plugins import noisy

from tause_mcp.testing.walk_wire import LEGACY, MODERN, Era, Speaker

pytestmark = pytest.mark.anyio

WORK = 5.0
DRAIN = 3.0
WORKERS = pytest.mark.parametrize("workers", [1, 2])


@WORKERS
async def test_sigterm_tells_balancers_then_refuses_and_finishes_what_runs(
    seed: Zygote, tmp_path: Path, workers: int
) -> None:
    plugins = str(noisy(tmp_path / "plugins"))
    told = {"PYTHONPATH": plugins + os.pathsep + os.environ.get("PYTHONPATH", "")}
    with forking(seed, tmp_path / "home", TAUSE_DRAIN=str(DRAIN), **told) as forked:
        forked.start("--workers", str(workers))
        async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
            speaker = Speaker(http, forked.key)
            await asyncio.gather(*(speaker.tool("access_whoami", {}) for _ in range(3)))
            tools = ("noisy_wait", "noisy_talk", "noisy_wait", "noisy_wait")
            calls = [asyncio.create_task(speaker.tool(t, {"seconds": WORK})) for t in tools]
            await asyncio.sleep(WORK / 4)
            began = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(forked.end, signal.SIGTERM))
            unready = await turned(http)
            during = await speaker.tool("access_whoami", {})
            await refused(forked.url, forked.key)
            answers = await asyncio.gather(*calls)
        await ending
        took = time.monotonic() - began
        assert not alive(forked.pid)
    assert unready.status_code == 503
    assert unready.json() == {"status": "unready", "failing": ["draining"]}
    assert during.value["tenant"] == "default"
    assert [a.value for a in answers] == [{"said": True}] * 4, [a.text[-300:] for a in answers]
    assert took < 10 + WORK + BUSY


async def turned(http: httpx2.AsyncClient) -> httpx2.Response:
    """What `/readyz` says once it is not ready."""
    until = time.monotonic() + DRAIN
    while (answer := await http.get("/readyz")).status_code == 200:
        assert time.monotonic() < until, "it is ready though it ends"
        await asyncio.sleep(0.02)
    return answer


async def refused(url: str, key: str) -> None:
    """Wait until nobody new is let in."""
    until = time.monotonic() + DRAIN + BUSY
    while time.monotonic() < until:
        try:
            async with httpx2.AsyncClient(base_url=url, trust_env=False) as late:
                await Speaker(late, key).tool("access_whoami", {})
        except httpx2.TransportError:
            return
    raise AssertionError("it still takes new calls")


@pytest.mark.parametrize("era", [MODERN, LEGACY])
async def test_open_streams_end_at_once_and_hold_nothing_up(
    seed: Zygote, tmp_path: Path, era: Era
) -> None:
    with forking(seed, tmp_path / "home", TAUSE_DRAIN="0") as forked:
        forked.start()
        async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
            speaker = await Speaker(http, forked.key, era=era).opened()
            listening = asyncio.create_task(listen(speaker))
            await asyncio.sleep(1.5)
            assert not listening.done()
            began = time.monotonic()
            await asyncio.to_thread(forked.end, signal.SIGTERM)
            await listening
            assert time.monotonic() - began < 4 + BUSY


async def listen(speaker: Speaker) -> None:
    """Hold a stream open until the server ends it."""
    if speaker.era == LEGACY:
        headers = {
            "authorization": f"Bearer {speaker.token}",
            "accept": "text/event-stream",
            "mcp-session-id": speaker.session,
            "mcp-protocol-version": LEGACY,
        }
        async with speaker.http.stream("GET", speaker.door, headers=headers) as answer:
            assert answer.status_code == 200
            async for _ in answer.aiter_raw():
                pass
        return
    asked = {"notifications": {"toolsListChanged": True}}
    await speaker.ask("subscriptions/listen", asked)


async def test_workers_end_with_a_parent_that_was_killed(seed: Zygote, tmp_path: Path) -> None:
    with forking(seed, tmp_path / "home", TAUSE_DRAIN="0") as forked:
        forked.start("--workers", "2")
        forked.kill()
        began = time.monotonic()
        while True:
            try:
                async with httpx2.AsyncClient(base_url=forked.url, trust_env=False) as http:
                    await http.get("/healthz")
            except httpx2.TransportError:
                break
            assert time.monotonic() - began < 15 + BUSY, "a worker serves on"
            await asyncio.sleep(0.1)
