"""The proxy gives identity and changes nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.conformance import proxy

pytestmark = pytest.mark.anyio
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def through(
    handler: Handler,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a proxy in front of `handler`; every connection is closed at the end."""
    before = asyncio.all_tasks()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await handler(reader, writer)
        await proxy.close(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        upstream = server.sockets[0].getsockname()[1]
        async with await proxy.start(0, upstream, "KEY") as front:
            port = front.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                yield reader, writer
            finally:
                await proxy.close(writer)
                await asyncio.gather(*(asyncio.all_tasks() - before), return_exceptions=True)


def lines(head: bytes) -> list[bytes]:
    return proxy.Proxy(4000, 5000, "KEY").head(head + b"\r\n\r\n").split(b"\r\n")


def test_every_request_carries_the_key() -> None:
    assert b"Authorization: Bearer KEY" in lines(b"GET /mcp HTTP/1.1\r\nHost: a")


def test_a_login_of_the_clients_own_is_kept() -> None:
    assert lines(b"GET / HTTP/1.1\r\nauthorization: Bearer other") == [
        b"GET / HTTP/1.1",
        b"authorization: Bearer other",
        b"",
        b"",
    ]


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost", b"[::1]"])
def test_the_proxys_own_address_becomes_the_servers(host: bytes) -> None:
    head = lines(b"GET / HTTP/1.1\r\nHost: %b:4000\r\nOrigin: http://%b:4000" % (host, host))
    assert head[1:3] == [b"Host: %b:5000" % host, b"Origin: http://%b:5000" % host]


def test_a_foreign_host_and_odd_spelling_reach_the_server() -> None:
    sent = [b"GET / HTTP/1.1", b"hOsT: evil.example.com", b"Origin: http://evil", b"X-A:   b  "]
    assert lines(b"\r\n".join(sent))[:4] == sent


def test_a_port_that_begins_like_the_proxys_is_left_alone() -> None:
    assert b"Host: localhost:40001" in lines(b"GET / HTTP/1.1\r\nHost: localhost:40001")


async def test_a_second_request_on_a_connection_carries_the_key_too() -> None:
    heads: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append(head)
            await reader.readexactly(11 if b"chunked" in head else 5)
            writer.write(ANSWER)

    async with through(server) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
        await reader.readexactly(len(ANSWER))
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        await reader.readexactly(len(ANSWER))
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nagain")
        await reader.readexactly(len(ANSWER))
    assert [head.count(b"Authorization: Bearer KEY") for head in heads] == [1, 1, 1]


async def test_a_stream_arrives_while_it_is_written() -> None:
    more = asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        await more.wait()
        writer.write(b"second")

    async with through(server) as (reader, _):
        assert await reader.readexactly(5) == b"first"
        more.set()
        assert await reader.read() == b"second"


async def test_a_client_that_leaves_is_gone_for_the_server() -> None:
    gone = asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with through(server) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)
