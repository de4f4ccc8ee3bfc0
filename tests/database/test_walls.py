"""Row-level security as the application's role meets it: what another tenant's rows look like."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.database.notes import GET, INSERT, LIST, SLEEP, names, put
from tests.support import postgres

from tause_mcp.database import Options, Statement, TenantDatabase, Transaction
from tause_mcp.database.postgres import PostgresDatabase, alone, beginning, dsn_of, open_postgres
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio
TA, TAB = TenantId("ta"), TenantId("tab")
DENIED = asyncpg.InsufficientPrivilegeError


@pytest.fixture
async def database(postgres_notes: str) -> AsyncIterator[PostgresDatabase]:
    async with open_postgres(postgres_notes, Options(pool_size=3)) as opened:
        await TenantDatabase(opened, TA).write(put("a", 1))
        await TenantDatabase(opened, TAB).write(put("b", 2))
        yield opened
    postgres.server().sql("TRUNCATE notes", database="notes")


@pytest.fixture
async def bare(
    database: PostgresDatabase, postgres_notes: str
) -> AsyncIterator[asyncpg.Connection]:
    """The role's own connection, for SQL that no statement of ours would send."""
    connection = await asyncpg.connect(dsn_of(postgres_notes))
    yield connection
    await connection.close()


async def seen(connection: asyncpg.Connection) -> list[str]:
    return [row[0] for row in await connection.fetch("SELECT name FROM notes ORDER BY name")]


async def test_a_tenant_sees_its_own_rows(bare: asyncpg.Connection) -> None:
    for tenant, its in ((TA, ["a"]), (TAB, ["b"]), (TenantId("tabc"), [])):
        await bare.execute(beginning("BEGIN", tenant, False))
        assert await seen(bare) == its
        await bare.execute("COMMIT")


async def test_nobody_sees_nothing(bare: asyncpg.Connection) -> None:
    assert await seen(bare) == []
    await bare.execute("BEGIN; SET LOCAL app.tenant_id = ''")
    assert await seen(bare) == []
    await bare.execute("COMMIT")
    await bare.execute(beginning("BEGIN", None, True))
    assert await seen(bare) == [], "house mode opens no table but those that are named"
    await bare.execute("COMMIT")


@pytest.mark.parametrize("trap", ["t", "tab", "ta/b", "ta_", "t%", "TA", "ta ", "ta'--", "ta\\"])
async def test_a_similar_name_is_another_tenant(database: PostgresDatabase, trap: str) -> None:
    if trap != "tab":
        assert await TenantDatabase(database, TenantId(trap)).read(names) == []
    assert await TenantDatabase(database, TenantId(trap)).first(GET, of="a") is None


async def test_a_row_of_another_tenant_is_neither_made_nor_moved(bare: asyncpg.Connection) -> None:
    for refused in (
        "INSERT INTO notes (tenant_id, name, size) VALUES ('tab', 'x', 1)",
        "UPDATE notes SET tenant_id = 'tab'",
    ):
        await bare.execute(beginning("BEGIN", TA, False))
        with pytest.raises(DENIED, match="row-level security"):
            await bare.execute(refused)
        await bare.execute("ROLLBACK")


async def test_a_row_of_another_tenant_is_neither_changed_nor_removed(
    bare: asyncpg.Connection,
) -> None:
    await bare.execute(beginning("BEGIN", TA, False))
    assert await bare.execute("UPDATE notes SET size = 9 WHERE name = 'b'") == "UPDATE 0"
    assert await bare.execute("DELETE FROM notes WHERE tenant_id = 'tab'") == "DELETE 0"
    assert await bare.execute("DELETE FROM notes") == "DELETE 1"
    await bare.execute("ROLLBACK")


@pytest.mark.parametrize(
    "refused",
    [
        "TRUNCATE notes",
        "SET ROLE owner",
        "SET SESSION AUTHORIZATION owner",
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant_only ON notes",
        "CREATE POLICY all_of_it ON notes USING (true)",
        "CREATE TABLE copies (id int)",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER t AFTER INSERT ON notes EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER ROLE app BYPASSRLS",
        "CREATE ROLE another",
        "COPY notes TO PROGRAM 'cat'",
    ],
)
async def test_the_role_cannot_take_the_walls_down(bare: asyncpg.Connection, refused: str) -> None:
    await bare.execute(beginning("BEGIN", TA, False))
    with pytest.raises(asyncpg.PostgresError, match=r"denied|owner|must be|permission"):
        await bare.execute(refused)
    await bare.execute("ROLLBACK")


async def test_row_security_cannot_be_switched_off(bare: asyncpg.Connection) -> None:
    await bare.execute(beginning("BEGIN", TA, False) + ";SET LOCAL row_security = off")
    with pytest.raises(DENIED, match="row-level security"):
        await seen(bare)
    await bare.execute("ROLLBACK")


