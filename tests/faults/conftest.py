"""A house and its whole HTTP server in this process, and processes that are refused or killed."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from tests.support.backends import named
from tests.support.forked import Forked, Zygote, forking, zygote

from tause_mcp import log
from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.testing.walk import in_process

URL = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    log.configure("warning")
    home = tmp_path_factory.mktemp("faults") / "house"
    settings = Settings.read(named(home))
    async with open_platform(settings, public_url=URL) as opened:
        yield opened


@pytest.fixture(scope="module")
async def http(platform: Platform) -> AsyncIterator[httpx2.AsyncClient]:
    async with in_process(platform) as client:
        yield client


@pytest.fixture(scope="session")
def seed() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@pytest.fixture(scope="module")
def forks(seed: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    with forking(seed, tmp_path_factory.mktemp("forks") / "home") as forked:
        yield forked
