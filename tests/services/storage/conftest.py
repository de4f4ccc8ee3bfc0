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
from tests.support.objects import World, opened_world
from tests.support.rows import make_file

from tause_mcp.database import open_database
from tause_mcp.services.storage import ObjectStore, open_store


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


@pytest.fixture
async def world(store: ObjectStore, tmp_path: Path) -> AsyncIterator[World]:
    async with open_database(make_file(tmp_path / "rows.db")) as database:
        yield World(database, store)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[World]:
    """A world on files only: what does not depend on the kind of store."""
    async with opened_world(tmp_path / "disk") as opened:
        yield opened


def s3_url(port: int, *, prefix: str, bucket: str = "objects") -> str:
    return (
        f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        "&access_key_id=test&secret_access_key=test"
    )
