"""Tenants: configuration and usage as resources."""

from typing import Any

from tause_mcp.capability import resource
from tause_mcp.services.tenants import Tenants, UsageReader
from tause_mcp.tools.tenants import config, report


@resource("config", "Configuration", scope="tenants:read")
async def tenants_config(tenants: Tenants) -> dict[str, Any]:
    """The tenant's configuration in force, with the type and source of each value."""
    info, line = await tenants.get(None)
    return {**config(line), "version": info.config_version, "limits": dict(info.limits)}


@resource("usage", "Usage of the last day", scope="tenants:read")
async def tenants_usage(usage: UsageReader) -> dict[str, Any]:
    """Calls, errors, latencies, bytes and limits left, by capability and hour."""
    return dict(report(await usage.read(None, 24)))
