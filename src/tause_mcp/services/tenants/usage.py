"""What tenants use: counted in memory at every call, added to the table every few seconds."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tause_mcp.database import Database, TenantDatabase, Transaction
from tause_mcp.operation import Operation
from tause_mcp.services.tenants import tables
from tause_mcp.services.tenants.histogram import bucket_of, percentile
from tause_mcp.tenancy import TenantId

HOUR = 3600
_PORTION = 500
"""Rows added in one transaction, so that a flush never holds up a caller's change for long."""

Counted = tuple[TenantId, int, str, int]
"""Tenant, hours since the epoch, capability, latency bucket."""


@dataclass(slots=True)
class Figures:
    """Calls, errors, bytes of results and latencies of any set of rows."""

    calls: int = 0
    errors: int = 0
    bytes: int = 0
    latencies: dict[int, int] = field(default_factory=dict)

    def add(self, bucket: int, calls: int, errors: int, size: int) -> None:
        self.calls += calls
        self.errors += errors
        self.bytes += size
        self.latencies[bucket] = self.latencies.get(bucket, 0) + calls

    def told(self) -> dict[str, Any]:
        """`{calls, errors, bytes, p50_ms?, p95_ms?}`."""
        told: dict[str, Any] = {"calls": self.calls, "errors": self.errors, "bytes": self.bytes}
        if self.calls:
            told["p50_ms"] = percentile(self.latencies, 0.50)
            told["p95_ms"] = percentile(self.latencies, 0.95)
        return told


@dataclass(slots=True)
class Report:
    """A tenant's usage over some hours."""

    total: Figures = field(default_factory=Figures)
    by_capability: dict[str, Figures] = field(default_factory=lambda: defaultdict(Figures))
    by_hour: dict[int, Figures] = field(default_factory=lambda: defaultdict(Figures))

    def add(self, hour: int, capability: str, bucket: int, *counts: int) -> None:
        for figures in (self.total, self.by_capability[capability], self.by_hour[hour]):
            figures.add(bucket, *counts)


class UsageMeter:
    """`pipeline.Meter`."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._counts: dict[Counted, list[int]] = {}
        self._flushing = asyncio.Lock()

    def count(
        self, tenant: TenantId, operation: Operation, seconds: float, ok: bool, size: int
    ) -> None:
        """Count one call: its latency, whether it worked, and the bytes of its result."""
        key = (tenant, int(self._clock()) // HOUR, operation.capability, bucket_of(seconds))
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0, 0]
        counts[0] += 1
        counts[1] += not ok
        counts[2] += size

    def forget(self, tenant: TenantId) -> None:
        """Drop what is not yet stored of a deleted tenant."""
        for key in [key for key in self._counts if key[0] == tenant]:
            del self._counts[key]

    async def flush(self) -> None:
        """Add what was counted to the table. What cannot be stored now is kept for next time."""
        async with self._flushing:
            counted, self._counts = sorted(self._counts.items()), {}  # one order for every process
            while counted:
                portion = counted[:_PORTION]
                try:
                    await self._database.write(None, partial(_add, portion), house=True)
                except BaseException:
                    self._take_back(counted)
                    raise
                del counted[:_PORTION]

    def _take_back(self, counted: Iterable[tuple[Counted, list[int]]]) -> None:
        for key, counts in counted:
            mine = self._counts.setdefault(key, [0, 0, 0])
            mine[:] = [a + b for a, b in zip(mine, counts, strict=True)]

    async def report(
        self, tenant: TenantId, first: int, last: int, capability: str | None = None
    ) -> Report:
        """Usage from hour `first` to hour `last`, both included: stored, and not yet stored."""
        told = Report()
        async with self._flushing:
            rows = await TenantDatabase(self._database, tenant).read(
                lambda tx: tx.all(tables.READ_USAGE, first=first, last=last)
            )
            fresh = [
                (hour, named, bucket, *counts)
                for (of, hour, named, bucket), counts in self._counts.items()
                if of == tenant and first <= hour <= last
            ]
        for hour, named, bucket, *counts in (*rows, *fresh):
            if capability in (None, named):
                told.add(hour, named, bucket, *counts)
        return told


async def _add(portion: list[tuple[Counted, list[int]]], tx: Transaction) -> None:
    for (tenant, hour, capability, bucket), (calls, errors, size) in portion:
        await tx.run(
            tables.ADD_USAGE,
            of_tenant_id=tenant,
            of_hour=hour,
            of_capability=capability,
            of_bucket=bucket,
            of_calls=calls,
            of_errors=errors,
            of_bytes=size,
        )
