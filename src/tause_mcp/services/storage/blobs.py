"""Blobs of one tenant, with no orphan whatever dies when.

Before a blob is written its removal is planned (a row of `blob_trash`, due in a minute and
postponed while the write goes on); the transaction that starts to refer to it cancels the plan.
A killed writer cancels nothing, so the sweep finds what it left. A blob that an object stops
referring to is planned in the same transaction.
"""

import hashlib
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from uuid import uuid4

from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import TauseError, TooLarge, Unavailable
from tause_mcp.services.storage import tables
from tause_mcp.services.storage.backends import Body, ObjectStore
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
    """A body that is kept: in the row (`body`) or as a blob. `sha256` in hexadecimal."""

    size: int
    sha256: str
    blob: str | None = None
    body: bytes | None = None


def in_row(body: bytes) -> Kept:
    """A small body, for its row."""
    return Kept(len(body), hashlib.sha256(body).hexdigest(), body=body)


class Blobs:
    """Writes and forgets the blobs of one tenant.

    `database` is the tenant's, apart from the call's own: its plans must commit before the change,
    and the call's audit entry only with the change.
    """

    def __init__(self, database: TenantDatabase, store: ObjectStore) -> None:
        self._database = database
        self._store = store
        self._folder = folder_of(database.tenant)

    def read(self, blob: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a blob; `BlobGone` when it is no more."""
        return self._store.read(blob, start, end)

    async def keep(self, body: Body, limit: int) -> Kept:
        """Write `body`, of at most `limit` bytes: small ones for their row, others as a blob.

        Raises:
            TooLarge, Unavailable: nothing of it stays.
        """
        if isinstance(body, bytes):
            within(len(body), limit)
            return in_row(body) if len(body) <= INLINE else await self._write(body, limit)
        head, rest = await _head(body)
        if rest is None:
            within(len(head), limit)
            return in_row(head)
        return await self._write(_chained(head, rest), limit)

    async def keep_blob(self, body: bytes) -> Kept:
        """Write `body` as a blob, however small."""
        return await self._write(body, len(body))

    async def duplicate(self, kept: Kept) -> Kept:
        """The same bytes once more, under a name of their own."""
        if kept.blob is None:
            return kept
        blob = await self._plan()
        try:
            await self._store.copy(kept.blob, blob)
        except BaseException:
            await self.discard(blob)
            raise
        return Kept(kept.size, kept.sha256, blob)

    async def _write(self, body: Body, limit: int) -> Kept:
        blob = await self._plan()
        measure = _Measure(self, blob, limit)
        try:
            if isinstance(body, bytes):
                measure.add(body)
                await self._store.write(blob, body)
            else:
                await self._store.write(blob, measure.through(body))
        except BaseException:
            await self.discard(blob)
            raise
        return Kept(measure.size, measure.digest.hexdigest(), blob)

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
        """The blob is not wanted after all: due at once. If that fails it is due soon anyway.

        Planned anew, not moved: the sweep may have been faster than the end of a slow write.
        """
        if blob is not None:
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


async def _chained(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in rest:
        yield piece
