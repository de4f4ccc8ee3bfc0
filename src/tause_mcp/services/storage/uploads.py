"""Resumable uploads: what arrived stays, part by part, until the object is whole or time is up."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import anyio

from tause_mcp.database import TenantDatabase, Transaction
from tause_mcp.errors import Conflict, Invalid, NotFound, QuotaExceeded, TooLarge
from tause_mcp.services.storage import tables
from tause_mcp.services.storage.blobs import Blobs, Kept, adopt, retire
from tause_mcp.services.storage.keys import check_key
from tause_mcp.services.storage.objects import StoredObject
from tause_mcp.services.storage.service import KIND as OBJECTS
from tause_mcp.services.storage.service import Storage, end_upload, lock_usage
from tause_mcp.times import now

KIND = "parts"
"""How the places of sealed parts begin."""
PART = 4 << 20
"""Bytes of one part: at most this much of what arrived is lost by a kill."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: `received` of `length` bytes. `expires_at` in epoch microseconds."""

    id: str
    key: str
    length: int
    received: int
    content_type: str
    sha256: str
    expires_at: int
    done: int

    @property
    def complete(self) -> bool:
        """Every byte has arrived."""
        return self.received == self.length


class WrongChecksum(Invalid):
    """The bytes are not what their sender says; they were dropped."""

    status = 460


class Uploads:
    """The unfinished objects of one tenant. Their whole length counts against its quota."""

    def __init__(self, database: TenantDatabase, storage: Storage, blobs: Blobs) -> None:
        self._database = database
        self._storage = storage
        self._blobs = blobs

    async def begin(
        self,
        key: str,
        length: int,
        *,
        expires_at: int,
        content_type: str = "",
        sha256: str = "",
        max_bytes: int | None = None,
    ) -> Upload:
        """Promise `length` bytes to a new upload.

        Raises:
            TooLarge, QuotaExceeded: nothing was promised.
        """
        check_key(key)
        most = self._storage.max_object
        most = most if max_bytes is None else min(most, max_bytes)
        if length > most:
            raise TooLarge(f"the object is larger than the {most} bytes allowed here")
        upload = Upload(uuid4().hex, key, length, 0, content_type, sha256, expires_at, 0)

        async def work(tx: Transaction) -> None:
            used = await lock_usage(tx)
            self._storage.fit(used[0] + used[2], length)
            await tx.run(tables.BEGIN_UPLOAD, **_columns(upload))
            await tx.run(tables.CHANGE_USAGE, more_bytes=0, more_objects=0, more_reserved=length)

        await self._database.write(work)
        return upload

    async def status(self, upload_id: str) -> Upload:
        """How far it is; `NotFound` when it is unknown, ended or expired."""
        row = await self._database.first(tables.UPLOAD, id=upload_id)
        upload = None if row is None else Upload(*row)
        if upload is None or upload.expires_at <= now():
            raise NotFound("no such upload: it is unknown or has expired; begin again")
        return upload

    async def append(
        self, upload: Upload, offset: int, body: AsyncIterable[bytes], sha256: str = ""
    ) -> Upload:
        """Add bytes at `offset`. When `body` breaks off, what arrived before stays and it raises.

        With `sha256` (hexadecimal, of this body) nothing stays unless all of it arrived and fits.

        Raises:
            Conflict: `offset` is not where the upload is. TooLarge: more than was announced.
            WrongChecksum: the body was dropped.
        """
        if offset != upload.received or upload.done:
            raise Conflict(f"the upload is at byte {upload.received}: continue there")
        parts = _Parts(self, upload, held=bool(sha256))
        try:
            async for piece in body:
                await parts.add(piece)
        except BaseException:
            await parts.broken_off()
            raise
        if sha256 and parts.digest.hexdigest() != sha256.lower():
            await parts.drop()
            raise WrongChecksum("the checksum does not fit these bytes: send them again")
        await parts.flush()
        return parts.upload

    async def add_parts(self, upload: Upload, parts: list[Kept]) -> Upload:
        """Record blobs as the next parts of an upload."""
        size = sum(part.size for part in parts)

        async def work(tx: Transaction) -> None:
            moved = await tx.run(tables.ADVANCE, upload=upload.id, at=upload.received, more=size)
            if not moved:
                raise Conflict("another request moved this upload: ask where it is")
            start = upload.received
            for part in parts:
                await adopt(tx, part.blob)
                await tx.run(
                    tables.ADD_PART,
                    upload_id=upload.id,
                    start=start,
                    size=part.size,
                    blob=part.blob,
                    enc=part.enc,
                    sha256=part.sha256,
                )
                start += part.size

        await self._database.write(work)
        return _moved(upload, size)

    async def keep_part(self, upload: Upload, start: int, body: bytes) -> Kept:
        """Keep the bytes of the part that begins at `start`; nothing refers to them yet."""
        return await self._blobs.keep_blob(body, KIND, _part(upload.id, start))

    async def drop_parts(self, parts: list[Kept]) -> None:
        """Parts that will not be recorded."""
        for part in parts:
            await self._blobs.discard(part.blob)

    async def finish(self, upload: Upload) -> StoredObject:
        """Make the object of a complete upload; again is fine, the object is made once.

        Raises:
            WrongChecksum: the whole is not what was announced; the upload is over.
        """
        if upload.done:
            return await self._storage.stat(upload.key)
        if not upload.complete:
            raise Conflict(f"the upload is only at byte {upload.received} of {upload.length}")
        return await self.settle(upload, await self.assemble(upload))

    async def assemble(self, upload: Upload) -> Kept:
        """The whole of a complete upload in one; the upload is over when its sha256 is wrong."""
        kept = await self._blobs.keep(self._whole(upload), upload.length, OBJECTS, upload.key)
        if upload.sha256 and kept.sha256 != upload.sha256:
            await self._blobs.discard(kept.blob)
            await self.end(upload)
            raise WrongChecksum("the whole object does not have the announced sha256: begin again")
        return kept

    async def settle(self, upload: Upload, kept: Kept) -> StoredObject:
        """One transaction: the object refers to `kept`, the parts go, the upload is done."""

        async def settled(tx: Transaction) -> None:
            if not await tx.run(tables.FINISH, upload=upload.id):
                raise Conflict("another request finished this upload")
            for _, size, blob, *_ in await tx.all(tables.PARTS, id=upload.id):
                await retire(tx, blob, size)
            await tx.run(tables.END_PARTS, id=upload.id)

        try:
            return await self._storage.commit(
                upload.key,
                kept,
                content_type=upload.content_type or None,
                reserved=upload.length,
                also=settled,
            )
        except QuotaExceeded:
            await self.end(upload)
            raise

    async def _whole(self, upload: Upload) -> AsyncIterator[bytes]:
        parts = await self._database.read(lambda tx: tx.all(tables.PARTS, id=upload.id))
        for start, size, blob, enc, sha256 in parts:
            part = Kept(size, sha256 or "", blob, enc=None if enc is None else bytes(enc))
            name = _part(upload.id, start)
            async for piece in await self._blobs.read(part, KIND, name, 0, size):
                yield piece

    async def end(self, upload: Upload) -> None:
        """Give an upload up, and what was promised to it back."""
        await self._database.write(lambda tx: give_up(tx, upload.id))


