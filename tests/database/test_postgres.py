"""What only PostgreSQL can do to us: go away, refuse, and take other characters."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog
from tests.database.notes import GET, GROW, SLEEP, names, put
from tests.support import postgres

from tause_mcp.database import TenantDatabase, Transaction, Work, open_database
from tause_mcp.database.postgres import PostgresDatabase, dsn_of, open_postgres
from tause_mcp.errors import Invalid, Misconfigured, Unavailable
from tause_mcp.tenancy import TenantId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(postgres_notes: str) -> AsyncIterator[PostgresDatabase]:
    async with open_postgres(postgres_notes) as opened:
        yield opened
    postgres.server().sql("TRUNCATE notes", database="notes")


def drop_connections() -> None:
    postgres.server().sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
    )


async def test_a_lost_connection_is_unavailable_and_the_next_call_works(
    mine: TenantDatabase,
) -> None:
    await mine.write(put("a"))

    async def work(tx: Transaction) -> None:
        await put("b")(tx)
        drop_connections()
        await put("c")(tx)

    with pytest.raises(Unavailable, match="nothing was changed") as lost:
        await mine.write(work)
    assert lost.value.retry_after
    assert await mine.read(names) == ["a"]


async def test_a_connection_lost_in_the_commit_does_not_claim_that_nothing_changed(
    mine: TenantDatabase,
) -> None:
    async def work(tx: Transaction) -> None:
        await put("b")(tx)
        drop_connections()

    with pytest.raises(Unavailable, match="during the commit"):
        await mine.write(work)
    assert await mine.read(names) == []


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(
    database: PostgresDatabase, mine: TenantDatabase
) -> None:
    await database.check()
    postgres.server().stop()
    try:
        for call in (database.check(), mine.write(put("a")), mine.read(names)):
            with pytest.raises(Unavailable):
                await call
    finally:
        postgres.server().start()
    await database.check()
    await mine.write(put("a"))


async def test_it_opens_before_the_server_is_there() -> None:
    async with open_database("postgresql://app@127.0.0.1:1/x") as database:
        with pytest.raises(Unavailable):
            await database.check()


async def test_no_message_names_host_role_or_sql() -> None:
    from tests.support.serving import free_port

    port = free_port()
    url = f"postgresql://canaryrole:canarypass@127.0.0.1:{port}/canarydb"
    with structlog.testing.capture_logs() as logs:
        async with open_database(url) as database:
            with pytest.raises(Unavailable) as refused:
                await database.check()
    for told in (str(refused.value), repr(logs)):
        assert "canary" not in told
        assert str(port) not in told


async def test_a_database_that_does_not_exist_is_unavailable() -> None:
    async with open_database(postgres.server().url("absent")) as database:
        with pytest.raises(Unavailable):
            await database.check()


async def test_a_character_that_the_server_cannot_keep_is_refused(mine: TenantDatabase) -> None:
    with pytest.raises(Invalid, match="NUL"):
        await mine.write(put("a\0b"))
    with pytest.raises(Invalid, match="NUL"):
        await mine.first(GET, of="a\0b")


async def test_a_deadlock_is_tried_again(mine: TenantDatabase) -> None:
    """Two transactions take two rows in opposite order; the server fells one of them."""
    for name in ("a", "b"):
        await mine.write(put(name, 0))
    tries = []

    def crossing(first: str, second: str) -> Work[None]:
        async def work(tx: Transaction) -> None:
            tries.append(first)
            await tx.run(GROW, of=first)
            await tx.first(SLEEP, seconds=0.3)
            await tx.run(GROW, of=second)

        return work

    await asyncio.gather(mine.write(crossing("a", "b")), mine.write(crossing("b", "a")))
    assert len(tries) > 2
    assert await mine.first(GET, of="a") == ("a", 2)
    assert await mine.first(GET, of="b") == ("b", 2)


async def test_a_caller_that_leaves_in_the_middle_changes_nothing(mine: TenantDatabase) -> None:
    inside = asyncio.Event()

    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        inside.set()
        await tx.first(SLEEP, seconds=30.0)

    task = asyncio.create_task(mine.write(work))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await mine.read(names) == []


async def test_more_callers_than_connections_all_get_their_turn(mine: TenantDatabase) -> None:
    await asyncio.gather(*(mine.write(put(f"n{i:02}")) for i in range(40)))
    assert len(await mine.read(names)) == 40


def test_the_driver_takes_the_url_of_sqlalchemy() -> None:
    assert dsn_of("postgresql+asyncpg://u:p@h:1/d") == "postgresql://u:p@h:1/d"
    assert dsn_of("postgresql://u:p@h:1/d") == "postgresql://u:p@h:1/d"


@pytest.mark.parametrize("url", ["mysql://h/d", "rows.db", ""])
async def test_an_unknown_database_is_one_clear_line(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        open_database(url)
    assert "\n" not in str(refused.value)


async def test_a_server_that_may_only_be_read_is_not_ready(database: PostgresDatabase) -> None:
    server = postgres.server()
    await database.check()
    server.sql("ALTER ROLE app SET default_transaction_read_only = on")
    try:
        async with open_database(server.url("notes")) as fresh:
            with pytest.raises(Unavailable):
                await fresh.check()
            with pytest.raises(Unavailable, match="nothing was changed"):
                await TenantDatabase(fresh, TenantId("ta")).write(put("a"))
    finally:
        server.sql("ALTER ROLE app RESET default_transaction_read_only")


async def test_a_hidden_failure_commits_nothing_and_says_so(mine: TenantDatabase) -> None:
    """A statement that failed undid the whole transaction, whoever caught its error."""

    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        with pytest.raises(asyncpg.UniqueViolationError):
            await put("a")(tx)

    with pytest.raises(RuntimeError, match="nothing was committed"):
        await mine.write(work)
    assert await mine.read(names) == []
    assert not mine.changed


@pytest.mark.parametrize("elsewhere", ["sleep", "event"])
async def test_work_that_awaits_something_else_is_refused(
    mine: TenantDatabase, elsewhere: str
) -> None:
    """As on SQLite: it would hold its locks and a connection for as long as that takes."""

    async def work(tx: Transaction) -> None:
        await put("a")(tx)
        if elsewhere == "sleep":
            await asyncio.sleep(0)
        else:
            await asyncio.Event().wait()

    for call in (mine.write(work), mine.read(work)):
        with pytest.raises((RuntimeError, Unavailable), match=r"nothing but its own|nothing was"):
            await call
    assert await mine.read(names) == []
    await mine.write(put("after"))
