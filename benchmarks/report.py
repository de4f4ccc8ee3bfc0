"""The figures as Markdown and as JSON."""

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.compare import NOISE, Comparison
from benchmarks.parts import Versus
from benchmarks.rows import Plan, Result
from benchmarks.sizes import Size
from benchmarks.targets import Target, shown

LEGEND = """Ratio: ours / bare, the median of slices taken in turns (A B A B), least and greatest pair
in brackets. The bare server is the SDK's `MCPServer` with one echo tool: no identity, no storage,
stateless, JSON answers, uvloop and httptools, no access log; for `tools/list` it lists the same
tools. The generator is a closed loop on keep-alive connections that checks every answer: p99 hides
the queueing of a real open load. Below 10 % nothing is resolved."""


@dataclass
class Report:
    """Everything one run found."""

    facts: dict[str, str]
    plan: Plan
    results: list[Result] = field(default_factory=list)
    figures: list[Versus] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return [*lines, ""] if len(lines) > 2 else []


def markdown(report: Report) -> str:
    parts = [
        "# Benchmarks: this server beside a bare SDK echo, one run",
        "",
        *(f"- {name}: {value}" for name, value in report.facts.items()),
        *strangers(report.results),
        f"- slices of {report.plan.seconds} s; {report.plan.pairs} pairs at 16 in flight, "
        f"{report.plan.edge_pairs} at 1 and 64",
        "",
        LEGEND,
        "",
        *section("Targets", targets_table(report.targets)),
        *section("CPU per call at 16 in flight", cpu_table(report.results)),
        *section("Pace and latency (ms): ours / bare", pace_table(report.results)),
        *section("stdio, cold start, memory", figures_table(report.figures)),
        *section("Size of `tools/list`", sizes_table(report.sizes)),
        *section("Failed", [f"- {line}" for line in report.failed]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def strangers(results: list[Result]) -> list[str]:
    """What others used of the machine meanwhile: the reader's measure of trust."""
    slices = [s for r in results for at in r.at.values() for s in (*at.ours, *at.base)]
    if not slices:
        return []
    used = statistics.median(s.others for s in slices)
    calm = "quiet" if used <= NOISE else "NOT quiet: read the spreads, not the medians"
    return [
        f"- others used {used:.0%} of a core meanwhile (median of {len(slices)} slices): {calm}"
    ]


def section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines] if lines else []


def targets_table(targets: list[Target]) -> list[str]:
    rows = [(t.name, t.limit, t.measured, t.verdict, t.remark) for t in targets]
    return table(("what", "at most", "measured", "", "remark"), rows)


def cpu_table(results: list[Result]) -> list[str]:
    rows = [(result.row.title, *cpu_cells(result.at[16])) for result in results if 16 in result.at]
    head = (
        "call",
        "ratio",
        "ours us",
        "bare us",
        "price us",
        "pairs",
        "disturbed",
        "server, generator busy",
    )
    return table(head, rows)


def cpu_cells(at: Comparison) -> tuple[str, ...]:
    ours, base = at.median("ours", "cpu_us"), at.median("base", "cpu_us")
    ratio = at.ratio("cpu_us")
    return (
        shown(ratio) + (" noisy" if ratio.noisy else ""),
        f"{ours:.0f}",
        f"{base:.0f}",
        f"{ours - base:+.0f}",
        str(len(at.ours)),
        str(at.disturbed),
        f"{at.median('ours', 'server'):.0%}, {at.median('ours', 'generator'):.0%}",
    )


def pace_table(results: list[Result]) -> list[str]:
    rows = [
        (result.row.title, str(in_flight), *pace_cells(at))
        for result in results
        for in_flight, at in sorted(result.at.items())
    ]
    return table(("call", "in flight", "calls/s", "ratio", "p50", "p99", "p99 ratio"), rows)


def pace_cells(at: Comparison) -> tuple[str, ...]:
    return (
        f"{at.median('ours', 'calls_per_s'):.0f} / {at.median('base', 'calls_per_s'):.0f}",
        shown(at.ratio("calls_per_s")),
        f"{at.median('ours', 'p50_ms'):.2f} / {at.median('base', 'p50_ms'):.2f}",
        f"{at.median('ours', 'p99_ms'):.1f} / {at.median('base', 'p99_ms'):.1f}",
        shown(at.ratio("p99_ms")),
    )


def figures_table(figures: list[Versus]) -> list[str]:
    rows = [
        (figure.name, shown(figure.ratio), middle(figure.ours), middle(figure.base), figure.unit)
        for figure in figures
    ]
    return table(("what", "ratio", "ours", "bare", "unit"), rows)


def middle(values: list[float]) -> str:
    return (
        f"{sorted(values)[len(values) // 2]:,.3g}"
        if max(values) < 100
        else f"{sorted(values)[len(values) // 2]:,.0f}"
    )


def sizes_table(sizes: list[Size]) -> list[str]:
    rows = [(s.toolset, str(s.tools), f"{s.wire_bytes:,}", f"{s.tokens:,}") for s in sizes]
    return table(
        ("toolset", "tools", "bytes on the wire", "tokens (bytes / 4 of what a model reads)"), rows
    )


def as_json(report: Report) -> str:
    return json.dumps(dataclasses.asdict(report), default=_plain, indent=1)


def _plain(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)
