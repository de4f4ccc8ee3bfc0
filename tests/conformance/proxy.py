"""A loopback reverse proxy that adds a bearer key: the runner can send no header of its own.

It edits the head of each request and copies every other byte, so that streams, spelling and
disconnects reach the server and the client as they were. Host and Origin stay what they are, for
the checks against DNS rebinding are the server's; only this proxy's own port becomes the server's.
"""

import argparse
import asyncio
import contextlib
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine
from pathlib import Path

HEAD_LIMIT = 2**20  # bytes; servers refuse a head much sooner
LOOPBACK = rb"(127\.0\.0\.1|localhost|\[::1\])"


class Proxy:
    """Serves `own` port in front of a server on `upstream`'s loopback port."""

    def __init__(self, own: int, upstream: int, key: str) -> None:
        self._upstream = upstream
        self._authority = re.compile(LOOPBACK + b":%d\\b" % own)
        self._bearer = f"Authorization: Bearer {key}".encode()

    def head(self, head: bytes) -> bytes:
        """A request's head for the server; who brings an Authorization of its own keeps it."""
        request, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        lines = [self._mapped(line) for line in lines]
        if not any(name(line) == b"authorization" for line in lines):
            lines.append(self._bearer)
        return b"\r\n".join([request, *lines]) + b"\r\n\r\n"

    def _mapped(self, line: bytes) -> bytes:
        if name(line) not in (b"host", b"origin"):
            return line
        return self._authority.sub(b"\\1:%d" % self._upstream, line)

    async def __call__(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection; when either side ends, so does the other."""
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            await close(writer)
            return
        try:
            await first(self._requests(reader, outer), copy(inner, writer))
        finally:
            await close(outer)
            await close(writer)

    async def _requests(self, reader: StreamReader, outer: StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            outer.write(self.head(head))
            await body(head, reader, outer)
            await outer.drain()


def name(line: bytes) -> bytes:
    """A header line's name in lower case."""
    return line.partition(b":")[0].strip().lower()


async def first(*sides: Coroutine[None, None, None]) -> None:
    """Until one side ends, in whatever way: a lost connection is an ordinary end here."""
    tasks = [asyncio.create_task(side) for side in sides]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def close(writer: StreamWriter) -> None:
    """Send what is left, then close."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def copy(reader: StreamReader, writer: StreamWriter) -> None:
    """Bytes as they come, until the end."""
    while chunk := await reader.read(2**16):
        writer.write(chunk)
        await writer.drain()


async def body(head: bytes, reader: StreamReader, outer: StreamWriter) -> None:
    """A request's body, by its length or its chunks (RFC 9112, 6)."""
    headers = {name(line): line.partition(b":")[2].strip() for line in head.split(b"\r\n")[1:]}
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        await chunks(reader, outer)
    elif length := int(headers.get(b"content-length", b"0")):
        outer.write(await reader.readexactly(length))


async def chunks(reader: StreamReader, outer: StreamWriter) -> None:
    """Chunks up to the last, then trailers up to the empty line."""
    size = None
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        outer.write(line)
        size = int(line.partition(b";")[0], 16)
        if size:
            outer.write(await reader.readexactly(size + 2))
    while line != b"\r\n":
        line = await reader.readuntil(b"\r\n")
        outer.write(line)


async def start(own: int, upstream: int, key: str) -> asyncio.Server:
    """The listening proxy."""
    proxy = Proxy(own, upstream, key)
    return await asyncio.start_server(proxy, "127.0.0.1", own, limit=HEAD_LIMIT)


async def serve(own: int, upstream: int, key: str) -> None:
    """Serve until told to stop."""
    async with await start(own, upstream, key) as server:
        await server.serve_forever()


def main() -> None:
    """`python -m tests.conformance.proxy --port P --upstream P --key-file FILE`."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream", type=int, required=True)
    arguments.add_argument("--key-file", type=Path, required=True)
    chosen = arguments.parse_args()
    asyncio.run(serve(chosen.port, chosen.upstream, chosen.key_file.read_text().strip()))


if __name__ == "__main__":
    main()
