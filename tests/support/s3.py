"""A real S3 endpoint on a free port, and a proxy before it that fails on command.

`server()` is moto's server, one process for the session; it keeps everything in memory and checks
no signatures. `S3Server.bucket()` makes a fresh bucket; `failing()` stands between a store and the
endpoint and is what faults are told to.
"""

import atexit
import ctypes
import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from uuid import uuid4

from tests.support.s3_proxy import FaultProxy
from tests.support.serving import free_port

START_SECONDS = 60


def _dies_with_us() -> None:
    """In the child: PR_SET_PDEATHSIG, so that a killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class S3Server:
    """One moto process. Its objects live as long as it does: `pause` stops it without losing them."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_dies_with_us,
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if self.ask("GET", "/moto-api/data.json")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("moto's S3 server did not start: install moto[server,s3]")

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One plain request, past any proxy: status and body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def bucket(self, name: str = "") -> str:
        """Make a bucket, of a fresh name unless one is given; its name."""
        name = name or f"b{uuid4().hex[:20]}"
        status, told = self.ask("PUT", f"/{name}")
        assert status in (200, 409), told
        return name

    def unfinished(self, bucket: str) -> int:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return self.ask("GET", f"/{bucket}?uploads")[1].count(b"<UploadId>")

    def url(self, bucket: str = "", prefix: str = "", *, port: int | None = None) -> str:
        """A storage URL for a bucket (a fresh one when none is named), through `port`."""
        bucket = bucket or self.bucket()
        return (
            f"s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port or self.port}"
            "&region=us-east-1&access_key_id=test&secret_access_key=test"
        )

    def pause(self) -> None:
        """Freeze it: connections open, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@cache
def server() -> S3Server:
    """The session's server."""
    made = S3Server()
    atexit.register(made.stop)
    return made


@contextmanager
def failing(target: S3Server | None = None) -> Iterator[FaultProxy]:
    """A proxy before `target` (the session's server); it passes everything on until told not to."""
    proxy = FaultProxy((target or server()).port)
    try:
        yield proxy
    finally:
        proxy.stop()
