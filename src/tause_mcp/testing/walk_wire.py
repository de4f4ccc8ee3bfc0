"""The wire of the walk: raw MCP requests in both eras, and answers kept byte for byte."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import httpx2

Era = Literal["2026-07-28", "2025-11-25"]
MODERN: Era = "2026-07-28"
LEGACY: Era = "2025-11-25"
_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_CLIENT = {"name": "walk", "version": "1"}
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Method -> the parameter that the header `Mcp-Name` repeats."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, and what was sent for it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    sent: str

    @property
    def text(self) -> str:
        """Everything that reached the caller: status, headers and body."""
        lines = [f"{name}: {value}" for name, value in self.headers]
        return "\n".join([str(self.status), *lines, "", self.body])

    @property
    def messages(self) -> list[Any]:
        """The JSON of the body, or of every event of a stream; empty when it is neither."""
        lines = self.body.splitlines()
        events = [line[5:] for line in lines if line.startswith("data:")]
        found = []
        for text in events or [self.body]:
            with suppress(ValueError):
                found.append(json.loads(text))
        return found

    @property
    def result(self) -> dict[str, Any]:
        """The JSON-RPC result; empty when there is none."""
        for message in self.messages:
            if isinstance(message, dict) and isinstance(message.get("result"), dict):
                return dict(message["result"])
        return {}

    @property
    def value(self) -> dict[str, Any]:
        """A tool's `structuredContent`; empty after a failure."""
        failed = self.result.get("isError", False)
        return {} if failed else self.result.get("structuredContent") or {}


@dataclass(frozen=True, slots=True)
class Speaker:
    """One identity at one door, in one era."""

    http: httpx2.AsyncClient = field(repr=False)
    token: str = field(repr=False)
    door: str = "/mcp"
    era: Era = MODERN
    session: str = ""

    async def opened(self) -> "Speaker":
        """With a session of its own, where the era and the server keep one."""
        if self.era == MODERN:
            return self
        asked = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _CLIENT}
        answer = await self.ask("initialize", asked)
        session = dict(answer.headers).get("mcp-session-id", "")
        speaker = replace(self, session=session)
        await speaker.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return speaker

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One JSON-RPC request."""
        body = self.message(method, params, meta=meta, capabilities=capabilities)
        return await self.post(body)

    async def tool(
        self, name: str, arguments: Mapping[str, Any], *, key: str | None = None
    ) -> Answer:
        """Call a tool, under an idempotency key when one is given."""
        meta = {"pro.tause/idempotency_key": key} if key else None
        return await self.ask("tools/call", {"name": name, "arguments": arguments}, meta=meta)

    def message(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The request as its era writes it."""
        told = dict(params or {})
        stated = dict(meta or {})
        if self.era == MODERN:
            stated["io.modelcontextprotocol/protocolVersion"] = MODERN
            stated["io.modelcontextprotocol/clientInfo"] = _CLIENT
            stated["io.modelcontextprotocol/clientCapabilities"] = dict(capabilities or {})
        if stated:
            told["_meta"] = stated
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": told}

    async def post(self, message: Mapping[str, Any]) -> Answer:
        """POST one message at the door."""
        return await self.send("POST", self.door, self.headers(message), written(message))

    def headers(self, message: Mapping[str, Any]) -> dict[str, str]:
        """The headers that a POST of `message` carries."""
        told = dict(_ACCEPT)
        method = str(message.get("method", ""))
        if self.era == MODERN or self.session:
            told["mcp-protocol-version"] = self.era
        if self.session:
            told["mcp-session-id"] = self.session
        if self.era == MODERN:
            told["mcp-method"] = method
            if method in _NAMED:
                told["mcp-name"] = header_value(str(message["params"].get(_NAMED[method], "")))
        return told

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """One HTTP request with this identity's token (none when it is empty)."""
        request = self.request(method, path, headers, content)
        response = await self.http.send(request)
        sent = (
            f"{request.url.raw_path.decode()}\n{path}\n{(content or b'').decode(errors='replace')}"
        )
        kept = tuple(sorted((k.lower(), v) for k, v in response.headers.multi_items()))
        return Answer(response.status_code, kept, response.text, sent)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx2.Request:
        """The HTTP request that `send` sends."""
        told = dict(headers or {})
        if self.token:
            told["authorization"] = f"Bearer {self.token}"
        return self.http.build_request(method, path, headers=told, content=content)


def written(message: Mapping[str, Any]) -> bytes:
    """A message as UTF-8 JSON; lone surrogates stay escapes."""
    try:
        return json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(message).encode()


def header_value(text: str) -> str:
    """`text` as a header field, in the sentinel form of MCP when it would not survive as it is."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    encoded = base64.b64encode(text.encode(errors="replace")).decode()
    return f"=?base64?{encoded}?="


class _Stream(httpx2.AsyncByteStream):
    """The body of an answer as the application sends it."""

    def __init__(self, exchange: "_Exchange") -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._exchange.pieces.get()) is not None:
            yield piece

    async def aclose(self) -> None:
        await self._exchange.end()


class _Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, body: bytes) -> None:
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.started: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, app: Any, scope: Mapping[str, Any]) -> None:
        self._task = asyncio.create_task(self._serve(app, scope))

    async def end(self) -> None:
        """The client goes away; the application gets a moment to notice."""
        self._gone.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _serve(self, app: Any, scope: Mapping[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # a real server answers it with a bare 500
            if not self.started.done():
                self.started.set_exception(error)
        finally:
            self.pieces.put_nowait(None)

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.started.set_result((message["status"], message.get("headers", [])))
            return
        if message.get("body"):
            self.pieces.put_nowait(message["body"])
        if not message.get("more_body", False):
            self.pieces.put_nowait(None)


class InProcess(httpx2.AsyncBaseTransport):
    """An ASGI application as a transport that streams, with no socket between."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = _Exchange(await request.aread())
        exchange.begin(self._app, _scope(request))
        status, headers = await exchange.started
        return httpx2.Response(status, headers=headers, stream=_Stream(exchange))


def _scope(request: httpx2.Request) -> dict[str, Any]:
    raw, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": raw,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": (request.url.host, request.url.port or 80),
    }
