"""Connections to PostgreSQL, lent to one transaction at a time.

The driver's own pool asks the server to reset a connection each time it comes back: a round trip
per call. Here no statement ever sets anything that outlives its transaction, so there is nothing
to reset; whatever ended in doubt is closed instead.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Connect = Callable[[], Awaitable[Any]]
"""Opens one connection of the driver."""

IDLE = 300.0
"""Seconds after which an unused connection is not believed to be alive."""
_CLOSE_SECONDS = 5.0


class Pool:
    """At most `size` connections, opened when they are needed."""

    def __init__(self, connect: Connect, size: int, patience: float) -> None:
        """`patience`: seconds that a caller waits for a connection."""
        self._connect = connect
        self._patience = patience
        self._free = asyncio.Semaphore(size)
        self._idle: deque[tuple[Any, float]] = deque()
        self._lent: set[Any] = set()
        self._closed = False

    async def take(self) -> Any:
        """A connection that is the caller's alone until `give` or `drop`.

        Raises:
            TimeoutError: all are lent, for too long. OSError and the driver's own: none can be opened.
        """
        if self._free.locked():
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        else:
            await self._free.acquire()
        try:
            connection = self._fresh() or await self._open()
        except BaseException:
            self._free.release()
            raise
        self._lent.add(connection)
        return connection

    def _fresh(self) -> Any | None:
        """The connection that was used last: it is warm, and the server's end is likely there."""
        oldest = asyncio.get_running_loop().time() - IDLE
        while self._idle:
            connection, since = self._idle.pop()
            if since > oldest and not connection.is_closed():
                return connection
            connection.terminate()
        return None

    async def _open(self) -> Any:
        if self._closed:
            raise ConnectionError("the pool is closed")
        return await self._connect()

    def give(self, connection: Any) -> None:
        """Take a connection back that is in no transaction; in doubt it is closed."""
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            self.drop(connection)
            return
        self._lent.discard(connection)
        self._idle.append((connection, asyncio.get_running_loop().time()))
        self._free.release()

    def drop(self, connection: Any) -> None:
        """Close a connection without a word."""
        self._lent.discard(connection)
        connection.terminate()
        self._free.release()

    def forget(self) -> None:
        """Close what is idle: the server was restarted, or is another one now."""
        while self._idle:
            self._idle.pop()[0].terminate()

    async def close(self) -> None:
        """Say goodbye on what is idle, cut what is lent."""
        self._closed = True
        idle = [connection for connection, _ in self._idle]
        self._idle.clear()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*(c.close() for c in idle), return_exceptions=True)
        for connection in (*idle, *self._lent):
            connection.terminate()
