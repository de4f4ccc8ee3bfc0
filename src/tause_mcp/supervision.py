"""Work that runs beside the calls: for as long as the house is open, or to finish what a call began."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from tause_mcp import log
from tause_mcp.errors import TauseError

T = TypeVar("T")
_PAUSE = 5.0
"""Seconds between a failure and the next attempt."""
GRACE = 0.5
"""Seconds that a call waits for what it leaves to be finished: usually it is at once."""
_LONGEST = 15.0
"""Seconds that finishing may take."""
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
        await ended(tasks)


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
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


class Aside:
    """What is finished beside its caller: undoing what failed, keeping what was done.

    It is begun whatever becomes of the caller and goes on when that is cancelled or answered; the
    house ends only after it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, work: Coroutine[Any, Any, object], patience: float = GRACE) -> None:
        """Begin `work` and wait for it, for at most `patience` seconds. Its failure is only logged."""
        task = asyncio.create_task(_finished(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if patience:
            with anyio.CancelScope(shield=True):  # else a cancelled scope would not wait at all
                await asyncio.wait({task}, timeout=patience)

    async def settled(self) -> None:
        """Wait until nothing is left to finish."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _finished(work: Coroutine[Any, Any, object]) -> None:
    try:
        async with asyncio.timeout(_LONGEST):
            await work
    except TauseError as error:
        _log.warning("not_finished", work=getattr(work, "__qualname__", "?"), code=error.code)
    except Exception:  # nobody waits for it who could be told
        _log.exception("not_finished", work=getattr(work, "__qualname__", "?"))
