"""Where the shared state is kept, and what refuses to start."""

import os
import sys

import pytest
from tests.shared.conftest import opened

from tause_mcp.database import open_database
from tause_mcp.errors import Misconfigured
from tause_mcp.migrations import database_url, migrated
from tause_mcp.settings import Settings
from tause_mcp.shared import open_shared_state

pytestmark = pytest.mark.anyio


def here(**told: str) -> Settings:
    """Settings in the home of the test."""
    return Settings.read({"TAUSE_HOME": os.environ["TAUSE_HOME"], **told})


async def kind_of(settings: Settings, workers: int) -> str:
    await migrated(settings)
    async with (
        open_database(database_url(settings)) as database,
        open_shared_state(settings, database, workers=workers) as state,
    ):
        return state.kind


async def test_one_process_on_a_file_keeps_it_in_memory() -> None:
    assert await kind_of(here(), 1) == "memory"


async def test_several_workers_keep_it_in_the_database() -> None:
    assert await kind_of(here(), 2) == "database"


async def test_on_a_server_it_is_kept_in_the_database(postgres_settings: dict[str, str]) -> None:
    assert await kind_of(here(**postgres_settings), 1) == "database"


async def test_memory_is_refused_to_several_workers() -> None:
    settings = here(TAUSE_CACHE_URL="memory://")
    with pytest.raises(Misconfigured, match="workers above 1"):
        await kind_of(settings, 2)


@pytest.mark.parametrize("url", ["memcached://x", "redis:6379", "http://127.0.0.1", "s3cret"])
async def test_another_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(Misconfigured) as told:
        async with opened(here(TAUSE_CACHE_URL=url)):
            pass
    assert "s3cret" not in str(told.value)


async def test_without_its_extra_redis_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith(("redis", "tause_mcp.shared.redis"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Misconfigured, match=r"tause-mcp\[redis\]"):
        async with opened(here(TAUSE_CACHE_URL="redis://127.0.0.1/0")):
            pass
