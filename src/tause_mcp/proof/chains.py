"""The audit chain of every tenant that the operator may read."""

from dataclasses import dataclass

from tause_mcp.errors import NotFound
from tause_mcp.platform import Platform
from tause_mcp.proof.deployment import Deployment, tenant, tenants
from tause_mcp.proof.findings import Check
from tause_mcp.services.audit import verify_lines
from tause_mcp.tenancy import ROOT, TenantId
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import Speaker

_CHANGES = 10


@dataclass(frozen=True, slots=True)
class Audited:
    """A throw-away tenant's chain, online and from its export; then everyone's."""

    deployment: Deployment
    name: str

    async def __call__(self, check: Check) -> None:
        platform = self.deployment.platform
        async with tenant(platform, self.name) as (made, key):
            async with self.deployment.connection() as http:
                await self._own(check, Speaker(http, key))
            await _everyone(check, platform, skip=made)

    async def _own(self, check: Check, owner: Speaker) -> None:
        for n in range(_CHANGES):
            await owner.tool("storage_put", {"key": f"audit/{n}", "content": "x"})
        verdict = (await owner.tool("audit_verify", {})).value
        enough = verdict.get("records", 0) >= _CHANGES
        check.require(bool(verdict.get("intact")), "the chain of the new tenant is broken")
        check.require(enough, "a change is missing in the chain of the new tenant")
        exported = (await owner.tool("audit_export", {})).value
        offline = verify_lines(str(exported.get("content", "")).splitlines())
        check.require(offline.intact, "the export of the new tenant does not verify offline")


async def _everyone(check: Check, platform: Platform, skip: TenantId) -> None:
    chains = records = asleep = 0
    for tenant_id in [ROOT, *[name async for name in tenants(platform, ROOT)]]:
        if tenant_id == skip:
            continue
        try:
            verdict = await run(platform, tenant_id, "audit_verify", {})
        except NotFound:
            asleep += 1  # suspended: nobody acts there, not even to read
            continue
        chains += 1
        records += verdict["records"]
        problem = verdict.get("problem", "")
        check.require(verdict["intact"], f"the chain of {tenant_id} is broken: {problem}")
    check.counts |= {"chains": chains + 1, "records": records, "suspended, not read": asleep}
