"""One server per transport and one client per era: the claims are the same on each."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest
from mcp import Client
from tests.support.clients import over_http, over_sse, over_stdio
from tests.support.serving import Served, serving

Connect = Callable[..., AbstractAsyncContextManager[Client]]
OPTIONS = {
    "http": ("--transport", "http"),
    "http-stateless": ("--transport", "http", "--stateless"),
    "sse": ("--transport", "sse"),
}


@pytest.fixture(scope="package", params=[*OPTIONS, "stdio"])
def connect(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Connect]:
    """Connect as the owner of the default tenant, in an era."""
    home = tmp_path_factory.mktemp("contract") / "home"
    if request.param == "stdio":
        yield lambda mode="auto", **o: over_stdio(home, "--role", "owner", mode=mode, **o)
        return
    with serving(home, *OPTIONS[request.param]) as server:
        if request.param == "sse":
            yield lambda mode="legacy", **o: over_sse(f"{server.url}/sse", server.key, mode, **o)
        else:
            yield lambda mode="auto", **o: over_http(f"{server.url}/mcp", server.key, mode, **o)


@pytest.fixture(scope="module", params=["legacy", "2026-07-28"])
async def client(request: pytest.FixtureRequest, connect: Connect) -> AsyncIterator[Client]:
    """Connected once for all claims; over stdio a connection is a process."""
    async with connect(mode=request.param) as connected:
        yield connected


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for claims about people: each test brings keys and tenants of its own."""
    with serving(tmp_path_factory.mktemp("people") / "home") as served:
        yield served
