"""The machine under the figures: cores, CPU clocks of other processes, what strangers used."""

import contextlib
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SHOWN = ("mcp", "uvicorn", "uvloop", "httptools", "starlette", "pydantic", "sqlalchemy")


def cores() -> tuple[int | None, int | None]:
    """(the server's core, the generator's core); None where there is nothing to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return (mine[0], mine[1]) if len(mine) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextlib.contextmanager
def spawning_on(core: int | None) -> Iterator[None]:
    """Children started inside inherit the core, all their threads included."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """The process and its living descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(p for child in children for p in family(int(child)))]


def cpu(pid: int) -> float:
    """Seconds of CPU (user and system, every thread, dead ones too) of a process and its children.

    Linux encodes another process's CPU clock as (~pid << 3) | 2: clock_getcpuclockid(3).
    """
    return sum(time.clock_gettime((~member << 3) | 2) for member in family(pid))


def resident(pid: int) -> float:
    """Resident memory in MB (10^6 bytes), summed over the family."""
    total = 0
    for member in family(pid):
        lines = Path(f"/proc/{member}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return total / 1e6


def busy(core: int | None = None) -> float:
    """Seconds that a core (or all) was not idle since boot, time stolen by the host included."""
    name = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == name:
            user, nice, system, _idle, _wait, irq, soft, steal = map(int, fields[1:9])
            return (user + nice + system + irq + soft + steal) / TICK
    return 0.0


def described() -> dict[str, str]:
    """What a reader needs to judge the figures; no host name and no path."""
    models = [x for x in _lines("/proc/cpuinfo") if x.startswith("model name")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{models[0].split(':')[1].strip() if models else platform.machine()}, "
        f"{os.cpu_count()} cores",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"
