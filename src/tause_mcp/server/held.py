"""A stream lives no longer than what opened it: its credential, and what that may do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import orjson

from tause_mcp.errors import TauseError
from tause_mcp.events import Event, EventBus
from tause_mcp.http.guard import App, Receive, Scope, Send, answer
from tause_mcp.platform import Platform
from tause_mcp.services.tenants import Connections
from tause_mcp.tenancy import TenantId

RECHECK_SECONDS = 3.0
"""With what the check itself may take, below the 5 s in which a revocation has to bite."""


@asynccontextmanager
async def while_held(
    events: EventBus, tenant: TenantId, holds: Callable[[], Awaitable[bool]] | None
) -> AsyncIterator[None]:
    """Cancel the block, and leave it, once `holds` says no.

    Asked every few seconds, and at once when what the tenant's credentials may do has changed.
    """
    if holds is None:
        yield
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, events, tenant, holds, group.cancel_scope)
        yield
        group.cancel_scope.cancel()


async def stream(
    platform: Platform,
    tenant: TenantId,
    holds: Callable[[], Awaitable[bool]],
    app: App,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve a stream as one of those that its tenant may have, while `holds` says yes."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(platform.shared[Connections].open(tenant))
        except TauseError as error:
            told = {"error": error.code, "error_description": str(error)}
            after = ((b"retry-after", b"%d" % (error.retry_after or 1)),)
            await answer(send, error.status, orjson.dumps(told), headers=after)
            return
        await until_lost(platform.events, tenant, holds, app, scope, receive, send)


async def until_lost(
    events: EventBus,
    tenant: TenantId,
    holds: Callable[[], Awaitable[bool]],
    app: App,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve a stream while `holds` says yes, and end it in order."""
    open_ = False

    async def watched(message: MutableMapping[str, Any]) -> None:
        nonlocal open_
        open_ = message["type"] == "http.response.start" or bool(message.get("more_body"))
        await send(message)

    async with while_held(events, tenant, holds):
        await app(scope, receive, watched)
    if open_:
        await send({"type": "http.response.body", "body": b""})


async def _watch(
    events: EventBus,
    tenant: TenantId,
    holds: Callable[[], Awaitable[bool]],
    block: anyio.CancelScope,
) -> None:
    changed = asyncio.Event()

    def hear(event: Event) -> None:
        if event.kind == "access":
            changed.set()

    end = events.subscribe(tenant, hear)
    try:
        while True:
            with anyio.move_on_after(RECHECK_SECONDS):
                await changed.wait()
            changed.clear()
            if not await holds():
                block.cancel()
                return
    finally:
        end()
