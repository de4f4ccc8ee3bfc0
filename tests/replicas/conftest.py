"""Three servers of one installation, and a balancer that gives each call to the next of them.

On a file they share one home; on PostgreSQL, with and without Redis, each has a home of its own.
"""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx2
import pytest
from tests.support import postgres, redis
from tests.support.forked import Forked, Zygote, forking, zygote

PUBLIC = "http://127.0.0.1:8700"
REPLICAS = 3
ALL = ["file", "postgresql", "redis"]


class Balancer(httpx2.AsyncBaseTransport):
    """Round robin, call by call; a request that names a replica's own port goes to that one."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = [httpx2.URL(url) for url in urls]
        self._turns = count()
        self._inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=None))
        self.only: int | None = None
        """Every call goes to this one."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        turn = next(self._turns) if self.only is None else self.only
        there = self._urls[turn % len(self._urls)]
        request.url = request.url.copy_with(host=there.host, port=there.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Installation:
    """The running replicas and the owner's key."""

    replicas: list[Forked]
    key: str

    def client(self, only: int | None = None) -> httpx2.AsyncClient:
        """A client of the balancer, or of one replica."""
        balancer = Balancer([replica.url for replica in self.replicas])
        balancer.only = only
        return httpx2.AsyncClient(transport=balancer, base_url=PUBLIC, timeout=30)


def settings_of(kind: str, folder: Path) -> dict[str, str]:
    told = {"TAUSE_PUBLIC_URL": PUBLIC, "TAUSE_STORAGE_URL": f"file://{folder / 'objects'}"}
    if kind == "file":
        return {**told, "TAUSE_CACHE_URL": "database://"}
    server = postgres.server()
    name = f"replicas_{kind}"
    told |= {
        "TAUSE_DATABASE_URL": server.create(name),
        "TAUSE_DATABASE_ADMIN_URL": server.url(name, "owner"),
        "TAUSE_ENCRYPTION_KEY": base64.b64encode(b"replicas" * 4).decode(),
    }
    return told | ({"TAUSE_CACHE_URL": redis.server().url()} if kind == "redis" else {})


@pytest.fixture(scope="session")
def replica_seed() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@pytest.fixture(scope="module", params=ALL)
def installation(
    request: pytest.FixtureRequest,
    replica_seed: Zygote,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("replicas")
    told = settings_of(request.param, folder)
    with ExitStack() as stack:
        replicas = []
        for number in range(REPLICAS):
            home = folder / ("home" if request.param == "file" else f"home{number}")
            log = folder / f"{number}.log"
            forked = stack.enter_context(forking(replica_seed, home, log, **told))
            forked.start("--stateless")
            replicas.append(forked)
        yield Installation(replicas, replicas[0].key)


@pytest.fixture
async def http(installation: Installation) -> AsyncIterator[httpx2.AsyncClient]:
    async with installation.client() as client:
        yield client
