"""The counts as Prometheus reads them. No label names a tenant: their number has no bound."""

import sys
from collections.abc import Iterator
from typing import Any

from tause_mcp.errors import Misconfigured
from tause_mcp.telemetry.counts import BOUNDS, Total

_LABELS = ("capability", "outcome")


def exposition(total: Total, version: str, schema: str) -> tuple[bytes, str]:
    """The text of a scrape and its content type.

    Raises:
        Misconfigured: the extra is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    except ModuleNotFoundError:
        raise Misconfigured("/metrics needs the extra `tause-mcp[metrics]`") from None
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Families(total, version, schema))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Families:
    """`prometheus_client.registry.Collector`."""

    def __init__(self, total: Total, version: str, schema: str) -> None:
        self._total = total
        self._build = {"version": version, "schema": schema, "python": sys.version.split()[0]}

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        counts = self._total.counts
        yield InfoMetricFamily("tause_build", "What runs here.", self._build)
        yield self._calls()
        yield self._durations()
        yield GaugeMetricFamily("tause_calls_in_flight", "Calls at work now.", counts.in_flight)
        yield GaugeMetricFamily("tause_streams_open", "Listening streams now.", counts.streams)
        yield self._failures()

    def _calls(self) -> Any:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily("tause_calls", "Calls by outcome.", labels=_LABELS)
        for at, count in sorted(self._total.counts.calls.items()):
            family.add_metric(at, count)
        return family

    def _durations(self) -> Any:
        from prometheus_client.core import HistogramMetricFamily

        told = "Seconds of a call in the pipeline."
        family = HistogramMetricFamily("tause_call_seconds", told, labels=_LABELS[:1])
        for capability, buckets in sorted(self._total.counts.buckets.items()):
            summed, below = [], 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
                below += count
                summed.append((bound, below))
            family.add_metric((capability,), summed, self._total.counts.seconds[capability])
        return family

    def _failures(self) -> Any:
        from prometheus_client.core import CounterMetricFamily

        told = "Failed requests to the parts that this process stands on."
        family = CounterMetricFamily("tause_failures", told, labels=("part",))
        for part in ("database", "storage", "cache"):
            family.add_metric((part,), self._total.failures.get(part, 0))
        return family