async def test_the_tenant_outlives_a_failed_savepoint_and_not_the_transaction(
    bare: asyncpg.Connection,
) -> None:
    await bare.execute(beginning("BEGIN", TA, False))
    await bare.execute("SAVEPOINT s")
    with pytest.raises(asyncpg.PostgresError):
        await bare.execute("SELECT 1 / 0")
    await bare.execute("ROLLBACK TO SAVEPOINT s")
    assert await seen(bare) == ["a"]
    await bare.execute("COMMIT")
    assert await bare.fetchval("SELECT current_setting('app.tenant_id', true)") == ""
    assert await seen(bare) == []


async def test_a_connection_remembers_no_tenant(postgres_notes: str) -> None:
    """One connection, every way that a transaction can end: nothing is set when the next begins."""
    asked = Statement(_settings())
    async with open_postgres(postgres_notes, Options(pool_size=1)) as database:

        async def failing(tx: Transaction) -> None:
            await tx.run(INSERT, name="x", size="no number", body=None, tag=None)

        async def slow(tx: Transaction) -> None:
            await tx.first(SLEEP, seconds=5.0)

        mine = TenantDatabase(database, TA)
        await mine.read(names)
        await mine.first(GET, of="a")
        await mine.write(put("x"), house=True)
        with pytest.raises(asyncpg.DataError):
            await mine.write(failing)
        for call in (mine.write(slow), mine.read(slow)):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.05)
        assert (await database.read(None, lambda tx: tx.first(asked)) or ())[:2] in (
            ("", ""),
            (None, None),
        )
        assert await database.read(None, lambda tx: tx.all(LIST, tenant="ta")) == []
    postgres.server().sql("TRUNCATE notes", database="notes")


def _settings() -> object:
    import sqlalchemy as sa

    told = [sa.func.current_setting(f"app.{name}", True) for name in ("tenant_id", "house")]
    return sa.select(*told)


async def test_tenants_in_parallel_on_few_connections_never_meet(
    database: PostgresDatabase,
) -> None:
    tenants = [TenantId(f"t{i}") for i in range(6)]

    async def lane(tenant: TenantId) -> None:
        mine = TenantDatabase(database, tenant)
        for i in range(20):
            await mine.write(put(f"{tenant}-{i:02}"))
            assert await mine.read(names) == [f"{tenant}-{n:02}" for n in range(i + 1)]
            assert await mine.first(GET, of=f"{tenant}-{i:02}") == (f"{tenant}-{i:02}", 1)
            assert await mine.first(GET, of=f"t{(i + 1) % 6}-00") == (
                (f"{tenant}-00", 1) if tenant == f"t{(i + 1) % 6}" else None
            )

    await asyncio.gather(*map(lane, tenants))


async def test_a_statement_that_names_another_tenant_finds_nothing(
    database: PostgresDatabase,
) -> None:
    """The second wall: though a statement asks for the wrong tenant, the server does not tell."""
    assert await database.first(TA, GET, tenant="tab", of="b") is None
    assert await database.read(TA, lambda tx: tx.all(LIST, tenant="tab")) == []
    with pytest.raises(DENIED):
        await database.write(
            TA, lambda tx: tx.run(INSERT, tenant_id="tab", name="x", size=1, body=None, tag=None)
        )
    assert await database.first(TAB, GET, tenant="tab", of="b") == ("b", 2)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_one_round_trip_binds_before_it_reads(bare: asyncpg.Connection, mode: str) -> None:
    """Planned with the tenant outside and the rows inside, through the index."""
    sql = alone(GET.on("postgresql"))
    await bare.execute(f"SET plan_cache_mode = {mode}; PREPARE one (text, text, text) AS {sql}")
    rows = await bare.fetch("EXPLAIN (COSTS OFF) EXECUTE one('ta', 'a', 'ta')")
    plan = [row[0].strip().removeprefix("->").strip() for row in rows]
    assert plan[:3] == ["Nested Loop", "Result", "Result"]
    assert plan[3].startswith("One-Time Filter: (((set_config(")
    assert plan[4] == "Index Scan using notes_pkey on notes"
    assert [tuple(row) for row in await bare.fetch("EXECUTE one('ta', 'a', 'ta')")] == [("a", 1)]
    for absent in ("'tab', 'b', 'ta'", "'ta', 'a', 'tab'", "'ta', 'a', ''", "'ta', 'a', NULL"):
        assert await bare.fetch(f"EXECUTE one({absent})") == []
    assert await bare.fetchval("SELECT current_setting('app.tenant_id', true)") == ""
