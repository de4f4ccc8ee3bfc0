"""The limits step of the pipeline: calls per hour, by the generic cell rate algorithm.

A tenant may use its whole hour at once and earns it back evenly. Exact within one process.
"""

from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

from tause_mcp.errors import RateLimited
from tause_mcp.operation import Operation
from tause_mcp.tenancy import Caller, TenantId

HOUR = 3_600_000_000_000
"""Nanoseconds."""
CALLS = "calls_per_hour"
_MANY = 10_000


class HasLimits(Protocol):
    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        """The tenant's limit; None is unlimited."""
        ...


class Gcra:
    """Rates of any number of tenants: one integer each, the time when all is earned back."""

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._full_at: dict[TenantId, int] = {}

    def take(self, tenant: TenantId, cost: int, per_hour: int) -> int:
        """Take `cost` of `per_hour`; 0 when taken, else the nanoseconds until it could be.

        A call that costs more than the whole hour takes the whole hour.
        """
        if per_hour <= 0:
            return HOUR
        each = -(-HOUR // per_hour)
        now = self._clock()
        full_at = max(self._full_at.get(tenant, now), now) + min(cost, per_hour) * each
        wait = full_at - now - per_hour * each
        if wait > 0:
            return wait
        self._full_at[tenant] = full_at
        if len(self._full_at) > _MANY:
            self._full_at = {t: at for t, at in self._full_at.items() if at > now}
        return 0

    def forget(self, tenant: TenantId) -> None:
        """A deleted tenant's rate dies with it."""
        self._full_at.pop(tenant, None)

    def left(self, tenant: TenantId, per_hour: int) -> int:
        """How much could be taken now."""
        if per_hour <= 0:
            return 0
        each = -(-HOUR // per_hour)
        now = self._clock()
        owed = max(self._full_at.get(tenant, now) - now, 0)
        return max(per_hour - -(-owed // each), 0)


class TenantLimits:
    """`pipeline.Limits` from the limits in force; a tenant without them pays nothing."""

    def __init__(self, directory: HasLimits, clock: Callable[[], int] = monotonic_ns) -> None:
        self._directory = directory
        self._rates = Gcra(clock)

    async def admit(self, caller: Caller, operation: Operation) -> None:
        """Count the call, weighed by its cost.

        Raises:
            RateLimited: with the seconds until it would pass. A refused call is not counted.
        """
        per_hour = self._directory.cached_limit(caller.tenant, CALLS)
        if per_hour is None:
            return
        wait = self._rates.take(caller.tenant, operation.cost, per_hour)
        if wait:
            seconds = wait / 1e9
            raise RateLimited(
                f"the tenant's {per_hour} calls per hour are used up: "
                f"try again in {max(1, round(seconds))} s",
                retry_after=seconds,
            )

    def forget(self, tenant: TenantId) -> None:
        """Start anew, should the id be used again."""
        self._rates.forget(tenant)

    def left(self, tenant: TenantId) -> int | None:
        """Calls left now, as this process knows; None is unlimited."""
        per_hour = self._directory.cached_limit(tenant, CALLS)
        return None if per_hour is None else self._rates.left(tenant, per_hour)
