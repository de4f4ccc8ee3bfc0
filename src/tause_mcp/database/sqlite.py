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
from time import monotonic
from typing import Any, TypeVar

from tause_mcp import log
from tause_mcp.database.engine import DEFAULT_OPTIONS, Options, Row, Transaction, Work
from tause_mcp.database.statements import Statement
from tause_mcp.errors import Misconfigured, Unavailable
from tause_mcp.tally import failed
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_BATCH = 64
"""Changes in one commit at the most."""
_MOMENT = 0.002
"""Seconds for which as many changes as the last time are waited for."""
_BUSY_SECONDS = 10.0
_READ_SECONDS = 1.0
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


def connect(path: Path, *, busy: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by hand."""
    connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, and that never holds up the event loop for long."""
    connection = connect(path, busy=_READ_SECONDS)
    connection.execute("PRAGMA query_only=ON")
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


_TOLD = (
    ("SQLITE_FULL", "the disk is full: nothing was changed; free space and try again"),
    ("SQLITE_READONLY", "the database is read-only: nothing was changed"),
    ("SQLITE_BUSY", "the database is busy: nothing was changed; try again"),
    ("SQLITE_LOCKED", "the database is busy: nothing was changed; try again"),
)


def unavailable(error: BaseException) -> Unavailable:
    """What a caller may know of a failing database: no SQL and no path."""
    name = getattr(error, "sqlite_errorname", "")
    failed("database")
    _log.error("database_error", error=str(error), name=name)
    for sign, text in _TOLD:
        if name.startswith(sign):
            return Unavailable(text, retry_after=1.0)
    return Unavailable("the database is unavailable: nothing was changed", retry_after=1.0)


def closing() -> Unavailable:
    """What a caller gets whose call came after the end."""
    return Unavailable("the server is closing: nothing was changed", retry_after=1.0)


def of_database(error: BaseException) -> bool:
    """Whether the database failed, and not the statement: full, locked, damaged, gone."""
    return type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError, sqlite3.InternalError)


def _busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


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
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future cannot carry it
            self.future.set_exception(RuntimeError("the work of a transaction stopped iterating"))
        else:
            self.future.set_exception(self.error)


class _Writer(Thread):
    """The one thread of this process that changes the file.

    Whatever a unit does, the thread goes on and every unit is answered.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="tause-sqlite-writer", daemon=True)
        self._loop = loop
        self._connection = connect(path)
        self._transaction = _SqliteTransaction(self._connection)
        self._ended = False
        self._former = 0
        """How many units the last commit was for."""
        self.queue: SimpleQueue[_Unit | None] = SimpleQueue()
        """None is the last: nothing is put after it."""

    def run(self) -> None:
        while not self._ended:
            batch = self._waiting()
            self._former = len(batch)
            self._commit(batch)
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, batch)
        self._connection.close()

    def _waiting(self) -> list[_Unit]:
        """The units that wait now, at least one; none at the end.

        As many as the last time are waited for, for a moment: who was answered together comes
        again together, and one commit is durable for all.
        """
        batch: list[_Unit] = []
        unit = self.queue.get()
        until = monotonic() + _MOMENT
        with suppress(Empty):
            while unit is not None:
                batch.append(unit)
                if len(batch) == _BATCH:
                    return batch
                unit = self.queue.get(len(batch) < self._former, max(0.0, until - monotonic()))
            self._ended = True
        return batch

    def _commit(self, batch: list[_Unit]) -> None:
        """Make them durable together. Where one spoils the whole transaction, each alone."""
        error = self._attempt(batch) if batch else None
        if error is None:
            return
        if len(batch) > 1 and not _busy(error):
            for unit in batch:
                self._commit([unit])
            return
        for unit in batch:
            unit.error = unavailable(error) if isinstance(error, sqlite3.Error) else error

    def _attempt(self, batch: list[_Unit]) -> BaseException | None:
        """One transaction of all that still wait; what undid it as a whole."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for unit in batch:
                if not unit.future.cancelled():
                    self._apply(unit)
            connection.execute("COMMIT")
        except BaseException as error:  # the thread must outlive it, and the callers be told
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return error
        return None

    def _apply(self, unit: _Unit) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT unit")
        unit.error = None
        try:
            unit.result = drive(unit.work(self._transaction))
        except BaseException as error:  # also a CancelledError of its own: it is this unit's alone
            if not connection.in_transaction:  # SQLite gave up the whole transaction: disk full
                raise
            connection.execute("ROLLBACK TO unit")
            unit.error = unavailable(error) if of_database(error) else error
        connection.execute("RELEASE unit")


def _settle(batch: list[_Unit]) -> None:
    for unit in batch:
        unit.settle()


class SqliteDatabase:
    """`Database` on one file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._writer = _Writer(path, self._loop)
        self._reader = connect_reader(path)
        self._read = _SqliteTransaction(self._reader)
        self._closed = False
        self._writer.start()

    async def first(
        self, tenant: TenantId | None, statement: Statement, /, **values: Any
    ) -> Row | None:
        try:
            return await self._read.first(statement, **values)
        except sqlite3.Error as error:
            raise self._told(error) from None

    async def read(
        self, tenant: TenantId | None, work: Work[T], *, long: bool = False, house: bool = False
    ) -> T:
        try:
            if long:
                return await asyncio.to_thread(self._read_apart, work)
            return _consistent(self._reader, self._read, work)
        except sqlite3.Error as error:
            raise self._told(error) from None

    def _told(self, error: sqlite3.Error) -> Exception:
        if self._closed:
            return closing()
        return unavailable(error) if of_database(error) else error

    def _read_apart(self, work: Work[T]) -> T:
        connection = connect_reader(self._path)
        try:
            return _consistent(connection, _SqliteTransaction(connection), work)
        finally:
            connection.close()

    async def write(self, tenant: TenantId | None, work: Work[T], *, house: bool = False) -> T:
        if self._closed:
            raise closing()
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.queue.put(_Unit(work, future))
        return await future

    async def check(self) -> None:
        async def probe(tx: Transaction) -> None:
            return None

        await self.write(None, probe)

    async def aclose(self) -> None:
        """Answer every write that was asked before, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._writer.queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._reader.close()


def _consistent(
    connection: sqlite3.Connection, transaction: _SqliteTransaction, work: Work[T]
) -> T:
    connection.execute("BEGIN")
    try:
        return drive(work(transaction))
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


@asynccontextmanager
async def open_sqlite(
    url: str, options: Options = DEFAULT_OPTIONS
) -> AsyncIterator[SqliteDatabase]:
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
