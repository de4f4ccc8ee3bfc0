"""One tenant's cache. What was kept may be gone at any moment; what is counted is exact."""

from collections.abc import Callable
from typing import Any

import orjson

from tause_mcp import log
from tause_mcp.errors import Invalid, TooLarge, Unavailable
from tause_mcp.limits import due
from tause_mcp.services.cache.backends import WHOLE, CacheStore, Place

KEY_PATTERN = r"^[!-~]{1,256}$"
PREFIX_PATTERN = r"^[!-~]{1,256}$"
MAX_VALUE = 20 * 1024
"""Bytes of one value as JSON: it fits into an answer."""
LONGEST = 366 * 86_400
"""Seconds that a value may be kept."""
LIMIT = "cache_memory"
DEFAULT_LIMIT = 16 * 1024 * 1024
"""Bytes for a tenant without a limit of its own."""

_log = log.get("cache")


class Cache:
    """Keys to JSON values of one tenant."""

    def __init__(self, store: CacheStore, place: Callable[[], Place]) -> None:
        self._store = store
        self._place = place

    async def get(self, key: str) -> tuple[bool, Any]:
        """Whether there is a value, and which. A store that is down has none.

        Raises:
            Unavailable: the tenant's rate could not be asked: nobody passes uncounted.
        """
        at = self._place()
        carried = due(at.tenant)
        try:
            found = await self._store.get(at, key, carried)
        except Unavailable:
            if carried is not None:
                raise
            _log.warning("cache_not_read")
            return False, None
        return (False, None) if found is None else (True, orjson.loads(found))

    async def set(self, key: str, value: Any, ttl: int | None = None) -> int:
        """Keep a value, replacing what was there; its bytes as JSON.

        Raises:
            TooLarge: over 20 KiB. QuotaExceeded: over the tenant's limit by itself.
        """
        told = _told(value)
        await self._store.set(self._place(), key, told, ttl)
        return len(told)

    async def delete(self, key: str) -> bool:
        """Whether there was one."""
        return await self._store.delete(self._place(), key)

    async def increment(self, key: str, by: int = 1, ttl: int | None = None) -> int:
        """Add to a whole number, made as 0 with this `ttl` where there is none.

        Raises:
            Conflict: the value is something else. Invalid: the sum is not exact any more.
        """
        if abs(by) > WHOLE:
            raise Invalid("by: from -(2^53-1) to 2^53-1", field="by")
        return await self._store.increment(self._place(), key, by, ttl)

    async def clear(self, prefix: str = "") -> int:
        """Remove every key that begins with this text, or all; how many."""
        return await self._store.clear(self._place(), prefix)


def _told(value: Any) -> bytes:
    if value is None:
        raise Invalid("value: null is no value: delete the key instead", field="value")
    try:
        told = orjson.dumps(value)
    except TypeError:
        raise Invalid(
            "value: holds text or a number that JSON cannot carry", field="value"
        ) from None
    if len(told) > MAX_VALUE:
        raise TooLarge(f"a cached value has at most {MAX_VALUE} bytes as JSON", field="value")
    return told
