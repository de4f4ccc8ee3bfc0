"""Latencies in fixed logarithmic buckets: counts add across processes, percentiles read off.

Four buckets per doubling from 1 microsecond up, so a percentile is within 10 % of the truth.
"""

from collections.abc import Mapping
from math import ceil, log2

PER_DOUBLING = 4
BUCKETS = 128
"""The last one takes everything over an hour."""


def bucket_of(seconds: float) -> int:
    """The bucket of a latency."""
    micros = seconds * 1e6
    if micros <= 1.0:
        return 0
    return min(int(log2(micros) * PER_DOUBLING) + 1, BUCKETS - 1)


def milliseconds(bucket: int) -> float:
    """The middle of a bucket."""
    if bucket == 0:
        return 0.001
    return round(float(2.0 ** ((bucket - 0.5) / PER_DOUBLING)) / 1000, 3)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The latency in ms that `share` (0 to 1) of the calls stay within; None without calls."""
    total = sum(counts.values())
    if not total:
        return None
    left = max(1, ceil(share * total))
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return milliseconds(bucket)
    raise AssertionError("unreachable: the counts add up to their total")
