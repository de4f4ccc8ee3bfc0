"""Rows and store drift apart: told, and put right, under writers and after kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
import sqlalchemy as sa
from tests.support import s3
from tests.support.objects import World, opened_at, urls_of
from tests.support.rows import make_file
from tests.support.s3_proxy import Fault

from tause_mcp.database import TENANT, Statement, TenantDatabase
from tause_mcp.errors import NotFound, Unavailable
from tause_mcp.services.storage import Reconciler, Report, sweep
from tause_mcp.services.storage.blobs import LEASE, folder_of
from tause_mcp.services.storage.tables import objects, storage_usage
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
ACME = TenantId("acme")
BIG = b"x" * 50_000
WRONG = Statement(
    sa.update(storage_usage)
    .where(storage_usage.c.tenant_id == TENANT)
    .values(bytes=7, objects=70, reserved=700)
)
FORGET = Statement(sa.delete(objects).where(objects.c.tenant_id == TENANT))


def rows_of(world: World, tenant: str = "acme") -> TenantDatabase:
    return TenantDatabase(world.database, TenantId(tenant))


async def compare(world: World, *, repair: bool = False, **options: Any) -> Report:
    options = {"grace": -60.0, **options}
    return await Reconciler(world.database, world.store).run(repair=repair, **options)


async def content(world: World, key: str) -> bytes:
    return await (await world.storage().open(key)).whole()


async def test_what_agrees_is_left_alone(world: World) -> None:
    await world.storage().put("a", BIG)
    await world.storage("beta").put("b", b"small")
    report = await compare(world, everything=True)
    assert (report.drifts, report.tenants, report.blobs, report.strangers) == ([], 2, 1, 0)
    assert report.good
    assert report.lines()[-1] == "2 tenants, 1 blobs: rows and store agree"
    assert (await compare(world, repair=True)).good
    assert await content(world, "a") == BIG


async def test_an_empty_house_agrees(world: World) -> None:
    assert (await compare(world, repair=True, everything=True)).lines()[-1].startswith("0 tenants")


async def test_a_blob_that_nothing_refers_to_goes_after_its_grace(world: World) -> None:
    await world.storage().put("a", BIG)
    stray = f"{folder_of(ACME)}/aa/{uuid4().hex}"
    await world.store.write(stray, b"left behind")
    assert (await compare(world, grace=3600.0)).strays == 0
    looked = await compare(world)
    assert looked.strays == 1 and not looked.good
    assert looked.lines() == [
        "acme: 1 blobs (11 bytes) that nothing refers to",
        "1 tenants, 2 blobs: repair with --repair",
    ]
    assert len(await world.swept()) == 2
    assert (await compare(world, repair=True)).lines()[-1].endswith("all repaired")
    assert stray not in await world.swept()
    assert await content(world, "a") == BIG


async def test_a_stray_that_nobody_asked_about_is_held_for_a_while(world: World) -> None:
    await world.storage().put("a", BIG)
    stray = f"{folder_of(ACME)}/aa/{uuid4().hex}"
    await world.store.write(stray, b"left behind")
    await compare(world, repair=True, hold=3600.0)
    assert await world.sweep.empty() == 0
    assert await world.sweep.empty(now() + 2 * 3_600_000_000) == 1
    assert stray not in await world.blobs()


async def test_blobs_of_nobody_here_are_told_and_never_touched(world: World) -> None:
    await world.store.write(f"{'f' * 32}/aa/{uuid4().hex}", b"another installation's")
    report = await compare(world, repair=True, everything=True)
    assert report.strangers == 1 and report.good
    assert "never touched" in report.lines()[0]
    assert len(await world.swept()) == 1


async def test_rows_that_cannot_be_seen_are_no_proof_that_a_blob_is_stray(world: World) -> None:
    """Such as an empty database that was started by mistake before a full bucket."""
    await world.store.write(f"{folder_of(ACME)}/aa/{uuid4().hex}", b"mine")
    await compare(world, repair=True)
    assert len(await world.swept()) == 1


async def test_an_object_whose_bytes_are_gone_is_told_marked_and_found_again(world: World) -> None:
    await world.storage().put("a", BIG)
    await world.storage().put("b", BIG)
    stat = await world.storage().stat("a")
    assert stat.blob is not None
    kept = b"".join([piece async for piece in world.store.read(stat.blob)])
    await world.store.remove(stat.blob)
    with pytest.raises(Unavailable, match="tell the operator"):
        await content(world, "a")
    looked = await compare(world)
    assert looked.lines()[0] == "acme: 1 objects whose bytes are gone: a"
    with pytest.raises(Unavailable, match="tell the operator"):  # only looked
        await content(world, "a")
    report = await compare(world, repair=True)
    assert report.lost == 1 and not report.good
    assert report.lines()[-1].endswith("restore the bytes of the lost objects, or delete them")
    with pytest.raises(Unavailable, match="put it again, or delete it"):
        await content(world, "a")
    assert await content(world, "b") == BIG
    await world.store.write(stat.blob, kept)
    assert (
        (await compare(world, repair=True))
        .lines()[0]
        .startswith("acme: 1 objects whose bytes are there again: a")
    )
    assert await content(world, "a") == BIG
    assert (await compare(world)).good


async def test_a_lost_object_can_be_put_again_copied_over_and_deleted(world: World) -> None:
    for key in ("a", "b", "c"):
        stored = await world.storage().put(key, BIG)
        assert stored.blob is not None
        if key != "c":
            await world.store.remove(stored.blob)
    await compare(world, repair=True)
    with pytest.raises(Unavailable):
        await world.storage().copy("a", "d")
    await world.storage().put("a", BIG)
    await world.storage().delete("b")
    await world.storage().copy("c", "b")
    report = await compare(world, repair=True)
    assert report.good and report.drifts == []
    assert await content(world, "a") == await content(world, "b") == BIG
    assert (await world.storage().usage()).bytes == 3 * len(BIG)


async def test_wrong_counters_are_counted_anew(world: World) -> None:
    await world.storage().put("a", BIG)
    await world.storage().put("b", b"small")
    await world.uploads().begin("c", 100, expires_at=now() + 10**12)
    await rows_of(world).write(lambda tx: tx.run(WRONG))
    looked = await compare(world)
    assert looked.lines()[0] == (
        "acme: counters say 7 bytes in 70 objects and 700 reserved, "
        "stored are 50005 bytes in 2 objects and 100 reserved"
    )
    assert (await world.storage().usage()).bytes == 7
    assert (await compare(world, repair=True)).good
    usage = await world.storage().usage()
    assert (usage.bytes, usage.objects, usage.reserved) == (50_005, 2, 100)


async def test_counting_is_exact_while_others_write(world: World) -> None:
    done = False

    async def write(name: str) -> None:
        for n in range(15):
            await world.storage().put(f"{name}/{n % 4}", b"y" * (n * 11))
            if n % 5 == 4:
                await world.storage().delete(f"{name}/{n % 4}")

    async def count() -> None:
        while not done:
            assert (await compare(world, repair=True)).drifts == []
            await anyio.sleep(0)

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        async with anyio.create_task_group() as writers:
            for name in "abc":
                writers.start_soon(write, name)
        done = True
    stored = await world.storage().list(limit=200)
    usage = await world.storage().usage()
    assert (usage.bytes, usage.objects) == (sum(o.size for o in stored), len(stored))


async def test_an_upload_that_lost_a_part_is_given_up_and_its_promise_too(world: World) -> None:
    uploads = world.uploads()
    for key in ("a", "b"):
        upload = await uploads.begin(key, 200_000, expires_at=now() + 10**12)
        await uploads.append(upload, 0, pieces(60_000))
        if key == "a":
            lost, gone = upload, set(await world.blobs())
    for blob in gone:
        await world.store.remove(blob)
    assert "1 uploads that lost a part" in (await compare(world)).lines()[0]
    assert (await compare(world, repair=True)).good
    with pytest.raises(NotFound):
        await uploads.status(lost.id)
    assert (await world.storage().usage()).reserved == 200_000


async def pieces(size: int) -> AsyncIterator[bytes]:
    yield b"p" * size


async def test_one_tenants_drift_is_not_anothers(world: World) -> None:
    for tenant in ("acme", "beta"):
        await world.storage(tenant).put("k", BIG)
    await rows_of(world).write(lambda tx: tx.run(FORGET))
    report = await compare(world, repair=True)
    assert [drift.tenant for drift in report.drifts] == ["acme"]
    assert len(await world.swept()) == 1
    assert await (await world.storage("beta").open("k")).whole() == BIG
    assert (await world.storage("acme").usage()).bytes == 0


async def test_the_sweep_compares_by_itself_and_soon_again_after_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "EVERY", 0.01)
    monkeypatch.setattr(sweep, "FIRST", 0.02)
    await world.storage().put("a", BIG)
    await rows_of(world).write(lambda tx: tx.run(WRONG))
    failed = []

    async def down(before: float, *, abort: bool) -> int:
        if len(failed) < 2:
            failed.append(1)
            raise Unavailable("the object store does not answer")
        return 0

    monkeypatch.setattr(world.store, "unfinished", down)
    async with anyio.create_task_group() as group:
        group.start_soon(world.sweep.run)
        with anyio.fail_after(10):
            while len(failed) < 2 or (await world.storage().usage()).objects != 1:
                await anyio.sleep(0.02)
        group.cancel_scope.cancel()


# --- the bucket -------------------------------------------------------------------------------


@asynccontextmanager
async def bucket_world(tmp_path: Path, url: str) -> AsyncIterator[World]:
    async with opened_at(make_file(tmp_path / "rows.db"), url) as world:
        yield world


@pytest.mark.embedded
async def test_a_store_that_does_not_answer_marks_and_plans_nothing(tmp_path: Path) -> None:
    with s3.failing() as proxy:
        async with bucket_world(tmp_path, s3.server().url(port=proxy.port)) as world:
            await world.storage().put("a", BIG)
            for fault in (Fault("status", 500), Fault("status", 403), Fault("reset")):
                with proxy.during(fault), pytest.raises(Unavailable):
                    await compare(world, repair=True)
            is_get = Fault("status", 500, only=lambda method, path: "list-type" not in path)
            blob = (await world.storage().stat("a")).blob
            assert blob is not None
            await world.store.remove(blob)
            with proxy.during(is_get), pytest.raises(Unavailable):
                await compare(world, repair=True)
            with pytest.raises(Unavailable, match="tell the operator"):
                await content(world, "a")
            assert (await compare(world, repair=True)).lost == 1


@pytest.mark.embedded
async def test_multipart_uploads_that_nobody_ended_are_ended(tmp_path: Path) -> None:
    server = s3.server()
    bucket = server.bucket()
    server.ask("POST", f"/{bucket}/mine/aa/bb?uploads")
    server.ask("POST", f"/{bucket}/others/aa/bb?uploads")
    async with bucket_world(tmp_path, server.url(bucket, "mine")) as world:
        looked = await compare(world)
        assert looked.unfinished == 1 and not looked.good
        assert (await compare(world, repair=True)).good
    assert server.unfinished(bucket) == 1


WRITER = """
import asyncio, sys
from tests.support.objects import opened_at
from tause_mcp.errors import TauseError
from tause_mcp.times import now

