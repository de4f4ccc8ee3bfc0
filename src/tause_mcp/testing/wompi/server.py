"""The HTTP server below a sandbox: uvicorn's, and connections that can be broken on purpose."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

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


@asynccontextmanager
async def listening(app: App, port: int = 0) -> AsyncIterator[int]:
    """Serve an application on loopback, in this event loop; yields the port.

    Not `uvicorn.Server`: that takes this process's signals, and a tenth of a second to end.

    Raises:
        OSError: the port is taken.
    """
    config = uvicorn.Config(
        app, ws="none", access_log=False, log_config=None, server_header=False, date_header=False
    )
    config.load()
    state = ServerState()
    bound = socket.create_server((HOST, port), backlog=2048)
    server = await asyncio.get_running_loop().create_server(
        lambda: Protocol(config=config, server_state=state, app_state={}), sock=bound
    )
    try:
        yield bound.getsockname()[1]
    finally:
        server.close()
        await _ended(state)


async def _ended(state: ServerState) -> None:
    """Nothing is served any more: what is still worked on is given up."""
    for connection in list(state.connections):
        connection.shutdown()
    for task in list(state.tasks):
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)
