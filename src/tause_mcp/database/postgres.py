"""PostgreSQL through asyncpg: every transaction bound to its tenant, walls by row-level security.

The tenant is set for the transaction alone, in the round trip that begins it. A single read needs
no transaction of its own: one statement binds the tenant and then reads (`alone`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

import asyncpg

from tause_mcp import log
from tause_mcp.database.engine import DEFAULT_OPTIONS, Options, Row, Work
from tause_mcp.database.pool import Pool
from tause_mcp.database.statements import Compiled, Statement
from tause_mcp.errors import Invalid, Unavailable
from tause_mcp.supervision import Aside
from tause_mcp.tally import failed
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_RETRIES = 5
_ROLLBACK_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
_IDLE_IN_TRANSACTION = 60_000
"""Milliseconds after which the server ends a transaction whose process stands still."""
_log = log.get("database")
_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # an idle connection that the server has just ended
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by its operator
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
)
_AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,  # a migration changed what it selects
)
_NUL = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
_CHECK_SECONDS = 2.0
_WRITABLE = """DO $$ BEGIN
IF current_setting('transaction_read_only')::bool THEN RAISE SQLSTATE '25006'; END IF; END $$"""
"""Fails as any change would on a server that may only be read."""
_WRITE = "BEGIN"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def dsn_of(url: str) -> str:
    """asyncpg's form of a SQLAlchemy URL."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def unavailable(error: BaseException) -> Unavailable:
    failed("database")
    _log.error("database_error", error=type(error).__name__)
    return Unavailable("the database is unavailable: nothing was changed", retry_after=1.0)


def unknown(error: BaseException) -> Unavailable:
    """The connection was lost while the commit was on its way."""
    failed("database")
    _log.error("database_lost_in_commit", error=type(error).__name__)
    return Unavailable(
        "the database was lost during the commit: read whether the change was made, then try again",
        retry_after=1.0,
    )


def unfit() -> Invalid:
    return Invalid("a text holds a character that the database cannot keep (NUL)")


def quoted(text: str) -> str:
    """A literal of SQL, whatever `standard_conforming_strings` says."""
    if "\0" in text:
        raise unfit()
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


@lru_cache(maxsize=4096)
def beginning(begin: str, tenant: TenantId | None, house: bool) -> str:
    """What begins a transaction: one message, and settings that end with it. All are said each
    time, so that nothing could come from a former one."""
    mode = "'on'" if house else "''"
    return f"{begin};SET LOCAL app.tenant_id={quoted(tenant or '')};SET LOCAL app.house={mode}"


def alone(compiled: Compiled) -> str:
    """A SELECT that binds the tenant, its last parameter, before it reads: one round trip.

    The inner query depends on the row in which the tenant was set, so it cannot be planned before
    it; were it, the tenant would not be set yet and it would find nothing.
    """
    tenant = f"${len(compiled.order) + 1}::text"
    return (
        f"SELECT found.* FROM (SELECT set_config('app.tenant_id', {tenant}, true) AS tenant "  # noqa: S608
        f"OFFSET 0) AS bound CROSS JOIN LATERAL (SELECT * FROM ({compiled.sql}) AS asked "
        f"WHERE bound.tenant = {tenant} OFFSET 0) AS found"
    )


class _PostgresTransaction:
    """Statements on one connection; the driver caches their plans by text."""

    __slots__ = ("_connection", "asking")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asking = False
        """Whether what is awaited now is a statement of this transaction."""

    async def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        rows = await self._asked(self._connection.fetch, statement, values)
        return [tuple(row) for row in rows]

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        row = await self._asked(self._connection.fetchrow, statement, values)
        return None if row is None else tuple(row)

    async def run(self, statement: Statement, /, **values: Any) -> int:
        status = await self._asked(self._connection.execute, statement, values)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def _asked(
        self, ask: Callable[..., Awaitable[Any]], statement: Statement, values: dict[str, Any]
    ) -> Any:
        compiled = statement.on("postgresql")
        self.asking = True
        try:
            return await ask(compiled.sql, *compiled.given(values))
        finally:
            self.asking = False


class _Driven(Awaitable[T]):
    """Work that may await nothing but its own statements, as on SQLite: else locks are held for
    as long as something else takes, and a connection with them."""

    __slots__ = ("_tx", "_work")

    def __init__(self, work: Work[T], tx: _PostgresTransaction) -> None:
        self._work = work(tx)
        self._tx = tx

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        step: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waited = step()
            except StopIteration as done:
                value: T = done.value
                return value
            if not self._tx.asking:
                steps.close()
                raise RuntimeError("a transaction may await nothing but its own statements")
            try:
                step = partial(steps.send, (yield waited))
            except BaseException as error:
                step = partial(steps.throw, error)


