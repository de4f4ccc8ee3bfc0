"""`python -m benchmarks.scaling`: calls a second of one server process, and of two.

The load generator shares the cores with them: on two cores two processes have less than two cores
to themselves, so the factor is a lower bound. What the generator took is printed beside it.
"""

import argparse
import asyncio
from contextlib import ExitStack

from tests.support import postgres

from benchmarks import engines, wire
from benchmarks.compare import Side, compared
from benchmarks.servers import Server, ours, scratch
from benchmarks.wire import MODERN

IN_FLIGHT = 32
TARGETS = {"access_whoami": 1.6, "database_get": 1.3}
CALLS = {"access_whoami": wire.whoami, "database_get": engines.get}


async def measure(one: Server, two: Server, pairs: int) -> None:
    for name, make in CALLS.items():
        sides = Side(two, make(two.door, MODERN)), Side(one, make(one.door, MODERN))
        found = await compared(*sides, IN_FLIGHT, 1.0, pairs)
        ratio = found.ratio("calls_per_s")
        print(
            f"{name:16} {ratio.median:.2f} x [{ratio.low:.2f}..{ratio.high:.2f}] "
            f"(at least {TARGETS[name]}): {found.median('base', 'calls_per_s'):.0f} calls/s with one, "
            f"{found.median('ours', 'calls_per_s'):.0f} with two; the generator took "
            f"{found.median('ours', 'generator'):.0%} of a core, others {found.median('ours', 'others'):.0%}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    server = postgres.server(fsync="on", full_page_writes="on")
    server.create("scaling")
    settings = server.settings("scaling")
    with ExitStack() as stack:
        home = stack.enter_context(scratch())
        one = stack.enter_context(ours(home / "home", None, **settings))
        engines.furnish(one.door)
        two = stack.enter_context(ours(home / "home", None, "--workers", "2", **settings))
        asyncio.run(measure(one, two, asked.pairs))


if __name__ == "__main__":
    main()
