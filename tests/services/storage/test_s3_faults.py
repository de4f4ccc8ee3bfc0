"""S3 on a bad day: clear and bounded failures, nothing half-kept, and it recovers by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.support import s3
from tests.support.clock import BUSY
from tests.support.objects import World, opened_at
from tests.support.rows import make_file
from tests.support.s3_proxy import Fault, FaultProxy

from tause_mcp.errors import DeadlineExceeded, Unavailable
from tause_mcp.platform import open_platform
from tause_mcp.services.storage import Reconciler
from tause_mcp.settings import Settings
from tause_mcp.testing.home import house
from tause_mcp.testing.walk import in_process
from tause_mcp.times import now

pytestmark = [pytest.mark.anyio, pytest.mark.embedded]
BLOB = b"b" * 50_000
MIB = 1 << 20


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with s3.failing() as made:
        yield made


@dataclass
class Bucket:
    """A world whose objects are in a bucket of its own, behind a proxy that fails."""

    name: str
    proxy: FaultProxy
    world: World


@pytest.fixture
async def bucket(proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[Bucket]:
    name = s3.server().bucket()
    url = s3.server().url(name, "p", port=proxy.port)
    async with opened_at(make_file(tmp_path / "rows.db"), url) as world:
        yield Bucket(name, proxy, world)


async def large(count: int = 17) -> AsyncIterator[bytes]:
    for n in range(count):
        yield bytes([n]) * MIB


async def content(world: World, key: str) -> bytes:
    return await (await world.storage().open(key)).whole()


def attempts(world: World) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that reaches the store, by name; `old` is there."""
    storage = world.storage()
    return {
        "small": lambda: storage.put("small", BLOB),
        "replace": lambda: storage.put("old", BLOB * 2),
        "large": lambda: storage.put("large", large()),
        "copy": lambda: storage.copy("old", "copy"),
        "read": lambda: content(world, "old"),
    }


async def consistent(bucket: Bucket) -> None:
    """What is listed can be read, is what is counted, and nothing else is in the bucket."""
    world = bucket.world
    listed = await world.storage().list(limit=100)
    for found in listed:
        assert len(await content(world, found.key)) == found.size
    usage = await world.storage().usage()
    assert (usage.bytes, usage.objects) == (sum(o.size for o in listed), len(listed))
    assert usage.reserved == 0
    assert set(await world.swept()) == {o.blob for o in listed}
    # what the store began while its answer was lost nobody here knows of
    report = await Reconciler(world.database, world.store).run(repair=True)
    assert report.drifts == [] and s3.server().unfinished(bucket.name) == 0


