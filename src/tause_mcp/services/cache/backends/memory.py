"""Cached values in the memory of one process."""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from tause_mcp.database import TenantDatabase
from tause_mcp.limits import Due
from tause_mcp.services.cache.backends import Place, counted, over, size_of
from tause_mcp.tenancy import TenantId

MOST = 256 * 1024 * 1024
"""Bytes of all tenants: beyond it the fullest tenant gives way, so that the process lives."""
_NEVER = float("inf")


class _Entry(NamedTuple):
    value: bytes
    until: float


class _Shelf:
    """One tenant's entries, those used longest ago first."""

    def __init__(self) -> None:
        self.entries: OrderedDict[str, _Entry] = OrderedDict()
        self.bytes = 0
        self._ends: list[tuple[float, str]] = []

    def get(self, key: str, now: float) -> _Entry | None:
        found = self.entries.get(key)
        if found is None or found.until <= now:
            return None
        self.entries.move_to_end(key)
        return found

    def put(self, key: str, entry: _Entry) -> None:
        self.drop(key)
        self.entries[key] = entry
        self.bytes += size_of(key, entry.value)
        if entry.until != _NEVER:
            if len(self._ends) > 2 * len(self.entries) + 64:  # replaced ones have left their end
                self._ends = [(e.until, k) for k, e in self.entries.items() if e.until != _NEVER]
                heapq.heapify(self._ends)
            else:
                heapq.heappush(self._ends, (entry.until, key))

    def drop(self, key: str) -> bool:
        gone = self.entries.pop(key, None)
        if gone is not None:
            self.bytes -= size_of(key, gone.value)
        return gone is not None

    def expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            until, key = heapq.heappop(self._ends)
            held = self.entries.get(key)
            if held is not None and held.until == until:
                self.drop(key)

    def evict(self) -> None:
        self.drop(next(iter(self.entries)))


class MemoryStore:
    """`CacheStore` of a process that shares with nobody."""

    def __init__(self, clock: Callable[[], float] = monotonic, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._shelves: dict[tuple[TenantId, int], _Shelf] = {}
        self._bytes = 0

    async def get(self, at: Place, key: str, due: Due | None) -> bytes | None:
        shelf = self._shelves.get((at.tenant, at.born))
        found = None if shelf is None else shelf.get(key, self._clock())
        return None if found is None else found.value

    async def set(self, at: Place, key: str, value: bytes, ttl: int | None) -> None:
        self._put(at, key, _Entry(value, _NEVER if ttl is None else self._clock() + ttl))

    def _put(self, at: Place, key: str, entry: _Entry) -> None:
        shelf = self._shelves.setdefault((at.tenant, at.born), _Shelf())
        before, need = shelf.bytes, size_of(key, entry.value)
        shelf.drop(key)
        shelf.expire(self._clock())
        fits = need <= at.limit
        while fits and shelf.bytes + need > at.limit:
            shelf.evict()
        if fits:
            shelf.put(key, entry)
        self._bytes += shelf.bytes - before
        if not fits:
            raise over(at.limit)
        while self._bytes > self._most:
            self._relieve()

    def _relieve(self) -> None:
        fullest = max(self._shelves.values(), key=lambda shelf: shelf.bytes)
        before = fullest.bytes
        fullest.evict()
        self._bytes += fullest.bytes - before

    async def delete(self, at: Place, key: str) -> bool:
        shelf = self._shelves.get((at.tenant, at.born))
        if shelf is None:
            return False
        before, there = shelf.bytes, shelf.get(key, self._clock()) is not None
        shelf.drop(key)
        self._bytes += shelf.bytes - before
        return there

    async def increment(self, at: Place, key: str, by: int, ttl: int | None) -> int:
        now = self._clock()
        shelf = self._shelves.get((at.tenant, at.born))
        held = None if shelf is None else shelf.get(key, now)
        number = counted(None if held is None else held.value, by)
        until = _NEVER if ttl is None else now + ttl
        self._put(at, key, _Entry(b"%d" % number, until if held is None else held.until))
        return number

    async def clear(self, at: Place, prefix: str) -> int:
        shelf = self._shelves.get((at.tenant, at.born))
        if shelf is None:
            return 0
        before = shelf.bytes
        shelf.expire(self._clock())
        found = [key for key in shelf.entries if key.startswith(prefix)]
        for key in found:
            shelf.drop(key)
        self._bytes += shelf.bytes - before
        return len(found)

    async def used(self, database: TenantDatabase, born: int) -> int:
        shelf = self._shelves.get((database.tenant, born))
        if shelf is None:
            return 0
        before = shelf.bytes
        shelf.expire(self._clock())
        self._bytes += shelf.bytes - before
        return shelf.bytes

    async def leave(self, tenant: TenantId, born: int) -> None:
        self.bury(tenant)

    def bury(self, tenant: TenantId) -> None:
        """Whenever it was made."""
        for place in [place for place in self._shelves if place[0] == tenant]:
            self._bytes -= self._shelves.pop(place).bytes