async def whole():
    for n in range(10):
        yield bytes([n]) * 1_000_000

async def main(rows, objects):
    async with opened_at(rows, objects) as world:
        storage, uploads, n = world.storage(), world.uploads(), 0
        await storage.put("first", b"f" * 40_000)
        while True:
            n += 1
            await storage.put(f"put/{n % 3}", bytes([n % 256]) * 40_000)
            print("put", f"put/{n % 3}", n % 256, flush=True)
            await storage.copy("first", f"copy/{n % 3}")
            print("copy", f"copy/{n % 3}", 102, flush=True)
            if n % 3 == 0:
                await storage.delete(f"copy/{n % 3}")
                print("deleted", f"copy/{n % 3}", 0, flush=True)
            if n % 4 == 1:
                await storage.put("many", whole())
                print("many", "many", 9, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("store", ["file", "s3"])
@pytest.mark.embedded
async def test_killed_in_the_middle_of_anything_nothing_acknowledged_is_lost(
    tmp_path: Path, store: str
) -> None:
    """Puts, copies, deletes and multipart uploads, killed at some moment, again and again."""
    server, bucket = s3.server(), s3.server().bucket()
    rows, objects_url = urls_of(tmp_path / "w")
    objects_url = server.url(bucket, "p") if store == "s3" else objects_url
    for number in range(3):
        acknowledged = await killed_after(0.15 + 0.2 * number, rows, objects_url)
        async with opened_at(rows, objects_url) as world:
            await check(world, acknowledged)
    assert server.unfinished(bucket) == 0


async def killed_after(seconds: float, rows: str, objects_url: str) -> list[list[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, rows, objects_url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    lines = (first + rest).splitlines(keepends=True)
    return [line.split() for line in lines if line.endswith("\n")]


async def check(world: World, acknowledged: list[list[str]]) -> None:
    """Every acknowledged state of each key, or the one that was being written."""
    last = {key: (what, int(value)) for what, key, value in acknowledged}
    for key, (what, _) in last.items():
        if what == "many":
            assert (await world.storage().stat(key)).size == 10_000_000
        elif what != "deleted":
            body = await content(world, key)
            assert len(set(body)) == 1 and len(body) == 40_000
    report = await compare(world, repair=True)
    assert (report.lost, report.drifts[0].counted if report.drifts else None) == (0, None)
    await world.sweep.empty(now() + LEASE * 10)
    stored = await world.storage().list(limit=200)
    usage = await world.storage().usage()
    assert (usage.bytes, usage.objects) == (sum(o.size for o in stored), len(stored))
    assert set(await world.blobs()) == {o.blob for o in stored}
    again = await compare(world)
    assert again.drifts == [] and again.good
