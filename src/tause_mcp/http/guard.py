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
_PREFLIGHT = b"access-control-request-method"
_PORTS = {"http": 80, "https": 443}
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
    """Allowed host names or origins, in any case; `name:*` allows any port."""

    def __init__(self, allowed: list[str]) -> None:
        names = [name.lower() for name in allowed if name]
        self._exact = frozenset(name for name in names if not name.endswith(":*"))
        self._any_port = tuple(name[:-1] for name in names if name.endswith(":*"))

    def allow(self, name: str) -> bool:
        name = name.lower()
        if name in self._exact:
            return True
        return any(
            name.startswith(start) and (port := name[len(start) :]).isascii() and port.isdigit()
            for start in self._any_port
        )


class Guard:
    """The outermost layer of the HTTP server."""

    def __init__(self, app: App, settings: Settings, public_url: str) -> None:
        self._app = app
        scheme, _, rest = public_url.partition("://")
        public = rest.partition("/")[0]
        loopback = [*_LOOPBACK, *(f"{name}:*" for name in _LOOPBACK)]
        given = f"{public}:{_PORTS.get(scheme, 80)}" if public else ""
        self._hosts = Names([*loopback, public, given, *_split(settings.allowed_hosts)])
        origins = [f"http://{name}" for name in loopback]
        if public:
            origins.append(f"{scheme}://{public}")
        self._origins = Names([*origins, *_split(settings.allowed_origins)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        host: bytes | None = None
        origin: bytes | None = None
        for name, value in scope["headers"]:
            if value.endswith(_BLANK):  # RFC 9110: no part of the value; httptools keeps it
                scope["headers"] = [(n, v.strip(b" \t")) for n, v in scope["headers"]]
            if name == b"host":
                host = value.strip(b" \t") if host is None else b""  # a second one is no name
            elif name == b"origin":
                origin = value.strip(b" \t") if origin is None else b""
        if host is None or not self._hosts.allow(host.decode("latin-1")):
            await self._refuse(
                send, 421, "this host name is not served here; see TAUSE_ALLOWED_HOSTS"
            )
        elif origin is None:
            await self._app(scope, receive, send)
        elif not self._origins.allow(origin.decode("latin-1")):
            await self._refuse(send, 403, "this origin may not call; see TAUSE_ALLOWED_ORIGINS")
        else:
            await self._cross_origin(scope, receive, send, origin)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":  # no door speaks it
            await send({"type": "websocket.close", "code": 1008})

    async def _cross_origin(
        self, scope: Scope, receive: Receive, send: Send, origin: bytes
    ) -> None:
        headers = [(b"access-control-allow-origin", origin), *_CORS]
        if scope["method"] == "OPTIONS" and any(n == _PREFLIGHT for n, _ in scope["headers"]):
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
