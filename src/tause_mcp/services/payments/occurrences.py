"""When a schedule is due: pure functions of its start, in days of Bogotá."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

from tause_mcp.services.payments.saved import Every

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOGOTA = timezone(timedelta(hours=-5))
"""There is no summer time in Colombia."""


def moment(start_at: int, every: Every, number: int) -> int:
    """The time (epoch microseconds) of the occurrence of that number, the first being 1.

    Months are counted from the start, so that the 31st is the last day of a shorter month and the
    31st again in the next; likewise 29 February from year to year.
    """
    start = (_EPOCH + timedelta(microseconds=start_at)).astimezone(_BOGOTA)
    steps = number - 1
    if every == "day":
        found = start + timedelta(days=steps)
    elif every == "week":
        found = start + timedelta(weeks=steps)
    else:
        found = _months_later(start, steps * (12 if every == "year" else 1))
    return (found - _EPOCH) // timedelta(microseconds=1)


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)


def following(
    start_at: int, every: Every, done: int, *, until: int | None, count: int | None
) -> int | None:
    """When the one after `done` occurrences is; None when there is none any more."""
    if count is not None and done >= count:
        return None
    next_at = moment(start_at, every, done + 1)
    return None if until is not None and next_at > until else next_at


def number_until(start_at: int, every: Every, until: int) -> int:
    """How many occurrences there are up to a time, ten thousand at most."""
    low, high = 0, 10_000
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if moment(start_at, every, middle) <= until else (low, middle - 1)
        )
    return low
