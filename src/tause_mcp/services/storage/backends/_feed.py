"""A body handed to an upload that must see its end, even when the writer is cancelled.

obstore aborts a multipart upload when its source raises, but not when the upload itself is
cancelled: the parts would stay. So the upload runs shielded and its source raises instead.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from tause_mcp.services.storage.backends import Body

PIECE = 1 << 20
Upload = Callable[[AsyncIterator[bytes]], Awaitable[Any]]


class AbandonedError(Exception):
    """The body ended before it was complete."""


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]
        return
    async for piece in body:
        yield piece


class Feed:
    """One upload fed with one body; `await Feed(upload).run(body)`."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._complete = False
        self._failure: Exception | None = None

    async def run(self, body: Body) -> None:
        """Upload `body`; raise what the body raised, else what the upload raised."""
        send, receive = anyio.create_memory_object_stream[bytes](0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._receiving, receive, group.cancel_scope)
            try:
                async with send:
                    async for piece in _pieces(body):
                        await send.send(piece)
                    self._complete = True
            except Exception as failed:
                self._failure = self._failure or failed
        if self._failure is not None:
            raise self._failure

    async def _source(self, receive: MemoryObjectReceiveStream[bytes]) -> AsyncIterator[bytes]:
        async for piece in receive:
            yield piece
        if not self._complete:
            raise AbandonedError

    async def _receiving(
        self, receive: MemoryObjectReceiveStream[bytes], sending: anyio.CancelScope
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._upload(self._source(receive))
            except AbandonedError:
                return
            except Exception as failed:
                self._failure = failed
                sending.cancel()
            finally:
                receive.close()
