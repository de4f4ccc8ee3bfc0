"""Two throw-away tenants and their neighbours: nobody finds anything of the other."""

from contextlib import suppress
from dataclasses import dataclass

from tause_mcp.errors import Conflict, NotFound
from tause_mcp.platform import Platform
from tause_mcp.proof.deployment import Deployment, tenants
from tause_mcp.proof.findings import Check
from tause_mcp.tenancy import ROOT, TenantId
from tause_mcp.testing.walk import walk
from tause_mcp.testing.walk_cast import cast, run
from tause_mcp.testing.walk_wire import LEGACY, MODERN

_SETTLE = 4.0
"""Seconds until another process has written down what was used."""


@dataclass(frozen=True, slots=True)
class Walked:
    """The isolation walk over every tool, resource, prompt, cursor, handle, link and route."""

    deployment: Deployment
    stem: str
    probes: int

    async def __call__(self, check: Check) -> None:
        platform, top = self.deployment.platform, TenantId(f"{self.stem}-top")
        await run(platform, ROOT, "tenants_create", {"tenant_id": top})
        try:
            company = await cast(platform, self.stem, top)
            async with self.deployment.connection() as http:
                report = await walk(
                    platform,
                    http,
                    most=self.probes,
                    eras=(MODERN, LEGACY),
                    run=self.stem,
                    settle=_SETTLE,
                    company=company,
                )
        finally:
            await _removed(platform, top)
        check.counts |= {"probes": report.probes, "bytes found": report.bytes}
        catalog = platform.catalog
        known = {*catalog.tools, *catalog.resources, *catalog.prompts}
        check.counts["tools, resources and prompts"] = len(known)
        check.counts["tools, resources and prompts covered"] = len(known & report.covered)
        for finding in report.findings:
            check.require(False, str(finding)[:300])
        check.require(report.probes > 0, "no probe was made")


async def _removed(platform: Platform, top: TenantId) -> None:
    """All that lies below `top`, whoever made it; those with none below them first."""
    left = [name async for name in tenants(platform, top)]
    while left:
        for name in left:
            with suppress(NotFound, Conflict):
                await run(platform, ROOT, "tenants_delete", {"tenant_id": name})
        before, left = left, [name async for name in tenants(platform, top)]
        if len(left) == len(before):
            raise Conflict("not every throw-away tenant could be deleted")
    await run(platform, ROOT, "tenants_delete", {"tenant_id": top})
