"""Faults on demand: the nth call of a path fails in a way that networks and gateways do."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KINDS = (
    "timeout",
    "timeout_before",
    "500",
    "502",
    "503",
    "500_after",
    "502_after",
    "429",
    "slow",
    "truncated",
    "cut",
    "reset_before",
    "reset_after",
    "html",
    "html_after",
)
"""`timeout`: the work is done, and no answer comes. `timeout_before`: nothing is done either.
`500`...: nothing is done; `_after`: it is. `429`: with Retry-After. `slow`: late by `seconds`.
`truncated`: half of the JSON. `cut`: the connection ends in the middle of the body.
`reset_before`, `reset_after`: it is reset before or after the work. `html`: a gateway's page, 502."""

ENDING = "tause.ending"
"""Of an ASGI scope: a function that ends the connection, hard (a reset) or after what was written."""

_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


@dataclass(slots=True)
class Fault:
    """What to do to calls of a path."""

    path: str
    kind: str
    nth: int = 1
    times: int = 1
    seconds: float = 2.0
    retry_after: int = 1
    seen: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.nth < 1 or self.times < 1:
            raise ValueError("nth, times: at least 1")

    def matches(self, method: str, path: str) -> bool:
        """`/transactions*` or `POST /v1/transactions`."""
        wanted, _, pattern = self.path.rpartition(" ")
        if wanted and wanted.upper() != method:
            return False
        return any(fnmatchcase(p, pattern) for p in (path, path.removeprefix("/v1")))

    def told(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("path", "kind", "nth", "times", "seen")}


@dataclass(slots=True)
class Faults:
    """Every fault that was asked for."""

    asked: list[Fault] = field(default_factory=list)

    def struck(self, method: str, path: str) -> Fault | None:
        """Count a call; the fault that is its."""
        found = None
        for fault in self.asked:
            if fault.matches(method, path):
                fault.seen += 1
                if found is None and fault.nth <= fault.seen < fault.nth + fault.times:
                    found = fault
        return found


class Faulty:
    """The application, with its faults."""

    def __init__(self, app: App, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and not scope["path"].startswith("/_sandbox"):
            fault = self._faults.struck(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        await _Struck(self._app, scope, receive, send).by(fault)


class _Struck:
    """One call that a fault befalls."""

    def __init__(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send

    async def by(self, fault: Fault) -> None:
        kind, _, after = fault.kind.partition("_")
        if kind == "slow":
            await asyncio.sleep(fault.seconds)
            await self._app(self._scope, self._receive, self._send)
        elif kind in ("truncated", "cut"):
            await self._half(kind)
        else:
            if after == "after" or fault.kind == "timeout":
                await self._work()
            await self._end(kind, fault)

    async def _end(self, kind: str, fault: Fault) -> None:
        if kind == "timeout":
            await self._gone()
        elif kind == "reset":
            await self._end_connection(hard=True)
        elif kind == "html":
            await self._answer(502, _PAGE, b"text/html")
        elif kind == "429":
            body = (
                b'{"error":{"type":"TOO_MANY_REQUESTS","reason":"(Sandbox) demasiadas peticiones"}}'
            )
            await self._answer(429, body, more=[(b"retry-after", b"%d" % fault.retry_after)])
        else:
            body = b'{"error":{"type":"INTERNAL_ERROR","reason":"(Sandbox) error interno"}}'
            await self._answer(int(kind), body)

    async def _work(self) -> tuple[Message, bytes]:
        """Let the application do its work; its answer goes nowhere."""
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        await self._app(self._scope, self._receive, keep)
        return said[0], b"".join(m.get("body", b"") for m in said[1:])

    async def _answer(
        self,
        status: int,
        body: bytes,
        kind: bytes = b"application/json",
        more: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *(more or [])]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _half(self, kind: str) -> None:
        start, body = await self._work()
        half = body[: len(body) // 2]
        length = len(half) if kind == "truncated" else len(body)
        headers = [(n, v) for n, v in start["headers"] if n != b"content-length"]
        headers.append((b"content-length", b"%d" % length))
        await self._send({**start, "headers": headers})
        more = kind == "cut"
        await self._send({"type": "http.response.body", "body": half, "more_body": more})
        if more:
            await self._end_connection(hard=False)

    async def _end_connection(self, *, hard: bool) -> None:
        end = self._scope.get(ENDING)
        if end is None:
            raise ConnectionResetError("reset by the sandbox")
        end(hard)
        await self._gone()

    async def _gone(self) -> None:
        """Until the client has given up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
