"""A lease kept by renewing it, whatever keeps it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import anyio

from tause_mcp.errors import Unavailable


@asynccontextmanager
async def renewed(
    hold: Callable[[], Awaitable[bool]], release: Callable[[], Awaitable[None]], ttl: float
) -> AsyncIterator[bool]:
    """Take it by `hold`, call that again three times in each `ttl`, and `release` at the end.

    When it is lost, or cannot be renewed before it runs out, the block is cancelled and left.
    """
    try:
        held = await hold()
    except Unavailable:
        held = False
    if not held:
        yield False
        return
    with anyio.CancelScope() as block:
        keeping = asyncio.create_task(_keep(hold, ttl, block))
        try:
            yield True
        finally:
            keeping.cancel()
            with anyio.CancelScope(shield=True), suppress(Unavailable):
                await release()


async def _keep(hold: Callable[[], Awaitable[bool]], ttl: float, block: anyio.CancelScope) -> None:
    until = monotonic() + ttl
    while monotonic() < until:
        await asyncio.sleep(ttl / 3)
        with suppress(Unavailable):
            asked = monotonic()
            if not await hold():
                break
            until = asked + ttl
    block.cancel()
