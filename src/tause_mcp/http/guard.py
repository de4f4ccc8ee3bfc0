"""Host and Origin checks on every path and every bind address, and headers every answer carries.

DNS rebinding: a page on another host must reach nothing here (MCP 2026-07-28, Security).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tause_mcp import log
from tause_mcp.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_BLANK = (b" ", b"\t")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CORS = (
    (b"access-control-allow-methods", b"GET, POST, DELETE, HEAD, PATCH, PUT, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, "
        b"mcp-name, last-event-id, idempotency-key, tus-resumable, upload-length, upload-offset, "
        b"upload-checksum, upload-metadata, range, if-match, if-none-match",
    ),
    (
        b"access-control-expose-headers",
        b"mcp-session-id, www-authenticate, etag, location, upload-offset, upload-length, "
        b"tus-resumable, upload-expires",
    ),
    (b"access-control-max-age", b"600"),
    (b"vary", b"Origin"),
)


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


class Names:
    """Allowed host names or origins; `name:*` allows any port, a bare loopback name too."""

    def __init__(self, allowed: list[str]) -> None:
        self._exact = frozenset(a for a in allowed if not a.endswith(":*"))
        self._any_port = tuple(a[:-1] for a in allowed if a.endswith(":*"))

    def allow(self, name: str) -> bool:
        if name in self._exact:
            return True
        return any(
            name.startswith(start) and name[len(start) :].isdigit() for start in self._any_port
        )


class Guard:
    """The outermost layer of the HTTP server."""

    def __init__(self, app: App, settings: Settings, public_url: str) -> None:
        self._app = app
        public = public_url.partition("://")[2].partition("/")[0]
        hosts = [
            *_LOOPBACK,
            *(f"{h}:*" for h in _LOOPBACK),
            public,
            *_split(settings.allowed_hosts),
        ]
        self._hosts = Names(hosts)
        origins = [f"http://{h}" for h in (*_LOOPBACK, *(f"{h}:*" for h in _LOOPBACK))]
        origins += [public_url, *_split(settings.allowed_origins)]
        self._origins = Names(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        host = origin = None
        for name, value in scope["headers"]:
            if value.endswith(_BLANK):  # RFC 9110: no part of the value; httptools keeps it
                scope["headers"] = [(n, v.strip(b" \t")) for n, v in scope["headers"]]
            if name == b"host":
                host = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        if host is None or not self._hosts.allow(host):
            await self._refuse(
                send, 421, "this host name is not served here; see TAUSE_ALLOWED_HOSTS"
            )
        elif origin is None:
            await self._app(scope, receive, send)
        elif not self._origins.allow(origin):
            await self._refuse(send, 403, "this origin may not call; see TAUSE_ALLOWED_ORIGINS")
        else:
            await self._cross_origin(scope, receive, send, origin)

    async def _cross_origin(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        headers = [(b"access-control-allow-origin", origin.encode("latin-1")), *_CORS]
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def with_cors(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        await self._app(scope, receive, with_cors)

    async def _refuse(self, send: Send, status: int, text: str) -> None:
        log.security.warning("request_refused", status=status)
        await answer(send, status, text.encode(), b"text/plain; charset=utf-8")


async def answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = b"application/json",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """One small, whole answer."""
    start = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
