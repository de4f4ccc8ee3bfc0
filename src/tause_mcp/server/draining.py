"""SIGTERM in order: first `/readyz` says no, then connections are refused, then calls end."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def draining(
    began: Callable[[], None], ending: Callable[[], None], seconds: float
) -> Iterator[None]:
    """While the block runs, SIGTERM calls `began`, and `seconds` later `ending` and whoever was to
    be told before; a second SIGTERM does not wait."""
    loop = asyncio.get_running_loop()
    before: Any = signal.getsignal(signal.SIGTERM)
    begun = False

    def end(number: int, frame: Any) -> None:
        ending()
        if callable(before):
            before(number, frame)

    def told(number: int, frame: Any) -> None:
        nonlocal begun
        if begun:
            loop.call_soon_threadsafe(end, number, frame)
            return
        begun = True
        began()
        loop.call_soon_threadsafe(loop.call_later, seconds, end, number, frame)

    try:
        signal.signal(signal.SIGTERM, told)
    except ValueError:  # not the main thread: whoever runs it there ends it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """A worker whose parent is killed ends in order, instead of serving on unseen (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
