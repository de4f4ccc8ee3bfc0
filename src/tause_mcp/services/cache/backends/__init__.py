"""Where cached values are kept: one behaviour in this process's memory, in rows and in Redis."""

from dataclasses import dataclass
from typing import Protocol

from tause_mcp.database import TenantDatabase
from tause_mcp.errors import Conflict, Invalid, QuotaExceeded
from tause_mcp.limits import Due
from tause_mcp.tenancy import TenantId

OVERHEAD = 128
"""Bytes that an entry counts beside its key and value: what keeping it takes anyway."""
WHOLE = 2**53 - 1
"""A counter stays within what every JSON reader keeps exact."""


@dataclass(frozen=True, slots=True)
class Place:
    """One tenant's cache, as the running call may use it."""

    tenant: TenantId
    born: int
    """When the tenant was made (epoch microseconds): a later one of the same id is another place."""
    limit: int
    """Bytes."""
    database: TenantDatabase


class CacheStore(Protocol):
    """Keys are printable ASCII, values JSON text. Exact under parallel callers and processes.

    Every method raises `Unavailable` when the store cannot be asked.
    """

    async def get(self, at: Place, key: str, due: Due | None) -> bytes | None:
        """The value; first takes what is `due` of the tenant's rate, or raises `RateLimited`."""
        ...

    async def set(self, at: Place, key: str, value: bytes, ttl: int | None) -> None:
        """Keep a value for `ttl` seconds; what was used longest ago makes room.

        Raises:
            QuotaExceeded: it alone is over the limit; what was there is gone.
        """
        ...

    async def delete(self, at: Place, key: str) -> bool: ...

    async def increment(self, at: Place, key: str, by: int, ttl: int | None) -> int:
        """Add to a whole number; an absent one is 0, and then `ttl` holds.

        Raises:
            Conflict: the value is no whole number, or would leave what is exact.
        """
        ...

    async def clear(self, at: Place, prefix: str) -> int:
        """Remove the keys that begin with this text; how many."""
        ...

    async def used(self, database: TenantDatabase, born: int) -> int:
        """Bytes kept now, what has run out not counted."""
        ...

    async def leave(self, tenant: TenantId, born: int) -> None:
        """Remove what a deleted tenant kept outside the rows."""
        ...


def size_of(key: str, value: bytes | str) -> int:
    """What an entry counts against the limit."""
    return len(key) + len(value) + OVERHEAD


def over(limit: int) -> QuotaExceeded:
    return QuotaExceeded(f"the value is over the tenant's cache_memory limit of {limit} bytes")


def no_number() -> Conflict:
    return Conflict("the value under this key is no whole number", field="key")


def counted(value: bytes | str | None, by: int) -> int:
    """The number after adding; `Conflict` where there is none, or no exact one."""
    text = value.decode() if isinstance(value, bytes) else value
    if text is None:
        return by
    digits = text.removeprefix("-")
    if not digits.isdigit() or len(digits) > 16 or abs(int(text)) > WHOLE:
        raise no_number()
    return checked(int(text) + by)


def checked(number: int) -> int:
    if abs(number) > WHOLE:
        raise Invalid("the number would leave -(2^53-1) to 2^53-1", field="by")
    return number
