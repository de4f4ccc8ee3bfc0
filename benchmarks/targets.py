"""What must be reached, and the verdict on what was measured."""

from dataclasses import dataclass
from typing import Literal

from benchmarks.compare import NOISE, Ratio

Verdict = Literal["reached", "missed", ""]

WHOAMI, STAT, GET, PUT, LIST = 1.25, 1.5, 1.5, 2.5, 1.25
DOCUMENT, INSERT = 1.5, 2.5
"""On SQLite, a change durable before its answer."""
CACHE, CACHE_REDIS = 1.5, 2.3
"""A cached read from memory, and from Redis with the tenant's rate in the same round trip."""
VALIDATION = 1.25
"""Times our own access_whoami."""
LEGACY_CALL = 1.25
"""Times the bare SDK's own 2025 form, which costs about 2.3 of its modern one."""
COLD_START = 2.0
MEMORY, MEMORY_MB = 1.8, 120.0
SAME = 1.0 + NOISE
"""As good as equal: differences within the noise are not resolved."""
TAIL = SAME
"""p99 at 64 in flight is to be no worse than the bare SDK's."""
DEFAULT_TOKENS, DEFAULT_BYTES, CATALOG_TOKENS = 4_000, 34_000, 800


@dataclass(frozen=True)
class Target:
    """One line of the table: what was measured against its limit."""

    name: str
    limit: str
    measured: str
    verdict: Verdict
    remark: str = ""


def of_ratio(name: str, limit: float, ratio: Ratio, remark: str = "") -> Target:
    """Judged by the median; a spread that straddles the limit is said."""
    straddles = ratio.low <= limit < ratio.high or ratio.low < limit <= ratio.high
    said = [remark] if remark else []
    said += ["the spread straddles the limit"] if straddles else []
    said += [f"noisy: spread over {NOISE:.0%}"] if ratio.noisy else []
    verdict: Verdict = "reached" if ratio.median <= limit else "missed"
    return Target(name, f"{limit:.2f} x", shown(ratio), verdict, "; ".join(said))


def of_value(name: str, limit: float, value: float, unit: str) -> Target:
    verdict: Verdict = "reached" if value <= limit else "missed"
    return Target(name, f"{limit:,.0f} {unit}", f"{value:,.0f} {unit}", verdict)


def shown(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
