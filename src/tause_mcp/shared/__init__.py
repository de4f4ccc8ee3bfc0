"""What the processes of one installation share: rates, single use, leases, and news.

`TAUSE_CACHE_URL` chooses where: `memory://` (one process), `database://` (the rows' database) or
`redis://`. By default memory, and the database where there are several workers or it is a server.
What must be exact or safe refuses when its store is down; see docs/adrs/008.
"""

from contextlib import AbstractAsyncContextManager

from tause_mcp import urls
from tause_mcp.database import Database
from tause_mcp.errors import Misconfigured
from tause_mcp.settings import Settings
from tause_mcp.shared.database_state import DatabaseOnce, open_database_state
from tause_mcp.shared.gcra import MemoryRates, Rate, Taken
from tause_mcp.shared.memory_state import memory_state, open_memory_state
from tause_mcp.shared.signals import Signal, Signals
from tause_mcp.shared.state import Leases, Once, Rates, SharedState

__all__ = [
    "DatabaseOnce",
    "Leases",
    "MemoryRates",
    "Once",
    "Rate",
    "Rates",
    "SharedState",
    "Signal",
    "Signals",
    "Taken",
    "memory_state",
    "open_shared_state",
]

SETTING = "TAUSE_CACHE_URL"
_REDIS = ("redis", "rediss", "unix")


def open_shared_state(
    settings: Settings, database: Database, *, workers: int = 1
) -> AbstractAsyncContextManager[SharedState]:
    """`async with open_shared_state(...) as shared_state`.

    Raises:
        Misconfigured: an unknown URL, a missing extra, or one process's memory for several.
    """
    url = settings.cache_url
    scheme = urls.scheme_of(url) if url else _default(database, workers)
    if scheme == "database":
        return open_database_state(database)
    if scheme == "memory":
        if workers > 1:
            raise Misconfigured(
                f"{SETTING}: memory:// is one process's own: with --workers above 1 leave it out, "
                "or use redis:// or database://"
            )
        return open_memory_state(database)
    if scheme not in _REDIS:
        raise Misconfigured(
            f"{SETTING}: use redis://, rediss://, unix://, database:// or memory://"
        )
    return _redis(url)


def _default(database: Database, workers: int) -> str:
    return "memory" if workers == 1 and database.dialect == "sqlite" else "database"


def _redis(url: str) -> AbstractAsyncContextManager[SharedState]:
    try:
        from tause_mcp.shared.redis_state import open_redis_state
    except ModuleNotFoundError:
        raise Misconfigured(
            f"{SETTING}: Redis needs 'redis': install the extra `tause-mcp[redis]`"
        ) from None
    return open_redis_state(url)
