"""The parts that are not rows over HTTP: stdio, cold start, memory, sizes."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine, targets
from benchmarks.compare import Ratio, ratio_of
from benchmarks.pipes import Command, cold_start, session
from benchmarks.rows import Plan
from benchmarks.servers import BARE, OURS, Server, ask
from benchmarks.sizes import DEFAULT, Size
from benchmarks.targets import Target
from benchmarks.wire import FORMS, Form

SETTLED = 1.0


@dataclass(frozen=True)
class Versus:
    """A figure of ours and of the base, pair by pair."""

    name: str
    unit: str
    ours: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> Ratio:
        return ratio_of(self.ours, self.base)


def our_command(home: Path, core: int | None) -> Command:
    return Command([*OURS], home, core, "access_whoami", {}, b"default")


def bare_command(core: int | None) -> Command:
    return Command([*BARE, "stdio"], None, core, "echo", {"text": "hello"}, b"hello")


def over_stdio(ours: Command, base: Command, plan: Plan) -> list[Versus]:
    """CPU per call and calls/s in both forms, one at a time and 16 in flight, A B A B."""
    return [
        figure
        for form in FORMS
        for in_flight in (1, 16)
        for figure in _paced(ours, base, form, in_flight, plan)
    ]


def _paced(
    ours: Command, base: Command, form: Form, in_flight: int, plan: Plan
) -> tuple[Versus, Versus]:
    title = f"stdio · {form} · {in_flight} in flight"
    cpu, rate = Versus(f"{title}: CPU per call", "us"), Versus(f"{title}: calls/s", "")
    with ExitStack() as stack:
        sides = [stack.enter_context(session(command, form)) for command in (ours, base)]
        for side in sides:
            side.pace(in_flight, 0.2)
        for _ in range(plan.edge_pairs):
            for side, cpus, rates in zip(
                sides, (cpu.ours, cpu.base), (rate.ours, rate.base), strict=True
            ):
                pace = side.pace(in_flight, plan.seconds)
                cpus.append(pace.cpu_us)
                rates.append(pace.calls_per_s)
    return cpu, rate


def cold_starts(ours: Command, base: Command, starts: int) -> Versus:
    """The first start of each migrates and compiles; it is not counted."""
    figure = Versus("cold start to tools/list over stdio", "s")
    cold_start(ours), cold_start(base)
    for _ in range(starts):
        figure.ours.append(cold_start(ours))
        figure.base.append(cold_start(base))
    return figure


def idle_memory(ours: Server, base: Server, call: tuple[str, str]) -> Versus:
    """Resident memory after one call and one list each; `call` names the two tools."""
    for server, name in zip((ours, base), call, strict=True):
        arguments = {"text": "hello"} if name == "echo" else {}
        ask(server.door, "tools/call", {"name": name, "arguments": arguments})
        ask(server.door, "tools/list", {})
    time.sleep(SETTLED)
    memory = [machine.resident(server.pid) for server in (ours, base)]
    return Versus("memory idle", "MB", memory[:1], memory[1:])


def of_cold_start(figure: Versus) -> list[Target]:
    return [targets.of_ratio(figure.name, targets.COLD_START, figure.ratio)]


def of_memory(figure: Versus) -> list[Target]:
    return [
        targets.of_ratio(figure.name, targets.MEMORY, figure.ratio),
        targets.of_value(figure.name, targets.MEMORY_MB, figure.ours[0], figure.unit),
    ]


def of_sizes(found: list[Size]) -> list[Target]:
    """The default list and the small door against what was promised."""
    judged = []
    for size in found:
        if size.toolset == DEFAULT:
            name = "tools/list, default toolset"
            judged += [
                targets.of_value(name, targets.DEFAULT_TOKENS, size.tokens, "tokens"),
                targets.of_value(name, targets.DEFAULT_BYTES, size.wire_bytes, "bytes"),
            ]
        if size.toolset == "catalog":
            name = "tools/list, catalog toolset"
            judged.append(targets.of_value(name, targets.CATALOG_TOKENS, size.tokens, "tokens"))
    return judged
