"""No file descriptors left: what is stored stays, nothing ends, and it serves again once some are free."""

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from tests.support.serving import Served, serving

from tause_mcp.testing.walk_wire import Speaker

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
SPARE = 12
CROWD = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server that may open a few descriptors more than it has."""
    with serving(tmp_path / "home") as made:
        pid = made.process.pid
        most = len(list(Path(f"/proc/{pid}/fd").iterdir())) + SPARE
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        yield made


async def put(server: Served, content: str) -> bool:
    """Whether it was stored; a refusal is of a known kind."""
    try:
        async with httpx2.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as http:
            done = await Speaker(http, server.key).tool(
                "storage_put", {"key": "a", "content": content * 50_000}
            )
    except httpx2.TransportError:
        return False
    assert done.value or done.status in (503, 429) or done.result["isError"], done.text
    assert "Traceback" not in done.body
    return bool(done.value)


async def test_without_descriptors_it_refuses_and_recovers_when_some_are_free(
    server: Served,
) -> None:
    assert await put(server, "a")
    with ExitStack() as stack:
        for _ in range(CROWD):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
            held.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        stored = [await put(server, "b") for _ in range(3)]
    assert not all(stored), "the crowd took no descriptor: nothing was shown"
    until = time.monotonic() + 30
    while not await put(server, "c"):
        assert time.monotonic() < until, server.log.read_text()[-2000:]
    assert server.process.poll() is None
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as http:
        told = await Speaker(http, server.key).tool("storage_stat", {"key": "a"})
        assert told.value["size"] == 50_000
        verified = await Speaker(http, server.key).tool("audit_verify", {})
        assert verified.value["intact"]
