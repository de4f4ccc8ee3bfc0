"""`python -m benchmarks.engines`: whole calls on SQLite and on PostgreSQL, against the bare echo.

PostgreSQL is one of its own, behind row-level security, durable; its CPU is told apart from the
server's. Ratios are medians of slices that take turns, 16 calls in flight.
"""

import argparse
import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack

from tests.support import postgres

from benchmarks import machine, rows, wire
from benchmarks.compare import Side, compared
from benchmarks.servers import Server, ask, bare, ours, scratch
from benchmarks.wire import MODERN, Call, Door, Exchange, Form

COLLECTION = "bench"
IN_FLIGHT = 16
LIMITS = {
    "sqlite": {"database_get": 1.5, "database_insert": 2.5},
    "postgresql": {"database_get": 2.0, "database_insert": 3.0},
}


def get(door: Door, form: Form) -> Call:
    def requests(connection: int) -> Iterator[Exchange]:
        told = {"collection": COLLECTION, "id": f"d{connection}"}
        mark = f'"number":{connection}'.encode()
        return itertools.repeat((wire.tool(door, form, "database_get", told), mark))

    return requests


def insert(door: Door, form: Form) -> Call:
    document = {"number": 7, "text": "x" * 200}
    request = wire.tool(
        door, form, "database_insert", {"collection": COLLECTION, "document": document}
    )
    return lambda _: itertools.repeat((request, b'"number":7'))


CALLS = {
    "access_whoami": wire.whoami,
    "database_get": get,
    "database_insert": insert,
    "storage_get": wire.get,
    "storage_put": wire.put,
}


def furnish(door: Door) -> None:
    """What the reads find."""
    rows.seed(door)
    _tool(door, "database_create_collection", {"name": COLLECTION})
    for number in range(rows.MOST):
        told = {"collection": COLLECTION, "id": f"d{number}", "document": {"number": number}}
        _tool(door, "database_insert", told)


def _tool(door: Door, name: str, arguments: dict[str, object]) -> None:
    ask(door, "tools/call", {"name": name, "arguments": arguments})


async def measure(
    engine: str, server: Server, echo: Server, database: int | None, wanted: str, pairs: int
) -> None:
    for name, make in CALLS.items():
        if wanted not in name:
            continue
        sides = Side(server, make(server.door, MODERN)), Side(echo, wire.echo(echo.door, MODERN))
        before = machine.cpu(database) if database else 0.0
        found = await compared(*sides, IN_FLIGHT, 1.0, pairs)
        spent = machine.cpu(database) - before if database else 0.0
        calls = sum(slice_.calls_per_s for slice_ in found.ours) or 1.0
        ratio, limit = found.ratio("cpu_us"), LIMITS[engine].get(name)
        bound = f"(at most {limit})" if limit else ""
        apart = f", database {spent / calls * 1e6:.0f} us" if database else ""
        print(
            f"{engine:10} {name:16} {ratio.median:.2f} x [{ratio.low:.2f}..{ratio.high:.2f}] {bound:14}"
            f" {found.median('ours', 'cpu_us'):.0f} us against {found.median('base', 'cpu_us'):.0f}"
            f"{apart}; p50 {found.median('ours', 'p50_ms'):.2f} ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.engines", description=__doc__)
    parser.add_argument("--only", default="", help="a part of a call's name")
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    core, own = machine.cores()
    machine.pin(own)
    server = postgres.server(fsync="on", full_page_writes="on")
    server.create("bench")
    with ExitStack() as stack:
        echo = stack.enter_context(bare(core))
        for engine, settings in (("sqlite", {}), ("postgresql", server.settings("bench"))):
            home = stack.enter_context(scratch())
            house = stack.enter_context(ours(home, core, **settings))
            furnish(house.door)
            pid = server.pid if settings else None
            asyncio.run(measure(engine, house, echo, pid, asked.only, asked.pairs))


if __name__ == "__main__":
    main()