async def give_up(tx: Transaction, upload_id: str) -> None:
    """Forget an upload, its parts and, unless it is done, its promise."""
    await lock_usage(tx)
    row = await tx.first(tables.UPLOAD, id=upload_id)
    if row is None:
        return
    upload = Upload(*row)
    await end_upload(tx, upload_id)
    if not upload.done:
        await tx.run(
            tables.CHANGE_USAGE, more_bytes=0, more_objects=0, more_reserved=-upload.length
        )


def _part(upload_id: str, start: int) -> str:
    """The name that a part is sealed under: parts cannot change places."""
    return f"{upload_id}/{start}"


def _columns(upload: Upload) -> dict[str, Any]:
    return {name: getattr(upload, name) for name in Upload.__slots__}


def _moved(upload: Upload, size: int) -> Upload:
    return Upload(**{**_columns(upload), "received": upload.received + size})


class _Parts:
    """Bytes on their way into an upload: gathered into parts, recorded as they fill.

    When `held`, parts are recorded only at the end: a checksum has to fit first.
    """

    def __init__(self, uploads: Uploads, upload: Upload, *, held: bool) -> None:
        self._uploads = uploads
        self._held = held
        self._kept: list[Kept] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._left = upload.length - upload.received
        self.upload = upload
        self.digest = hashlib.sha256()

    async def add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge("more bytes than the upload announced")
        self.digest.update(piece)
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= PART:
            await self._keep()

    async def _keep(self) -> None:
        whole = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        if whole:
            start = self.upload.received + sum(kept.size for kept in self._kept)
            self._kept.append(await self._uploads.keep_part(self.upload, start, whole))
        if not self._held:
            await self._record()

    async def _record(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, []
            try:
                self.upload = await self._uploads.add_parts(self.upload, kept)
            except BaseException:
                await self._uploads.drop_parts(kept)
                raise

    async def flush(self) -> None:
        """Record everything."""
        await self._keep()
        await self._record()

    async def drop(self) -> None:
        """Record nothing more."""
        self._pieces, self._size = [], 0
        kept, self._kept = self._kept, []
        await self._uploads.drop_parts(kept)

    async def broken_off(self) -> None:
        """The sender went away: keep what can be kept, even when we are being cancelled."""
        with anyio.CancelScope(shield=True):
            if self._held or self._left < 0:
                await self.drop()
            else:
                await self.flush()
