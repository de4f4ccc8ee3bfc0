"""The tree of tenants: made, configured, measured, closed and removed."""

import asyncio
from functools import partial
from typing import Any

from tause_mcp.capability import Binding, Capability
from tause_mcp.limits import TenantLimits
from tause_mcp.services.tenants import connections
from tause_mcp.services.tenants.changes import Changes
from tause_mcp.services.tenants.connections import Connections
from tause_mcp.services.tenants.directory import TenantDirectory
from tause_mcp.services.tenants.info import TenantInfo
from tause_mcp.services.tenants.service import Announce, Tenants
from tause_mcp.services.tenants.usage import UsageMeter
from tause_mcp.services.tenants.usage_reader import TenantUsage, UsageReader
from tause_mcp.tenancy import TenantId

_SWEEP_SECONDS = 15.0
"""Between sweeps, and until another replica takes over from one that was killed."""


def _tenants(binding: Binding) -> Tenants:
    announce = Announce(
        configured=lambda tenant: binding.events.resource_updated(tenant, "config"),
        offered=binding.events.tools_changed,
        closed=binding.credentials.changed,
        deleted=partial(_deleted, binding),
    )
    return Tenants(binding.caller, binding.database, binding.shared(TenantDirectory), announce)


def _deleted(binding: Binding, tenant: TenantId) -> None:
    """What this process remembers of a tenant goes with it."""
    binding.shared(UsageMeter).forget(tenant)
    binding.credentials.changed(tenant)


def _usage(binding: Binding) -> UsageReader:
    return UsageReader(
        binding.service(Tenants),
        binding.shared(TenantDirectory),
        binding.shared(UsageMeter),
        binding.shared(TenantLimits),
    )


async def _sweep(platform: Any) -> None:
    await platform.shared_state.alone("tenants", partial(_swept, platform), ttl=_SWEEP_SECONDS)


async def _swept(platform: Any) -> None:
    """Finish interrupted deletions, and drop idempotency keys that are a day old."""
    while True:
        await platform.directory.finish_deletions()
        await platform.pipeline.idempotency.sweep()
        await asyncio.sleep(_SWEEP_SECONDS)


CAPABILITY = Capability(
    name="tenants",
    about="the tree of tenants: their configuration, limits, usage and life",
    words="inquilino inquilinos cliente empresa organización organization customer account cuenta "
    "crear configurar configuración límite límites cuota consumo uso suspender reanudar borrar "
    "quota plan setting settings subtenant",
    services={Tenants: _tenants, UsageReader: _usage},
    modules=(),
    background=_sweep,
    gauges={connections.LIMIT: connections.count},
)

__all__ = [
    "CAPABILITY",
    "Changes",
    "Connections",
    "TenantDirectory",
    "TenantInfo",
    "TenantUsage",
    "Tenants",
    "UsageMeter",
    "UsageReader",
]
