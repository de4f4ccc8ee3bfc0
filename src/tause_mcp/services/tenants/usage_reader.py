"""A tenant's usage and what is left of its limits, as one caller may ask."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from tause_mcp.database import TenantDatabase
from tause_mcp.limits import CALLS, TenantLimits
from tause_mcp.services.tenants.directory import TenantDirectory
from tause_mcp.services.tenants.service import Tenants
from tause_mcp.services.tenants.usage import HOUR, Report, UsageMeter
from tause_mcp.tenancy import TenantId


class LimitLeft(NamedTuple):
    """One limit; `used` and `left` are None where nobody measures it."""

    name: str
    limit: int
    used: int | None
    left: int | None


@dataclass(frozen=True, slots=True)
class TenantUsage:
    """Usage from hour `first` to `last` (hours since the epoch), both included."""

    tenant: TenantId
    first: int
    last: int
    report: Report
    limits: list[LimitLeft]


class UsageReader:
    """Usage of the caller's tenant and those below."""

    def __init__(
        self,
        tenants: Tenants,
        directory: TenantDirectory,
        meter: UsageMeter,
        rates: TenantLimits,
    ) -> None:
        self._tenants = tenants
        self._directory = directory
        self._meter = meter
        self._rates = rates

    async def read(
        self, named: str | None, hours: int, capability: str | None = None
    ) -> TenantUsage:
        """The last `hours` hours, the running one included.

        Raises:
            NotFound: neither one's own tenant nor one below.
        """
        tenant = (await self._tenants.reach(named)).ids[0]
        last = int(time.time()) // HOUR
        first = last - hours + 1
        report = await self._meter.report(tenant, first, last, capability)
        return TenantUsage(tenant, first, last, report, await self._limits(tenant))

    async def _limits(self, tenant: TenantId) -> list[LimitLeft]:
        in_force = await self._directory.limits(tenant)
        return [await self._left(tenant, name, limit) for name, limit in in_force.items()]

    async def _left(self, tenant: TenantId, name: str, limit: int) -> LimitLeft:
        if name == CALLS:
            left = await self._rates.left(tenant)
            return LimitLeft(name, limit, None if left is None else limit - left, left)
        if name == "tenants":
            below = await self._directory.descendants(tenant)
            return LimitLeft(name, limit, below, max(limit - below, 0))
        gauge = self._directory.gauges.get(name)
        if gauge is None:
            return LimitLeft(name, limit, None, None)
        used = await gauge(TenantDatabase(self._directory.database, tenant))
        return LimitLeft(name, limit, used, max(limit - used, 0))
