"""How several processes share one port on Linux: each listens with a socket of its own.

Processes that accept from one socket race for it, and whoever wakes first takes all that knock at
that moment: of a few busy connections one process may get every one. With `SO_REUSEPORT` the kernel
spreads them (socket(7)).
"""

import asyncio
import socket
import sys
from typing import Any

from uvicorn.loops.auto import auto_loop_factory

SPREADS = sys.platform == "linux"
"""Elsewhere the option exists, and spreads nothing."""
LOOP = "tause_mcp.server.accepting:loop"
"""What uvicorn is to make its loops with."""


def reserved(host: str, port: int) -> socket.socket:
    """The port, held for the processes that will listen on it: the socket itself never does.

    Raises:
        OSError: another installation has it. The kernel would let both listen, and mix their callers.
    """
    _alone.append(_locked(f"\0tause-mcp {host} {port}"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return _bound(family, (host, port))


_alone: list[socket.socket] = []
"""Held until this process ends."""


def _locked(name: str) -> socket.socket:
    """A name that one process at a time can have (unix(7), abstract)."""
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(name)
    except OSError:
        held.close()
        raise
    return held


def loop() -> asyncio.AbstractEventLoop:
    """A loop that listens beside the socket that it is given, not on it."""
    made = auto_loop_factory()()
    create_server = made.create_server

    async def beside(protocol: Any, *, sock: socket.socket, **more: Any) -> Any:
        own = _bound(sock.family, sock.getsockname())
        return await create_server(protocol, sock=own, **more)

    made.create_server = beside  # type: ignore[method-assign,assignment]
    return made


def _bound(family: int, address: Any) -> socket.socket:
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    made.set_inheritable(True)
    return made
