"""SIGTERM: what runs is finished and answered, nothing new is taken, the process ends."""

import asyncio
import signal
import time
from pathlib import Path

import httpx2
import pytest
from tests.support.forked import Zygote, alive, forking
from tests.support.plugins import noisy

from tause_mcp.testing.walk_wire import Speaker

pytestmark = pytest.mark.anyio

WORK = 1.0


@pytest.mark.timeout(60)
async def test_sigterm_drains_running_calls_and_ends(seed: Zygote, tmp_path: Path) -> None:
    plugins = str(noisy(tmp_path / "plugins"))
    with forking(seed, tmp_path / "home", PYTHONPATH=plugins) as forked:
        forked.start()
        async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
            speaker = Speaker(http, forked.key)
            await asyncio.gather(*(speaker.tool("access_whoami", {}) for _ in range(3)))
            tools = ("noisy_wait", "noisy_talk", "noisy_wait")
            calls = [asyncio.create_task(speaker.tool(t, {"seconds": WORK})) for t in tools]
            await asyncio.sleep(WORK / 2)
            began = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(forked.end, signal.SIGTERM))
            answers = await asyncio.gather(*calls)
            with pytest.raises(httpx2.TransportError):
                async with httpx2.AsyncClient(base_url=forked.url, trust_env=False) as late:
                    await Speaker(late, forked.key).tool("access_whoami", {})
        await ending
        took = time.monotonic() - began
        assert not alive(forked.pid)
    assert [a.value for a in answers] == [{"said": True}] * 3, [a.text[-300:] for a in answers]
    assert took < 10 + WORK
