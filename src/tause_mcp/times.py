"""Times: epoch microseconds inside, ISO 8601 in UTC outside."""

import time
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """Epoch microseconds."""
    return time.time_ns() // 1000


def iso(micros: int) -> str:
    """Epoch microseconds as `2026-01-31T12:00:00.000000Z`."""
    told = _EPOCH + timedelta(microseconds=micros)
    return told.isoformat(timespec="microseconds").replace("+00:00", "Z")


def micros(text: str) -> int:
    """What `iso` wrote, as epoch microseconds."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
