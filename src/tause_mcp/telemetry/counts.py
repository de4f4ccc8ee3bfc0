"""Calls of this process by capability and outcome: two additions a call, no library."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from tause_mcp.tally import failures
from tause_mcp.telemetry.traces import name_tenant
from tause_mcp.tenancy import TenantId

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration buckets, in seconds; one more bucket has none."""

Kept = dict[str, Any]


@dataclass
class Counts:
    """`pipeline.Watch`: what is counted since the process began, and what is going on now."""

    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    """(capability, outcome) -> calls. The outcome is `ok`, an error code or `cancelled`."""
    buckets: dict[str, list[int]] = field(default_factory=dict)
    """Capability -> calls by duration."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Capability -> all durations together."""
    in_flight: int = 0
    streams: int = 0
    """Open listening streams."""
    names_tenants: bool = False
    """Whether the span of a call carries its tenant's id."""

    def began(self, tenant: TenantId) -> None:
        self.in_flight += 1
        if self.names_tenants:
            name_tenant(tenant)

    def ended(self, capability: str, outcome: str, seconds: float) -> None:
        """One call, whatever became of it."""
        self.in_flight -= 1
        at = (capability, outcome)
        self.calls[at] = self.calls.get(at, 0) + 1
        buckets = self.buckets.get(capability)
        if buckets is None:
            buckets = self.buckets[capability] = [0] * (len(BOUNDS) + 1)
            self.seconds[capability] = 0.0
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds[capability] += seconds

    def kept(self) -> Kept:
        """Everything, as JSON that `added` reads."""
        return {
            "calls": [[*at, count] for at, count in self.calls.items()],
            "buckets": self.buckets,
            "seconds": self.seconds,
            "in_flight": self.in_flight,
            "streams": self.streams,
            "failures": dict(failures),
        }


@dataclass
class Total:
    """The counts of several processes together."""

    counts: Counts = field(default_factory=Counts)
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, kept: Kept, *, alive: bool = True) -> None:
        """Add what a process has counted; one that ended has nothing going on."""
        mine = self.counts
        for capability, outcome, count in kept["calls"]:
            at = (capability, outcome)
            mine.calls[at] = mine.calls.get(at, 0) + count
        for capability, buckets in kept["buckets"].items():
            before = mine.buckets.get(capability, [0] * len(buckets))
            mine.buckets[capability] = [a + b for a, b in zip(before, buckets, strict=True)]
            mine.seconds[capability] = (
                mine.seconds.get(capability, 0.0) + kept["seconds"][capability]
            )
        for part, count in kept["failures"].items():
            self.failures[part] = self.failures.get(part, 0) + count
        if alive:
            mine.in_flight += kept["in_flight"]
            mine.streams += kept["streams"]
