"""One tenant's cache on every backend; the suite asks each the same."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support import postgres, redis

from tause_mcp.database import Database, TenantDatabase, open_database
from tause_mcp.migrations import database_url, migrated
from tause_mcp.services.cache import CacheStore, Place
from tause_mcp.services.cache.backends.memory import MemoryStore
from tause_mcp.services.cache.backends.redis import RedisStore
from tause_mcp.services.cache.backends.rows import RowStore
from tause_mcp.settings import Settings
from tause_mcp.shared.redis import open_redis
from tause_mcp.tenancy import TenantId

LIMIT = 10_000


class Shelves:
    """A store, and the place of any tenant in it."""

    def __init__(self, store: CacheStore, database: Database) -> None:
        self.store = store
        self._database = database

    def of(self, tenant: str = "aa", *, born: int = 1, limit: int = LIMIT) -> Place:
        named = TenantId(tenant)
        return Place(named, born, limit, TenantDatabase(self._database, named))

    async def used(self, at: Place) -> int:
        return await self.store.used(at.database, at.born)


@pytest.fixture(scope="session")
def postgres_settings() -> dict[str, str]:
    server = postgres.server()
    url = server.create("cache")
    return {"TAUSE_DATABASE_URL": url, "TAUSE_DATABASE_ADMIN_URL": server.url("cache", "owner")}


@pytest.fixture(params=["memory", "sqlite", "postgresql", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    told = {"TAUSE_HOME": str(tmp_path / "home")}
    if kind == "postgresql":
        told |= request.getfixturevalue("postgres_settings")
    if kind == "redis":
        told["TAUSE_CACHE_URL"] = redis.server().url()
    yield Settings.read(told)
    if kind == "postgresql":
        postgres.server().sql("TRUNCATE cache_entries, cache_usage", database="cache")


@pytest.fixture
async def shelves(kind: str, settings: Settings) -> AsyncIterator[Shelves]:
    await migrated(settings)
    async with open_database(database_url(settings)) as database:
        if kind == "redis":
            async with open_redis(settings.cache_url) as client:
                yield Shelves(RedisStore(client), database)
        else:
            store = MemoryStore(time.monotonic) if kind == "memory" else RowStore()
            yield Shelves(store, database)
