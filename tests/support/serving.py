"""A real `tause-mcp serve` process on a free port, in a home of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a server: this one's, with no setting but its backends' and the given."""
    from tests.support import backends  # it starts servers, and so needs this module

    return {**plain(home), **backends.settings(home), **settings}


def plain(home: Path) -> dict[str, str]:
    """This environment, with no setting but the home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAUSE_", "MCP_"))}
    return {**kept, "TAUSE_HOME": str(home)}


def run(home: Path, *arguments: str, **settings: str) -> str:
    """Run one command of the CLI and give its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "tause_mcp", *arguments],
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SEVERAL = """
import json, sys
from tause_mcp.cli import app
for arguments in json.loads(sys.argv[1]):
    app(arguments, standalone_mode=False)
    print(end="\\0")
"""


def run_all(home: Path, *commands: Sequence[str], **settings: str) -> list[str]:
    """Run several commands in one process, for what only prepares; the stdout of each."""
    done = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(commands)],
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


@dataclass
class Served:
    """A running server."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.home / "key").read_text().strip()

    def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until `/readyz` says so; a process that ended says why."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(f"the server is not ready: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def start(home: Path, *options: str, port: int | None = None, **settings: str) -> Served:
    """Start a server without waiting for it."""
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    log = home.parent / f"{home.name}.{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tause_mcp", "serve", *options, "--port", str(port)],
            env=environment(home, **settings),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Served(home, port, process, log)


@contextmanager
def serving(
    home: Path, *options: str, port: int | None = None, **settings: str
) -> Iterator[Served]:
    """A ready server, stopped at the end."""
    server = start(home, *(options or ("--transport", "http")), port=port, **settings)
    try:
        server.ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
