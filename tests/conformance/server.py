"""The server under test, in a process of its own: `python -m tests.conformance.server --port P`.

It is the house as `tause-mcp serve --transport http` composes it, with the fixtures added by the
server's test hook. Like the real command it leaves the key that opens it in `$TAUSE_HOME/key`.
"""

import argparse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.subscriptions import PromptsListChanged, ServerEvent, ToolsListChanged
from tests.conformance import fixtures

from tause_mcp.cli import house
from tause_mcp.events import Event, EventBus
from tause_mcp.http.guard import App, Receive, Scope, Send
from tause_mcp.platform import open_platform
from tause_mcp.server.app import HttpApp, Serving
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROOT


class FixtureBus:
    """What the fixtures publish reaches the first key's tenant by the house's own bus."""

    def __init__(self, events: EventBus) -> None:
        self._events = events

    async def publish(self, event: ServerEvent) -> None:
        """Only lists change: no fixture updates a resource."""
        match event:
            case ToolsListChanged():
                self._events.publish(ROOT, Event("tools"))
            case PromptsListChanged():
                self._events.publish(ROOT, Event("prompts"))
            case _:
                raise NotImplementedError(type(event).__name__)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        raise NotImplementedError("the house serves subscriptions/listen itself")


@asynccontextmanager
async def serving(settings: Settings, url: str) -> AsyncIterator[App]:
    """Every HTTP door of the house, the fixtures beside its tools."""
    async with open_platform(settings, public_url=url) as platform:
        await house.first_key(platform)
        bus = FixtureBus(platform.events)
        hook = Serving(
            hooks=(lambda server: fixtures.register(server, bus),),
            streamed=frozenset(fixtures.STREAMED),
        )
        http = HttpApp(platform, hook)
        async with http.doors.running():
            yield http.guarded


def application(settings: Settings, url: str) -> App:
    """An ASGI application that is open between its lifespan's two ends."""
    inner: App | None = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inner
        if inner is not None and scope["type"] != "lifespan":
            await inner(scope, receive, send)
            return
        await receive()
        async with serving(settings, url) as inner:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app


def main() -> None:
    """Serve with sessions for the handshake era, as one worker does."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    port = arguments.parse_args().port
    uvicorn.run(
        application(house.settings(), f"http://127.0.0.1:{port}"),
        port=port,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
