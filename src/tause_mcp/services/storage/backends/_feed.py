"""A body handed to an upload that must see its end, even when the writer is cancelled.

obstore aborts a multipart upload when its source raises, but not when the upload itself is
cancelled: the parts would stay. So the upload runs shielded and its source raises instead. A store
that does not answer gets a moment for that, and no more: the call has its deadline.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from tause_mcp.services.storage.backends import Body

PIECE = 1 << 20
GIVE_UP = 2.0
"""Seconds that an abandoned upload may take to end what it began."""
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
        self._shield = anyio.CancelScope(shield=True)
        self._ended = anyio.Event()

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
                await self._ended.wait()
            except Exception as failed:
                self._failure = self._failure or failed
            finally:
                if not self._ended.is_set():
                    self._shield.deadline = anyio.current_time() + GIVE_UP
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
        with self._shield:
            try:
                await self._upload(self._source(receive))
            except AbandonedError:
                return
            except Exception as failed:
                self._failure = failed
                sending.cancel()
            finally:
                receive.close()
                self._ended.set()
