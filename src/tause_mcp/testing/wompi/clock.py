"""Time of the sandbox: the injected clock, moved ahead by `advance`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

BOGOTA = timezone(timedelta(hours=-5))


class Clock:
    """Unix seconds: those of `base`, plus what was advanced."""

    def __init__(self, base: Callable[[], float]) -> None:
        self._base = base
        self._ahead = 0.0

    def now(self) -> float:
        return self._base() + self._ahead

    def advance(self, seconds: float) -> None:
        if not 0 <= seconds <= 10 * 365 * 86_400:
            raise ValueError("seconds: from 0 to ten years")
        self._ahead += seconds


def stamp(seconds: float) -> str:
    """`2026-11-27T16:32:00.123Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def offset_stamp(seconds: float) -> str:
    """`2026-11-27T16:32:00.123+00:00`, as card tokens are dated."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def day(seconds: float) -> str:
    """`2026-11-27`, in Colombia."""
    return datetime.fromtimestamp(seconds, BOGOTA).date().isoformat()
