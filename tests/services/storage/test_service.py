"""The objects of a tenant, on every kind of store."""

import hashlib
from collections.abc import AsyncIterator

import anyio
import pytest

from tause_mcp.encryption.segments import sealed_size
from tause_mcp.errors import (
    Invalid,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    TauseError,
    TooLarge,
    Unavailable,
)
from tause_mcp.services.storage import Conditions, Storage
from tause_mcp.services.storage.blobs import INLINE, folder_of
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

pytestmark = pytest.mark.anyio
MIB = 1 << 20
SIZES = [0, 1, INLINE, INLINE + 1, 300_000]


def body(size: int, seed: int = 0) -> bytes:
    return (bytes([seed % 251]) + b"0123456789") * (size // 11) + b"x" * (size % 11)


async def streamed(data: bytes, step: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


async def read(storage: Storage, key: str, span: str | None = None) -> bytes:
    return await (await storage.open(key, span)).whole()


async def counted(storage: Storage) -> tuple[int, int, int]:
    usage = await storage.usage()
    return usage.bytes, usage.objects, usage.reserved


# --- what must not work -------------------------------------------------------------------------


async def test_a_foreign_object_is_not_found_and_looks_absent(world) -> None:
    mine, theirs = world.storage("acme"), world.storage("beta")
    await mine.put("a/b", body(100))
    await mine.put("big", body(50_000))
    for key in ("a/b", "big"):
        told = []
        for storage, asked in ((theirs, key), (mine, "never/was")):
            for attempt in (storage.stat, storage.open, storage.delete):
                with pytest.raises(NotFound) as refused:
                    await attempt(asked)
                told.append((str(refused.value), refused.value.describe()))
            with pytest.raises(NotFound):
                await storage.copy(asked, "mine")
        assert told[:3] == told[3:]
    assert await theirs.list() == []
    assert await counted(theirs) == (0, 0, 0)
    assert await read(mine, "a/b") == body(100)


@pytest.mark.parametrize("other", ["ab", "a-b", "a_b", "b"])
async def test_a_tenant_whose_name_begins_alike_sees_nothing(world, other: str) -> None:
    await world.storage("aa").put("k", body(20_000))
    await world.storage(other).put("k", body(20_001))
    assert len(await read(world.storage("aa"), "k")) == 20_000
    assert len(await read(world.storage(other), "k")) == 20_001
    assert not folder_of(TenantId("ab")).startswith(folder_of(TenantId("a")))


async def test_keys_that_look_alike_are_different_objects(world) -> None:
    storage = world.storage()
    keys = ["a", "ab", "a/b", "a_b", "axb", "a-b", "A", "a.b", "AB", "a/B"]
    for number, key in enumerate(keys):
        await storage.put(key, key.encode() * (20_000 if number % 2 else 1))
    for number, key in enumerate(keys):
        assert await read(storage, key) == key.encode() * (20_000 if number % 2 else 1)
    found = {
        prefix: [o.key for o in await storage.list(prefix)]
        for prefix in ("a", "a_", "a/", "A", "ab", "")
    }
    assert found["a"] == sorted(k for k in keys if k.startswith("a"))
    assert found["a_"] == ["a_b"]
    assert found["a/"] == ["a/B", "a/b"]
    assert found["A"] == ["A", "AB"]
    assert found["ab"] == ["ab"]
    assert found[""] == sorted(keys)


@pytest.mark.parametrize("key", ["../a", "a//b", "/a", "a/", "a\\b", "a%2fb", "a\0", ""])
async def test_a_bad_key_reaches_no_backend(world, key: str) -> None:
    storage = world.storage()
    await storage.put("ok", b"1")
    for attempt in (
        storage.put(key, body(20_000)),
        storage.stat(key),
        storage.open(key),
        storage.delete(key),
        storage.copy(key, "b"),
        storage.copy("ok", key),
    ):
        with pytest.raises(Invalid):
            await attempt
    assert await world.blobs() == {}
    assert await counted(storage) == (1, 1, 0)


@pytest.mark.parametrize("size", [10, 40_000])
async def test_a_condition_that_fails_changes_nothing_and_leaves_nothing(world, size: int) -> None:
    storage = world.storage()
    first = await storage.put("k", body(size))
    second = await storage.put("k", body(size, 1))
    assert first.etag != second.etag
    for wrong in (
        Conditions(if_match=first.etag),
        Conditions(if_none_match="*"),
        Conditions(if_none_match=second.etag),
    ):
        for data in (body(size, 2), streamed(body(size, 2))):
            with pytest.raises(PreconditionFailed):
                await storage.put("k", data, conditions=wrong)
    with pytest.raises(PreconditionFailed):
        await storage.put("absent", body(size), conditions=Conditions(if_match="*"))
    with pytest.raises(PreconditionFailed):
        await storage.delete("k", if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        await storage.copy("k", "k", conditions=Conditions(if_none_match="*"))
    assert await read(storage, "k") == body(size, 1)
    assert await counted(storage) == (size, 1, 0)
    assert len(await world.swept()) == (1 if size > INLINE else 0)


async def test_of_many_conditional_writers_exactly_one_wins(world) -> None:
    storage = world.storage()
    first = await storage.put("k", b"0")
    outcomes: list[str] = []

    async def write(number: int) -> None:
        data = body(10 if number % 2 else 20_000, number)
        try:
            await world.storage().put("k", data, conditions=Conditions(first.etag))
            outcomes.append("won")
        except PreconditionFailed:
            outcomes.append("lost")

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(write, number)
    assert sorted(outcomes) == ["lost"] * 11 + ["won"]
    assert (await counted(storage))[1] == 1


async def test_content_that_returns_has_another_etag(world) -> None:
    storage = world.storage()
    etags = [(await storage.put("k", body(10, seed))).etag for seed in (1, 2, 1)]
    assert len(set(etags)) == 3
    await storage.delete("k")
    assert (await storage.put("k", body(10, 1))).etag not in etags


@pytest.mark.parametrize("size", [100, 20_000, 3 * MIB])
async def test_more_than_the_quota_is_refused_and_leaves_nothing(world, size: int) -> None:
    storage = world.storage(limit=size + 10)
    await storage.put("kept", body(size))
    for data in (body(11), streamed(body(11)), streamed(body(size + 11)), body(size + 11)):
        with pytest.raises(QuotaExceeded):
            await storage.put("more", data)
    with pytest.raises(QuotaExceeded):
        await storage.copy("kept", "again")
    await storage.put("kept", body(size + 10))
    with pytest.raises(QuotaExceeded):
        await storage.put("kept", body(size + 11))
    assert await counted(storage) == (size + 10, 1, 0)
    assert sum((await world.swept()).values()) in (0, sealed_size(size + 10))
    await storage.delete("kept")
    await storage.put("more", body(11))


async def test_an_over_full_tenant_may_still_shrink_and_delete(world) -> None:
    await world.storage().put("a", body(1000))
    await world.storage().put("b", body(1000))
    storage = world.storage(limit=100)
    with pytest.raises(QuotaExceeded):
        await storage.put("c", b"1")
    await storage.put("c", b"")
    await storage.put("a", body(10))
    await storage.delete("b")
    assert await counted(storage) == (10, 2, 0)


async def test_an_object_over_the_cap_is_too_large_however_it_comes(world) -> None:
    storage = world.storage(most=100_000)
    for data in (body(100_001), streamed(body(100_001)), streamed(body(5 * MIB))):
        with pytest.raises(TooLarge):
            await storage.put("k", data)
    with pytest.raises(TooLarge):
        await storage.put("k", streamed(body(11)), max_bytes=10)
    with pytest.raises(TooLarge):
        await storage.put("k", streamed(body(1)), size=100_001)
    await storage.put("k", streamed(body(100_000)))
    assert len(await world.swept()) == 1


async def test_a_body_that_breaks_off_keeps_the_old_object(world) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield body(200_000)
        raise ConnectionResetError

    storage = world.storage()
    await storage.put("k", body(30_000))
    with pytest.raises(ConnectionResetError):
        await storage.put("k", broken())
    assert await read(storage, "k") == body(30_000)
    assert len(await world.swept()) == 1


async def test_a_blob_that_is_lost_is_a_failure_and_not_an_empty_object(world) -> None:
    storage = world.storage()
    stored = await storage.put("k", body(30_000))
    await world.store.remove(stored.blob)
    with pytest.raises(Unavailable, match="tell the operator"):
        await storage.open("k")


async def test_a_writer_slower_than_its_lease_is_refused_not_half_kept(world) -> None:
    storage = world.storage()

    async def slow() -> AsyncIterator[bytes]:
        yield body(100_000)
        await world.sweep.empty(now() + 10**12)
        yield body(100_000)

    with pytest.raises(TauseError):
        await storage.put("k", slow())
    with pytest.raises(NotFound):
        await storage.stat("k")
    assert await world.swept() == {}


# --- what must work -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_put_is_got_byte_for_byte(world, size: int) -> None:
    storage = world.storage()
    data = body(size)
    for put in (data, streamed(data, 7000), data):
        stored = await storage.put("k", put)
        assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert await storage.stat("k") == stored
        assert await read(storage, "k") == data
        assert (stored.blob is None) == (size <= INLINE)
        assert await counted(storage) == (size, 1, 0)
    assert len(await world.swept()) == (1 if size > INLINE else 0)
    assert await read(storage, "k") == data


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_a_range_is_read_alone(world, size: int) -> None:
    storage = world.storage()
    data = body(size)
    await storage.put("k", data)
    assert await read(storage, "k", "0-0") == data[:1]
    assert await read(storage, "k", "bytes=500-699") == data[500:700]
    assert await read(storage, "k", "-10") == data[-10:]
    reading = await storage.open("k", "900-", most=50)
    assert (reading.start, reading.end) == (900, 950)
    assert await reading.whole() == data[900:950]


async def test_objects_cross_the_row_limit_both_ways(world) -> None:
    storage = world.storage()
    for size in (10, 100_000, 20, 100_001, 0):
        await storage.put("k", body(size))
        assert await read(storage, "k") == body(size)
        assert await counted(storage) == (size, 1, 0)
        assert len(await world.swept()) == (1 if size > INLINE else 0)


async def test_a_deleted_object_is_gone_and_so_are_its_bytes(world) -> None:
    storage = world.storage()
    await storage.put("k", body(100_000))
    await storage.put("s", body(10))
    await storage.delete("k")
    await storage.delete("s")
    with pytest.raises(NotFound):
        await storage.delete("k")
    with pytest.raises(NotFound):
        await storage.open("s")
    assert await counted(storage) == (0, 0, 0)
    assert await world.swept() == {}


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_copy_is_its_own_object(world, size: int) -> None:
    storage = world.storage()
    await storage.put("a", body(size), content_type="text/x-first")
    copied = await storage.copy("a", "b")
    assert (copied.content_type, copied.size) == ("text/x-first", size)
    await storage.put("a", body(size, 1))
    await storage.delete("a")
    await world.swept()
    assert await read(storage, "b") == body(size)
    await storage.copy("b", "b")
    await world.swept()
    assert await read(storage, "b") == body(size)
    assert await counted(storage) == (size, 1, 0)


async def test_a_listing_goes_on_behind_the_last_key(world) -> None:
    storage = world.storage()
    keys = [*sorted(f"d/{n:03}" for n in range(25)), "d0", "e"]
    for key in keys:
        await storage.put(key, b"1")
    found: list[str] = []
    after = ""
    while page := await storage.list("d/", after, 10):
        found += [o.key for o in page]
        after = found[-1]
    assert found == keys[:25]
    assert await storage.list("d/", "zzz") == []


@pytest.mark.parametrize("key", ["a", "lib/a", ".a", "notes", "a.", "o"])
def test_a_name_without_an_ending_suggests_no_type(key: str) -> None:
    assert Storage.guessed(key) is None


async def test_a_content_type_is_kept_or_guessed(world) -> None:
    storage = world.storage()
    assert (await storage.put("a.json", b"1")).content_type == "application/json"
    assert (await storage.put("a.html", b"1")).content_type == "text/html"
    assert (await storage.put("a", b"1")).content_type == "application/octet-stream"
    assert (await storage.put("a.json", b"1", content_type="text/x")).content_type == "text/x"


async def test_every_change_is_told_and_no_refusal_is(world) -> None:
    storage = world.storage()
    await storage.put("k", b"1")
    await storage.copy("k", "c")
    await storage.delete("k")
    with pytest.raises(NotFound):
        await storage.delete("k")
    with pytest.raises(PreconditionFailed):
        await storage.put("c", b"2", conditions=Conditions(if_none_match="*"))
    assert world.changed == [("acme", "k"), ("acme", "c"), ("acme", "k")]


async def test_a_large_result_is_kept_with_a_preview_and_a_link(world) -> None:
    storage = world.storage()
    told = await storage.keep_result("database_find", b'{"a": "' + "ñ".encode() * 30_000 + b'"}')
    assert set(told) == {"preview", "key", "size", "url"}
    assert told["key"].startswith("results/database_find/")
    assert told["url"] == f"link:{told['key']}"
    assert len(await read(storage, told["key"])) == told["size"]
    assert told["preview"].startswith('{"a": "ññ')
    assert len(told["preview"].encode()) <= 4096


async def test_erasing_a_tenant_leaves_others_alone(world) -> None:
    mine, theirs = world.storage("acme"), world.storage("beta")
    for storage in (mine, theirs):
        await storage.put("big", body(100_000))
        await storage.put("small", b"1")
    upload = await world.uploads("acme").begin("u", 50_000, expires_at=now() + 10**9)
    await world.uploads("acme").append(upload, 0, streamed(body(40_000)))
    assert await mine.erase() == 2
    assert await mine.list() == []
    assert await counted(mine) == (0, 0, 0)
    assert len(await world.swept()) == 1
    assert await read(theirs, "big") == body(100_000)
    await mine.put("big", b"new")
    assert [o.key for o in await mine.list()] == ["big"]


async def test_blob_names_tell_nothing_of_tenant_or_key(world) -> None:
    await world.storage("acme").put("secret/name.txt", body(20_000))
    (name,) = await world.blobs()
    assert "acme" not in name
    assert "secret" not in name
    assert "name" not in name
