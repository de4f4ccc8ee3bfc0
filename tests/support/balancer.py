"""A round-robin balancer of the tests' own: each connection goes to the next server."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle

from tests.support.serving import free_port


@contextmanager
def balancing(ports: Sequence[int], port: int | None = None) -> Iterator[str]:
    """The URL of a balancer before the servers on these ports of this machine."""
    port = port or free_port()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    turns = cycle(ports)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            theirs, ours = await asyncio.open_connection("127.0.0.1", next(turns))
            await asyncio.gather(_copied(reader, ours), _copied(theirs, writer))
        writer.close()

    serving = asyncio.start_server(pass_on, "127.0.0.1", port)
    server = asyncio.run_coroutine_threadsafe(serving, loop).result(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()
