"""The HTTP load generator: N keep-alive connections, one request in flight on each, every answer read and checked."""

import asyncio
import gc
import time
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from benchmarks.wire import Call, fault


class BadAnswer(RuntimeError):
    """The server did not answer what was asked; figures of such a run mean nothing."""


@dataclass
class Tally:
    """What came back. `done` counts answers, `took` their nanoseconds."""

    done: int = 0
    took: list[int] = field(default_factory=list)
    wrong: str = ""
    stopping: bool = False


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last is answered, until the tally stops."""

    def __init__(self, call: Call, number: int, tally: Tally) -> None:
        self.requests = call(number)
        self.tally = tally
        self.buffer = b""
        self.expected = b""
        self.sent = 0
        self.idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def fire(self) -> None:
        request, self.expected = next(self.requests)
        self.sent = time.perf_counter_ns()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        answer = parsed(self.buffer)
        if answer is None:
            return
        now = time.perf_counter_ns()
        self.buffer = b""
        status, body = answer
        tally = self.tally
        wrong = fault(body, self.expected) if status == 200 else f"HTTP {status}"
        if wrong:
            tally.wrong = tally.wrong or f"{wrong}: {body[:300].decode(errors='replace')}"
            tally.stopping = True
        tally.done += 1
        tally.took.append(now - self.sent)
        if tally.stopping:
            self.finish()
        else:
            self.fire()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.idle.done():
            self.tally.wrong = self.tally.wrong or "the connection was closed before its answer"
            self.tally.stopping = True
            self.finish()

    def finish(self) -> None:
        if not self.idle.done():
            self.idle.set_result(None)


def parsed(data: bytes) -> tuple[int, bytes] | None:
    """(status, body) of a whole HTTP/1.1 response by Content-Length or chunks; None while it is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, start = data[:end].lower(), end + 4
    at = head.find(b"content-length:")
    if at >= 0:
        stop = start + int(head[at + 15 :].split(b"\r\n", 1)[0])
        body = data[start:stop] if len(data) >= stop else None
    elif b"transfer-encoding: chunked" in head:
        body = dechunked(data, start)
    else:
        body = b""
    return None if body is None else (int(head[9:12]), body)


def dechunked(data: bytes, at: int) -> bytes | None:
    parts: list[bytes] = []
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line].split(b";")[0], 16)
        if len(data) < line + 2 + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return None


class Load:
    """`async with Load(port, call, 16) as tally`: requests run until the block ends."""

    def __init__(self, port: int, call: Call, in_flight: int) -> None:
        self.port, self.call, self.in_flight = port, call, in_flight
        self.tally = Tally()
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Tally:
        loop = asyncio.get_running_loop()
        for number in range(self.in_flight):
            opening = partial(Connection, self.call, number, self.tally)
            _, connection = await loop.create_connection(opening, "127.0.0.1", self.port)
            self.connections.append(connection)
        gc.collect()
        gc.disable()
        for connection in self.connections:
            connection.fire()
        return self.tally

    async def __aexit__(self, *_: object) -> None:
        self.tally.stopping = True
        try:
            await asyncio.wait_for(asyncio.gather(*(c.idle for c in self.connections)), 30)
        except TimeoutError:
            self.tally.wrong = self.tally.wrong or "no answer within 30 s"
        finally:
            gc.enable()
            for connection in self.connections:
                connection.finish()
                connection.transport.close()
        if self.tally.wrong:
            raise BadAnswer(self.tally.wrong)
