"""The generic cell rate algorithm: one number per rate, the time when all of it is earned back.

A tenant may use its whole period at once and earns it back evenly. Times are microseconds.
"""

from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple

from tause_mcp.tenancy import TenantId

SECOND = 1_000_000
_MANY = 10_000


class Rate(NamedTuple):
    """`amount` in `seconds`, under a name of the house (`calls_per_hour`)."""

    name: str
    amount: int
    seconds: int = 3600

    @property
    def period(self) -> int:
        """Microseconds in which a whole amount is earned; the wait when nothing ever is."""
        return self.seconds * SECOND

    @property
    def most(self) -> int:
        """The amount that is reckoned with: more than one in a microsecond is no limit."""
        return min(self.amount, self.period)

    @property
    def each(self) -> int:
        """Microseconds in which one is earned, rounded up: never more than allowed."""
        return -(-self.period // self.most)

    @property
    def burst(self) -> int:
        return self.most * self.each

    def charge(self, cost: int) -> int:
        """What `cost` takes; more than the whole amount takes the whole amount."""
        return min(cost, self.most) * self.each

    def left(self, owed: int) -> int:
        """What can be taken while `owed` is still to be earned back."""
        return max(self.most - -(-max(owed, 0) // self.each), 0)

    def nothing(self) -> "Taken":
        """The answer of a rate of nothing."""
        return Taken(self.period, 0)


class Taken(NamedTuple):
    """`wait` is 0 when it was taken, else the microseconds until it could be."""

    wait: int
    left: int


class MemoryRates:
    """`Rates` of one process."""

    def __init__(self, clock: Callable[[], int] = lambda: monotonic_ns() // 1000) -> None:
        self._clock = clock
        self._full_at: dict[tuple[TenantId, str], int] = {}

    async def take(self, tenant: TenantId, rate: Rate, cost: int) -> Taken:
        if rate.amount <= 0:
            return rate.nothing()
        now, key = self._clock(), (tenant, rate.name)
        before = min(max(self._full_at.get(key, now), now), now + rate.burst)
        after = before + rate.charge(cost)
        if cost and after - now > rate.burst:
            return Taken(after - now - rate.burst, rate.left(before - now))
        if cost:
            self._keep(key, after, now)
        return Taken(0, rate.left(after - now))

    def _keep(self, key: tuple[TenantId, str], after: int, now: int) -> None:
        self._full_at[key] = after
        if len(self._full_at) > _MANY:
            self._full_at = {k: at for k, at in self._full_at.items() if at > now}

    async def forget(self, tenant: TenantId, *names: str) -> None:
        for name in names:
            self._full_at.pop((tenant, name), None)
