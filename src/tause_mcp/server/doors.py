"""Streamable HTTP at `/mcp` and `/t/{tenant_id}/mcp`.

Quick tools are answered in JSON mode, in the request's own task; tools that talk while they work
(`Call`) and streams in SSE mode, with progress and cancellation. The SDK refuses a `Mcp-Name`
header that does not match the body, so the header may choose the mode, and nothing else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from tause_mcp.errors import Invalid
from tause_mcp.http.guard import Receive, Scope, Send, answer
from tause_mcp.http.login import logged_in, still_holds
from tause_mcp.platform import Platform
from tause_mcp.server.held import stream
from tause_mcp.server.identity import SCOPE_KEY, Identity, View
from tause_mcp.tenancy import Caller, TenantId, tenant_id

_VIEW = View()


class Doors:
    """Both Streamable HTTP doors, in both eras."""

    def __init__(
        self,
        platform: Platform,
        server: Server[Any],
        *,
        stateless: bool,
        view: View = _VIEW,
        streamed: frozenset[str] = frozenset(),
    ) -> None:
        """`streamed` are names, beside the catalogue's long tools, that are served as streams."""
        self._platform = platform
        self._stateless = stateless
        self._view = view
        body = platform.settings.max_body
        self._quick = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=body
        )
        self._talking = StreamableHTTPSessionManager(
            server, json_response=False, stateless=stateless, max_request_body_size=body
        )
        tools = platform.catalog.tools.values()
        long = {o.name for o in tools if o.long or o.forwards} | streamed
        self._long = frozenset(name.encode() for name in long)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._quick.run(), self._talking.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            tenant = door_of(scope["path"])
        except Invalid:
            await answer(send, 404, b'{"error":"not_found"}')
            return
        headers = scope["headers"]
        began = monotonic()
        caller = await logged_in(self._platform, headers, send, tenant)
        if caller is None:
            return
        waited = monotonic() - began
        holds = still_holds(self._platform, headers, caller, tenant)
        view = self._asked(scope["query_string"])
        scope[SCOPE_KEY] = Identity(
            caller, view, tenant_door=tenant is not None, holds=holds, waited=waited
        )
        if scope["method"] != "GET":
            await self._serve(scope, receive, send, caller)
            return
        serve = partial(self._serve, caller=caller)
        await stream(self._platform, caller.tenant, holds, serve, scope, receive, send)

    def _asked(self, query: bytes) -> View:
        if not query:
            return self._view
        asked = parse_qs(query.decode("latin-1"))
        names = [n for text in asked.get("toolsets", ()) for n in text.split(",") if n]
        read_only = asked.get("read_only", [""])[-1].lower() in ("true", "1")
        return View(
            tuple(names) if names else self._view.toolsets, read_only or self._view.read_only
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        version = method = name = b""
        for key, value in scope["headers"]:
            if key == b"mcp-protocol-version":
                version = value
            elif key == b"mcp-method":
                method = value
            elif key == b"mcp-name":
                name = value
        if version and version.decode("latin-1") not in HANDSHAKE_PROTOCOL_VERSIONS:
            talks = name in self._long or method == b"subscriptions/listen"
            manager = self._talking if talks else self._quick
            await manager.handle_request(scope, receive, send)
            return
        scope["user"] = session_user(caller)
        if not self._stateless:
            await self._talking.handle_request(scope, receive, send)
            return
        receive, body = await _peeked(receive, self._platform.settings.max_body)
        talks = any(name in body for name in self._long)
        manager = self._talking if talks else self._quick
        await manager.handle_request(scope, receive, send)


def door_of(path: str) -> TenantId | None:
    """The tenant that a door's path names; None on the plain door, `Invalid` where there is none."""
    if path == "/mcp":
        return None
    return tenant_id(path.removeprefix("/t/").removesuffix("/mcp"))


def session_user(caller: Caller) -> AuthenticatedUser:
    """Who a 2025 session belongs to. The SDK compares client, issuer and subject and knows no
    tenant, so the whole principal, tenant included, is folded into them."""
    told = {"token": "-", "client_id": caller.principal, "subject": caller.subject}
    return AuthenticatedUser(AccessToken(scopes=[], **told))


async def _peeked(receive: Receive, limit: int) -> tuple[Receive, bytes]:
    """The start of the body, and a `receive` that gives the same messages again."""
    messages = []
    size = 0
    while size <= limit:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    body = b"".join(m.get("body", b"") for m in messages)
    pending = iter(messages)

    async def again() -> Any:
        message = next(pending, None)
        return await receive() if message is None else message

    return again, body
