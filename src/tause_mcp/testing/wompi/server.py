"""The HTTP server below a sandbox: uvicorn, and a connection that can be broken on purpose."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tause_mcp.testing.wompi.faults import ENDING, App

HOST = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)  # linger for zero seconds: closing resets


class Protocol(HttpToolsProtocol):
    """Lets a fault end the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ENDING] = self._end_connection  # type: ignore[literal-required]

    def _end_connection(self, hard: bool) -> None:
        if not hard:
            self.transport.close()
            return
        ours = os.dup(self.transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=ours) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Server(uvicorn.Server):
    """Leaves this process's signals alone, and tells when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening(app: App, port: int) -> tuple[Server, socket.socket]:
    """A server for this application, and the loopback socket it is to serve on.

    Raises:
        OSError: the port is taken.
    """
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return Server(config), socket.create_server((HOST, port), backlog=2048)
