"""`python -m benchmarks.lookups`: does a lookup by a declared index stay flat as a collection grows?

One tenant has a collection of 1,000 documents and one of 100,000, on SQLite and on a PostgreSQL of
its own with forced row-level security. Each question is asked of both in turn, through the service;
the ratio of the medians is what growing a hundredfold costs.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support import postgres

from tause_mcp.services.database import Collections
from tause_mcp.testing.home import House, house

SIZES = {"small": 1_000, "large": 100_000}
SLICES, CALLS = 15, 40
MOST = 3.0
QUESTIONS: dict[str, dict[str, Any]] = {
    "equal": {"where": {"code": "c000777"}},
    "range of ten, in order": {
        "where": {"n": {"gte": 500, "lt": 510}},
        "order_by": ["-n"],
    },
    "first page of an order": {"order_by": ["-n"]},
    "two conditions": {"where": {"code": "c000777", "n": {"gte": 0}}},
    "by id": {},
}


async def main() -> int:
    worst = 0.0
    url = postgres.server().create("lookups")
    servers = {
        "sqlite": {},
        "postgresql": {
            "TAUSE_DATABASE_URL": url,
            "TAUSE_DATABASE_ADMIN_URL": postgres.server().url("lookups", "owner"),
        },
    }
    for name, settings in servers.items():
        with tempfile.TemporaryDirectory() as folder:
            async with house(Path(folder) / "home", **settings) as home:
                collections = await filled(home)
                if name == "postgresql":
                    postgres.server().sql("VACUUM ANALYZE", database="lookups")
                for question in QUESTIONS:
                    worst = max(worst, await compared(collections, name, question))
    print(f"\nthe most that a hundredfold costs: {worst:.2f} (at most {MOST:.0f})")
    return int(worst > MOST)


async def filled(home: House) -> Collections:
    tenant = await home.tenant("ta")
    collections = Collections(home.platform.database_of(tenant), _no_cipher)
    for name, size in SIZES.items():
        await collections.create(name, None, ["n", "code"])
        for start in range(0, size, 100):
            await collections.transact(
                [
                    {
                        "op": "insert",
                        "collection": name,
                        "id": f"d{n:06}",
                        "document": {"n": n, "code": f"c{n:06}", "note": "." * 200},
                    }
                    for n in range(start, start + 100)
                ]
            )
    return collections


async def _no_cipher() -> Any:
    return None


async def compared(collections: Collections, engine: str, question: str) -> float:
    """The median of a call on each, and their ratio."""
    taken: dict[str, list[float]] = {name: [] for name in SIZES}
    for _ in range(SLICES):
        for name, slices in taken.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                await asked(collections, name, question)
            slices.append((time.perf_counter() - began) / CALLS * 1e6)
    small, large = (statistics.median(taken[name]) for name in SIZES)
    print(f"{engine:12}{question:26}{small:9.0f} us {large:9.0f} us   ratio {large / small:.2f}")
    return large / small


async def asked(collections: Collections, name: str, question: str) -> None:
    if question == "by id":
        await collections.get(name, "d000777")
    else:
        found, _, _ = await collections.find(name, most=10, **QUESTIONS[question])
        assert found, question


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
