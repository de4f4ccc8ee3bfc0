"""Cached values in the database: for several processes without Redis."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tause_mcp import times
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import TauseError
from tause_mcp.limits import Due
from tause_mcp.services.cache import tables
from tause_mcp.services.cache.backends import Place, counted, over, size_of
from tause_mcp.tenancy import TenantId

T = TypeVar("T")
_FRESH = 60 * times.SECOND
"""How old a last use may look: reads write no oftener."""


class _Books:
    """A tenant's bytes inside one transaction that holds them."""

    def __init__(self, tx: Transaction, used: int, now: int) -> None:
        self.tx = tx
        self.used = used
        self.now = now

    async def drop(self, key: str) -> tuple[str, int | None] | None:
        """Remove an entry; its value and end when it was alive."""
        row = await self.tx.first(tables.HELD, of_key=key)
        if row is None:
            return None
        await self.tx.run(tables.DROP, of_key=key)
        self.used -= row[1]
        alive = row[2] is None or row[2] > self.now
        return (row[0], row[2]) if alive else None

    async def expire(self) -> None:
        row = await self.tx.first(tables.ENDED, now=self.now)
        if row is not None and row[0]:
            await self.tx.run(tables.DROP_ENDED, now=self.now)
            self.used -= int(row[0])

    async def put(self, key: str, value: str, until: int | None, limit: int) -> None:
        need = size_of(key, value)
        await self.expire()
        while self.used + need > limit:
            entries = await self.tx.all(tables.OLDEST)
            self.used = self.used if entries else 0
            for oldest, size in entries:
                if self.used + need <= limit:
                    break
                await self.tx.run(tables.DROP, of_key=oldest)
                self.used -= size
        await self.tx.run(
            tables.PUT, key=key, value=value, size=need, expires_at=until, used_at=self.now
        )
        self.used += need


class RowStore:
    """`CacheStore` in the rows of the call's own tenant, in the call's own transaction."""

    async def get(self, at: Place, key: str, due: Due | None) -> bytes | None:
        now = times.now()
        row = await at.database.first(tables.GET, of_key=key, now=now)
        if row is None:
            return None
        if now - row[1] > _FRESH:
            with suppress(TauseError):  # an older look at when it was used is all that is lost
                await at.database.write(lambda tx: tx.run(tables.TOUCH, of_key=key, of_used_at=now))
        return str(row[0]).encode()

    async def _change(self, at: Place, work: Callable[[_Books], Awaitable[T]]) -> T:
        async def whole(tx: Transaction) -> T:
            await tx.run(tables.BEGIN_USAGE, bytes=0)
            row = await tx.first(tables.LOCK_USAGE)
            assert row is not None  # it was made the moment before
            books = _Books(tx, row[0], times.now())
            result = await work(books)
            await tx.run(tables.SET_USAGE, of_bytes=books.used)
            return result

        return await at.database.write(whole)

    async def set(self, at: Place, key: str, value: bytes, ttl: int | None) -> None:
        fits = size_of(key, value) <= at.limit

        async def work(books: _Books) -> None:
            await books.drop(key)
            if fits:
                until = None if ttl is None else books.now + ttl * times.SECOND
                await books.put(key, value.decode(), until, at.limit)

        await self._change(at, work)
        if not fits:
            raise over(at.limit)

    async def delete(self, at: Place, key: str) -> bool:
        async def work(books: _Books) -> bool:
            return await books.drop(key) is not None

        return await self._change(at, work)

    async def increment(self, at: Place, key: str, by: int, ttl: int | None) -> int:
        async def work(books: _Books) -> int:
            held = await books.drop(key)
            number = counted(None if held is None else held[0], by)
            if size_of(key, str(number)) > at.limit:
                raise over(at.limit)
            until = None if ttl is None else books.now + ttl * times.SECOND
            await books.put(key, str(number), until if held is None else held[1], at.limit)
            return number

        return await self._change(at, work)

    async def clear(self, at: Place, prefix: str) -> int:
        bounds = {"least": prefix, "most": prefix + "\x7f"}

        async def work(books: _Books) -> int:
            await books.expire()
            row = await books.tx.first(tables.WITHIN, **bounds)
            count, size = row or (0, 0)
            await books.tx.run(tables.DROP_WITHIN, **bounds)
            books.used -= int(size)
            return int(count)

        return await self._change(at, work)

    async def used(self, database: TenantDatabase, born: int) -> int:
        row = await database.first(tables.ALIVE, now=times.now())
        return int(row[0]) if row else 0

    async def leave(self, tenant: TenantId, born: int) -> None:
        """Its rows go with all its others."""
