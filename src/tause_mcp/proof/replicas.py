"""What one connection is told was written, every other one sees; what ends, ends everywhere."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from tause_mcp.proof.deployment import Deployment, tenant
from tause_mcp.proof.findings import Check
from tause_mcp.tenancy import ROOT
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import Speaker

_WRITES = 25
_READS = 4
_WARM = 12
_WITHIN = 5.0
"""Seconds in which a revocation or a suspension holds on every replica."""
_WATCHED = 8.0
_QUIET = 3.0
"""Seconds without a success after which nobody believes it any more."""

Asked = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Replicated:
    """Writes through one connection, reads through fresh ones; a key revoked, a tenant suspended."""

    deployment: Deployment
    name: str

    async def __call__(self, check: Check) -> None:
        platform = self.deployment.platform
        async with tenant(platform, self.name) as (made, key):
            await self._reads(check, key)
            doomed = await run(platform, made, "access_create_key", {"role": "viewer"})
            revoke = {"id": doomed["id"]}
            await self._ends(check, "revoked key", doomed["key"], key, "access_revoke_key", revoke)
            await self._ends(check, "suspended tenant", key, "", "tenants_suspend", {})

    async def _reads(self, check: Check, key: str) -> None:
        stale = 0
        async with self.deployment.connection() as pinned:
            writer = Speaker(pinned, key)
            for n in range(_WRITES):
                put = {"key": "replica/one", "content": f"written {n}"}
                answer = await writer.tool("storage_put", put)
                check.require(bool(answer.value), f"a write failed: {answer.body[:200]}")
                found = await asyncio.gather(*(self._read(key) for _ in range(_READS)))
                stale += sum(content != f"written {n}" for content in found)
        check.counts |= {"writes": _WRITES, "reads by fresh connections": _WRITES * _READS}
        check.counts["stale reads"] = stale
        check.require(not stale, f"{stale} reads did not see what was written before")

    async def _read(self, key: str) -> str:
        async with self.deployment.connection(limit=1) as fresh:
            answer = await Speaker(fresh, key).tool("storage_get", {"key": "replica/one"})
            return str(answer.value.get("content", ""))

    async def _works(self, key: str) -> bool:
        async with self.deployment.connection(limit=1) as fresh:
            return bool((await Speaker(fresh, key).tool("access_whoami", {})).value)

    async def _ends(
        self, check: Check, what: str, key: str, by: str, tool: str, arguments: dict[str, str]
    ) -> None:
        """End it through one connection (`by` its key, or the local person) and watch others."""
        warm = await asyncio.gather(*(self._works(key) for _ in range(_WARM)))
        check.require(all(warm), f"{what}: it did not work before")
        if by:
            async with self.deployment.connection() as http:
                answer = await Speaker(http, by).tool(tool, arguments)
                check.require(answer.status == 200, f"{what}: {answer.body[:200]}")
        else:
            await run(self.deployment.platform, ROOT, tool, {"tenant_id": self.name})
        began, last = monotonic(), 0.0
        while (at := monotonic() - began) < min(_WATCHED, last + _QUIET):
            if any(await asyncio.gather(*(self._works(key) for _ in range(_READS)))):
                last = at
            await asyncio.sleep(0.1)
        check.counts[f"{what}: seconds until refused"] = round(last, 1)
        check.require(last <= _WITHIN, f"{what}: still believed {last:.1f} s later")
