"""The three backends of shared state, as several processes would open them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import postgres, redis

from tause_mcp.database import Database, open_database
from tause_mcp.migrations import database_url, migrated
from tause_mcp.settings import Settings
from tause_mcp.shared import SharedState, open_shared_state

SEVERAL = ["sqlite", "postgresql", "redis"]
"""What several processes can share."""

Open = Callable[[], AbstractAsyncContextManager[SharedState]]


@pytest.fixture(scope="session")
def postgres_settings() -> dict[str, str]:
    server = postgres.server()
    url = server.create("shared")
    return {"TAUSE_DATABASE_URL": url, "TAUSE_DATABASE_ADMIN_URL": server.url("shared", "owner")}


def emptied() -> None:
    tables = "rates, leases, signals, spent_assertions"
    postgres.server().sql(f"TRUNCATE {tables}", database="shared")


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stated(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The settings of one installation on a backend."""
    told: dict[str, Any] = {"TAUSE_HOME": str(tmp_path / "home")}
    told |= {"memory": {"TAUSE_CACHE_URL": "memory://"}, "sqlite": {}, "redis": {}}.get(kind, {})
    if kind == "sqlite":
        told["TAUSE_CACHE_URL"] = "database://"
    if kind == "redis":
        told["TAUSE_CACHE_URL"] = redis.server().url()
    if kind == "postgresql":
        told |= request.getfixturevalue("postgres_settings")
    yield Settings.read(told)
    if kind == "postgresql":
        emptied()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, SharedState]]:
    """The shared state of one more process of an installation."""
    await migrated(settings)
    async with (
        open_database(database_url(settings)) as database,
        open_shared_state(settings, database) as state,
    ):
        yield database, state


@pytest.fixture
async def state(stated: Settings) -> AsyncIterator[SharedState]:
    async with opened(stated) as (_, state):
        yield state


@pytest.fixture
def another(stated: Settings) -> Open:
    """Opens what a further process would open."""

    @asynccontextmanager
    async def one() -> AsyncIterator[SharedState]:
        async with opened(stated) as (_, state):
            yield state

    return one
