"""Several processes behind one port: connections that come at once are spread over them."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.support.serving import Served, serving

from tause_mcp.server import accepting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads them")
CONNECTIONS, LEAST = 60, 10
ESTABLISHED, LISTENS = "01", "0A"


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> Iterator[str]:
    """The inodes of a process's sockets; one that was closed meanwhile is none."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield fd.readlink().name.removeprefix("socket:[").rstrip("]")


def sockets(pid: int, port: int, state: str) -> int:
    """How many sockets of a port a process holds in a state (proc(5))."""
    inodes = {
        fields[9]
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[1].endswith(f":{port:04X}") and fields[3] == state
    }
    return sum(target in inodes for target in descriptors(pid))


def listening(server: Served) -> list[int]:
    pids = children(server.process.pid)
    return [pid for pid in pids if sockets(pid, server.port, LISTENS)]


def test_connections_that_come_at_once_are_spread(tmp_path: Path) -> None:
    """Both stand still while all knock, then one wakes first. By chance alone fewer than ten of
    sixty are kept for one of two processes once in ten million."""
    options = ("--transport", "http", "--workers", "2")
    with serving(tmp_path / "home", *options) as server, ExitStack() as clients:
        while len(workers := listening(server)) < 2:
            time.sleep(0.05)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        made = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CONNECTIONS)]
        for one in made:
            clients.enter_context(one)
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        os.kill(workers[0], signal.SIGCONT)
        while sockets(workers[0], server.port, ESTABLISHED) < LEAST:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(workers[1], signal.SIGCONT)
        for one in made:
            assert one.recv(1000).startswith(b"HTTP/1.1 200")
        spread = [sockets(pid, server.port, ESTABLISHED) for pid in workers]
    assert sum(spread) == CONNECTIONS
    assert min(spread) >= LEAST, spread


def test_two_installations_never_share_a_port() -> None:
    """With `SO_REUSEPORT` the kernel would let both listen, as long as they start at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with accepting.reserved("127.0.0.1", port), pytest.raises(OSError, match="in use"):
        accepting.reserved("127.0.0.1", port)
