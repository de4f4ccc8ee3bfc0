"""Shared state of a single process. What was used once is in the rows: it outlives a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tause_mcp.database import Database
from tause_mcp.shared.database_state import DatabaseOnce
from tause_mcp.shared.gcra import MemoryRates
from tause_mcp.shared.signals import Signals
from tause_mcp.shared.state import SharedState


class MemoryLeases:
    """`Leases` of one process: a second holder in it has to wait for its turn."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    @asynccontextmanager
    async def lease(self, name: str, ttl: float) -> AsyncIterator[bool]:
        if name in self._held:
            yield False
            return
        self._held.add(name)
        try:
            yield True
        finally:
            self._held.discard(name)


async def _fine() -> None:
    """Memory is always there."""


def memory_state(database: Database) -> SharedState:
    """The shared state of a process that shares with nobody."""
    return SharedState(
        kind="memory",
        rates=MemoryRates(),
        once=DatabaseOnce(database),
        leases=MemoryLeases(),
        signals=Signals(),
        check=_fine,
    )


@asynccontextmanager
async def open_memory_state(database: Database) -> AsyncIterator[SharedState]:
    yield memory_state(database)
