"""A real Redis on a free port, in a folder of its own; it dies with the tests.

`server()` is the one server of the session, for tests that only use it: each takes a database of
its own (`server().url()`). Tests that stop, pause or kill one start their own: `Server()`.
"""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.serving import free_port

START_SECONDS = 60
DATABASES = 512


def _binary() -> str:
    """`redis-server`; installed when we may, else a loud failure."""
    if found := shutil.which("redis-server"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment)
        subprocess.run(["apt-get", "install", "-qy", "redis-server"], check=True, env=environment)
    if found := shutil.which("redis-server"):
        return found
    raise RuntimeError("these tests need Redis: install it (apt-get install redis-server)")


def _dies_with_us() -> None:
    """In the child: PR_SET_PDEATHSIG, so that a killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """One Redis without persistence: a kill loses what it held, as a cache may."""

    def __init__(self, *options: str) -> None:
        self._binary = _binary()
        self._folder = Path(tempfile.mkdtemp(prefix="tause-redis-"))
        self._options = options
        self._databases = count()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it (again, on the same port), and wait until it answers."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._folder)}
        settings |= {"save": "", "appendonly": "no", "databases": str(DATABASES)}
        told = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with (self._folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [self._binary, *told, *self._options],
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=_dies_with_us,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if self.answers():
                return
            time.sleep(0.02)
        raise RuntimeError(f"Redis did not start: {(self._folder / 'log').read_text()[-2000:]}")

    def answers(self) -> bool:
        """Whether anything that speaks its protocol answers there now."""
        try:
            return self.command("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def command(self, *words: str, database: int = 0) -> bytes:
        """One command on a connection of its own; the reply as it came, up to 64 KiB."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
            if database:
                wire.sendall(_spoken("SELECT", str(database)))
                wire.recv(64)
            wire.sendall(_spoken(*words))
            return wire.recv(65_536)

    def conversation(self, *commands: tuple[str, ...]) -> list[bytes]:
        """Commands on one connection, one after another; a reply each."""
        replies = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as wire:
            for words in commands:
                wire.sendall(_spoken(*words))
                replies.append(wire.recv(65_536))
        return replies

    def url(self, **query: Any) -> str:
        """A database of its own on this server."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        number = next(self._databases) % DATABASES
        return f"redis://127.0.0.1:{self.port}/{number}" + (f"?{asked}" if asked else "")

    def pause(self) -> None:
        """It takes connections and answers nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Shut down in order; its connections are closed."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash: everything that it held is gone."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.send_signal(number)
            self._process.wait(20)


def _spoken(*words: str) -> bytes:
    told = b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words)
    return b"*%d\r\n%s" % (len(words), told)


@cache
def server() -> Server:
    """The session's server."""
    made = Server()
    atexit.register(made.remove)
    return made
