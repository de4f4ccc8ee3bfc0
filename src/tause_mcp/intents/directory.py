"""What an outside company lists for everybody (its banks, say), asked for once a day."""

from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

import anyio

from tause_mcp.errors import Unavailable

T = TypeVar("T")

DAY, WEEK = 86_400.0, 7 * 86_400.0
MOST = 1000
"""Lists that are kept at the most."""


class Directory(Generic[T]):
    """One list per place that it is asked of."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, T]] = {}
        self._asking = anyio.Lock()

    async def of(self, place: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The list of a place, `ask`ed for when it is a day old. When it cannot be asked for, that
        of at most a week ago.

        Raises:
            Unavailable: it cannot be asked, and never was. What else `ask` raises.
        """
        if (fresh := self._found(place, DAY)) is not None:
            return fresh
        async with self._asking:  # one asks, the others wait for it
            if (fresh := self._found(place, DAY)) is not None:
                return fresh
            try:
                told = await ask()
            except Unavailable:
                if (stale := self._found(place, WEEK)) is not None:
                    return stale
                raise
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[place] = (monotonic(), told)
            return told

    def __len__(self) -> int:
        return len(self._kept)

    def _found(self, place: Hashable, most: float) -> T | None:
        kept = self._kept.get(place)
        return kept[1] if kept is not None and monotonic() - kept[0] < most else None
