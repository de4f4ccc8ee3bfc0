"""Work that runs beside the calls: started again when it fails, ended with the house."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from tause_mcp import log

T = TypeVar("T")
_PAUSE = 5.0
"""Seconds between a failure and the next attempt."""
_log = log.get("platform")


@asynccontextmanager
async def beside(
    platform: T, works: Iterable[Callable[[T], Awaitable[None]]]
) -> AsyncIterator[None]:
    """Run `work(platform)` of each of them until the block is left."""
    tasks = [asyncio.create_task(_supervised(work, platform)) for work in works]
    try:
        yield
    finally:
        await _ended(tasks)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a driver may lose a cancellation in a failure of its own."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1)


async def _supervised(work: Callable[[T], Awaitable[None]], platform: T) -> None:
    """Run it again a moment after it fails; its failure never ends the server."""
    while True:
        try:
            await work(platform)
            return
        except Exception:  # whatever it was: log it, wait, go on
            _log.exception("background_failed", work=getattr(work, "__qualname__", "?"))
            await asyncio.sleep(_PAUSE)
