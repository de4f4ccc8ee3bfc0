"""PostgreSQL on a bad day: stopped, restarted, standing still, full. Bounded, told, and over by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx2
import pytest
import sqlalchemy as sa
from tests.database.notes import SLEEP
from tests.support import postgres
from tests.support.clock import BUSY

from tause_mcp import log
from tause_mcp.database import Options, Statement, TenantDatabase, open_database
from tause_mcp.database.postgres import dsn_of
from tause_mcp.errors import DeadlineExceeded, TauseError, Unavailable
from tause_mcp.migrations import migrated
from tause_mcp.settings import Settings
from tause_mcp.tenancy import TenantId
from tause_mcp.testing.home import House, house
from tause_mcp.testing.walk import in_process

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]  # its engine is its own
DEADLINE = 2.0
BOUND = DEADLINE + 3.0 + BUSY
"""The deadline, what giving up a connection that does not answer may take, and a busy machine."""


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    made = postgres.Server(max_connections="30", superuser_reserved_connections="3")
    made.create("faults")
    asyncio.run(migrated(Settings.read(made.settings("faults"))))
    yield made
    made.remove()


@pytest.fixture(scope="module")
async def home(
    server: postgres.Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    log.configure("error")
    settings = server.settings("faults") | {"TAUSE_DEADLINE": str(DEADLINE)}
    async with house(tmp_path_factory.mktemp("faults"), **settings) as opened:
        await opened.tenant("ta")
        await opened.call("storage_put", {"key": "k", "content": "before"}, "ta")
        yield opened


@pytest.fixture(scope="module")
async def http(home: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with in_process(home.platform) as client:
        yield client


async def readyz(http: httpx2.AsyncClient) -> int:
    return (await http.get("/readyz")).status_code


async def failing(home: House) -> list[TauseError]:
    """Reads and changes, all at once; each fails as it may, within its bound."""

    async def one(tool: str, arguments: dict[str, Any]) -> TauseError:
        began = time.monotonic()
        with pytest.raises((Unavailable, DeadlineExceeded)) as refused:
            await home.call(tool, arguments, "ta")
        assert time.monotonic() - began < BOUND
        assert refused.value.retry_after
        assert "postgres" not in str(refused.value).lower()
        return refused.value

    put = {"key": "k", "content": "during"}
    calls = [one("storage_put", put), one("storage_get", {"key": "k"}), one("storage_list", {})]
    return list(await asyncio.gather(*calls, *(one("storage_put", put) for _ in range(5))))


async def recovered(home: House, http: httpx2.AsyncClient, seconds: float = 20) -> None:
    """It serves again by itself, and nothing of the failed changes is there."""
    until = time.monotonic() + seconds
    while await readyz(http) != 200:
        assert time.monotonic() < until, "it does not recover"
        await asyncio.sleep(0.1)
    while True:  # what began before the recovery may still hold a connection for a moment
        try:
            got = await home.call("storage_get", {"key": "k"}, "ta")
            await home.call("storage_put", {"key": "after", "content": "x"}, "ta")
            break
        except (Unavailable, DeadlineExceeded):
            assert time.monotonic() < until, "it does not recover"
    assert got["content"] == "before"


async def test_stopped_it_is_unavailable_and_not_ready_until_it_is_back(
    server: postgres.Server, home: House, http: httpx2.AsyncClient
) -> None:
    assert await readyz(http) == 200
    server.stop()
    try:
        assert await readyz(http) == 503
        assert {type(error) for error in await failing(home)} == {Unavailable}
    finally:
        server.start()
    await recovered(home, http)


async def test_restarted_between_two_calls_it_costs_at_most_the_connections(
    server: postgres.Server, home: House, http: httpx2.AsyncClient
) -> None:
    await asyncio.gather(*(home.call("storage_get", {"key": "k"}, "ta") for _ in range(8)))
    server.stop()
    server.start()
    await asyncio.sleep(0.05)  # the news of the closed connections
    got = await asyncio.gather(*(home.call("storage_get", {"key": "k"}, "ta") for _ in range(8)))
    assert {told["content"] for told in got} == {"before"}
    await recovered(home, http)


async def test_standing_still_it_holds_nobody_beyond_the_deadline(
    server: postgres.Server, home: House, http: httpx2.AsyncClient
) -> None:
    server.pause()
    try:
        began = time.monotonic()
        assert await readyz(http) == 503
        assert time.monotonic() - began < BOUND
        await failing(home)
    finally:
        server.resume()
    await recovered(home, http)


async def test_out_of_connections_it_is_unavailable_until_one_is_free(
    server: postgres.Server, home: House, http: httpx2.AsyncClient
) -> None:
    taken: list[asyncpg.Connection] = []
    for _ in range(5):  # its background work takes one again in between
        home.platform.database._pool.forget()  # type: ignore[attr-defined]  # its own server's
        await asyncio.sleep(0.05)
        with pytest.raises(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(dsn_of(server.url("faults"))))
    try:
        assert await readyz(http) == 503
        assert {type(error) for error in await failing(home)} == {Unavailable}
    finally:
        for connection in taken:
            await connection.close()
    await recovered(home, http)


async def test_a_lent_connection_is_waited_for_and_not_for_ever(server: postgres.Server) -> None:
    """One connection, held by another's transaction."""
    options = Options(pool_size=1, timeout=0.5)
    async with open_database(server.url("faults"), options) as database:
        mine, held = TenantDatabase(database, TenantId("ta")), asyncio.Event()

        async def hold(tx: Any) -> None:
            held.set()
            for _ in range(4):
                await tx.first(SLEEP, seconds=0.3)

        task = asyncio.create_task(mine.write(hold))
        await held.wait()
        with pytest.raises(Unavailable):
            await mine.read(hold)
        await task
        await database.check()


async def test_a_statement_that_takes_too_long_is_given_up(server: postgres.Server) -> None:
    async with open_database(server.url("faults"), Options(timeout=0.5)) as database:
        began = time.monotonic()
        for call in (
            database.read(None, lambda tx: tx.first(SLEEP, seconds=30.0)),
            database.first(TenantId("ta"), SLEEP, seconds=30.0),
        ):
            with pytest.raises(Unavailable):
                await call
        assert time.monotonic() - began < BOUND
        await database.check()
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'"
    )
    until = time.monotonic() + BUSY
    while server.sql(busy + " AND pid <> pg_backend_pid()").strip() != "0":
        assert time.monotonic() < until, "the server still works on it"
        await asyncio.sleep(0.1)


async def test_a_process_that_stands_still_in_a_transaction_frees_its_locks(
    server: postgres.Server,
) -> None:
    """The server is told to end such a transaction; nothing else would."""
    async with open_database(server.url("faults"), Options()) as database:
        asked = Statement(
            sa.select(
                *(
                    sa.func.current_setting(name)
                    for name in ("idle_in_transaction_session_timeout", "statement_timeout")
                )
            )
        )
        told = await database.read(None, lambda tx: tx.first(asked))
    assert told == ("1min", "31s")
