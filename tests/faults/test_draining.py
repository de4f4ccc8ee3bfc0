"""SIGTERM: what runs is finished and answered, nothing new is taken, the exit code is 0."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.support.forked import Zygote, alive, forking
from tests.support.plugins import noisy

from tause_mcp.testing.walk_wire import Answer, Speaker

WORK = 1.0


async def _call(url: str, key: str, tool: str) -> Answer:
    async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
        return await Speaker(http, key).tool(tool, {"seconds": WORK})


def calling(url: str, key: str, tool: str) -> Answer:
    return anyio.run(_call, url, key, tool)


@pytest.mark.timeout(60)
def test_sigterm_drains_running_calls_and_ends(seed: Zygote, tmp_path: Path) -> None:
    plugins = str(noisy(tmp_path / "plugins"))
    with forking(seed, tmp_path / "home", PYTHONPATH=plugins) as forked:
        forked.start()
        with ThreadPoolExecutor(3) as pool:
            tools = ("noisy_wait", "noisy_talk", "noisy_wait")
            calls = [pool.submit(calling, forked.url, forked.key, tool) for tool in tools]
            time.sleep(WORK / 2)
            began = time.monotonic()
            ending = threading.Thread(target=forked.end, args=(signal.SIGTERM,))
            ending.start()
            answers = [call.result() for call in calls]
            ending.join()
        took = time.monotonic() - began
        assert not alive(forked.pid)
    assert [a.value for a in answers] == [{"said": True}] * 3, [a.text[-300:] for a in answers]
    assert took < 10 + WORK
