"""A server that stands still holds nobody up for longer than one statement may take.

Of the driver there is only what waits; the clock is the test's own.
"""

import asyncio
from typing import Any

import pytest
from tests.support import clock

from tause_mcp.capability import Cipher
from tause_mcp.database import Statement, TenantDatabase
from tause_mcp.database.pool import Pool
from tause_mcp.database.postgres import PostgresDatabase
from tause_mcp.errors import Conflict, Unavailable
from tause_mcp.services.storage.blobs import Blobs
from tause_mcp.supervision import GRACE, Aside
from tause_mcp.tenancy import TenantId

TENANT = TenantId("acme")
PATIENCE = 4.0


class Connection:
    """A connection of the driver: each statement takes as long as `seconds` says."""

    def __init__(self, **seconds: float) -> None:
        self._seconds = seconds
        self.said: list[str] = []
        self.ended = False

    async def execute(self, text: str) -> str:
        word = text.partition(";")[0]
        self.said.append(word)
        took = self._seconds.get(word, 0.0)
        await asyncio.sleep(min(took, PATIENCE))
        if took > PATIENCE:
            raise TimeoutError
        return word

    def is_closed(self) -> bool:
        return self.ended

    def is_in_transaction(self) -> bool:
        return False

    def terminate(self) -> None:
        self.ended = True


def database(connection: Connection) -> PostgresDatabase:
    async def connect() -> Connection:
        return connection

    return PostgresDatabase(Pool(connect, 1, PATIENCE))


async def nothing(_: Any) -> None: ...


async def refused(_: Any) -> None:
    raise Conflict("no")


def test_a_statement_that_is_not_answered_is_the_whole_wait() -> None:
    """Not the rollback's as well: that is tried beside, and the connection ended."""
    connection = Connection(BEGIN=3600, ROLLBACK=3600)

    async def story() -> None:
        with pytest.raises(Unavailable):
            await database(connection).write(TENANT, nothing)
        assert clock.now() == PATIENCE
        assert not connection.ended

    clock.run(story())


def test_the_rollback_that_nobody_waits_for_happens_before_the_house_ends() -> None:
    connection = Connection(BEGIN=3600, ROLLBACK=1)

    async def story() -> None:
        rows = database(connection)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await rows.write(TENANT, nothing)
        assert clock.now() == 1
        await rows.settled()
        assert clock.now() == 2

    clock.run(story())
    assert connection.said == ["BEGIN", "ROLLBACK"]
    assert not connection.ended


def test_work_that_fails_by_itself_is_undone_before_its_caller_goes_on() -> None:
    connection = Connection(ROLLBACK=0.3)

    async def story() -> None:
        with pytest.raises(Conflict):
            await database(connection).write(TENANT, refused)
        assert clock.now() == 0.3

    clock.run(story())


class _Full:
    """A store that takes nothing."""

    async def write(self, *_: Any) -> None:
        raise Unavailable("full")


class _Still:
    """Rows that plan a blob, and then stand still."""

    dialect = "memory"
    planned = 0

    async def write(self, tenant: TenantId | None, work: Any, *, house: bool = False) -> Any:
        self.planned += 1
        if self.planned > 1:
            await clock.never()
        return await work(self)

    async def run(self, statement: Statement, /, **values: Any) -> int:
        return 1


def test_a_blob_that_was_not_kept_is_forgotten_beside_its_caller() -> None:
    rows: Any = _Still()
    store: Any = _Full()
    cipher: Any = Cipher

    async def sealed() -> Any:
        return cipher

    async def story() -> None:
        aside = Aside()
        blobs = Blobs(TenantDatabase(rows, TENANT), store, sealed, aside)
        with pytest.raises(Unavailable, match="full"):
            await blobs.keep_blob(b"x" * 20_000, "objects", "a")
        assert clock.now() == GRACE
        await aside.settled()

    clock.run(story())
    assert rows.planned == 2
