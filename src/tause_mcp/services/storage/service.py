"""Storage: the objects of one tenant, whatever keeps the bytes.

A put writes new bytes, then one transaction makes the object's row refer to them and plans the
removal of what it referred to before: whatever dies in the middle, the old object is intact.
"""

from collections.abc import AsyncIterator, Callable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from mimetypes import MimeTypes
from typing import Any
from uuid import uuid4

from tause_mcp.database import TenantDatabase, Transaction, Work
from tause_mcp.errors import NotFound, QuotaExceeded, Unavailable
from tause_mcp.services.storage import tables
from tause_mcp.services.storage.backends import BlobGone, Body
from tause_mcp.services.storage.blobs import INLINE, Blobs, Kept, adopt, retire, within
from tause_mcp.services.storage.keys import (
    AFTER,
    check_conditions,
    check_key,
    check_prefix,
    etag_of,
    parse_range,
)
from tause_mcp.services.storage.objects import Reading, StoredObject, Usage
from tause_mcp.times import now

PREVIEW = 4096
"""Bytes of a kept result that are shown at once."""
OCTETS = "application/octet-stream"
KIND = "objects"
"""How the places of sealed objects begin."""
_GONE = "the bytes of this object cannot be found: tell the operator"
_LOST = "the bytes of this object are lost: put it again, or delete it"
_TYPES = MimeTypes()
"""The types that Python itself knows: the same on every machine."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold of the object that is there: an etag, `*` or nothing stated."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, current: str | None) -> None:
        """Raise `PreconditionFailed` unless they hold of the etag `current` (None: absent)."""
        if self.if_match is not None or self.if_none_match is not None:
            check_conditions(current, self.if_match, self.if_none_match)


ANY = Conditions()


class Storage:
    """The objects of the tenant that `database` is bound to."""

    def __init__(
        self,
        database: TenantDatabase,
        blobs: Blobs,
        *,
        limit: Callable[[], int | None] = lambda: None,
        max_object: int = 5 << 30,
        changed: Callable[[str], None] = lambda key: None,
        link: Callable[[str], str] = lambda key: "",
    ) -> None:
        self._database = database
        self.blobs = blobs
        self._limit = limit
        self.max_object = max_object
        self._changed = changed
        self._link = link
        self._reserved = False

    def reserved(self) -> "Storage":
        """The same, for what another capability keeps: keys under `RESERVED`, and no other."""
        own = copy(self)
        own._reserved, own._changed = True, lambda key: None
        return own

    def _checked(self, key: str, field: str = "key") -> str:
        return check_key(key, field, reserved=self._reserved)

    # --- reading ----------------------------------------------------------------------------

    async def stat(self, key: str) -> StoredObject:
        """The object without its content; `NotFound` when there is none."""
        row = await self._database.first(tables.STAT, key=self._checked(key))
        if row is None:
            raise _absent()
        return StoredObject.of(row)

    async def open(self, key: str, span: str | None = None, *, most: int | None = None) -> Reading:
        """Start to read an object, or the range `span` of it, up to `most` bytes.

        Raises:
            NotFound. Invalid: the range is not one (see `keys.parse_range`).
        """
        self._checked(key)
        marked = False
        for _ in range(3):
            row = await self._database.first(tables.FETCH, key=key)
            if row is None:
                raise _absent()
            marked = row[9] is not None
            found = StoredObject.of(row)
            start, end = (0, found.size) if span is None else parse_range(span, found.size)
            asked = end - start
            end = end if most is None else min(end, start + most)
            try:
                chunks = await self._chunks(key, _kept(row), start, end)
            except BlobGone:  # replaced between the row and its blob: look again
                continue
            return Reading(found, start, end, chunks, asked)
        raise Unavailable(_LOST if marked else _GONE)

    async def _chunks(self, key: str, kept: Kept, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes, the first piece already in hand: a missing blob shows here, not later."""
        rest = await self.blobs.read(kept, KIND, key, start, end)
        return _after(await anext(rest, b""), rest, end - start)

    async def list(self, prefix: str = "", after: str = "", limit: int = 100) -> list[StoredObject]:
        """Up to `limit` objects whose key starts with `prefix` and sorts behind `after`."""
        check_prefix(prefix)
        rows = await self._database.read(
            lambda tx: tx.all(
                tables.LIST, low=prefix, high=prefix + AFTER, after=after, count=limit
            )
        )
        return [StoredObject.of(row) for row in rows]

    async def usage(self) -> Usage:
        """What is kept, and how much may be."""
        row = await self._database.first(tables.USAGE)
        kept, objects, reserved = row or (0, 0, 0)
        return Usage(kept, objects, reserved, self._limit())

    @staticmethod
    def guessed(key: str) -> str | None:
        """The content type that the key's ending suggests."""
        name, dot, ending = key.rpartition("/")[2].rpartition(".")
        return _type_of(ending[:16]) if dot and name else None

    # --- changing ---------------------------------------------------------------------------

    async def put(
        self,
        key: str,
        body: Body,
        *,
        content_type: str | None = None,
        conditions: Conditions = ANY,
        size: int | None = None,
        max_bytes: int | None = None,
    ) -> StoredObject:
        """Store `body` under `key`, replacing what was there.

        `size` is what the sender announced: a body that cannot fit is refused before it is read.

        Raises:
            Invalid, PreconditionFailed, TooLarge, QuotaExceeded, Unavailable: nothing changed.
        """
        kept = await self.stage(key, body, conditions=conditions, size=size, max_bytes=max_bytes)
        return await self.commit(key, kept, content_type=content_type, conditions=conditions)

    async def stage(
        self,
        key: str,
        body: Body,
        *,
        conditions: Conditions = ANY,
        size: int | None = None,
        max_bytes: int | None = None,
    ) -> Kept:
        """Keep the bytes that `commit` will refer to; what is not committed is swept away."""
        self._checked(key)
        most = self.max_object if max_bytes is None else min(max_bytes, self.max_object)
        announced = len(body) if isinstance(body, bytes) else size
        if announced is not None:
            within(announced, most)
            if announced > INLINE:
                await self._expect(key, announced, conditions)
        return await self.blobs.keep(body, most, KIND, key)

    async def _expect(self, key: str, size: int, conditions: Conditions) -> None:
        """Refuse early what the transaction would refuse: it still decides."""

        async def work(tx: Transaction) -> None:
            row = await tx.first(tables.STAT, key=key)
            old = None if row is None else StoredObject.of(row)
            conditions.check(old.etag if old else None)
            usage = await tx.first(tables.USAGE) or (0, 0, 0)
            self.fit(usage[0] + usage[2], size - (old.size if old else 0))

        await self._database.read(work)

    def fit(self, used: int, more: int) -> None:
        """Raise `QuotaExceeded` when `more` bytes do not fit; less than before always does."""
        limit = self._limit()
        if limit is not None and more > 0 and used + more > limit:
            raise QuotaExceeded(
                f"storage is full: {used} of {limit} bytes are used and {more} more do not fit; "
                "delete objects or raise the limit"
            )

    async def commit(
        self,
        key: str,
        kept: Kept,
        *,
        content_type: str | None = None,
        conditions: Conditions = ANY,
        reserved: int = 0,
        also: Work[object] | None = None,
    ) -> StoredObject:
        """Make `key` refer to `kept`. `reserved` bytes were promised to it; `also` runs with it."""
        self._checked(key)
        kind = content_type or self.guessed(key) or OCTETS

        async def work(tx: Transaction) -> StoredObject:
            used = await lock_usage(tx)
            if also is not None:
                await also(tx)
            row = await tx.first(tables.STAT, key=key)
            old = None if row is None else StoredObject.of(row)
            conditions.check(old.etag if old else None)
            more = kept.size - (old.size if old else 0)
            self.fit(used[0] + used[2] - reserved, more)
            await adopt(tx, kept.blob)
            moment = max(now(), old.updated_at + 1) if old else now()
            fresh = StoredObject(
                key, kept.size, kept.sha256, etag_of(kept.sha256, moment), kind, moment, kept.blob
            )
            await _store(tx, fresh, kept)
            if old is not None:
                await retire(tx, old.blob, old.size)
            await _charge(tx, more, 0 if old else 1, -reserved)
            return fresh

        try:
            stored = await self._database.write(work)
        except BaseException:
            await self.blobs.discard(kept.blob)
            raise
        self._changed(key)
        return stored

    async def delete(
        self, key: str, *, if_match: str | None = None, also: Work[object] | None = None
    ) -> StoredObject:
        """Remove an object; `NotFound` when there is none. `also` runs in the same transaction."""
        self._checked(key)

        async def work(tx: Transaction) -> StoredObject:
            await lock_usage(tx)
            row = await tx.first(tables.STAT, key=key)
            if row is None:
                raise _absent()
            old = StoredObject.of(row)
            Conditions(if_match).check(old.etag)
            if also is not None:
                await also(tx)
            await tx.run(tables.REMOVE, key=key)
            await retire(tx, old.blob, old.size)
            await _charge(tx, -old.size, -1, 0)
            return old

        removed = await self._database.write(work)
        self._changed(key)
        return removed

    async def copy(
        self, source: str, destination: str, *, conditions: Conditions = ANY
    ) -> StoredObject:
        """Store under `destination` what `source` holds now, content type included."""
        self._checked(destination, "destination")
        row = await self._database.first(tables.FETCH, key=self._checked(source, "source"))
        if row is None:
            raise _absent("source")
        found = StoredObject.of(row)
        await self._expect(destination, found.size, conditions)
        kept = await self.blobs.duplicate(_kept(row), KIND, source, destination)
        return await self.commit(
            destination, kept, content_type=found.content_type, conditions=conditions
        )

    async def keep_result(self, name: str, text: bytes) -> dict[str, Any]:
        """Keep a result of tool `name` that is too large to be shown: `{preview, key, size, url}`.

        `storage_get` with `range` reads on; the link reads it without a login for an hour.
        """
        key = f"results/{name}/{uuid4().hex}.json"
        stored = await self.put(key, text, content_type="application/json")
        preview = text[:PREVIEW].decode(errors="ignore")
        return {"preview": preview, "key": key, "size": stored.size, "url": self._link(key)}

    async def keep_file(self, key: str, body: Body, content_type: str) -> dict[str, Any]:
        """Keep a file that a tool made: `{key, size, sha256, url}`; the link holds for an hour."""
        stored = await self.put(key, body, content_type=content_type)
        told = {"key": key, "size": stored.size, "sha256": stored.sha256}
        return {**told, "url": self._link(key)}

    async def erase(self) -> int:
        """Remove everything of the tenant, for good; the number of objects that were there."""

        async def work(tx: Transaction) -> int:
            await lock_usage(tx)
            await tx.run(tables.QUEUE_OBJECTS)
            await tx.run(tables.QUEUE_PARTS)
            await tx.run(tables.REMOVE_PARTS)
            await tx.run(tables.REMOVE_UPLOADS)
            count = await tx.run(tables.REMOVE_ALL)
            await tx.run(tables.END_USAGE)
            return count

        return await self._database.write(work)


