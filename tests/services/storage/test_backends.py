"""One behavioural suite on every object store: file, memory and a real S3 endpoint."""

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from tause_mcp.services.storage.backends import BlobGone, ObjectStore

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
MIB = 1 << 20


def fresh() -> str:
    return f"{uuid4().hex[:16]}/{uuid4().hex[:2]}/{uuid4().hex}"


async def whole(store: ObjectStore, name: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(name, start, end)])


async def everything(store: ObjectStore, prefix: str = "") -> dict[str, int]:
    return {blob.name: blob.size async for blob in store.names(prefix)}


async def pieces(*sizes: int) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number % 251]) * size


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        "A",
        "a.b",
        "a\\b",
        "a\0",
        "a%2e",
        "a\n",
        "ａ",
        "a" * 65,
    ],
)
async def test_a_name_outside_the_grammar_reaches_no_backend(store: ObjectStore, name: str) -> None:
    with pytest.raises(ValueError, match="not a blob name"):
        await store.write(name, b"x")
    with pytest.raises(ValueError, match="not a blob name"):
        await whole(store, name)
    with pytest.raises(ValueError, match="not a blob name"):
        await store.remove(name)
    assert await everything(store) == {}


async def test_an_absent_blob_is_gone_and_its_removal_is_no_failure(store: ObjectStore) -> None:
    name = fresh()
    with pytest.raises(BlobGone):
        await whole(store, name)
    with pytest.raises(BlobGone):
        await store.copy(name, fresh())
    await store.remove(name)
    assert await everything(store) == {}


@pytest.mark.parametrize("size", [0, 1, 100_000, 9 * MIB])
async def test_what_is_written_whole_is_read_whole(store: ObjectStore, size: int) -> None:
    name, body = fresh(), bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    await store.write(name, body)
    assert await whole(store, name) == body
    assert await everything(store) == {name: size}


@pytest.mark.parametrize("sizes", [(), (0,), (1, 2, 3), (MIB,) * 18, (5, 20 * MIB)])
async def test_what_is_streamed_is_read_whole(store: ObjectStore, sizes: tuple[int, ...]) -> None:
    name = fresh()
    await store.write(name, pieces(*sizes))
    expected = b"".join([piece async for piece in pieces(*sizes)])
    assert await whole(store, name) == expected
    assert await everything(store) == {name: sum(sizes)}


@pytest.mark.parametrize("before", [0, 1, 17])
async def test_a_body_that_fails_leaves_nothing(store: ObjectStore, before: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(*([MIB] * before)):
            yield piece
        raise ConnectionResetError("the client went away")

    name = fresh()
    with pytest.raises(ConnectionResetError, match="went away"):
        await store.write(name, broken())
    with pytest.raises(BlobGone):
        await whole(store, name)
    assert await everything(store) == {}


async def test_a_cancelled_write_leaves_nothing(store: ObjectStore) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        async for piece in pieces(*([MIB] * 9)):
            yield piece
        await anyio.sleep_forever()

    name = fresh()
    with anyio.move_on_after(0.7) as scope:
        await store.write(name, stalled())
    assert scope.cancelled_caught
    with pytest.raises(BlobGone):
        await whole(store, name)
    assert await everything(store) == {}


async def test_a_range_is_exactly_the_bytes_asked_for(store: ObjectStore) -> None:
    name, body = fresh(), bytes(n % 256 for n in range(200_000))
    await store.write(name, body)
    for start, end in [(0, 1), (10, 10), (5, 70_000), (199_999, 200_000), (0, 900_000)]:
        assert await whole(store, name, start, end) == body[start:end]
    assert await whole(store, name, 150_000) == body[150_000:]
    for start in (200_000, 200_001, 900_000):
        assert await whole(store, name, start) == b""
        assert await whole(store, name, start, start + 10) == b""


async def test_a_range_may_span_the_pieces_of_a_big_blob(store: ObjectStore) -> None:
    name, body = fresh(), b"".join(bytes([n]) * MIB for n in range(18))
    await store.write(name, body)
    assert await whole(store, name, 7 * MIB - 3, 17 * MIB + 5) == body[7 * MIB - 3 : 17 * MIB + 5]


async def test_a_copy_outlives_its_source(store: ObjectStore) -> None:
    source, name = fresh(), fresh()
    await store.write(source, b"kept")
    await store.copy(source, name)
    await store.remove(source)
    assert await whole(store, name) == b"kept"
    assert await everything(store) == {name: 4}


async def test_a_blob_removed_twice_is_gone_once(store: ObjectStore) -> None:
    name, other = fresh(), fresh()
    await store.write(name, b"a")
    await store.write(other, b"b")
    await store.remove(name)
    await store.remove(name)
    with pytest.raises(BlobGone):
        await whole(store, name)
    assert await everything(store) == {other: 1}


async def test_names_are_told_by_prefix_with_size_and_age(store: ObjectStore) -> None:
    for name in ("a/1", "ab/2", "a/b/3", "abc", "b/4"):
        await store.write(name, b"x" * len(name))
    assert set(await everything(store)) == {"a/1", "ab/2", "a/b/3", "abc", "b/4"}
    assert set(await everything(store, "a/")) == {"a/1", "a/b/3"}
    assert set(await everything(store, "a/b/")) == {"a/b/3"}
    assert set(await everything(store, "ab")) == {"ab/2", "abc"}
    assert await everything(store, "c/") == {}
    found = [blob async for blob in store.names("b/")]
    assert [blob.size for blob in found] == [3]
    assert abs(found[0].modified - time.time()) < 60


async def test_many_blobs_at_once_are_all_kept(store: ObjectStore) -> None:
    names = [fresh() for _ in range(40)]
    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(store.write, name, name.encode() * 1000)
    for name in names:
        assert await whole(store, name) == name.encode() * 1000


async def test_a_working_store_is_ready(store: ObjectStore) -> None:
    await store.check()
    assert await everything(store) == {}
