"""The audit chain against the application's own role, and against the other tenants' writers."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import postgres
from tests.support.clock import BUSY

from tause_mcp.migrations import audit_sql, migrated
from tause_mcp.services.audit.chain import Chain, Checkpoint, Head, Record, hash_fields
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio
NAME = "audit_walls"
APPEND = "SELECT tause_audit_append($1, '', 'local', 'k', 'storage_put', 'd', 'done', 'mcp')"
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def database() -> str:
    server = postgres.server()
    url = server.create(NAME)
    told = {"TAUSE_DATABASE_URL": url, "TAUSE_DATABASE_ADMIN_URL": server.url(NAME, "owner")}
    asyncio.run(migrated(Settings.read(told)))
    return url.replace("+asyncpg", "")


@pytest.fixture
async def app(database: str) -> AsyncIterator["App"]:
    superuser("TRUNCATE audit, audit_heads, audit_checkpoints, tenants")
    superuser(
        "INSERT INTO tenants SELECT t, null, t, 'active', null, 0, 0, 0 "
        "FROM unnest(ARRAY['ta', 'tb']) AS t"
    )
    yield App(database)


def superuser(*statements: str) -> str:
    return postgres.server().sql(*statements, database=NAME)


class App:
    """Connections of the application's role."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def bound(self, tenant: str) -> AsyncIterator[Any]:
        """An open transaction of a tenant."""
        connection = await asyncpg.connect(self._url)
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL app.tenant_id = '{tenant}'")
                yield connection
        finally:
            await connection.close()

    async def value(self, sql: str, *values: Any, tenant: str = "ta") -> Any:
        async with self.bound(tenant) as connection:
            return await connection.fetchval(sql, *values)

    async def records(self, tenant: str = "ta") -> list[Record]:
        async with self.bound(tenant) as connection:
            rows = await connection.fetch("SELECT * FROM audit ORDER BY seq")
        return [Record(*row) for row in rows]


@pytest.mark.parametrize("table", audit_sql.TABLES)
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE {} SET seq = seq",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "INSERT INTO {} SELECT * FROM {}",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "SELECT * FROM {} FOR UPDATE",
    ],
)
async def test_the_applications_role_writes_no_row_itself(app: App, sql: str, table: str) -> None:
    await app.value(APPEND, "key:a")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.value(sql.replace("{}", table))


async def test_it_cannot_change_the_functions_either(app: App) -> None:
    for function in audit_sql.FUNCTIONS:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.value(f"DROP FUNCTION {function}")
    clock = "CREATE OR REPLACE FUNCTION tause_audit_now() RETURNS bigint LANGUAGE sql AS 'SELECT 1'"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.value(clock)


async def test_every_definer_has_a_fixed_search_path_and_no_public(app: App) -> None:
    found = superuser(
        "SELECT proname || ' ' || prosecdef || ' ' || proconfig::text || ' ' || "
        "coalesce(proacl::text, 'public') FROM pg_proc WHERE proname IN "
        "('tause_audit_append', 'tause_audit_prune', 'tause_audit_forget')"
    ).splitlines()
    assert len(found) == 3
    for told in found:
        assert "true" in told and "search_path=pg_catalog, pg_temp" in told
        assert "{=X" not in told and ",=X" not in told and not told.endswith("public")


async def test_a_temporary_table_of_the_role_stands_in_for_nothing(app: App) -> None:
    """A definer that looked names up in the caller's path would read the caller's head."""
    async with app.bound("ta") as connection:
        await connection.execute("CREATE TEMP TABLE audit_heads (tenant_id text, seq bigint)")
        assert await connection.fetchval(APPEND, "key:a") == 1
    assert len(await app.records()) == 1


async def test_the_function_takes_its_tenant_from_the_transaction_alone(app: App) -> None:
    assert await app.value(APPEND, "key:a") == 1
    assert await app.value(APPEND, "key:a", tenant="nobody") is None
    connection = await asyncpg.connect(app._url)
    try:
        assert await connection.fetchval(APPEND, "key:a") is None
    finally:
        await connection.close()
    assert [r.tenant for r in await app.records()] == ["ta"]
    assert await app.records("tb") == []


@pytest.mark.parametrize("state", ["suspended", "deleted"])
async def test_a_tenant_that_is_not_active_appends_nothing(app: App, state: str) -> None:
    superuser(f"UPDATE tenants SET state = '{state}' WHERE tenant_id = 'ta'")
    assert await app.value(APPEND, "key:a") is None
    assert await app.value(APPEND, "key:a", tenant="tb") == 1


