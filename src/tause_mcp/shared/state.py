"""What every process of an installation has in common, as its users see it.

Three backends keep it with one behaviour: this process's memory, the database, Redis.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tause_mcp.shared.gcra import Rate, Taken
from tause_mcp.shared.signals import Signals
from tause_mcp.tenancy import TenantId

Kind = Literal["memory", "database", "redis"]


class Rates(Protocol):
    """How much of each rate a tenant has taken; exact under parallel callers. Down: refuses."""

    async def take(self, tenant: TenantId, rate: Rate, cost: int) -> Taken:
        """Take `cost` (0 only asks); a refused call is not counted.

        Raises:
            Unavailable: it cannot be counted, so it may not pass.
        """
        ...

    async def forget(self, tenant: TenantId, *names: str) -> None:
        """A deleted tenant's rates die with it."""
        ...


class Once(Protocol):
    """What may be used a single time. Down: refuses."""

    async def spend(self, name: str, *, issued: float, until: float) -> bool:
        """Use up `name`; False when it was used, or when it may have been and nobody can tell.

        `issued` and `until` are epoch seconds: what is issued before the store began to remember
        is refused; what is over need not be remembered any more.

        Raises:
            Unavailable: it cannot be recorded, so nothing is accepted.
        """
        ...


class Leases(Protocol):
    """Work that one process at a time should do."""

    def lease(self, name: str, ttl: float) -> AbstractAsyncContextManager[bool]:
        """Whether this process may do `name` now, renewed while the block runs.

        `ttl` seconds after the holder died another one takes over; a block whose lease is lost is
        cancelled and left. Down: nobody holds it. It saves work; it is no lock: what runs under
        it has to survive running twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class SharedState:
    """The open shared state of one process."""

    kind: Kind
    rates: Rates
    once: Once
    leases: Leases
    signals: Signals
    check: Callable[[], Awaitable[None]]
    """Raises `Unavailable` unless it answers."""
    source: Any = None
    """What a capability keeps its own shared data in: `RedisClient`, `Database`, or None."""

    def lease(self, name: str, ttl: float = 60.0) -> AbstractAsyncContextManager[bool]:
        """`async with shared_state.lease("sweep") as held`."""
        return self.leases.lease(name, ttl)

    async def alone(
        self, name: str, work: Callable[[], Awaitable[None]], ttl: float = 60.0
    ) -> None:
        """Do `work`, which does not end by itself, in one process at a time; until cancelled."""
        while True:
            async with self.lease(name, ttl) as held:
                if held:
                    await work()
            await asyncio.sleep(ttl / 4)
