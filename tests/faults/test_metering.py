"""Usage of real processes: nothing is lost at the end, little at a kill, and processes add up."""

import asyncio
import signal
from pathlib import Path

import httpx2
import pytest
from tests.support.forked import Forked, Zygote, forking
from tests.support.tenants import rows_at

from tause_mcp.testing.walk_wire import Speaker

pytestmark = pytest.mark.anyio


async def called(forked: Forked, count: int) -> None:
    async with httpx2.AsyncClient(base_url=forked.url, timeout=30, trust_env=False) as http:
        speaker = Speaker(http, forked.key)
        answers = await asyncio.gather(*(speaker.tool("access_whoami", {}) for _ in range(count)))
        assert all(a.value for a in answers)


def stored(home: Path) -> int:
    found = rows_at(home, "SELECT coalesce(sum(calls), 0) FROM usage WHERE capability='access'")
    return int(found[0][0])


async def until_stored(home: Path, count: int) -> None:
    for _ in range(100):
        if stored(home) >= count:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{stored(home)} of {count} calls are stored")


async def test_sigterm_loses_no_call(seed: Zygote, tmp_path: Path) -> None:
    with forking(seed, tmp_path / "home") as forked:
        forked.start()
        await called(forked, 25)
        await asyncio.to_thread(forked.end, signal.SIGTERM)
    assert stored(tmp_path / "home") == 25


async def test_two_processes_add_up_and_a_kill_loses_the_last_moments_only(
    seed: Zygote, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with forking(seed, home) as one, forking(seed, home, tmp_path / "other.log") as other:
        one.start()
        other.start()
        await asyncio.gather(*(called(forked, 20) for forked in (one, other) * 2))
        await until_stored(home, 80)
        await called(one, 5)
        one.kill()
        await asyncio.to_thread(other.end, signal.SIGTERM)
    assert 80 <= stored(home) <= 85
