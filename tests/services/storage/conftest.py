"""Object stores of each kind; the bucket lives on a real S3 endpoint of its own."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tause_mcp.database import Database, TenantDatabase, metadata, open_database
from tause_mcp.services.storage import Blobs, ObjectStore, Storage, Sweep, Uploads, open_store
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, method: str, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of moto's S3 server, started for this session; without it the suite fails."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, port)
        assert ask(port, "PUT", "/objects") == 200
        yield port
    finally:
        server.kill()
        server.wait()


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            if ask(port, "GET", "/moto-api/data.json") == 200:
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail("moto's S3 server did not start: install moto[server,s3]")


@pytest.fixture(params=["file", "memory", "s3"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh place for blobs, of each kind."""
    if request.param == "file":
        return f"file://{tmp_path}/objects"
    if request.param == "memory":
        return "memory://"
    return s3_url(request.getfixturevalue("s3_port"), prefix=uuid4().hex)


@pytest.fixture
async def store(storage_url: str) -> AsyncIterator[ObjectStore]:
    async with open_store(storage_url) as opened:
        yield opened


class World:
    """Rows in a fresh SQLite file, blobs in a store, and services of any tenant over both."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self.database = database
        self.store = store
        self.sweep = Sweep(database, store)
        self.changed: list[tuple[str, str]] = []

    def storage(self, tenant: str = "acme", *, limit: int | None = None, most: int = 1 << 30):
        def bound() -> TenantDatabase:
            return TenantDatabase(self.database, TenantId(tenant))

        return Storage(
            bound(),
            Blobs(bound(), self.store),
            limit=lambda: limit,
            max_object=most,
            changed=lambda key: self.changed.append((tenant, key)),
            link=lambda key: f"link:{key}",
        )

    def uploads(self, tenant: str = "acme", **options) -> Uploads:
        storage = self.storage(tenant, **options)
        return Uploads(TenantDatabase(self.database, TenantId(tenant)), storage, storage.blobs)

    async def blobs(self) -> dict[str, int]:
        return {blob.name: blob.size async for blob in self.store.names()}

    async def swept(self) -> dict[str, int]:
        """What blobs remain once everything that is planned has been carried out."""
        await self.sweep.empty(now() + 10**12)
        return await self.blobs()


def made_database(path: Path) -> str:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    metadata.create_all(engine)
    engine.dispose()
    return f"sqlite:///{path}"


@pytest.fixture
async def world(store: ObjectStore, tmp_path: Path) -> AsyncIterator[World]:
    async with open_database(made_database(tmp_path / "rows.db")) as database:
        yield World(database, store)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    """A world on files only: what does not depend on the kind of store."""
    async with (
        open_database(made_database(tmp_path / "rows.db")) as database,
        open_store(f"file://{tmp_path}/objects") as store,
    ):
        yield World(database, store)


def s3_url(port: int, *, prefix: str, bucket: str = "objects") -> str:
    return (
        f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        "&access_key_id=test&secret_access_key=test"
    )
