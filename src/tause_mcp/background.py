"""Work beside the calls of one process: begun again when it fails, ended with the process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from tause_mcp import log

Work = Callable[[Any], Awaitable[None]]
_AGAIN = 5.0
"""Seconds before failed work is begun again."""
_log = log.get("background")


@asynccontextmanager
async def beside(works: Iterable[Work], platform: Any) -> AsyncIterator[None]:
    """Run each `work(platform)` while the block runs."""
    tasks = [asyncio.create_task(_supervised(work, platform)) for work in works]
    try:
        yield
    finally:
        await ended(tasks)


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until they are done: a driver may swallow a cancellation that came while it connects."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=0.2)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.warning("ended_badly", error=type(error).__name__)


async def _supervised(work: Work, platform: Any) -> None:
    """Run it again a moment after it fails; its failure never ends the server."""
    while True:
        try:
            await work(platform)
            return
        except Exception:  # whatever it was: log it, wait, go on
            _log.exception("background_failed", work=getattr(work, "__qualname__", "?"))
            await asyncio.sleep(_AGAIN)
