"""One server per transport for the whole module: the claims are the same on each."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client
from tests.support.clients import over_http, over_sse, over_stdio
from tests.support.serving import serving

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="module")
def transport_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract") / "home"


@pytest.fixture(scope="module", params=["http", "http-stateless", "sse", "stdio"])
def connect(request: pytest.FixtureRequest, transport_home: Path) -> Iterator[Connect]:
    """Connect as the owner of the default tenant, in an era."""
    home = transport_home.with_name(f"home-{request.param}")
    if request.param == "stdio":
        yield lambda mode="auto", **o: over_stdio(home, "--role", "owner", mode=mode, **o)
        return
    options = {
        "http": ("--transport", "http"),
        "http-stateless": ("--transport", "http", "--stateless"),
        "sse": ("--transport", "sse"),
    }[request.param]
    with serving(home, *options) as server:
        if request.param == "sse":
            yield lambda mode="legacy", **o: over_sse(f"{server.url}/sse", server.key, mode, **o)
        else:
            yield lambda mode="auto", **o: over_http(f"{server.url}/mcp", server.key, mode, **o)


@pytest.fixture(params=["legacy", "2026-07-28"])
async def client(request: pytest.FixtureRequest, connect: Connect) -> AsyncIterator[Client]:
    async with connect(mode=request.param) as connected:
        yield connected
