"""Patience with a busy machine; and a loop whose time jumps to the next timer when nothing else is to do: exact on any machine."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
BUSY = 15.0
"""Seconds that a busy machine may add to what is promised: what never comes still fails."""


class _Jumping(selectors.DefaultSelector):
    """Does not sleep: the time that it was to wait has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self.now += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` from second 0 of a loop of its own."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def never(*_: Any, **__: Any) -> Any:
    """A part that stands still."""
    await asyncio.sleep(3600)
