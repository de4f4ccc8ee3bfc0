"""Behind pgbouncer in transaction mode: each transaction may meet another server's connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.database.notes import GET, LIST, names, put
from tests.support import pgbouncer, postgres

from tause_mcp.database import Database, Options, TenantDatabase, open_database
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.home import house

pytestmark = pytest.mark.anyio
POOLED = Options(pool_size=8, pooled=True)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pgbouncer.running(servers=2) as port:
        yield port


@pytest.fixture
async def database(port: int, postgres_notes: str) -> AsyncIterator[Database]:
    async with open_database(f"postgresql://app@127.0.0.1:{port}/notes", POOLED) as opened:
        yield opened
    postgres.server().sql("TRUNCATE notes", database="notes")


async def test_tenants_in_parallel_over_two_servers_see_their_own_and_no_error(
    database: Database,
) -> None:
    async def lane(tenant: TenantId) -> None:
        mine = TenantDatabase(database, tenant)
        for i in range(20):
            await mine.write(put(f"{tenant}-{i:02}"))
            assert await mine.first(GET, of=f"{tenant}-{i:02}") is not None
            assert await mine.first(GET, of="t0-00") == (("t0-00", 1) if tenant == "t0" else None)
            assert await mine.read(names) == [f"{tenant}-{n:02}" for n in range(i + 1)]
            assert await database.read(None, lambda tx: tx.all(LIST, tenant=tenant)) == []

    await asyncio.gather(*(lane(TenantId(f"t{n}")) for n in range(8)))


async def test_no_setting_outlives_its_transaction(database: Database, port: int) -> None:
    """What every client gets after tenants have used the servers: nothing."""
    for n in range(8):
        await TenantDatabase(database, TenantId(f"t{n}")).write(put("a"))
    connections = [
        await asyncpg.connect(
            host="127.0.0.1", port=port, user="app", database="notes", statement_cache_size=0
        )
        for _ in range(2)
    ]
    for connection in connections:
        await connection.execute("BEGIN")
    for connection in connections:  # both servers at once
        for name in ("tenant_id", "house"):
            told = await connection.fetchval(f"SELECT current_setting('app.{name}', true)")
            assert told in ("", None)
        assert await connection.fetchval("SELECT count(*) FROM notes") == 0
        await connection.close()


async def test_without_the_setting_the_same_load_fails(port: int, postgres_notes: str) -> None:
    """So the setting is what carries it."""
    url = f"postgresql://app@127.0.0.1:{port}/notes"
    with pytest.raises(Exception, match="unavailable"):
        async with open_database(url, Options(pool_size=8)) as database:
            await TenantDatabase(database, TenantId("ta")).write(put("a"))


async def test_a_whole_house_works_behind_it(port: int, tmp_path: Path) -> None:
    """Migrated at the server itself, served through the pooler."""
    postgres.server().create("pooled")
    settings = postgres.server().settings("pooled") | {
        "TAUSE_DATABASE_URL": f"postgresql://app@127.0.0.1:{port}/pooled",
        "TAUSE_DATABASE_POOLER": "transaction",
    }
    async with house(tmp_path, **settings) as home:
        await home.tenant("ta")
        await home.tenant("tab")
        puts = [
            home.call("storage_put", {"key": f"k{i}", "content": tenant}, tenant, key=f"i{i}")
            for i in range(12)
            for tenant in ("ta", "tab")
        ]
        await asyncio.gather(*puts)
        for tenant in ("ta", "tab"):
            got = await home.call("storage_get", {"key": "k7"}, tenant)
            assert got["content"] == tenant
            assert (await home.call("audit_verify", {}, tenant))["intact"] is True
        assert await home.platform.ready() == []