FAULTS = {
    "403": (Fault("status", 403), "refuses our credentials"),
    "500": (Fault("status", 500), "does not answer"),
    "503": (Fault("status", 503), "does not answer"),
    "reset": (Fault("reset"), "does not answer"),
    "lost answer": (Fault("lost_answer"), "does not answer"),
    "cut answer": (Fault("cut_answer"), "does not answer"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_failing_store_refuses_clearly_and_keeps_nothing_of_it(
    bucket: Bucket, name: str
) -> None:
    fault, text = FAULTS[name]
    world = bucket.world
    await world.storage().put("old", BLOB)
    told, old = [], BLOB
    for what, attempt in attempts(world).items():
        began = time.monotonic()
        with bucket.proxy.during(fault):
            try:
                await attempt()
                old = BLOB * 2 if what == "replace" else old
            except Unavailable as refused:
                assert text in str(refused) and "canary" not in str(refused)
                told.append(what)
        assert time.monotonic() - began < 10 + BUSY
        assert await content(world, "old") == old
    # an answer without a body cannot be cut: such a write may have been made, and was acknowledged
    assert set(told) >= ({"read"} if name == "cut answer" else set(attempts(world)))
    await consistent(bucket)
    for attempt in attempts(world).values():  # by itself, at once
        await attempt()
    await consistent(bucket)


async def test_a_slow_store_is_only_slow(bucket: Bucket) -> None:
    await bucket.world.storage().put("old", BLOB)
    with bucket.proxy.during(Fault("slow", seconds=0.3)):
        for attempt in attempts(bucket.world).values():
            await attempt()
    await consistent(bucket)


@pytest.mark.parametrize("fault", [Fault("status", 503), Fault("reset"), Fault("cut_answer")])
async def test_a_store_that_fails_once_is_asked_again(bucket: Bucket, fault: Fault) -> None:
    """503 is `SlowDown`; what was read before a reset is not mixed with what comes after."""
    world = bucket.world
    await world.storage().put("large", large())
    fault.times, fault.seen = 1, 0
    with bucket.proxy.during(fault):
        body = await content(world, "large")
    assert fault.seen == 1
    assert body == b"".join([piece async for piece in large()])


@pytest.mark.parametrize("what", ["small", "replace", "large", "copy", "read"])
async def test_a_store_that_hangs_holds_no_call_beyond_its_deadline(
    bucket: Bucket, what: str
) -> None:
    world = bucket.world
    await world.storage().put("old", BLOB)
    began = time.monotonic()
    with bucket.proxy.during(Fault("hang")):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await attempts(world)[what]()
        assert time.monotonic() - began < 4 + BUSY
    assert await content(world, "old") == BLOB
    await asyncio.sleep(0.2)  # what hung goes on behind the call, and is refused
    await consistent(bucket)


async def test_a_store_that_is_down_and_comes_back(bucket: Bucket) -> None:
    world = bucket.world
    await world.storage().put("old", BLOB)
    bucket.proxy.down()
    for attempt in attempts(world).values():
        with pytest.raises(Unavailable, match="does not answer"):
            await attempt()
    await world.storage().delete("old")  # only a row: the bytes go when the store is back
    with pytest.raises(Unavailable):
        await world.sweep.empty(now() + 10**12)
    bucket.proxy.up()
    assert await world.storage().put("old", BLOB)
    await consistent(bucket)


async def test_a_bucket_that_is_gone_is_named(tmp_path: Path) -> None:
    url = s3.server().url("never-made-bucket")
    async with opened_at(make_file(tmp_path / "rows.db"), url) as world:
        for attempt in (world.storage().put("a", BLOB), world.storage().put("b", large())):
            with pytest.raises(Unavailable, match="no such bucket"):
                await attempt
        assert await world.storage().list() == []
        assert (await world.storage().usage()).bytes == 0
        s3.server().bucket("never-made-bucket")
        try:
            await world.storage().put("a", BLOB)
            assert await content(world, "a") == BLOB
        finally:
            await world.storage().delete("a")
            await world.swept()
            s3.server().ask("DELETE", "/never-made-bucket")


async def test_the_completion_of_an_upload_that_was_lost_leaves_nothing(bucket: Bucket) -> None:
    """The store did it, nobody heard: the blob is there, the object is not, the sweep takes it."""

    def completing(method: str, path: str) -> bool:
        return method == "POST" and "uploadId" in path

    with bucket.proxy.during(Fault("lost_answer", only=completing)):
        with pytest.raises(Unavailable):
            await bucket.world.storage().put("large", large())
    assert await bucket.world.storage().list() == []
    await consistent(bucket)


async def test_an_upload_in_parts_goes_on_after_the_store_failed(bucket: Bucket) -> None:
    uploads = bucket.world.uploads()
    upload = await uploads.begin("big", 12 * MIB, expires_at=now() + 10**12)
    upload = await uploads.append(upload, 0, large(5))
    arrived = upload.received
    with bucket.proxy.during(Fault("status", 500)), pytest.raises(Unavailable):
        await uploads.append(upload, arrived, large(7))
    upload = await uploads.status(upload.id)
    left = 12 - upload.received // MIB
    upload = await uploads.append(upload, upload.received, large(left))
    with bucket.proxy.during(Fault("status", 500)), pytest.raises(Unavailable):
        await uploads.finish(upload)
    assert (await bucket.world.storage().usage()).reserved == 12 * MIB
    stored = await uploads.finish(await uploads.status(upload.id))
    assert stored.size == 12 * MIB
    await consistent(bucket)


async def test_writers_under_a_flickering_store_lose_nothing_acknowledged(bucket: Bucket) -> None:
    kept: dict[str, int] = {}

    async def write(name: str) -> None:
        for n in range(12):
            try:
                await bucket.world.storage().put(name, bytes([n]) * 30_000)
                kept[name] = n
            except Unavailable:
                pass

    async def flicker() -> None:
        faults = [Fault("status", 500), Fault("reset"), Fault("lost_answer"), Fault("status", 403)]
        while True:
            for fault in faults:
                with bucket.proxy.during(fault):
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.05)

    flickering = asyncio.create_task(flicker())
    await asyncio.gather(*(write(name) for name in "abcd"))
    flickering.cancel()
    await asyncio.gather(flickering, return_exceptions=True)
    for name, number in kept.items():
        body = await content(bucket.world, name)
        assert body == bytes([number]) * 30_000
    await consistent(bucket)


async def test_a_call_ends_at_its_deadline_and_the_next_works(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    url = s3.server().url(port=proxy.port)
    async with house(tmp_path, TAUSE_STORAGE_URL=url, TAUSE_DEADLINE="1") as home:
        told = {"key": "a", "content": "x" * 50_000}
        await home.call("storage_put", told)
        for name, arguments in (("storage_put", told), ("storage_get", {"key": "a"})):
            began = time.monotonic()
            with proxy.during(Fault("hang")), pytest.raises(DeadlineExceeded):
                await home.call(name, arguments)
            assert time.monotonic() - began < 4 + BUSY
        assert (await home.call("storage_get", {"key": "a"}))["size"] == 50_000


async def test_readiness_names_the_storage_and_comes_back(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    settings = Settings.read(
        {
            "TAUSE_HOME": str(tmp_path / "home"),
            "TAUSE_STORAGE_URL": s3.server().url(port=proxy.port),
        }
    )
    async with open_platform(settings, public_url="http://127.0.0.1:8765") as platform:
        async with in_process(platform) as http:
            for fault in (Fault("status", 403), Fault("status", 500), Fault("hang")):
                with proxy.during(fault):
                    await unready(http)
                assert (await http.get("/readyz")).status_code == 200
            proxy.down()
            await unready(http)
            proxy.up()
            assert (await http.get("/readyz")).json() == {"status": "ready"}


async def unready(http: httpx2.AsyncClient) -> None:
    began = time.monotonic()
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unready", "failing": ["storage"]}
    assert time.monotonic() - began < 4 + BUSY
