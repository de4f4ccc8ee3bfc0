"""Processes that race and processes that are killed: quotas hold, nothing is lost, nothing stays."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.objects import opened_world, urls_of

from tause_mcp.database import TENANT, Statement, TenantDatabase, metadata
from tause_mcp.errors import Unavailable
from tause_mcp.services.storage.blobs import LEASE
from tause_mcp.services.storage.tables import LEAVING, OUTLIVES
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

pytestmark = pytest.mark.anyio
TABLES = {"objects", "uploads", "upload_parts", "blob_trash", "storage_usage"}
ROOT = Path(__file__).parents[3]

PUTTER = """
import asyncio, sys
from tests.support.objects import opened_at
from tause_mcp.errors import QuotaExceeded

async def main(rows, objects, name, limit, count, size):
    async with opened_at(rows, objects) as world:
        storage, kept = world.storage(limit=int(limit)), 0
        for n in range(int(count)):
            try:
                await storage.put(f"{name}/{n}", b"x" * int(size))
                kept += 1
            except QuotaExceeded:
                pass
        print(kept)

asyncio.run(main(*sys.argv[1:]))
"""

REPLACER = """
import asyncio, hashlib, sys
from tests.support.objects import opened_at

async def main(rows, objects):
    async with opened_at(rows, objects) as world:
        storage, n = world.storage(), 0
        while True:
            n += 1
            body = hashlib.sha256(str(n).encode()).digest() * (2 if n % 3 == 0 else 20_000)
            stored = await storage.put("k", body)
            print(n, stored.etag, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def spawn(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )


@pytest.mark.parametrize("size", [1000, 20_000])
async def test_a_quota_holds_exactly_under_writers_of_several_processes(
    tmp_path: Path, size: int
) -> None:
    async with opened_world(tmp_path / "w"):
        pass
    limit = 25 * size + size // 2
    writers = [spawn(PUTTER, *urls_of(tmp_path / "w"), name, limit, 20, size) for name in "ab"]
    kept = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert sum(kept) == 25
    async with opened_world(tmp_path / "w") as world:
        usage = await world.storage().usage()
        assert (usage.bytes, usage.objects, usage.reserved) == (25 * size, 25, 0)
        assert len(await world.storage().list(limit=200)) == 25
        assert len(await world.swept()) == (25 if size > 16_384 else 0)


async def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_orphan(
    tmp_path: Path,
) -> None:
    async with opened_world(tmp_path / "w"):
        pass
    for round_number in range(2):
        writer = spawn(REPLACER, *urls_of(tmp_path / "w"))
        assert writer.stdout is not None
        acknowledged = writer.stdout.readline()
        time.sleep(0.05 + 0.15 * round_number)
        writer.send_signal(signal.SIGKILL)
        acknowledged = (acknowledged + writer.stdout.read()).splitlines(keepends=True)[-1]
        writer.wait()
        writer.stdout.close()
        assert acknowledged.endswith("\n")
        number = int(acknowledged.split()[0])
        async with opened_world(tmp_path / "w") as world:
            storage = world.storage()
            reading = await storage.open("k")
            body = await reading.whole()
            assert hashlib.sha256(body).hexdigest() == reading.object.sha256
            told = {hashlib.sha256(str(n).encode()).digest() for n in (number, number + 1)}
            assert body[:32] in told
            usage = await storage.usage()
            assert (usage.bytes, usage.objects) == (len(body), 1)
            await world.sweep.empty(now() + LEASE * 2)
            assert len(await world.blobs()) == (1 if reading.object.blob else 0)
            parts = [p for p in (tmp_path / "w" / "objects").rglob("*.part") if p.is_file()]
            assert parts == []


class Killed(BaseException):
    """The process ends here, as far as this test goes."""


async def test_death_between_the_blob_and_the_row_keeps_the_old_object(
    disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = disk.storage()
    await storage.put("k", b"old" * 10_000)
    staged = await storage.stage("k", b"new" * 10_000)
    assert len(await disk.blobs()) == 2
    assert staged.blob in await disk.blobs()
    assert await disk.sweep.empty() == 0  # the writer may still be alive
    assert await (await storage.open("k")).whole() == b"old" * 10_000
    assert await disk.sweep.empty(now() + LEASE) == 1
    assert len(await disk.blobs()) == 1
    with pytest.raises(Unavailable, match="start it again"):
        await storage.commit("k", staged)
    assert await (await storage.open("k")).whole() == b"old" * 10_000


@pytest.mark.embedded
async def test_a_full_disk_keeps_the_old_object_and_recovers(
    disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = disk.storage()
    await storage.put("k", b"old" * 10_000)
    write = os.write
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(Unavailable, match="is full"):
        await storage.put("k", b"new" * 10_000)
    monkeypatch.setattr(os, "write", write)
    assert await (await storage.open("k")).whole() == b"old" * 10_000
    assert len(await disk.swept()) == 1
    await storage.put("k", b"new" * 10_000)
    assert await (await storage.open("k")).whole() == b"new" * 10_000


async def test_a_replaced_blob_stays_for_its_readers_then_goes(disk) -> None:
    storage = disk.storage()
    await storage.put("k", b"a" * 30_000)
    reading = await storage.open("k")
    await storage.put("k", b"b" * 30_000)
    assert await disk.sweep.empty() == 0
    assert len(await disk.blobs()) == 2
    assert await disk.sweep.empty(now() + LEASE) == 1
    assert await reading.whole() == b"a" * 30_000


async def test_a_removal_that_fails_is_tried_again(disk, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = disk.storage()
    await storage.put("k", b"a" * 30_000)
    await storage.delete("k")

    async def down(name: str) -> None:
        raise Unavailable("down")

    with monkeypatch.context() as broken:
        broken.setattr(disk.store, "remove", down)
        with pytest.raises(Unavailable):
            await disk.sweep.empty(now() + LEASE)
    assert len(await disk.blobs()) == 1
    assert await disk.sweep.empty(now() + 3 * LEASE) == 1
    assert await disk.blobs() == {}


async def test_blobs_that_no_row_knows_are_found_and_others_are_left(disk) -> None:
    """As after a restored backup of the rows."""
    storage = disk.storage()
    kept = await storage.put("k", b"a" * 30_000)
    upload = await disk.uploads().begin("u", 50_000, expires_at=now() + 10**12)

    async def body():
        yield b"u" * 40_000

    await disk.uploads().append(upload, 0, body())
    staged = await storage.stage("later", b"s" * 30_000)
    folder = kept.blob.partition("/")[0]
    await disk.store.write(f"{folder}/00/stray", b"s" * 30_000)
    await disk.store.write("0123456789abcdef/00/notours", b"s")
    assert await disk.sweep.reconcile() == 0  # too young
    assert await disk.sweep.reconcile(older=-10) == 1
    assert await disk.sweep.empty() == 1
    left = await disk.blobs()
    assert f"{folder}/00/stray" not in left
    assert {kept.blob, staged.blob, "0123456789abcdef/00/notours"} <= set(left)
    assert len(left) == 4


async def test_a_tenant_removed_table_by_table_leaves_no_blob(disk) -> None:
    """As `tenants_delete` does it, by what the tables say of themselves."""
    await disk.storage().put("k", b"a" * 30_000)
    await disk.storage("beta").put("k", b"b" * 30_000)
    upload = await disk.uploads().begin("u", 50_000, expires_at=now() + 10**12)

    async def body():
        yield b"u" * 40_000

    await disk.uploads().append(upload, 0, body())
    mine = [t for t in metadata.sorted_tables if t.name in TABLES]
    assert len(mine) == len(TABLES)

    async def purge(tx):
        for table in reversed(mine):
            if LEAVING in table.info:
                await tx.run(table.info[LEAVING])
            if not table.info.get(OUTLIVES):
                await tx.run(Statement(sa.delete(table).where(table.c.tenant_id == TENANT)))

    await TenantDatabase(disk.database, TenantId("acme")).write(purge)
    await disk.storage().put("k", b"new")
    assert len(await disk.swept()) == 1
    assert await (await disk.storage("beta").open("k")).whole() == b"b" * 30_000
    assert await (await disk.storage().open("k")).whole() == b"new"