class PostgresDatabase:
    """`Database` on a pool. `pooled`: behind pgbouncer, which may change servers between statements."""

    dialect = "postgresql"

    def __init__(self, pool: Pool, *, pooled: bool = False) -> None:
        self._pool = pool
        self._pooled = pooled
        self._aside = Aside()

    async def first(
        self, tenant: TenantId | None, statement: Statement, /, **values: Any
    ) -> Row | None:
        compiled = statement.on("postgresql")
        if tenant is None or self._pooled or not compiled.selects:
            return await self.read(tenant, lambda tx: tx.first(statement, **values))
        if compiled.alone is None:
            compiled.alone = alone(compiled)
        return await self._told(partial(self._first, compiled, compiled.given(values), tenant))

    async def _first(self, compiled: Compiled, given: list[Any], tenant: TenantId) -> Row | None:
        connection = await self._pool.take()
        try:
            row = await connection.fetchrow(compiled.alone, *given, tenant)
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _DOWN):
                self._pool.give(connection)  # the server answered: the connection is sound
            else:
                self._pool.drop(connection)
            raise
        self._pool.give(connection)
        return None if row is None else tuple(row)

    async def read(
        self,
        tenant: TenantId | None,
        work: Work[T],
        *,
        long: bool = False,
        house: bool = False,
    ) -> T:
        return await self._told(partial(self._work, beginning(_READ, tenant, house), work))

    async def write(self, tenant: TenantId | None, work: Work[T], *, house: bool = False) -> T:
        return await self._told(partial(self._work, beginning(_WRITE, tenant, house), work))

    async def _told(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt answers, tried again where the server asks for that."""
        for left in reversed(range(_RETRIES)):
            try:
                return await attempt()
            except _AGAIN as error:
                if not left:
                    raise unavailable(error) from None
            except _DOWN as error:
                raise unavailable(error) from None
            except _NUL:
                raise unfit() from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _work(self, begin: str, work: Work[T]) -> T:
        connection = await self._pool.take()
        try:
            await connection.execute(begin)
            result = await _Driven(work, _PostgresTransaction(connection))
        except BaseException as error:
            # a server that stands still, or a caller that has left, is not waited for
            gone = isinstance(error, (asyncio.CancelledError, *_DOWN))
            await self._aside.run(self._undo(connection), 0 if gone else _ROLLBACK_SECONDS)
            raise
        try:
            status = await connection.execute("COMMIT")
        except BaseException as error:
            self._pool.drop(connection)
            if isinstance(error, _DOWN):
                raise unknown(error) from None
            raise
        self._pool.give(connection)
        if status != "COMMIT":
            raise RuntimeError("a statement failed and its error was hidden: nothing was committed")
        return result

    async def _undo(self, connection: Any) -> None:
        """Always, for a cancelled BEGIN may still happen; and a cancellation that comes late meets
        this statement, not the next caller's. A connection that cannot is closed."""
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await connection.execute("ROLLBACK")
        except BaseException as error:
            self._pool.drop(connection)
            if not isinstance(error, Exception):
                raise
        else:
            self._pool.give(connection)

    async def settled(self) -> None:
        """Wait until nothing is being undone any more."""
        await self._aside.settled()

    async def check(self) -> None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._writable()
        except _DOWN as error:
            raise unavailable(error) from None

    async def _writable(self) -> None:
        """One message; a connection that does not answer is closed without a second one."""
        connection = await self._pool.take()
        try:
            await connection.execute(_WRITABLE)
        except BaseException:
            self._pool.drop(connection)
            raise
        self._pool.give(connection)


def connecting(url: str, options: Options) -> dict[str, Any]:
    """What the driver is told. Behind a pooler it keeps no statements and asks for no settings."""
    told: dict[str, Any] = {"dsn": dsn_of(url), "timeout": min(_CONNECT_SECONDS, options.timeout)}
    told["command_timeout"] = options.timeout
    if options.pooled:
        return told | {"statement_cache_size": 0}
    patience = str(int(options.timeout * 1000) + 1000)
    server = {"application_name": "tause-mcp", "statement_timeout": patience}
    server["idle_in_transaction_session_timeout"] = str(_IDLE_IN_TRANSACTION)
    return told | {"server_settings": server}


@asynccontextmanager
async def open_postgres(
    url: str, options: Options = DEFAULT_OPTIONS
) -> AsyncIterator[PostgresDatabase]:
    """Open a pool of connections as they are needed; the server may come up later."""
    told = connecting(url, options)
    pool = Pool(lambda: asyncpg.connect(**told), options.pool_size, options.timeout)
    database = PostgresDatabase(pool, pooled=options.pooled)
    try:
        yield database
    finally:
        await database.settled()
        await pool.close()
