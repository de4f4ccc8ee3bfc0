"""The limits step of the pipeline: calls per hour, by the generic cell rate algorithm.

A tenant may use its whole hour at once and earns it back evenly. Exact over all the processes that
share the state. A tool that `carries_limit` has its rate taken by the one question that it asks of
the shared state anyway: the limit and the read are one round trip, and the limit comes first.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from tause_mcp.errors import RateLimited
from tause_mcp.operation import Operation
from tause_mcp.shared import MemoryRates, Rate, Rates, Taken
from tause_mcp.tenancy import Caller, TenantId

CALLS = "calls_per_hour"


class HasLimits(Protocol):
    def cached_limit(self, tenant: TenantId, name: str) -> int | None:
        """The tenant's limit; None is unlimited."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """What a call still has to take of its tenant's rate."""

    tenant: TenantId
    rate: Rate
    cost: int


_due: ContextVar[Due | None] = ContextVar("due", default=None)


def due(tenant: TenantId) -> Due | None:
    """What the running call is to take beside its own question; whoever asks has to take it."""
    found = _due.get()
    if found is None or found.tenant != tenant:
        return None
    _due.set(None)
    return found


def passed(rate: Rate, taken: Taken) -> None:
    """Raise `RateLimited` when it was not taken."""
    if taken.wait:
        seconds = taken.wait / 1e6
        raise RateLimited(
            f"the tenant's {rate.amount} calls per hour are used up: "
            f"try again in {max(1, round(seconds))} s",
            retry_after=seconds,
        )


class TenantLimits:
    """`pipeline.Limits` from the limits in force; a tenant without them pays nothing."""

    def __init__(
        self, directory: HasLimits, rates: Rates | None = None, *, carried: bool = False
    ) -> None:
        """`carried`: a tool that declares it takes the rate in its own round trip."""
        self._directory = directory
        self._rates = rates or MemoryRates()
        self._carried = carried

    async def admit(self, caller: Caller, operation: Operation) -> None:
        """Count the call, weighed by its cost.

        Raises:
            RateLimited: with the seconds until it would pass. A refused call is not counted.
            Unavailable: it cannot be counted.
        """
        per_hour = self._directory.cached_limit(caller.tenant, CALLS)
        if per_hour is None:
            return
        rate = Rate(CALLS, per_hour)
        if self._carried and operation.carries_limit:
            _due.set(Due(caller.tenant, rate, operation.cost))
            return
        passed(rate, await self._rates.take(caller.tenant, rate, operation.cost))

    async def collect(self, caller: Caller) -> None:
        """Take what a call was to carry, and did not."""
        if (left := due(caller.tenant)) is not None:
            passed(left.rate, await self._rates.take(left.tenant, left.rate, left.cost))

    async def forget(self, tenant: TenantId) -> None:
        """Start anew, should the id be used again."""
        await self._rates.forget(tenant, CALLS)

    async def left(self, tenant: TenantId) -> int | None:
        """Calls left now; None is unlimited."""
        per_hour = self._directory.cached_limit(tenant, CALLS)
        if per_hour is None:
            return None
        return (await self._rates.take(tenant, Rate(CALLS, per_hour), 0)).left
