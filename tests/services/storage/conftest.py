"""Object stores of each kind; the bucket lives on a real S3 endpoint of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support import backends, s3
from tests.support.objects import World, opened_world
from tests.support.rows import make_file

from tause_mcp.database import open_database
from tause_mcp.services.storage import ObjectStore, open_store


@pytest.fixture(scope="session")
def s3_port() -> int:
    """The port of the session's S3 server, with the bucket `objects`."""
    s3.server().bucket("objects")
    return s3.server().port


@pytest.fixture(params=["s3"] if backends.on_servers() else ["file", "memory", "s3"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh place for blobs, of each kind."""
    if request.param == "file":
        return f"file://{tmp_path}/objects"
    if request.param == "memory":
        return "memory://"
    request.getfixturevalue("s3_port")
    return s3.server().url("objects", uuid4().hex)


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
