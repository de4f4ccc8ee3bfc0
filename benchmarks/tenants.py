"""What ten thousand tenants cost beside ten: start-up, memory and a call. Prints ratios.

    python -m benchmarks.tenants [--many 10000] [--few 10]

Each installation is a home of its own on SQLite with a real server; its tenants are written by
the service itself, and the calls are made by keys of tenants spread over all of them. Start-ups
and rounds of calls of the two alternate, so that a busy machine disturbs both alike.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx2

from tause_mcp.platform import Platform, open_platform
from tause_mcp.settings import Settings
from tause_mcp.tenancy import ROOT, TenantId
from tause_mcp.testing.walk_cast import run
from tause_mcp.testing.walk_wire import Speaker

CALLERS = 10
CALLS = 400
AT_ONCE = 16
STARTS = 8
ROUNDS = 7


async def furnished(home: Path, count: int) -> list[str]:
    """Make `count` tenants; owners' keys of a few, spread over all."""
    settings = Settings.read({"TAUSE_HOME": str(home), "TAUSE_LOG_LEVEL": "error"})
    async with open_platform(settings) as platform:
        names = [f"t{n:05}" for n in range(count)]
        for at in range(0, count, 50):
            await asyncio.gather(*(_made(platform, name) for name in names[at : at + 50]))
        chosen = names[:: max(1, count // CALLERS)][:CALLERS]
        made = [
            await run(platform, TenantId(n), "access_create_key", {"role": "owner"}) for n in chosen
        ]
        for name in chosen:
            await run(platform, TenantId(name), "storage_put", {"key": "k", "content": "x" * 200})
        return [str(key["key"]) for key in made]


async def _made(platform: Platform, name: str) -> None:
    await run(platform, ROOT, "tenants_create", {"tenant_id": name})


class Server:
    """A `tause-mcp serve` of one home."""

    def __init__(self, home: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAUSE_", "MCP_"))}
        serve = ("serve", "--transport", "http", "--port", str(port))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tause_mcp", *serve],
            env={**kept, "TAUSE_HOME": str(home), "TAUSE_LOG_LEVEL": "error"},
            stdout=subprocess.DEVNULL,
        )

    def ready(self) -> None:
        with httpx2.Client(trust_env=False) as http:
            while True:
                with suppress(httpx2.HTTPError):
                    if http.get(f"{self.url}/readyz").status_code == 200:
                        return
                time.sleep(0.01)

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        told = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """MiB of its own memory."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("VmRSS:")[2].split()[0]) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


async def called(server: Server, keys: list[str]) -> float:
    """Microseconds of the server's CPU per call, at some calls in flight."""
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as http:
        speakers = [Speaker(http, key) for key in keys]
        before = server.cpu
        for at in range(0, CALLS, AT_ONCE):
            await asyncio.gather(
                *(
                    speakers[n % len(speakers)].tool("storage_get", {"key": "k"})
                    for n in range(at, at + AT_ONCE)
                )
            )
        return (server.cpu - before) / CALLS * 1e6


def started(home: Path, port: int) -> tuple[Server, float]:
    """A server that is ready, and the CPU seconds that it took to get there."""
    server = Server(home, port)
    server.ready()
    return server, server.cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = {n: Path(folder) / str(n) for n in (asked.few, asked.many)}
        keys = {n: asyncio.run(furnished(home, n)) for n, home in homes.items()}
        starts: dict[int, list[float]] = {n: [] for n in homes}
        for turn in range(STARTS):
            for n, home in sorted(homes.items(), reverse=bool(turn % 2)):
                server, seconds = started(home, 18_700 + list(homes).index(n))
                starts[n].append(seconds)
                server.stop()
        servers = {n: started(home, 18_710 + list(homes).index(n))[0] for n, home in homes.items()}
        costs: dict[int, list[float]] = {n: [] for n in homes}
        for _ in range(ROUNDS):
            for n, server in servers.items():
                costs[n].append(asyncio.run(called(server, keys[n])))
        memory = {n: server.memory for n, server in servers.items()}
        for server in servers.values():
            server.stop()
    told = {
        "start-up, CPU s": {n: statistics.median(s) for n, s in starts.items()},
        "memory, MiB": memory,
        "storage_get, CPU us": {n: statistics.median(c) for n, c in costs.items()},
    }
    print(f"| | {asked.few} tenants | {asked.many} tenants | ratio |\n|---|---|---|---|")
    for what, found in told.items():
        few, many = found[asked.few], found[asked.many]
        print(f"| {what} | {few:.2f} | {many:.2f} | {many / few:.2f} |")


if __name__ == "__main__":
    main()
