"""`python -m benchmarks`: run the comparison, print it, write `benchmarks/latest.md`."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks import machine, parts, report, rows, servers, sizes, wire
from benchmarks.pipes import Command
from benchmarks.report import Report
from benchmarks.rows import Row, Servers
from benchmarks.sizes import DEFAULT

LATEST = Path(__file__).parent / "latest.md"
PARTS = ("stdio", "cold", "memory", "sizes")


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer slices")
    parser.add_argument(
        "--only",
        default="",
        metavar="ROWS",
        help=f"comma separated: parts of row names (whoami, get, tools/list, 2025, ...), {', '.join(PARTS)}",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every slice as JSON")
    parser.add_argument(
        "--self-check",
        action="store_true",
        help="the bare server on both sides: each ratio must be 1.00 within the noise",
    )
    return parser.parse_args()


def main() -> int:
    options = asked()
    wanted = [name.strip() for name in options.only.split(",") if name.strip()]
    server_core, own_core = machine.cores()
    machine.pin(own_core)
    found = Report(machine.described(), rows.QUICK if options.quick else rows.THOROUGH)
    found.facts["cores"] = (
        "server and generator share what there is: figures are rough"
        if server_core is None
        else f"server on {server_core}, generator on {own_core}"
    )
    run = self_check if options.self_check else real
    try:
        run(found, wanted, server_core)
    except (servers.NotStarted, LookupError) as error:
        found.failed.append(f"{type(error).__name__}: {error}")
    text = report.markdown(found)
    print(text)
    if not (options.self_check or wanted):
        LATEST.write_text(text)
    if options.json:
        options.json.write_text(report.as_json(found))
    missed = any(target.verdict == "missed" for target in found.targets)
    return 1 if found.failed or (options.strict and missed) else 0


def chosen(every: list[Row], wanted: list[str]) -> list[Row]:
    return [row for row in every if not wanted or any(name in row.title for name in wanted)]


def real(found: Report, wanted: list[str], core: int | None) -> None:
    """This server against the bare one."""
    with ExitStack() as stack:
        home = stack.enter_context(servers.scratch())
        ours = stack.enter_context(servers.ours(home / "http", core))
        echo = stack.enter_context(servers.bare(core))
        tools = sizes.listed(ours.door, DEFAULT)
        listing = stack.enter_context(servers.bare(core, tools))
        if wants(wanted, "memory"):
            memory = parts.idle_memory(ours, echo, ("access_whoami", "echo"))
            found.figures.append(memory)
            found.targets += parts.of_memory(memory)
        if wants(wanted, "sizes"):
            found.sizes = sizes.sizes(ours.door)
            found.targets += parts.of_sizes(found.sizes)
        rows.seed(ours.door)
        measured = chosen([*rows.of_server(), *rows.of_validation()], wanted)
        load(found, measured, Servers(ours, echo, listing))
        if any(row.ours is wire.put for row in measured):
            rows.kept(ours.door)
        load(found, chosen([*rows.of_base()], wanted), Servers(echo, echo, echo))
        if redis_rows := chosen([*rows.of_redis()], wanted):
            url = stack.enter_context(servers.redis())
            shared = stack.enter_context(servers.ours(home / "redis", core, TAUSE_CACHE_URL=url))
            rows.seed_cache(shared.door)
            rows.rated(shared.door)
            load(found, redis_rows, Servers(shared, echo, listing))
    with servers.scratch() as home:
        piped(found, wanted, parts.our_command(home / "stdio", core), core)


def self_check(found: Report, wanted: list[str], core: int | None) -> None:
    """The bare server against a second one."""
    with servers.bare(core) as one, servers.bare(core) as other:
        found.figures.append(parts.idle_memory(one, other, ("echo", "echo")))
        load(found, chosen([*rows.of_itself()], wanted), Servers(one, other, other))
    piped(found, wanted, parts.bare_command(core), core)


def wants(wanted: list[str], part: str) -> bool:
    return not wanted or part in wanted


def load(found: Report, every: list[Row], these: Servers) -> None:
    """Each row in turn; a row that fails is said and the others go on."""

    async def measured() -> list[rows.Result]:
        results = []
        for row in every:
            print(f"... {row.title}", file=sys.stderr)
            bare = these.listing if row.on_listing else these.echo
            base = these.ours if row.on_itself else bare
            results.append(await rows.measure(row, these.ours, base, found.plan))
        return results

    results = uvloop.run(measured())
    found.results += results
    found.targets += rows.verdicts(results)
    found.failed += [f"{result.row.title}: {result.failed}" for result in results if result.failed]


def piped(found: Report, wanted: list[str], ours: Command, core: int | None) -> None:
    """stdio and cold start."""
    base = parts.bare_command(core)
    try:
        if wants(wanted, "cold"):
            cold = parts.cold_starts(ours, base, found.plan.cold_starts)
            found.figures.append(cold)
            found.targets += parts.of_cold_start(cold)
        if wants(wanted, "stdio"):
            found.figures += parts.over_stdio(ours, base, found.plan)
    except (OSError, RuntimeError) as error:
        found.failed.append(f"stdio: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())
