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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.serving import environment, free_port

PATIENCE = 60.0


@dataclass
class Zygote:
    """The process that forks servers, by default of one home and one port."""

    home: Path
    port: int
    process: "subprocess.Popen[str]"
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.with_name(f"{self.home.name}.log")

    @property
    def key(self) -> str:
        return (self.home / "key").read_text().strip()

    def start(self, *options: str, **settings: str) -> float:
        """Fork a server and wait until it is ready; the seconds that it took."""
        began = time.perf_counter()
        serve = ("serve", "--transport", "http", "--port", str(self.port))
        self.pid = self._fork([*serve, *options], settings)
        while not ready(self.url):
            assert time.perf_counter() - began < PATIENCE, self.log.read_text()[-3000:]
            assert alive(self.pid), self.log.read_text()[-3000:]
            time.sleep(0.01)
        return time.perf_counter() - began

    def run(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run a command to its end: exit code and everything that it said."""
        self.log.unlink(missing_ok=True)
        code = self._fork(list(arguments), settings, wait=True)
        return code, self.log.read_text()

    def _fork(self, arguments: list[str], settings: dict[str, str], **more: Any) -> int:
        told = {"arguments": arguments, "environ": settings, "log": str(self.log), **more}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(told)}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

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
def zygote(home: Path, **settings: str) -> Iterator[Zygote]:
    """A zygote for one home; the server that it forked last is killed at the end."""
    home.parent.mkdir(parents=True, exist_ok=True)
    told = {"TAUSE_LOG_LEVEL": "warning", **settings}
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("zygote.py"))],
        env=environment(home, **told),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        made = Zygote(home, free_port(), process)
        try:
            yield made
        finally:
            if made.pid and alive(made.pid):
                made.kill()
            process.kill()
