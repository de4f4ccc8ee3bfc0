"""The legacy SSE door (`/sse`, `/messages/`), one process, only when asked for."""

from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.sse import SseServerTransport

from tause_mcp.http.guard import Receive, Scope, Send, answer
from tause_mcp.http.login import logged_in, still_holds
from tause_mcp.platform import Platform
from tause_mcp.server.doors import session_user
from tause_mcp.server.held import stream
from tause_mcp.server.identity import SCOPE_KEY, Identity, View


class SseDoor:
    """Both paths of the 2024-11-05 HTTP+SSE transport."""

    def __init__(self, platform: Platform, server: Server[Any], view: View) -> None:
        self._platform = platform
        self._server = server
        self._view = view
        self._transport = SseServerTransport(
            "/messages/", max_request_body_size=platform.settings.max_body
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await logged_in(self._platform, scope["headers"], send)
        if caller is None:
            return
        holds = still_holds(self._platform, scope["headers"], caller)
        scope[SCOPE_KEY] = Identity(caller, self._view, holds=holds)
        scope["user"] = session_user(caller)
        if scope["path"] != "/sse":
            await self._transport.handle_post_message(scope, receive, send)
        elif scope["method"] != "GET":
            await answer(send, 405, b"", headers=((b"allow", b"GET"),))
        else:
            serve = self._stream
            await stream(self._platform, caller.tenant, holds, serve, scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, send) as (read, write):
            await serve_dual_era_loop(
                self._server,
                read,
                write,
                lifespan_state={},
                init_options=self._server.create_initialization_options(),
            )