@lru_cache(256)
def _type_of(ending: str) -> str | None:
    return _TYPES.guess_type(f"_.{ending}")[0]


async def lock_usage(tx: Transaction) -> tuple[int, int, int]:
    """`bytes, objects, reserved`; holds the tenant's other writers back until this one commits."""
    row = await tx.first(tables.LOCK_USAGE)
    if row is None:
        await tx.run(tables.START_USAGE, bytes=0, objects=0, reserved=0)
        row = await tx.first(tables.LOCK_USAGE)
        assert row is not None
    return row[0], row[1], row[2]


async def _charge(tx: Transaction, size: int, objects: int, reserved: int) -> None:
    await tx.run(tables.CHANGE_USAGE, more_bytes=size, more_objects=objects, more_reserved=reserved)


async def end_upload(tx: Transaction, upload: str) -> None:
    """Forget an upload and plan the removal of what it brought."""
    for _, size, blob, *_ in await tx.all(tables.PARTS, id=upload):
        await retire(tx, blob, size)
    await tx.run(tables.END_PARTS, id=upload)
    await tx.run(tables.END_UPLOAD, id=upload)


def _kept(row: tuple[Any, ...]) -> Kept:
    """How the body of a row of `FETCH` is kept."""
    body, enc = (None if part is None else bytes(part) for part in row[7:9])
    return Kept(row[1], row[2], row[6], body, enc)


async def _store(tx: Transaction, fresh: StoredObject, kept: Kept) -> None:
    await tx.run(
        tables.STORE,
        key=fresh.key,
        size=fresh.size,
        sha256=fresh.sha256,
        etag=fresh.etag,
        content_type=fresh.content_type,
        updated_at=fresh.updated_at,
        blob=fresh.blob,
        body=kept.body,
        enc=kept.enc,
        lost_at=None,
    )


def _absent(field: str = "key") -> NotFound:
    return NotFound("no such object: storage_list shows what there is", field=field)


async def _after(first: bytes, rest: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """`first`, then `rest`; a blob that ends early is a failure, never a shorter object."""
    size -= len(first)
    if first:
        yield first
    async for piece in rest:
        size -= len(piece)
        yield piece
    if size:
        raise Unavailable("the bytes of this object are incomplete: tell the operator")
