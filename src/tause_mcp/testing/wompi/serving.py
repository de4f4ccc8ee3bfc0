"""Serving a sandbox on a loopback port, and sending its events by themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from tause_mcp.testing.wompi.control import settle
from tause_mcp.testing.wompi.webhooks import send_due

if TYPE_CHECKING:
    from tause_mcp.testing.wompi.sandbox import Sandbox

_LONGEST = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """Where a sandbox is served."""

    url: str
    """`http://127.0.0.1:40123`."""

    @property
    def base_url(self) -> str:
        """Of the payments API: what `https://sandbox.wompi.co/v1` is to the real one."""
        return f"{self.url}/v1"

    @property
    def payouts_url(self) -> str:
        """Of the payouts API, without its version: `/v1` and `/v2` follow."""
        return f"{self.url}/payouts"

    @property
    def checkout_url(self) -> str:
        """What `https://checkout.wompi.co` is to the real one: `/p/` and `/l/{id}` follow."""
        return f"{self.url}/_sandbox/checkout"

    @property
    def control_url(self) -> str:
        return f"{self.url}/_sandbox"


@asynccontextmanager
async def running(sandbox: "Sandbox", port: int = 0) -> AsyncIterator[Served]:
    """Serve a sandbox on 127.0.0.1, on a free port for 0, in this event loop.

    Raises:
        OSError: the port is taken.
    """
    from tause_mcp.testing.wompi.server import HOST, listening  # with it comes uvicorn

    async with listening(sandbox.app, port) as bound:
        sending = asyncio.create_task(_sending(sandbox))
        try:
            yield Served(f"http://{HOST}:{bound}")
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


@contextmanager
def serving(sandbox: "Sandbox", port: int = 0) -> Iterator[Served]:
    """As `running`, in a thread of its own: for tests without an event loop.

    Raises:
        OSError: the port is taken.
    """
    ready, ending = Event(), Event()
    found: list[Served | BaseException] = []

    async def serve() -> None:
        try:
            async with running(sandbox, port) as served:
                found.append(served)
                ready.set()
                await asyncio.to_thread(ending.wait)
        except OSError as problem:
            found.append(problem)
            ready.set()

    thread = Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    if isinstance(found[0], BaseException):
        raise found[0]
    try:
        yield found[0]
    finally:
        ending.set()
        thread.join()


async def _sending(sandbox: "Sandbox") -> None:
    """Send what is due, whenever there is something; wait for the next."""
    state, loop, woken = sandbox.state, asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(woken.set)

    state.wake = wake
    try:
        while True:
            woken.clear()
            with state.lock:
                ends = settle(state)
                due = state.outbox.next_due() if state.config.auto_deliver else None
            if due is not None and due <= state.now():
                await send_due(state)
                continue
            waits = [at - state.now() for at in (ends, due) if at is not None]
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min([*waits, _LONGEST])) if waits else None):
                    await woken.wait()
    finally:
        state.wake = lambda: None
