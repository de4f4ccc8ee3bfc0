"""Latencies in buckets: merging loses nothing, percentiles stay within 10 %."""

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from tause_mcp.services.tenants.histogram import BUCKETS, bucket_of, milliseconds, percentile

seconds = st.floats(min_value=2e-6, max_value=3600)


@given(st.floats(min_value=0, max_value=1e9), st.floats(min_value=0, max_value=1e9))
def test_a_longer_call_never_falls_in_a_lower_bucket(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= bucket_of(low) <= bucket_of(high) < BUCKETS


@given(seconds)
def test_a_bucket_tells_the_latency_within_ten_percent(latency: float) -> None:
    told = milliseconds(bucket_of(latency)) / 1000
    assert abs(told - latency) <= 0.1 * latency + 1e-6


@given(st.lists(seconds, min_size=1, max_size=50), st.floats(min_value=0.01, max_value=1))
def test_a_percentile_is_that_of_the_sorted_latencies(calls: list[float], share: float) -> None:
    truth = sorted(calls)[max(1, ceil(share * len(calls))) - 1]
    told = percentile(Counter(map(bucket_of, calls)), share)
    assert told is not None
    assert abs(told / 1000 - truth) <= 0.1 * truth + 1e-6


@given(st.lists(st.lists(seconds, max_size=20), max_size=5))
def test_merged_counts_tell_what_one_count_would(processes: list[list[float]]) -> None:
    merged: Counter[int] = Counter()
    for calls in processes:
        merged += Counter(map(bucket_of, calls))
    whole = Counter(bucket_of(call) for calls in processes for call in calls)
    assert merged == whole
    assert percentile(merged, 0.95) == percentile(whole, 0.95)


def test_without_calls_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
