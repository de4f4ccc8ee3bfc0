"""Where the bytes of objects live: immutable blobs under opaque names, chosen by URL."""

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from tause_mcp.errors import Unavailable
from tause_mcp.urls import choose

Body = bytes | AsyncIterable[bytes]

NAME = re.compile(r"[a-z0-9]{1,64}(/[a-z0-9]{1,64}){0,3}", re.ASCII)
"""What a blob may be called. Names are made here, never taken from a caller's key."""


class Blob(NamedTuple):
    """One stored blob: `size` in bytes, `modified` in epoch seconds."""

    name: str
    size: int
    modified: float


class BlobGone(Unavailable):
    """No blob has this name (any more)."""


class ObjectStore(Protocol):
    """Immutable blobs. A name is written once; failures are `Unavailable`, absence `BlobGone`."""

    async def write(self, name: str, body: Body) -> None:
        """Store `body` atomically and durably: after a failure nothing of it can be read."""

    async def copy(self, source: str, name: str) -> None:
        """Store under `name` what `source` holds, as durably as `write`."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Bytes `start` up to, not including, `end`, in bounded chunks; past the end is empty."""

    async def remove(self, name: str) -> None:
        """Remove the blob and any remainder of its unfinished write; absent is fine."""

    def names(self, prefix: str = "") -> AsyncIterator[Blob]:
        """Blobs whose name starts with `prefix`, unfinished writes included, in no order."""

    async def unfinished(self, before: float, *, abort: bool) -> int | None:
        """Uploads begun before then (epoch seconds) that nobody ended and `names` does not show.

        How many, ended now when `abort`; None: this store cannot tell.
        """

    async def check(self) -> None:
        """Raise `Unavailable` unless blobs can be kept now."""


FACTORIES: Mapping[str, str | Callable[..., Any]] = {
    "file": "tause_mcp.services.storage.backends.file:open_file",
    "memory": "tause_mcp.services.storage.backends.memory:open_memory",
    "s3": "tause_mcp.services.storage.backends.cloud:open_cloud",
    "gs": "tause_mcp.services.storage.backends.cloud:open_cloud",
    "az": "tause_mcp.services.storage.backends.cloud:open_cloud",
}


def open_store(
    url: str, factories: Mapping[str, str | Callable[..., Any]] = FACTORIES
) -> AbstractAsyncContextManager[ObjectStore]:
    """`async with open_store(url) as store`; `Misconfigured` when the URL cannot be used."""
    opened: AbstractAsyncContextManager[ObjectStore] = choose(url, factories, "storage")(url)
    return opened


def named(name: str) -> str:
    """`name`, or `ValueError`: a name that is not ours is a fault of this program."""
    if NAME.fullmatch(name) is None:
        raise ValueError("not a blob name")
    return name
