"""Retention in the background: once an hour, in one replica at a time, tenant by tenant."""

import asyncio
from functools import partial
from typing import Any

from tause_mcp import log, times
from tause_mcp.database import Database, TenantDatabase
from tause_mcp.errors import TauseError
from tause_mcp.services.audit.retention import prune
from tause_mcp.services.tenants.directory import TenantDirectory
from tause_mcp.services.tenants.values import retention_days
from tause_mcp.tenancy import ROOT, TenantId

EVERY = 3600.0
"""Seconds between sweeps."""
_DAY = 86_400 * times.SECOND
_PAGE = 1000
_log = log.get("audit")


async def run(platform: Any) -> None:
    """Sweep now and then in one replica, until cancelled."""
    await platform.shared_state.alone("audit", partial(_now_and_then, platform))


async def _now_and_then(platform: Any) -> None:
    while True:
        await once(platform.database, platform.directory)
        await asyncio.sleep(EVERY)


async def once(database: Database, directory: TenantDirectory) -> int:
    """Apply every tenant's retention; how many records were removed.

    Two at once do no harm: each removal is one transaction behind the head of its chain.
    """
    removed, after = 0, ""
    while rows := await directory.below(ROOT, after, _PAGE, status="active"):
        for row in rows:
            removed += await _of(database, directory, TenantId(row[0]))
            await asyncio.sleep(0)  # an embedded database reads without waiting
        after = rows[-1][0]
    return removed


async def _of(database: Database, directory: TenantDirectory, tenant: TenantId) -> int:
    try:
        days = retention_days(await directory.line(tenant))
        if days is None:
            return 0
        before = times.now() - days * _DAY
        return await prune(TenantDatabase(database, tenant), database.dialect, before)
    except TauseError as failed:  # the others go on
        _log.warning("retention_put_off", tenant=tenant, error=type(failed).__name__)
        return 0
