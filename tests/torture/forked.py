"""A serving process that can be killed and started again within moments."""

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

from tests.support.serving import environment, free_port

PATIENCE = 60.0


@dataclass
class Zygote:
    """The process that forks servers of one home."""

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

    def start(self, *options: str) -> float:
        """Fork a server and wait until it is ready; the seconds that it took."""
        told = ["serve", "--transport", "http", "--port", str(self.port), *options]
        line = json.dumps({"arguments": told, "log": str(self.log)})
        assert self.process.stdin is not None and self.process.stdout is not None
        began = time.perf_counter()
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        self.pid = int(self.process.stdout.readline())
        while not ready(self.url):
            assert time.perf_counter() - began < PATIENCE, self.log.read_text()[-3000:]
            assert alive(self.pid), self.log.read_text()[-3000:]
            time.sleep(0.01)
        return time.perf_counter() - began

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        while alive(self.pid):
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
    """A zygote for one home; whatever it forked last is killed at the end."""
    home.mkdir(parents=True, exist_ok=True)
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
