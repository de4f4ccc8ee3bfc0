"""SQLite: reads on the event loop, writes on one thread that shares a commit among them.

A point read costs a few microseconds inline, less than a thread hop. Writers that queue while a
commit is being made durable share the next one, each in its own savepoint.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from tause_mcp import log
from tause_mcp.database.engine import Row, Transaction, Work
from tause_mcp.database.statements import Statement
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_BATCH = 64
_BUSY_SECONDS = 10.0
_log = log.get("database")

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA journal_size_limit=67108864",
)


def path_of(url: str) -> Path:
    """`sqlite:///relative`, `sqlite:////absolute` -> the file's path."""
    _, _, rest = url.partition("://")
    if not rest.startswith("/") or rest == "/":
        raise Misconfigured("TAUSE_DATABASE_URL: write SQLite as sqlite:///path/to/file.db")
    return Path(rest[1:])


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by hand."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def drive(work: Awaitable[T]) -> T:
    """Run a coroutine that never waits, to its end."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as done:
        value: T = done.value
        return value
    steps.close()
    raise RuntimeError("a transaction may await nothing but its own statements")


def unavailable(error: sqlite3.Error) -> Unavailable:
    """What a caller may know of a failing database: no SQL and no path."""
    _log.error("database_error", error=str(error))
    told = str(error).lower()
    for sign, text in (
        ("full", "the disk is full: nothing was changed; free space and try again"),
        ("readonly", "the database is read-only: nothing was changed"),
        ("locked", "the database is busy: nothing was changed; try again"),
    ):
        if sign in told:
            return Unavailable(text, retry_after=1.0)
    return Unavailable("the database is unavailable: nothing was changed", retry_after=1.0)


class _SqliteTransaction:
    """Statements on an open connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _execute(self, statement: Statement, values: dict[str, Any]) -> sqlite3.Cursor:
        compiled = statement.on("sqlite")
        return self._connection.execute(compiled.sql, compiled.constants | values)

    async def all(self, statement: Statement, /, **values: Any) -> list[Row]:
        return self._execute(statement, values).fetchall()

    async def first(self, statement: Statement, /, **values: Any) -> Row | None:
        cursor = self._execute(statement, values)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    async def run(self, statement: Statement, /, **values: Any) -> int:
        return self._execute(statement, values).rowcount


class _Unit:
    """One caller's change, waiting for the writer."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _Writer(Thread):
    """The one thread of this process that changes the file."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="tause-sqlite-writer", daemon=True)
        self._loop = loop
        self._connection = connect(path)
        self._transaction = _SqliteTransaction(self._connection)
        self.queue: SimpleQueue[_Unit | None] = SimpleQueue()

    def run(self) -> None:
        while (first := self.queue.get()) is not None:
            batch = [first]
            stop = False
            with suppress(Empty):
                while len(batch) < _BATCH:
                    unit = self.queue.get_nowait()
                    if unit is None:
                        stop = True
                        break
                    batch.append(unit)
            self._commit(batch)
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, batch)
            if stop:
                break
        self._connection.close()

    def _commit(self, batch: list[_Unit]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for unit in batch:
                if not unit.future.cancelled():
                    self._apply(unit)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for unit in batch:
                unit.error = unit.error or unavailable(error)

    def _apply(self, unit: _Unit) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT unit")
        try:
            unit.result = drive(unit.work(self._transaction))
        except Exception as error:
            if not connection.in_transaction:  # SQLite gave up the whole transaction: disk full
                raise
            connection.execute("ROLLBACK TO unit")
            unit.error = (
                unavailable(error) if isinstance(error, sqlite3.OperationalError) else error
            )
        connection.execute("RELEASE unit")


def _settle(batch: list[_Unit]) -> None:
    for unit in batch:
        unit.settle()


class SqliteDatabase:
    """`Database` on one file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = connect(path)
        self._read = _SqliteTransaction(self._reader)
        self._loop = asyncio.get_running_loop()
        self._writer = _Writer(path, self._loop)
        self._writer.start()

    async def first(
        self, tenant: TenantId | None, statement: Statement, /, **values: Any
    ) -> Row | None:
        try:
            return await self._read.first(statement, **values)
        except sqlite3.OperationalError as error:
            raise unavailable(error) from None

    async def read(self, tenant: TenantId | None, work: Work[T], *, long: bool = False) -> T:
        if long:
            return await asyncio.to_thread(self._read_apart, work)
        return _consistent(self._reader, self._read, work)

    def _read_apart(self, work: Work[T]) -> T:
        connection = connect(self._path)
        try:
            return _consistent(connection, _SqliteTransaction(connection), work)
        finally:
            connection.close()

    async def write(self, tenant: TenantId | None, work: Work[T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.queue.put(_Unit(work, future))
        return await future

    async def check(self) -> None:
        async def probe(tx: Transaction) -> None:
            return None

        await self.write(None, probe)

    async def aclose(self) -> None:
        self._writer.queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reader.close()


def _consistent(
    connection: sqlite3.Connection, transaction: _SqliteTransaction, work: Work[T]
) -> T:
    try:
        connection.execute("BEGIN")
        try:
            return drive(work(transaction))
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise unavailable(error) from None


@asynccontextmanager
async def open_sqlite(url: str) -> AsyncIterator[SqliteDatabase]:
    """Open the file that `url` names; its folder is made (0700) when absent."""
    path = path_of(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = SqliteDatabase(path)
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"TAUSE_DATABASE_URL: the database cannot be opened: {error}") from None
    try:
        yield database
    finally:
        await database.aclose()
