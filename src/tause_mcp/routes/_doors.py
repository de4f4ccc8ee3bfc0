"""What every request by a signed link shares: its link, and the walk through the pipeline."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from starlette.requests import Request

from tause_mcp.capability import Resource
from tause_mcp.errors import DeadlineExceeded, Invalid, NotFound
from tause_mcp.operation import Operation, compile_operation
from tause_mcp.pipeline import Invocation
from tause_mcp.services.storage import Conditions, Links, Storage, StoredObject, Upload, Uploads
from tause_mcp.services.storage.blobs import Kept
from tause_mcp.services.storage.links import Link, no_such_link
from tause_mcp.services.storage.objects import Reading

SILENCE = 60.0
"""Seconds that a sender may be silent."""
RECHECK = 3.0
"""Seconds for which bytes flow before the link is looked at again: revoked within 5 s, it ends."""


async def object_download(
    storage: Storage, key: str, span: str, known: str
) -> tuple[StoredObject, Reading | None]:
    """The object, and its bytes unless the client has them (`known`: etags)."""
    if known:
        found = await storage.stat(key)
        if "*" in known or found.etag in known:
            return found, None
    reading = await storage.open(key, span or None)
    return reading.object, reading


async def object_upload(
    storage: Storage,
    key: str,
    blob: str,
    body: bytes,
    size: int,
    sha256: str,
    enc: bytes,
    content_type: str,
    if_match: str,
    if_none_match: str,
) -> StoredObject:
    """Make the object of bytes that have arrived."""
    kept = Kept(size, sha256, blob or None, None if blob else body, enc)
    conditions = Conditions(if_match or None, if_none_match or None)
    return await storage.commit(key, kept, content_type=content_type or None, conditions=conditions)


async def object_upload_begin(
    uploads: Uploads,
    key: str,
    length: int,
    expires_at: int,
    content_type: str,
    sha256: str,
    max_bytes: int,
) -> Upload:
    """Begin a resumable upload."""
    return await uploads.begin(
        key,
        length,
        expires_at=expires_at,
        content_type=content_type,
        sha256=sha256,
        max_bytes=max_bytes or None,
    )


async def object_upload_status(uploads: Uploads, key: str, upload: str) -> Upload:
    """How far a resumable upload is."""
    found = await uploads.status(upload)
    if found.key != key:
        raise NotFound("no such upload: it is unknown or has expired; begin again")
    return found


async def object_upload_finish(
    uploads: Uploads,
    key: str,
    upload: str,
    blob: str,
    body: bytes,
    size: int,
    sha256: str,
    enc: bytes,
) -> StoredObject:
    """Make the object of a resumable upload that is whole."""
    kept = Kept(size, sha256, blob or None, None if blob else body, enc)
    return await uploads.settle(await uploads.status(upload), kept)


async def object_upload_end(uploads: Uploads, key: str, upload: str) -> None:
    """Give a resumable upload up."""
    await uploads.end(await uploads.status(upload))


class Operations:
    """What links do, compiled once: each is walked through the pipeline like any other call."""

    def __init__(self, platform: Any) -> None:
        services = frozenset(platform.catalog.services)
        read, write = "storage:read", "storage:write"

        def compiled(fn: Any, scope: str) -> Operation:
            declared = Resource(fn, "", fn.__name__, scope, part="key")
            return compile_operation(declared, "storage", services)

        self.download = compiled(object_download, read)
        self.upload = compiled(object_upload, write)
        self.begin = compiled(object_upload_begin, write)
        self.status = compiled(object_upload_status, read)
        self.finish = compiled(object_upload_finish, write)
        self.end = compiled(object_upload_end, write)


@dataclass(frozen=True, slots=True)
class Door:
    """One request's link and the means to serve it."""

    platform: Any
    links: Links
    link: Link
    operations: Operations
    holds: Callable[[], Awaitable[bool]]
    """Whether whoever made the link could still make it."""

    async def run(self, operation: Operation, **arguments: Any) -> Any:
        """Run an operation as the link's maker, on the link's key."""
        call = Invocation(self.link.caller, {"key": self.link.key, **arguments}, door="link")
        return (await self.platform.pipeline.run(operation, call)).value

    def service(self, wanted: type[Any], operation: Operation) -> Any:
        """A service for what takes longer than a call may: moving bytes."""
        return self.platform.binding(self.link.caller, operation).service(wanted)


async def while_held(door: Door, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, as long as the link holds.

    Raises:
        NotFound: as for a link that never was.
    """
    looked = monotonic()
    async for piece in pieces:
        if monotonic() - looked > RECHECK:
            if not await door.holds():
                raise no_such_link()
            looked = monotonic()
        yield piece


def body_of(door: Door, request: Request) -> AsyncIterator[bytes]:
    """The request's body as it arrives; a silent sender is given up, and one whose link ended."""
    return while_held(door, _arriving(request))


async def _arriving(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                piece = await anext(stream, None)
        except TimeoutError:
            raise DeadlineExceeded("no bytes came for a minute: resume the upload") from None
        if piece is None:
            return
        if piece:
            yield piece


def whole_number(request: Request, name: str) -> int | None:
    """A header that is a count of bytes; None when it is absent."""
    told = request.headers.get(name)
    if told is None:
        return None
    if not told.isascii() or not told.isdigit() or len(told) > 18:
        raise Invalid(f"{name} is a number of bytes", field=name.lower())
    return int(told)


def header_safe(text: str) -> str:
    """Printable text on one line."""
    return "".join(c if c.isprintable() else " " for c in text)