async def test_what_is_in_flight_when_a_tenant_closes_waits_or_is_refused(app: App) -> None:
    async with app.bound("ta") as connection:
        await connection.fetchval(APPEND, "key:a")
        closing_ = asyncio.create_task(
            asyncio.to_thread(
                superuser, "UPDATE tenants SET state = 'suspended' WHERE tenant_id = 'ta'"
            )
        )
        await asyncio.sleep(0.3)
        assert not closing_.done()
    await closing_
    assert await app.value(APPEND, "key:a") is None


async def test_tenants_never_wait_for_each_others_chain(app: App) -> None:
    async with app.bound("ta") as holder:
        await holder.fetchval(APPEND, "key:a")
        async with asyncio.timeout(BUSY):
            for number in range(5):
                assert await app.value(APPEND, "key:b", tenant="tb") == number + 1
        async with app.bound("ta") as second:
            await second.execute("SET LOCAL lock_timeout = '200ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await second.fetchval(APPEND, "key:a")


async def test_writers_of_one_tenant_make_one_chain_without_gaps(app: App) -> None:
    async def write(number: int) -> None:
        for _ in range(5):
            await app.value(APPEND, f"key:{number}")

    await asyncio.gather(*(write(number) for number in range(6)))
    records = await app.records()
    chain = Chain.whole("ta", None)
    assert all(map(chain.take, records))
    assert chain.close(Head("ta", 30, records[-1].hash)).intact


async def test_a_change_that_is_undone_leaves_no_record_and_no_gap(app: App) -> None:
    await app.value(APPEND, "key:a")
    with pytest.raises(ZeroDivisionError):
        async with app.bound("ta") as connection:
            await connection.fetchval(APPEND, "key:a")
            raise ZeroDivisionError
    assert await app.value(APPEND, "key:a") == 2


async def test_the_last_day_is_kept_by_the_database_itself(app: App) -> None:
    await app.value(APPEND, "key:a")
    for before in (2**60, await _now(app) - DAY + 10_000_000):
        with pytest.raises(asyncpg.InvalidParameterValueError, match="last day"):
            await app.value("SELECT tause_audit_prune($1, 100)", before)


async def _now(app: App) -> int:
    return int(await app.value("SELECT (extract(epoch FROM now()) * 1000000)::bigint"))


async def test_a_living_tenants_chain_is_not_forgotten(app: App) -> None:
    await app.value(APPEND, "key:a")
    await app.value(APPEND, "key:b", tenant="tb")
    assert await app.value("SELECT tause_audit_forget()") == 0
    superuser("UPDATE tenants SET state = 'deleted' WHERE tenant_id = 'ta'")
    assert await app.value("SELECT tause_audit_forget()") == 1
    assert await app.records() == []
    assert len(await app.records("tb")) == 1


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(TEXTS, min_size=1, max_size=5), min_size=20, max_size=20))
def test_sql_and_python_compute_the_same_hash(database: str, many: list[list[str]]) -> None:
    async def hashes() -> list[str]:
        connection = await asyncpg.connect(database.replace("app@", "postgres@"))
        try:
            sql = "SELECT tause_audit_hash('tause/audit/v1', VARIADIC $1::text[])"
            return [await connection.fetchval(sql, fields) for fields in many]
        finally:
            await connection.close()

    assert asyncio.run(hashes()) == [hash_fields(tuple(fields)) for fields in many]


async def test_sql_and_python_agree_on_a_checkpoint(app: App) -> None:
    checkpoint = Checkpoint("ta", 5, "ab" * 32, 1_700_000_000_000_000)
    told = superuser(
        "SELECT tause_audit_hash('tause/audit/checkpoint/v1', 'ta', '5', "
        f"'{checkpoint.hash}', '1700000000000000')"
    )
    assert told.strip() == checkpoint.digest


async def test_a_migrated_file_has_the_triggers_of_the_code(tmp_path: Path) -> None:
    await migrated(Settings.read({"TAUSE_HOME": str(tmp_path)}))
    with closing(sqlite3.connect(tmp_path / "tause.db")) as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        assert {row[0] for row in rows} == {t for ts in audit_sql.SQLITE.values() for t in ts}
