"""The cache, as a model sees it."""

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from tause_mcp.capability import CREATE, READ, REMOVE, REPLACE, tool
from tause_mcp.services.cache import Cache
from tause_mcp.services.cache.backends import WHOLE
from tause_mcp.services.cache.service import KEY_PATTERN, LONGEST, PREFIX_PATTERN

Key = Annotated[
    str,
    Field(
        pattern=KEY_PATTERN,
        description="Up to 256 printable ASCII characters without spaces, such as rates:usd; case matters.",
    ),
]
Ttl = Annotated[
    int | None,
    Field(ge=1, le=LONGEST, description="Seconds to keep it; without it, until room is needed."),
]
Value = Annotated[
    Any, WithJsonSchema({}), Field(description="Any JSON value but null, up to 20 KiB.")
]


class Found(TypedDict):
    """What is kept under a key; `value` only when `found`."""

    found: bool
    value: NotRequired[Annotated[Any, WithJsonSchema({})]]


class Kept(TypedDict):
    """A value that was kept, and its bytes as JSON."""

    key: str
    size: int


class Counter(TypedDict):
    """The number under a key now."""

    key: str
    value: int


class Deleted(TypedDict):
    """Whether there was a value."""

    key: str
    deleted: bool


class Cleared(TypedDict):
    """How many values were removed."""

    removed: int


def _under(arguments: Mapping[str, Any]) -> str | None:
    """What clearing reaches: a scope for one key alone does not cover the keys that begin with it."""
    prefix = arguments.get("prefix")
    return None if prefix is None else f"{prefix}*"


@tool("Read a cached value", scope="cache:read", hints=READ, part="key", carries_limit=True)
async def cache_get(cache: Cache, key: Key) -> Found:
    """Read a value kept with cache_set or cache_increment.

    A value may be gone at any moment; compute it anew when `found` is false.
    """
    found, value = await cache.get(key)
    return {"found": True, "value": value} if found else {"found": False}


@tool("Cache a value", scope="cache:write", hints=REPLACE, part="key")
async def cache_set(cache: Cache, key: Key, value: Value, ttl: Ttl = None) -> Kept:
    """Keep a JSON value for a while, replacing what was there; the least used make room.

    Use it for what can be computed or fetched again; store what must last with storage or database.
    """
    return {"key": key, "size": await cache.set(key, value, ttl)}


@tool("Delete a cached value", scope="cache:write", hints=REMOVE, part="key")
async def cache_delete(cache: Cache, key: Key) -> Deleted:
    """Remove one cached value. Use it when what it was made of has changed."""
    return {"key": key, "deleted": await cache.delete(key)}


@tool("Count in the cache", scope="cache:write", hints=CREATE, part="key")
async def cache_increment(
    cache: Cache,
    key: Key,
    by: Annotated[
        int, Field(ge=-WHOLE, le=WHOLE, description="What to add; negative takes away.")
    ] = 1,
    ttl: Ttl = None,
) -> Counter:
    """Add to a whole number and read it in one step, exact under parallel callers.

    An absent one begins at 0 and lasts `ttl` seconds; an existing one keeps its own end.
    """
    return {"key": key, "value": await cache.increment(key, by, ttl)}


@tool("Clear the cache", scope="cache:write", hints=REMOVE, part=_under)
async def cache_clear(
    cache: Cache,
    prefix: Annotated[
        str | None,
        Field(pattern=PREFIX_PATTERN, description="Only keys that begin with exactly this text."),
    ] = None,
) -> Cleared:
    """Remove every cached value whose key begins with a prefix, or all of them.

    Use it to invalidate what belongs together: keep such keys under one prefix, ended by a colon.
    """
    return {"removed": await cache.clear(prefix or "")}
