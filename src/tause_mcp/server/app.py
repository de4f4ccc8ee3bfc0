"""The whole HTTP server: one ASGI application for every door."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from tause_mcp.http.documents import documents
from tause_mcp.http.guard import App, Guard, Receive, Scope, Send
from tause_mcp.platform import Platform
from tause_mcp.server.build import Hook, build
from tause_mcp.server.doors import Doors
from tause_mcp.server.identity import View
from tause_mcp.server.sse import SseDoor


def routes_of(platform: Platform) -> Starlette:
    """Everything that is not MCP."""
    declared = [
        Route(r.path, endpoint=r.fn(platform), methods=list(r.methods))
        for r in platform.catalog.routes
    ]
    return Starlette(routes=[*documents(platform), *declared])


def http_app(
    platform: Platform,
    *,
    stateless: bool = False,
    sse: bool = False,
    view: View | None = None,
    hooks: tuple[Hook, ...] = (),
    opened: Callable[[], None] = lambda: None,
) -> App:
    """The application over an open platform; `opened` is called once it takes requests."""
    view = view or View()
    server = build(platform, hooks=hooks)
    doors = Doors(platform, server, stateless=stateless, view=view)
    legacy = SseDoor(platform, server, view) if sse else None
    rest: Any = routes_of(platform)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(doors, receive, send, opened)
            return
        path = scope["path"]
        if path == "/mcp" or (path.startswith("/t/") and path.endswith("/mcp")):
            await doors(scope, receive, send)
        elif legacy is not None and (path == "/sse" or path.startswith("/messages/")):
            await legacy(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return Guard(app, platform.settings, platform.public_url)


async def _lifespan(doors: Doors, receive: Receive, send: Send, opened: Callable[[], None]) -> None:
    async with AsyncExitStack() as stack:
        await receive()
        await stack.enter_async_context(doors.running())
        opened()
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
