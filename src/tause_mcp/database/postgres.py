"""PostgreSQL through asyncpg: the same work as on SQLite, on a pooled connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from tause_mcp import log
from tause_mcp.database.engine import Row, Work
from tause_mcp.database.statements import Statement
from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_RETRIES = 5
_log = log.get("database")
_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by its operator
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
)
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_NUL = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)


def dsn_of(url: str) -> str:
    """asyncpg's form of a SQLAlchemy URL."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def unavailable(error: BaseException) -> Unavailable:
    _log.error("database_error", error=type(error).__name__)
    return Unavailable("the database is unavailable: nothing was changed", retry_after=1.0)


def unknown(error: BaseException) -> Unavailable:
    """The connection was lost while the commit was on its way."""
    _log.error("database_lost_in_commit", error=type(error).__name__)
    return Unavailable(
        "the database was lost during the commit: read whether the change was made, then try again",
        retry_after=1.0,
    )


def unfit() -> Invalid:
    return Invalid("a text holds a character that the database cannot keep (NUL)")


class _PostgresTransaction:
    """Statements on one connection; the driver caches their plans by text."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        compiled = statement.on("postgresql")
        values = compiled.constants | values
        rows = await self._connection.fetch(compiled.sql, *(values[n] for n in compiled.order))
        return [tuple(row) for row in rows]

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        compiled = statement.on("postgresql")
        values = compiled.constants | values
        row = await self._connection.fetchrow(compiled.sql, *(values[n] for n in compiled.order))
        return None if row is None else tuple(row)

    async def run(self, statement: Statement, /, **values: Any) -> int:
        compiled = statement.on("postgresql")
        values = compiled.constants | values
        status = await self._connection.execute(compiled.sql, *(values[n] for n in compiled.order))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


class PostgresDatabase:
    """`Database` on a pool."""

    dialect = "postgresql"

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def first(
        self, tenant: TenantId | None, statement: Statement, /, **values: Any
    ) -> Row | None:
        return await self.read(tenant, lambda tx: tx.first(statement, **values))

    async def read(self, tenant: TenantId | None, work: Work[T], *, long: bool = False) -> T:
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await work(_PostgresTransaction(connection))
        except _DOWN as error:
            raise unavailable(error) from None
        except _NUL:
            raise unfit() from None

    async def write(self, tenant: TenantId | None, work: Work[T]) -> T:
        for left in reversed(range(_RETRIES)):
            try:
                return await self._write(work)
            except _AGAIN as error:
                if not left:
                    raise unavailable(error) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _write(self, work: Work[T]) -> T:
        committing = False
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                result = await work(_PostgresTransaction(connection))
                committing = True
            return result
        except _DOWN as error:
            raise (unknown(error) if committing else unavailable(error)) from None
        except _NUL:
            raise unfit() from None

    async def check(self) -> None:
        try:
            async with self._pool.acquire(timeout=2) as connection:
                await connection.execute("SELECT 1")
        except _DOWN as error:
            raise unavailable(error) from None


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[PostgresDatabase]:
    """Open a pool of at most 10 connections; the server may come up later."""
    pool = await asyncpg.create_pool(
        dsn_of(url), min_size=0, max_size=10, timeout=10, command_timeout=30
    )
    try:
        yield PostgresDatabase(pool)
    finally:
        await pool.close()
