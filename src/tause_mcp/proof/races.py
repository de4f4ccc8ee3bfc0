"""Limits while many call at once, over many connections: exactly as much as allowed, no more."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from tause_mcp.proof.deployment import Deployment, tenant
from tause_mcp.proof.findings import Check
from tause_mcp.tenancy import ROOT
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import Answer, Speaker

_CALLS = 40
_OBJECTS, _SIZE = 25, 1000
_CONNECTIONS = 8
_BELIEVED = 5.0
"""Seconds after which a changed limit holds everywhere."""


@dataclass(frozen=True, slots=True)
class Raced:
    """`calls_per_hour` and the storage quota, each with three times as many calls at once."""

    deployment: Deployment
    name: str

    async def __call__(self, check: Check) -> None:
        platform = self.deployment.platform
        async with (
            tenant(platform, f"{self.name}-s") as (stored, storing),
            tenant(platform, f"{self.name}-c") as (called, calling),
        ):
            await self._limited(stored, {"storage": _OBJECTS * _SIZE + _SIZE // 2})
            await self._limited(called, {"calls_per_hour": _CALLS})
            await asyncio.sleep(_BELIEVED)
            answers = await self._at_once(storing, _OBJECTS * 3, _put)
            self._exact(check, "objects stored", answers, _OBJECTS, "quota_exceeded")
            answers = await self._at_once(calling, _CALLS * 3, lambda n: ("access_whoami", {}))
            self._exact(check, "calls admitted", answers, _CALLS, "rate_limited")

    async def _limited(self, made: str, limits: dict[str, int]) -> None:
        told = {"tenant_id": made, "limits": limits}
        await run(self.deployment.platform, ROOT, "tenants_configure", told)

    async def _at_once(
        self, key: str, count: int, call: Callable[[int], tuple[str, dict[str, Any]]]
    ) -> list[Answer]:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(self.deployment.connection())
                for _ in range(_CONNECTIONS)
            ]
            speakers = [Speaker(http, key) for http in clients]
            calls = (speakers[n % _CONNECTIONS].tool(*call(n)) for n in range(count))
            return await asyncio.gather(*calls)

    @staticmethod
    def _exact(check: Check, what: str, answers: list[Answer], limit: int, code: str) -> None:
        passed = sum(bool(answer.value) for answer in answers)
        odd = sum(not answer.value and code not in answer.body for answer in answers)
        check.counts |= {what: passed, f"{what}: limit": limit, f"{what}: asked": len(answers)}
        check.require(passed == limit, f"{what}: {passed} of a limit of {limit}")
        check.require(not odd, f"{what}: {odd} refusals were not told as {code}")


def _put(n: int) -> tuple[str, dict[str, Any]]:
    return "storage_put", {"key": f"race/{n}", "content": "x" * _SIZE}
