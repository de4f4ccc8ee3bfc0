"""Values kept for a while, for one tenant, within its limit of memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from tause_mcp.capability import Binding, Capability
from tause_mcp.database import TenantDatabase
from tause_mcp.services.cache.backends import CacheStore, Place
from tause_mcp.services.cache.backends.memory import MemoryStore
from tause_mcp.services.cache.backends.rows import RowStore
from tause_mcp.services.cache.service import DEFAULT_LIMIT, LIMIT, Cache
from tause_mcp.services.tenants import TenantDirectory
from tause_mcp.shared import SharedState
from tause_mcp.tenancy import TenantId


def _bind(binding: Binding) -> Cache:
    tenant = binding.tenant

    def place() -> Place:
        limit = binding.limit(LIMIT)
        born = binding.shared(TenantDirectory).cached_born(tenant)
        return Place(tenant, born, DEFAULT_LIMIT if limit is None else limit, binding.database)

    return Cache(binding.backend("cache"), place)


def _store(state: SharedState) -> CacheStore:
    if state.kind == "redis":
        from tause_mcp.services.cache.backends.redis import RedisStore

        return RedisStore(state.source)
    return MemoryStore() if state.kind == "memory" else RowStore()


async def _leave(platform: Any, tenant: TenantId) -> None:
    await platform.backends["cache"].leave(tenant, await platform.directory.born(tenant))


def _measured(platform: Any) -> Callable[[TenantDatabase], Awaitable[int]]:
    async def used(database: TenantDatabase) -> int:
        born = await platform.directory.born(database.tenant)
        found: int = await platform.backends["cache"].used(database, born)
        return found

    return used


CAPABILITY = Capability(
    name="cache",
    about="keep a value for a while, count, and invalidate by prefix",
    words="caché memoria temporal guardar contador incrementar caducidad ttl invalidar expire counter",
    services={Cache: _bind},
    modules=(),
    keeps=_store,
    on_delete=_leave,
    measures={LIMIT: _measured},
)

__all__ = ["CAPABILITY", "DEFAULT_LIMIT", "LIMIT", "Cache", "CacheStore", "Place"]
