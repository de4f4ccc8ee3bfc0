"""The stdio side: a raw client on two pipes, calls in flight, and cold starts."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from benchmarks import machine
from benchmarks.load import BadAnswer
from benchmarks.servers import ROOT, environment, stop
from benchmarks.wire import LEGACY, Form, fault, message


@dataclass(frozen=True)
class Command:
    """How to start a stdio server, and the one call it is measured by."""

    argv: list[str]
    home: Path | None
    core: int | None
    tool: str
    arguments: dict[str, Any]
    expected: bytes


@dataclass(frozen=True)
class Pace:
    """One slice over stdio. CPU in us per call."""

    cpu_us: float
    calls_per_s: float


class Session:
    """A client of one stdio server, in one protocol form."""

    def __init__(self, running: subprocess.Popen[bytes], command: Command, form: Form) -> None:
        self.running, self.command, self.form = running, command, form
        self.to = cast(IO[bytes], running.stdin)
        self.back = cast(IO[bytes], running.stdout)
        self.number = 0
        if form == LEGACY:
            self._greet()

    def _greet(self) -> None:
        client = {"name": "benchmark", "version": "1"}
        asked = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
        self.send("initialize", asked)
        self.answer(b'"serverInfo"')
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _write(self, sent: dict[str, Any]) -> None:
        self.to.write(json.dumps(sent, separators=(",", ":")).encode() + b"\n")
        self.to.flush()

    def send(self, method: str, params: dict[str, Any]) -> None:
        self.number += 1
        self._write(message(self.form, method, params, self.number))

    def answer(self, expected: bytes) -> bytes:
        """The next answer; notifications in between are skipped.

        Raises:
            BadAnswer: it is an error, or the server is gone.
        """
        while line := self.back.readline():
            if b'"id":' not in line:
                continue
            if wrong := fault(line, expected):
                raise BadAnswer(f"{wrong}: {line[:300].decode(errors='replace')}")
            return line
        raise BadAnswer("the server closed its output")

    def call(self) -> None:
        self.send("tools/call", {"name": self.command.tool, "arguments": self.command.arguments})

    def pace(self, in_flight: int, seconds: float) -> Pace:
        """Keep so many calls in flight for a while."""
        expected = self.command.expected
        done, cpu, start = 0, machine.cpu(self.running.pid), time.perf_counter()
        for _ in range(in_flight):
            self.call()
        while (wall := time.perf_counter() - start) < seconds:
            self.answer(expected)
            self.call()
            done += 1
        cpu = machine.cpu(self.running.pid) - cpu
        for _ in range(in_flight):
            self.answer(expected)
        return Pace(cpu / done * 1e6, done / wall)


@contextlib.contextmanager
def session(command: Command, form: Form) -> Iterator[Session]:
    """Start a stdio server and speak to it."""
    with machine.spawning_on(command.core):
        running = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(command.home),
            cwd=ROOT,
        )
    try:
        yield Session(running, command, form)
    finally:
        for pipe in (running.stdin, running.stdout):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()
        stop(running)


def cold_start(command: Command) -> float:
    """Seconds from starting the process to its first tools/list, greeted as hosts greet today."""
    start = time.perf_counter()
    with session(command, LEGACY) as speaking:
        speaking.send("tools/list", {})
        speaking.answer(b'"inputSchema"')
        return time.perf_counter() - start
