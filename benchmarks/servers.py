"""Starting and stopping the servers under test, each a process of its own."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.wire import MODERN, Door, Form, message

ROOT = Path(__file__).parent.parent
OURS = (sys.executable, "-m", "tause_mcp", "serve")
BARE = (sys.executable, "-m", "benchmarks.bare")
_LEFT_OUT = ("TAUSE", "MCP_", "SUPABASE_", "PYTHONDONTWRITEBYTECODE", "PYTHONASYNCIODEBUG")


class NotStarted(Exception):
    """A server under test did not become ready; the text ends with what it last said."""


@dataclass(frozen=True)
class Server:
    """A running HTTP server."""

    pid: int
    door: Door


def environment(home: Path | None = None, **settings: str) -> dict[str, str]:
    """Ours without the settings of whoever runs this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    return {**kept, "TAUSE_HOME": str(home), **settings} if home else kept


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty home, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="tause-benchmark-") as name:
        yield Path(name)


@contextlib.contextmanager
def ours(home: Path, core: int | None, **settings: str) -> Iterator[Server]:
    """This server with its embedded defaults, in `home`, unless `settings` say otherwise."""
    port = free_port()
    command = [*OURS, "--transport", "http", "--port", str(port), "--stateless"]
    with process(command, core, home, **settings) as (running, said):
        await_ready(running, said, lambda: _answers_ready(port))
        yield Server(running.pid, Door(port, (home / "key").read_text().strip()))


@contextlib.contextmanager
def bare(core: int | None, tools: list[dict[str, Any]] | None = None) -> Iterator[Server]:
    """The bare SDK echo, or the bare SDK listing `tools`."""
    port = free_port()
    with definitions(tools) as given:
        command = [*BARE, "http", "--port", str(port), *given]
        with process(command, core) as (running, said):
            await_ready(running, said, lambda: _accepts(port))
            yield Server(running.pid, Door(port))


@contextlib.contextmanager
def definitions(tools: list[dict[str, Any]] | None) -> Iterator[list[str]]:
    """The arguments that make the bare server list `tools`."""
    if not tools:
        yield []
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(tools, file)
        file.flush()
        yield ["--tools", file.name]


@contextlib.contextmanager
def process(
    command: list[str], core: int | None, home: Path | None = None, **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A child on its core and the file of what it says; it is gone when the block ends."""
    with tempfile.NamedTemporaryFile() as said:
        with machine.spawning_on(core):
            running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=environment(home, **settings),
                cwd=ROOT,
            )
        try:
            yield running, Path(said.name)
        finally:
            stop(running)


def stop(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    try:
        running.wait(10)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


def await_ready(
    running: subprocess.Popen[bytes], said: Path, ready: Callable[[], bool], within: float = 60.0
) -> None:
    """Poll until `ready()` is true.

    Raises:
        NotStarted: the process ended or the time is over.
    """
    until = time.monotonic() + within
    while time.monotonic() < until:
        if running.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.05)
    raise NotStarted(said.read_text(errors="replace")[-600:].strip() or "it said nothing")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _accepts(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _answers_ready(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    except OSError:
        return False
    finally:
        asking.close()


def ask(door: Door, method: str, params: dict[str, Any], form: Form = MODERN) -> dict[str, Any]:
    """One request outside the measured load -> its result; LookupError as `result_of`."""
    came = ask_bytes(door, method, params, form)
    return result_of(came, f"{method} {params.get('name', '')}")


def result_of(came: bytes, what: str) -> dict[str, Any]:
    """The result in an answer.

    Raises:
        LookupError: it is an error.
    """
    result = json.loads(came).get("result") if came.startswith(b"{") else None
    if result is None or result.get("isError"):
        raise LookupError(f"{what}: {came[:300].decode(errors='replace')}")
    return dict(result)


def ask_bytes(door: Door, method: str, params: dict[str, Any], form: Form = MODERN) -> bytes:
    """The body of one answer, as it came."""
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": form,
        "Mcp-Method": method,
        **({"Mcp-Name": params["name"]} if "name" in params else {}),
        **({"Authorization": f"Bearer {door.key}"} if door.key else {}),
    }
    asking = http.client.HTTPConnection("127.0.0.1", door.port, timeout=30)
    try:
        asking.request(
            "POST", f"/mcp{door.query}", json.dumps(message(form, method, params)), headers
        )
        return asking.getresponse().read()
    finally:
        asking.close()
