"""A merchant's webhook: keeps what comes, and answers what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from tause_mcp.testing.wompi.server import listening


@dataclass
class Receiver:
    """What came, in order."""

    url: str
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    checksums: list[str] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        self.raw.append(body)
        self.bodies.append(orjson.loads(body))
        self.checksums.append(headers[b"x-event-checksum"].decode())
        self.came.set()
        start = {"type": "http.response.start", "status": self.status, "headers": []}
        await send({**start, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    @property
    def statuses(self) -> list[str]:
        return [body["data"]["transaction"]["status"] for body in self.bodies]

    @property
    def ids(self) -> list[str]:
        return [body["data"]["transaction"]["id"] for body in self.bodies]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver("")
    async with listening(receiver) as port:
        receiver.url = f"http://127.0.0.1:{port}/webhooks/wompi/acme"
        yield receiver
