"""Two servers, slice by slice, A B A B: what a call costs each, and the ratio with its spread."""

import asyncio
import statistics
import time
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.load import Load
from benchmarks.servers import Server
from benchmarks.wire import Call

NOISE = 0.10
"""Spreads above it are said; what others use of the machine above it makes a slice disturbed."""
LEAD_IN = 0.15
LONGEST = 30.0


@dataclass(frozen=True)
class Side:
    """A server and what it is asked."""

    server: Server
    call: Call


@dataclass(frozen=True)
class Slice:
    """One measured second. Times in ms, CPU in us per call; shares are of one core."""

    cpu_us: float
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    others: float
    generator: float
    server: float


@dataclass(frozen=True)
class Ratio:
    """The median of the pairwise ratios, and the least and the greatest."""

    median: float
    low: float
    high: float

    @property
    def noisy(self) -> bool:
        return (self.high - self.low) / self.median > NOISE


@dataclass(frozen=True)
class Comparison:
    """Slices of ours and of the base, in pairs taken one after the other."""

    ours: list[Slice]
    base: list[Slice]
    disturbed: int

    def ratio(self, figure: str) -> Ratio:
        return ratio_of(
            [getattr(slice_, figure) for slice_ in self.ours],
            [getattr(slice_, figure) for slice_ in self.base],
        )

    def median(self, side: str, figure: str) -> float:
        slices: list[Slice] = getattr(self, side)
        return float(statistics.median(getattr(slice_, figure) for slice_ in slices))


def ratio_of(ours: list[float], base: list[float]) -> Ratio:
    ratios = [a / b for a, b in zip(ours, base, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def quantile(sorted_values: list[int], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


async def measured(side: Side, in_flight: int, seconds: float) -> Slice:
    """Load one server for a slice, after a short lead-in that is not counted.

    A slice lasts until each connection could answer twice, so that a slow call has figures too.

    Raises:
        TimeoutError: that took longer than 30 s.
    """
    async with Load(side.server.door.port, side.call, in_flight) as tally:
        await asyncio.sleep(LEAD_IN)
        first = len(tally.took)
        before = clocks(side.server.pid)
        async with asyncio.timeout(LONGEST):
            await asyncio.sleep(seconds)
            # An event per answer would slow the generator down: poll.
            while len(tally.took) - first < 2 * in_flight and not tally.stopping:  # noqa: ASYNC110
                await asyncio.sleep(LEAD_IN)
        after = clocks(side.server.pid)
        took = sorted(tally.took[first:])
    wall, server, own, everyone = (b - a for a, b in zip(before, after, strict=True))
    return Slice(
        cpu_us=server / len(took) * 1e6,
        calls_per_s=len(took) / wall,
        p50_ms=quantile(took, 0.50) / 1e6,
        p99_ms=quantile(took, 0.99) / 1e6,
        others=max(0.0, (everyone - server - own) / wall),
        generator=own / wall,
        server=server / wall,
    )


def clocks(pid: int) -> tuple[float, float, float, float]:
    """Seconds: wall, CPU of the server, CPU of this process, busy on all cores."""
    return time.perf_counter(), machine.cpu(pid), time.process_time(), machine.busy()


async def compared(
    ours: Side, base: Side, in_flight: int, seconds: float, pairs: int
) -> Comparison:
    """`pairs` undisturbed pairs; disturbed ones are measured again, at most two more."""
    every: list[tuple[Slice, Slice]] = []
    for _ in range(pairs + 2):
        every.append(
            (await measured(ours, in_flight, seconds), await measured(base, in_flight, seconds))
        )
        if sum(map(quiet, every)) >= pairs:
            break
    calm = [pair for pair in every if quiet(pair)]
    used = calm if len(calm) >= min(3, pairs) else every
    return Comparison(
        [pair[0] for pair in used], [pair[1] for pair in used], len(every) - len(calm)
    )


def quiet(pair: tuple[Slice, Slice]) -> bool:
    return all(slice_.others <= NOISE for slice_ in pair)
