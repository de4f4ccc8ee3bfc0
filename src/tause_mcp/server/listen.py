"""subscriptions/listen and resources/subscribe: streams of one tenant's changes.

The SDK's bus and stream cap know no tenant. Each tenant gets a listener of its own, with its own
cap; a stream ends when its credential expires, is revoked, or its tenant is suspended.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any
from weakref import WeakKeyDictionary

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.server.subscriptions import (
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from tause_mcp.errors import TauseError, TooLarge
from tause_mcp.events import Event, EventBus
from tause_mcp.platform import Platform
from tause_mcp.server import answers
from tause_mcp.server.held import while_held
from tause_mcp.server.identity import Context, Identify
from tause_mcp.services.tenants import Connections
from tause_mcp.tenancy import TenantId

_MAX_URIS = 256


def _sdk_event(event: Event) -> ServerEvent | None:
    """None for what is no news of the catalogue."""
    match event.kind:
        case "access":
            return None
        case "resource":
            return ResourceUpdated(uri=event.uri)
        case "resources":
            return ResourcesListChanged()
        case "prompts":
            return PromptsListChanged()
        case _:
            return ToolsListChanged()


class _TenantBus:
    """The SDK's bus protocol over one tenant's events."""

    def __init__(self, events: EventBus, tenant: TenantId) -> None:
        self._events = events
        self._tenant = tenant

    async def publish(self, event: ServerEvent) -> None:
        raise TypeError("events are published on the house's bus, which knows their tenant")

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        def hear(event: Event) -> None:
            if (told := _sdk_event(event)) is not None:
                listener(told)

        return self._events.subscribe(self._tenant, hear)


class Listening:
    """The handlers of listening, in both eras."""

    def __init__(self, platform: Platform, identify: Identify) -> None:
        self._events = platform.events
        self._identify = identify
        self._counts = platform.counts
        self._connections = platform.shared[Connections]
        self._cap = platform.settings.max_streams
        self._tenants: dict[TenantId, ListenHandler] = {}
        self._sessions: WeakKeyDictionary[Any, dict[str, Callable[[], None]]] = WeakKeyDictionary()

    async def listen(
        self, ctx: Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        identity = self._identify(ctx)
        if len(params.notifications.resource_subscriptions or ()) > _MAX_URIS:
            raise answers.protocol_error(TooLarge(f"at most {_MAX_URIS} resources per stream"))
        tenant = identity.caller.tenant
        handler = self._tenants.get(tenant)
        if handler is None:
            bus = _TenantBus(self._events, tenant)
            handler = self._tenants[tenant] = ListenHandler(bus, max_subscriptions=self._cap)
        result = SubscriptionsListenResult()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._connections.open(tenant))
            except TauseError as error:
                raise answers.protocol_error(error) from None
            self._counts.streams += 1
            try:
                async with while_held(self._events, tenant, identity.holds):
                    result = await handler(ctx, params)
            finally:
                self._counts.streams -= 1
        return result

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """2025 sessions: updates of one URI go to the session's own stream."""
        tenant, uri = self._identify(ctx).caller.tenant, str(params.uri)
        mine = self._sessions.setdefault(_connection(ctx), {})
        if uri not in mine and len(mine) < _MAX_URIS:
            mine[uri] = _Following(self._events, tenant, uri, ctx.session).end
            _connection(ctx).exit_stack.callback(mine[uri])
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        end = self._sessions.get(_connection(ctx), {}).pop(str(params.uri), None)
        if end is not None:
            end()
        return EmptyResult()

    def close(self) -> None:
        """End every stream, politely: the server drains."""
        for handler in self._tenants.values():
            handler.close()


def _connection(ctx: Context) -> Any:
    """The session's connection. The SDK has no public name for it in 2.3."""
    return ctx.session._connection


class _Following:
    """Forwards the updates of one URI to one session until `end`."""

    def __init__(self, events: EventBus, tenant: TenantId, uri: str, session: Any) -> None:
        self._send, receive = anyio.create_memory_object_stream[Event](64)
        self._uri = uri
        self._unsubscribe = events.subscribe(tenant, self._hear)
        self._task = asyncio.create_task(_forward(session, receive))

    def _hear(self, event: Event) -> None:
        if event.kind == "resource" and event.uri == self._uri:
            with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._send.send_nowait(event)

    def end(self) -> None:
        self._unsubscribe()
        self._send.close()
        self._task.cancel()


async def _forward(session: Any, receive: MemoryObjectReceiveStream[Event]) -> None:
    async with receive:
        async for event in receive:
            await session.send_resource_updated(event.uri)
