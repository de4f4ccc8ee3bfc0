"""Blobs of one tenant, with no orphan whatever dies when.

Before a blob is written its removal is planned (a row of `blob_trash`, due in a minute and
postponed while the write goes on); the transaction that starts to refer to it cancels the plan.
A killed writer cancels nothing, so the sweep finds what it left. A blob that an object stops
referring to is planned in the same transaction.

What is kept is sealed: a short body itself, a blob under a random key of its own, which is kept
sealed beside the blob's name. Both are bound to the place that the caller names.
"""

import hashlib
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from uuid import uuid4

from tause_mcp.capability import Cipher
from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import TauseError, TooLarge, Unavailable
from tause_mcp.services.storage import tables
from tause_mcp.services.storage.backends import Body, ObjectStore
from tause_mcp.supervision import Aside
from tause_mcp.tenancy import TenantId
from tause_mcp.times import now

INLINE = 16 * 1024
"""Objects up to this many bytes live in their row."""
LEASE = 60_000_000
"""Microseconds that a write may be silent before the sweep takes what it wrote."""
SLOWEST = 1.0
"""Bytes per microsecond: a replaced blob stays long enough for a reader of this speed."""


@lru_cache(4096)
def folder_of(tenant: TenantId) -> str:
    """Where a tenant's blobs are: a hash, so that no id becomes a path or a prefix of another."""
    return hashlib.sha256(b"tause/storage/" + tenant.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Kept:
    """A body that is kept: sealed in the row (`body`), or as a blob under the sealed key `enc`.

    `size` and `sha256` (hexadecimal) are of the plain bytes. `enc` None: the bytes are plain, kept
    before there was encryption; for a body in the row it is empty.
    """

    size: int
    sha256: str
    blob: str | None = None
    body: bytes | None = None
    enc: bytes | None = None


def place_of(kind: str, name: str, sha256: str) -> str:
    """Where a body is kept: it opens only there, and only as what its row says that it is."""
    return f"{kind}/{sha256}/{name}"


class Blobs:
    """Writes and forgets the blobs of one tenant.

    `database` is the tenant's, apart from the call's own: its plans must commit before the change,
    and the call's audit entry only with the change.
    """

    def __init__(
        self,
        database: TenantDatabase,
        store: ObjectStore,
        cipher: Callable[[], Awaitable[Cipher]],
        aside: Aside,
    ) -> None:
        self._database = database
        self._store = store
        self._aside = aside
        self._cipher = cipher
        self._folder = folder_of(database.tenant)

    async def read(
        self, kept: Kept, kind: str, name: str, start: int, end: int
    ) -> AsyncIterator[bytes]:
        """Plain bytes `[start, end)`; `BlobGone` when the blob is no more."""
        place = place_of(kind, name, kept.sha256)
        if kept.blob is None:
            body = kept.body or b""
            if kept.enc is not None:
                body = (await self._cipher()).open(place, body)
            return _once(body[start:end])
        if start == end:
            return _once(b"")
        if kept.enc is None:
            return self._store.read(kept.blob, start, end)
        from tause_mcp.encryption.segments import Segments  # cryptography: not at start

        blob = kept.blob
        segments = Segments((await self._cipher()).open(place, kept.enc), place)
        return segments.opening(
            lambda low, high: self._store.read(blob, low, high), kept.size, start, end
        )

    async def keep(self, body: Body, limit: int, kind: str, name: str) -> Kept:
        """Write `body`, of at most `limit` bytes: small ones for their row, others as a blob.

        Raises:
            TooLarge, Unavailable: nothing of it stays.
        """
        rest: AsyncIterator[bytes] | None = None
        if isinstance(body, bytes):
            head = body
        else:
            head, rest = await _head(body)
        if rest is not None:
            return await self._write(_chained(head, rest), limit, kind, name)
        within(len(head), limit)
        if len(head) <= INLINE:
            sha256 = hashlib.sha256(head).hexdigest()
            sealed = (await self._cipher()).seal(place_of(kind, name, sha256), head)
            return Kept(len(head), sha256, body=sealed, enc=b"")
        return await self._write(head, limit, kind, name)

    async def keep_blob(self, body: bytes, kind: str, name: str) -> Kept:
        """Write `body` as a blob, however small."""
        return await self._write(body, len(body), kind, name)

    async def duplicate(self, kept: Kept, kind: str, source: str, name: str) -> Kept:
        """The same bytes once more, as `name`."""
        enc, body = kept.enc, kept.body
        if enc is not None:
            cipher = await self._cipher()
            old, new = (place_of(kind, n, kept.sha256) for n in (source, name))
            if kept.blob is None:
                body = cipher.seal(new, cipher.open(old, body or b""))
            else:
                enc = cipher.seal(new, cipher.open(old, enc))
        if kept.blob is None:
            return Kept(kept.size, kept.sha256, body=body, enc=enc)
        blob = await self._plan()
        try:
            await self._store.copy(kept.blob, blob)
        except BaseException:
            await self.discard(blob)
            raise
        return Kept(kept.size, kept.sha256, blob, enc=enc)

    async def _write(self, body: Body, limit: int, kind: str, name: str) -> Kept:
        from tause_mcp.encryption.segments import Segments

        cipher, key = await self._cipher(), os.urandom(32)
        segments = Segments(key, kind)
        blob = await self._plan()
        measure = _Measure(self, blob, limit)
        try:
            if isinstance(body, bytes):
                measure.add(body)
                await self._store.write(blob, segments.whole(body))
            else:
                await self._store.write(blob, segments.sealing(measure.through(body)))
        except BaseException:
            await self.discard(blob)
            raise
        sha256 = measure.digest.hexdigest()
        enc = cipher.seal(place_of(kind, name, sha256), key)
        return Kept(measure.size, sha256, blob, enc=enc)

    async def _plan(self) -> str:
        random = uuid4().hex
        blob = f"{self._folder}/{random[:2]}/{random[2:]}"
        await self._database.write(lambda tx: queue(tx, blob, now() + LEASE))
        return blob

    async def postpone(self, blob: str, until: int) -> None:
        """Move the planned removal of a blob that is still being written."""

        async def work(tx: Transaction) -> None:
            if not await tx.run(tables.POSTPONE, named=blob, until=until):
                raise Unavailable("this upload stood still for too long: start it again")

        await self._database.write(work)

    async def discard(self, blob: str | None) -> None:
        """The blob is not wanted after all: due at once. If that fails it is due soon anyway."""
        if blob is not None:
            await self._aside.run(self._unwanted(blob))

    async def _unwanted(self, blob: str) -> None:
        """Planned anew, not moved: the sweep may have been faster than the end of a slow write."""
        with suppress(TauseError):
            await self._database.write(lambda tx: queue(tx, blob, 0))


async def queue(tx: Transaction, blob: str, due: int) -> None:
    """Plan the removal of `blob` at `due`."""
    await tx.run(tables.QUEUE, blob=blob, due=due, claimed=0)


async def retire(tx: Transaction, blob: str | None, size: int) -> None:
    """An object stops referring to `blob`: remove it once its readers have finished."""
    if blob is not None:
        await queue(tx, blob, now() + LEASE // 2 + int(size / SLOWEST))


async def adopt(tx: Transaction, blob: str | None) -> None:
    """An object begins to refer to `blob`: its planned removal is off."""
    if blob is not None and not await tx.run(tables.ADOPT, blob=blob):
        raise Unavailable("this upload stood still for too long: start it again")


class _Measure:
    """Size and digest of a body on its way, its limit and its lease."""

    def __init__(self, blobs: Blobs, blob: str, limit: int) -> None:
        self._blobs = blobs
        self._blob = blob
        self._limit = limit
        self._renewed = time.monotonic()
        self.size = 0
        self.digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        within(self.size, self._limit)
        self.digest.update(piece)

    async def through(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            self.add(piece)
            if time.monotonic() - self._renewed > LEASE / 4e6:
                self._renewed = time.monotonic()
                await self._blobs.postpone(self._blob, now() + LEASE)
            yield piece


def within(size: int, limit: int) -> None:
    """Raise `TooLarge` when `size` is over `limit`."""
    if size > limit:
        raise TooLarge(f"the object is larger than the {limit} bytes allowed here")


async def _head(body: AsyncIterable[bytes]) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The first bytes of a stream, and the rest when it is longer than a row takes."""
    rest = aiter(body)
    head = b""
    async for piece in rest:
        head += piece
        if len(head) > INLINE:
            return head, rest
    return head, None


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    if piece:
        yield piece


async def _chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in rest:
        yield piece
