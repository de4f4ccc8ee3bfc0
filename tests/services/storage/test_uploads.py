"""Resumable uploads of a tenant, below the wire."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from tause_mcp.errors import Conflict, Invalid, NotFound, QuotaExceeded, TooLarge
from tause_mcp.services.storage.uploads import PART
from tause_mcp.times import now

pytestmark = pytest.mark.anyio
LATER = 10**12


async def pieces(body: bytes, step: int = 1 << 16) -> AsyncIterator[bytes]:
    for at in range(0, len(body), step):
        yield body[at : at + step]


async def test_an_upload_is_not_seen_by_another_tenant(disk) -> None:
    upload = await disk.uploads("acme").begin("k", 10, expires_at=now() + LATER)
    for attempt in (disk.uploads("beta").status(upload.id), disk.uploads("acme").status("x")):
        with pytest.raises(NotFound):
            await attempt
    await disk.uploads("beta").end(upload)
    assert (await disk.uploads("acme").status(upload.id)).received == 0


async def test_two_senders_at_one_place_never_mix(disk) -> None:
    uploads = disk.uploads()
    one, two = os.urandom(2 * PART + 5), os.urandom(2 * PART + 5)
    upload = await uploads.begin("k", len(one), expires_at=now() + LATER)
    outcomes: list[str] = []

    async def send(body: bytes) -> None:
        try:
            await uploads.append(upload, 0, pieces(body))
            outcomes.append("took")
        except Conflict:
            outcomes.append("lost")

    async with anyio.create_task_group() as group:
        group.start_soon(send, one)
        group.start_soon(send, two)
    assert sorted(outcomes) == ["lost", "took"]
    await uploads.finish(await uploads.status(upload.id))
    assert await (await disk.storage().open("k")).whole() in (one, two)
    assert len(await disk.swept()) == 1


async def test_two_finishers_make_one_object(disk) -> None:
    uploads = disk.uploads()
    upload = await uploads.begin("k", 30_000, expires_at=now() + LATER)
    upload = await uploads.append(upload, 0, pieces(b"x" * 30_000))
    async with anyio.create_task_group() as group:

        async def finish() -> None:
            with suppress(Conflict):
                await uploads.finish(upload)

        for _ in range(4):
            group.start_soon(finish)
    usage = await disk.storage().usage()
    assert (usage.bytes, usage.objects, usage.reserved) == (30_000, 1, 0)
    assert len(await disk.swept()) == 1
    done = await uploads.status(upload.id)
    assert (await uploads.finish(done)).size == 30_000
    with pytest.raises(Conflict):
        await uploads.append(done, 30_000, pieces(b""))


async def test_an_upload_that_is_not_whole_is_no_object(disk) -> None:
    uploads = disk.uploads()
    upload = await uploads.begin("k", 10, expires_at=now() + LATER)
    upload = await uploads.append(upload, 0, pieces(b"12345"))
    with pytest.raises(Conflict, match="byte 5 of 10"):
        await uploads.finish(upload)
    with pytest.raises(NotFound):
        await disk.storage().stat("k")


async def test_what_does_not_fit_is_not_promised(disk) -> None:
    with pytest.raises(QuotaExceeded):
        await disk.uploads(limit=9).begin("k", 10, expires_at=now() + LATER)
    with pytest.raises(TooLarge):
        await disk.uploads(most=9).begin("k", 10, expires_at=now() + LATER)
    with pytest.raises(TooLarge):
        await disk.uploads().begin("k", 10, expires_at=now() + LATER, max_bytes=9)
    with pytest.raises(Invalid):
        await disk.uploads().begin("../k", 10, expires_at=now() + LATER)
    assert (await disk.storage().usage()).reserved == 0


async def test_a_cancelled_sender_leaves_what_it_sent(disk) -> None:
    uploads = disk.uploads()
    upload = await uploads.begin("k", 100_000, expires_at=now() + LATER)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x" * 40_000
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await uploads.append(upload, 0, stalled())
    assert (await uploads.status(upload.id)).received == 40_000


async def test_a_limit_that_fell_meanwhile_ends_the_upload(disk) -> None:
    upload = await disk.uploads().begin("k", 30_000, expires_at=now() + LATER)
    upload = await disk.uploads().append(upload, 0, pieces(b"x" * 30_000))
    with pytest.raises(QuotaExceeded):
        await disk.uploads(limit=100).finish(upload)
    assert await disk.swept() == {}
    assert (await disk.storage().usage()).reserved == 0
