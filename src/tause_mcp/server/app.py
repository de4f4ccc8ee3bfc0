"""The whole HTTP server: one ASGI application for every door."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from tause_mcp.catalog import Catalog
from tause_mcp.errors import Misconfigured
from tause_mcp.http.documents import documents
from tause_mcp.http.guard import App, Guard, Receive, Scope, Send
from tause_mcp.http.metrics import metrics
from tause_mcp.platform import Platform, open_platform
from tause_mcp.server.build import Hook, build
from tause_mcp.server.doors import Doors
from tause_mcp.server.identity import View
from tause_mcp.server.sse import SseDoor
from tause_mcp.settings import Settings
from tause_mcp.telemetry.traces import tracing
from tause_mcp.telemetry.workers import sharing


def routes_of(platform: Platform, counts: Path | None = None) -> Starlette:
    """Everything that is not MCP."""
    declared = [
        Route(r.path, endpoint=r.fn(platform), methods=list(r.methods))
        for r in platform.catalog.routes
    ]
    return Starlette(routes=[*documents(platform), metrics(platform, counts), *declared])


@dataclass(frozen=True, slots=True)
class Serving:
    """How an HTTP process serves."""

    stateless: bool = False
    sse: bool = False
    view: View = field(default_factory=View)
    hooks: tuple[Hook, ...] = ()
    streamed: frozenset[str] = frozenset()
    """Names that `hooks` add and that talk while they work."""
    counts: Path | None = None
    """Where the workers of this server keep their counts; None for a single process."""


class HttpApp:
    """Every door over an open platform."""

    def __init__(self, platform: Platform, serving: Serving) -> None:
        platform.verifier.forget()  # opens it now: a wrong key file refuses to start
        server = build(platform, hooks=serving.hooks)
        self.doors = Doors(
            platform,
            server,
            stateless=serving.stateless,
            view=serving.view,
            streamed=serving.streamed,
        )
        self._legacy = SseDoor(platform, server, serving.view) if serving.sse else None
        self._rest: Any = routes_of(platform, serving.counts)
        self.guarded = Guard(self._route, platform.settings, platform.public_url)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/mcp" or (path.startswith("/t/") and path.endswith("/mcp")):
            await self.doors(scope, receive, send)
        elif self._legacy is not None and (path == "/sse" or path.startswith("/messages/")):
            await self._legacy(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


def application(
    settings: Settings,
    serving: Serving,
    *,
    public_url: str = "",
    catalog: Catalog | None = None,
    workers: int = 1,
    opened: Callable[[Platform], None] = lambda _: None,
) -> App:
    """An ASGI application that opens the platform in its lifespan and then serves every door.

    `opened` is called with the open platform before the first request is taken.
    """
    inner: App | None = None

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inner
        if scope["type"] != "lifespan":
            assert inner is not None, "the server runs the lifespan first"
            await inner(scope, receive, send)
            return
        await receive()
        async with AsyncExitStack() as stack:
            try:
                opening = open_platform(
                    settings, public_url=public_url, catalog=catalog, workers=workers
                )
                platform = await stack.enter_async_context(opening)
                stack.enter_context(tracing(platform.catalog.named))
                await stack.enter_async_context(sharing(platform.counts, serving.counts))
                http = HttpApp(platform, serving)
                await stack.enter_async_context(http.doors.running())
                inner = http.guarded
                opened(platform)
            except Misconfigured as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app
