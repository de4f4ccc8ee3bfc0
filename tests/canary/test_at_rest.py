"""What tenants keep is in no file, log, journal, row or bucket in plain: the raw bytes are searched."""

import base64
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from tests.support import postgres, s3
from tests.support.clients import over_http
from tests.support.serving import Served, serving
from tests.support.tenants import long_ago

from tause_mcp.errors import NotFound, Unavailable
from tause_mcp.testing.home import house

pytestmark = [pytest.mark.anyio, pytest.mark.embedded, pytest.mark.timeout(300)]
_BEGINNING = 4
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
NAME = f"plainname{uuid4().hex}"
"""A name, which is not encrypted: that it is found shows that the search works."""


@dataclass
class Place:
    """An installation, and every byte that it wrote anywhere."""

    home: Path
    settings: dict[str, str]
    raw: Callable[[], Iterator[tuple[str, bytes]]]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


@contextmanager
def embedded(home: Path) -> Iterator[Place]:
    yield Place(home, {}, lambda: files(home.parent))


@contextmanager
def servers(home: Path) -> Iterator[Place]:
    """A PostgreSQL of its own, so that its whole data directory is ours, and a bucket."""
    database, bucket = postgres.Server(), s3.server().bucket()
    try:
        settings = {
            "TAUSE_DATABASE_URL": database.create("canary"),
            "TAUSE_DATABASE_ADMIN_URL": database.url("canary", "owner"),
            "TAUSE_STORAGE_URL": s3.server().url(bucket),
        }

        def raw() -> Iterator[tuple[str, bytes]]:
            database.sql("CHECKPOINT")
            yield from files(home.parent)
            yield from files(Path(database._data))
            yield from objects(bucket)

        yield Place(home, settings, raw)
    finally:
        database.remove()


def objects(bucket: str) -> Iterator[tuple[str, bytes]]:
    import boto3

    api = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=f"http://127.0.0.1:{s3.server().port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    for row in api.list_objects_v2(Bucket=bucket).get("Contents", []):
        yield f"s3:{row['Key']}", api.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()


def spellings(text: str) -> list[bytes]:
    """A text as bytes: plain, in hexadecimal, in base64 wherever it begins, in UTF-16."""
    raw = text.encode()
    whole = [base64.b64encode(b"x" * n + raw)[4:-4] for n in range(3)]
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), text.encode("utf-16-le"), *whole]


def found(place: Place, canaries: list[str]) -> list[str]:
    """Which canary is where. Many begin alike, so that a file without their beginnings is done."""
    wanted = [(text, spelling) for text in canaries for spelling in spellings(text)]
    beginnings = {spelling[:_BEGINNING] for _, spelling in wanted}
    told = []
    for name, content in place.raw():
        near = {one for one in beginnings if one in content}
        told += [
            f"{text} in {name}"
            for text, spelling in wanted
            if spelling[:_BEGINNING] in near and spelling in content
        ]
    return told


