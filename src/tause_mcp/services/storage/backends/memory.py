"""`memory://`: blobs of one process, for tests and demonstrations."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tause_mcp.services.storage.backends import Blob, BlobGone, Body, named

CHUNK = 1 << 20


class MemoryStore:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[bytes, float]] = {}

    async def write(self, name: str, body: Body) -> None:
        """Keep the whole body, once all of it arrived."""
        named(name)
        if not isinstance(body, bytes):
            body = b"".join([chunk async for chunk in body])
        self._blobs[name] = (body, time.time())

    async def copy(self, source: str, name: str) -> None:
        """Keep the same bytes twice."""
        if source not in self._blobs:
            raise BlobGone("the bytes of this object are gone")
        self._blobs[named(name)] = (self._blobs[source][0], time.time())

    async def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Slices of the body."""
        kept = self._blobs.get(named(name))
        if kept is None:
            raise BlobGone("the bytes of this object are gone")
        view = memoryview(kept[0])[start:end]
        for at in range(0, len(view), CHUNK):
            yield bytes(view[at : at + CHUNK])

    async def remove(self, name: str) -> None:
        """Forget the blob."""
        self._blobs.pop(named(name), None)

    async def names(self, prefix: str = "") -> AsyncIterator[Blob]:
        """Everything kept now."""
        for name, (body, modified) in list(self._blobs.items()):
            if name.startswith(prefix):
                yield Blob(name, len(body), modified)

    async def unfinished(self, before: float, *, abort: bool) -> int | None:
        """None: a write is kept when it is whole."""
        return 0

    async def check(self) -> None:
        """Memory is always there."""


@asynccontextmanager
async def open_memory(url: str) -> AsyncIterator[MemoryStore]:
    """An empty store of its own, whatever follows the scheme."""
    yield MemoryStore()
