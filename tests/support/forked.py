"""Processes of `tause-mcp` that start within moments, to be refused, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import backends
from tests.support.serving import free_port, plain

PATIENCE = 120.0


@dataclass
class Zygote:
    """The process that has imported everything, and forks."""

    process: "subprocess.Popen[str]"

    def fork(self, arguments: list[str], environ: dict[str, str], log: Path, **more: Any) -> int:
        """The pid of a new `tause-mcp`; with `wait`, its exit code."""
        told = {"arguments": arguments, "environ": environ, "log": str(log), **more}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(told)}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@dataclass
class Forked:
    """The servers of one home, one after another."""

    zygote: Zygote
    home: Path
    log: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.home / "key").read_text().strip()

    def start(self, *options: str) -> float:
        """Fork a server and wait until it is ready; the seconds that it took."""
        began = time.perf_counter()
        serve = ("serve", "--transport", "http", "--port", str(self.port))
        self.pid = self.zygote.fork([*serve, *options], self._environ(), self.log)
        while not ready(self.url):
            assert time.perf_counter() - began < PATIENCE, self.log.read_text()[-3000:]
            assert alive(self.pid), self.log.read_text()[-3000:]
            time.sleep(0.01)
        return time.perf_counter() - began

    def run(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run a command to its end: exit code and everything that it said."""
        self.log.unlink(missing_ok=True)
        environ = {**self._environ(), **settings}
        code = self.zygote.fork(list(arguments), environ, self.log, wait=True)
        return code, self.log.read_text()

    def _environ(self) -> dict[str, str]:
        named = {"TAUSE_LOG_LEVEL": "warning", "TAUSE_HOME": str(self.home)}
        return {**named, **backends.settings(self.home), **self.settings}

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.end(signal.SIGKILL)

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        os.kill(self.pid, with_signal)
        until = time.monotonic() + PATIENCE
        while alive(self.pid) and time.monotonic() < until:
            time.sleep(0.002)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def zygote() -> Iterator[Zygote]:
    """A process to fork from; started once, it saves each of its forks the imports."""
    with subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("zygote.py"))],
        env=plain(Path("/nowhere")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            yield Zygote(process)
        finally:
            process.kill()


@contextmanager
def forking(made: Zygote, home: Path, log: Path | None = None, **settings: str) -> Iterator[Forked]:
    """Servers of one home; the last of them is killed at the end."""
    home.parent.mkdir(parents=True, exist_ok=True)
    forked = Forked(made, home, log or home.with_name(f"{home.name}.log"), settings)
    try:
        yield forked
    finally:
        if forked.pid and alive(forked.pid):
            forked.kill()