@pytest.fixture(params=[embedded, servers], ids=["embedded", "servers"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with request.param(tmp_path / "place" / "home") as made:
        yield made


@pytest.fixture
def served(place: Place) -> Iterator[Served]:
    settings = {"TAUSE_LOG_LEVEL": "debug", **place.settings}
    with serving(place.home, **settings) as server:
        yield server


async def test_nothing_that_a_tenant_keeps_is_anywhere_in_plain(
    place: Place, served: Served
) -> None:
    canaries: list[str] = []

    def canary() -> str:
        canaries.append(f"canary{uuid4().hex}")
        return canaries[-1]

    async with over_http(f"{served.url}/mcp", served.key) as client:

        async def call(tool: str, **arguments: object) -> dict:
            key = {"pro.tause/idempotency_key": uuid4().hex}
            done = await client.call_tool(tool, arguments, meta=key)
            assert not done.is_error, done.content
            return done.structured_content

        await call("storage_put", key=NAME, content=canary())
        await call("storage_put", key="b", content=f"{canary()} {'.' * 50_000} {canary()}")
        await call("storage_copy", source="b", destination="c")
        await uploaded(call, canary(), canary())
        await call("secrets_put", name="a", value=canary())
        await call("secrets_rotate", name="a", value=canary())
        await call("secrets_put", name="gone", value=canary())
        await call("secrets_delete", name="gone")
        await documents(call, canary(), canary())
        await call("cache_set", key="a", value={"v": canary()})
        await call("dataframes_put", name="a", records=[{"v": canary()}, {"v": canary() * 500}])
        await call("dataframes_query", sql=f"SELECT v, '{canary()}' AS w FROM a")
        asked = await call("access_create_key", role="admin", name=canary()[:60])
        assert asked["status"] == "approval_required"
        kept = await call("storage_get", key=NAME)
        assert kept["content"] == canaries[0]
        assert found(place, canaries) == []
        assert found(place, [NAME])
    served.stop()
    assert found(place, canaries) == []
    assert served.log.stat().st_size


async def documents(call: Callable, first: str, second: str) -> None:
    """A document with an encrypted field, and its change."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "note": {"type": "string", "encrypted": True}},
    }
    await call("database_create_collection", name="people", schema=schema)
    made = await call(
        "database_insert", collection="people", document={"name": "ana", "note": first}
    )
    changed = await call(
        "database_update", collection="people", id=made["id"], changes={"note": second}
    )
    assert changed["data"]["note"] == second


async def uploaded(call: Callable, whole: str, half: str) -> None:
    """One upload in two requests, and one that stops in the middle."""
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        for key, body, sent in (("w", whole, 1.0), ("h", half, 0.6)):
            content = (body * 2000).encode()
            link = (await call("storage_sign_url", key=key, method="PUT"))["url"]
            begun = await http.post(link, headers={**TUS, "Upload-Length": str(len(content))})
            at = 0
            for end in (int(len(content) * 0.6), int(len(content) * sent)):
                if end > at:
                    headers = {**TUS, "Upload-Offset": str(at)}
                    done = await http.patch(
                        begun.headers["location"], headers=headers, content=content[at:end]
                    )
                    assert done.status_code == 204, done.text
                    at = end


@pytest.fixture
async def shredded(tmp_path: Path) -> AsyncIterator[tuple[Path, bytes]]:
    """A home whose tenant `ta` was deleted, and the wrapped key that it had."""
    from tause_mcp.encryption.tables import KEYS

    home = tmp_path / "home"
    async with house(home) as opened:
        await opened.tenant("ta")
        await opened.call("storage_put", {"key": "k", "content": "x" * 50_000}, "ta")
        await opened.call("secrets_put", {"name": "a", "value": "v"}, "ta")
        database = opened.platform.database_of(opened.caller("ta").tenant)
        ((_, wrapped),) = await database.read(lambda tx: tx.all(KEYS))
        asked = await opened.call("tenants_delete", {"tenant_id": "ta"})
        await opened.platform.answer(asked["id"], True, by="local:owner", means="cli")
        await opened.call("tenants_delete", {"tenant_id": "ta"})
    yield home, bytes(wrapped)


async def test_a_copy_made_after_a_deletion_holds_no_key_of_the_tenant(
    shredded: tuple[Path, bytes], tmp_path: Path
) -> None:
    home, wrapped = shredded
    copy = shutil.copytree(home, tmp_path / "copy")
    assert [name for name, content in files(copy) if wrapped[9:] in content] == []
    async with house(copy) as opened:
        with pytest.raises(NotFound):
            await opened.platform.keys.cipher(opened.caller("ta").tenant)
        await long_ago(opened.platform.database, "ta")
        await opened.tenant("ta")
        with pytest.raises(NotFound):
            await opened.call("storage_get", {"key": "k"}, "ta")


async def test_a_row_brought_back_from_elsewhere_does_not_open(tmp_path: Path) -> None:
    """An object of a former tenant, put back into the rows of the new one of the same id."""
    from tause_mcp.services.storage import tables

    async with house(tmp_path / "home") as opened:
        await opened.tenant("ta")
        await opened.call("storage_put", {"key": "k", "content": "old"}, "ta")
        database = opened.platform.database_of(opened.caller("ta").tenant)
        row = await database.first(tables.FETCH, key="k")
        asked = await opened.call("tenants_delete", {"tenant_id": "ta"})
        await opened.platform.answer(asked["id"], True, by="local:owner", means="cli")
        await opened.call("tenants_delete", {"tenant_id": "ta"})
        await long_ago(opened.platform.database, "ta")
        await opened.tenant("ta")
        names = (
            "key",
            "size",
            "sha256",
            "etag",
            "content_type",
            "updated_at",
            "blob",
            "body",
            "enc",
        )
        old = {**dict(zip(names, row, strict=False)), "lost_at": None}
        await database.write(lambda tx: tx.run(tables.STORE, **old))
        with pytest.raises(Unavailable):
            await opened.call("storage_get", {"key": "k"}, "ta")


def test_the_search_reads_what_is_hidden_in_other_spellings() -> None:
    for hidden in (
        b"secretword",
        b"secretword".hex().encode(),
        base64.b64encode(b"ab secretword cd"),
    ):
        place = Place(Path(), {}, lambda hidden=hidden: iter([("f", b"\0\0" + hidden + b"\1")]))
        assert found(place, ["secretword"])
