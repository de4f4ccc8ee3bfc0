"""What is proven is what is served: the same tools, from the same plugins."""

from dataclasses import dataclass
from typing import Any

from tause_mcp.proof.deployment import Deployment, tenant
from tause_mcp.proof.findings import Check
from tause_mcp.testing.walk_wire import Speaker


@dataclass(frozen=True, slots=True)
class Same:
    """The server's list of every tool, against the catalogue that this process has loaded."""

    deployment: Deployment
    name: str

    async def __call__(self, check: Check) -> None:
        platform = self.deployment.platform
        async with tenant(platform, self.name) as (_, key), self.deployment.connection() as http:
            served = await _listed(Speaker(http, key, door="/mcp?toolsets=all"))
        ours = set(platform.catalog.tools)
        check.counts |= {"tools": len(served), "plugins left out": len(platform.catalog.problems)}
        strange, missing = sorted(served - ours), sorted(ours - served)
        check.require(not strange, f"served, but unknown here: {', '.join(strange[:8])}")
        # what a new tenant has not configured is not listed: only a wholly other list is a fault
        check.require(len(missing) < len(ours) / 2, "the server has another catalogue")


async def _listed(speaker: Speaker) -> set[str]:
    names: set[str] = set()
    params: dict[str, Any] = {}
    while True:
        result = (await speaker.ask("tools/list", params)).result
        names |= {tool["name"] for tool in result.get("tools", ())}
        if "nextCursor" not in result:
            return names
        params = {"cursor": result["nextCursor"]}
