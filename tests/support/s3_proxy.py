"""An HTTP proxy that fails on command: what an object store looks like on a bad day."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Literal

Kind = Literal["status", "slow", "hang", "reset", "lost_answer", "cut_answer"]
_ERRORS = {403: "AccessDenied", 404: "NoSuchBucket", 500: "InternalError", 503: "SlowDown"}


@dataclass
class Fault:
    """What happens to a request instead of passing on.

    `status`: answered with it, unread by the store. `slow`: passed on after `seconds`. `hang`: never
    answered, until the fault ends. `reset`: the connection breaks when half of the body was sent.
    `lost_answer`: done, but the connection breaks before the answer. `cut_answer`: half an answer.
    """

    kind: Kind
    status: int = 500
    seconds: float = 0.0
    only: Callable[[str, str], bool] = lambda method, path: True
    """Which requests, by method and path with query."""
    times: int | None = None
    """How many of them; None: all."""
    seen: int = 0


class FaultProxy:
    """Passes requests on to `127.0.0.1:target` until `fault` is set; `port` is its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.requests: list[tuple[str, str]] = []
        self._lock = Lock()
        self._fault: Fault | None = None
        self.over = Event()
        self._connections: set[socket.socket] = set()
        self._server: _Server | None = None
        self.port = 0
        self.up()

    def up(self) -> None:
        """Listen (again), on the same port."""
        if self._server is None:
            self._server = _Server(("127.0.0.1", self.port), self)
            self.port = self._server.server_port
            Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and break those that are open."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            self._break()

    def _break(self) -> None:
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self.mend()
        self.down()

    def set(self, fault: Fault) -> None:
        """From now on requests meet `fault`."""
        self.mend()
        self.over = Event()
        self._fault = fault

    def mend(self) -> None:
        """Pass everything on; what hangs is broken off."""
        self._fault = None
        self.over.set()

    @contextmanager
    def during(self, fault: Fault) -> Iterator[Fault]:
        """`fault` inside the block."""
        self.set(fault)
        try:
            yield fault
        finally:
            self.mend()

    def met(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            self.requests.append((method, path))
            fault = self._fault
            if fault is None or not fault.only(method, path):
                return None
            if fault.times is not None and fault.seen >= fault.times:
                return None
            fault.seen += 1
            return fault

    def connected(self, connection: socket.socket, *, gone: bool = False) -> None:
        with self._lock:
            (self._connections.discard if gone else self._connections.add)(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(address, _Passing)

    def handle_error(self, *_: object) -> None:
        return None  # broken connections are what this is for


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.proxy.connected(self.connection)

    def finish(self) -> None:
        self.server.proxy.connected(self.connection, gone=True)
        with suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        fault = self.server.proxy.met(self.command, self.path)
        over = self.server.proxy.over
        size = int(self.headers.get("Content-Length", 0))
        if fault is not None and fault.kind == "reset":
            self.rfile.read(size // 2)
            return self._reset()
        body = self.rfile.read(size)
        if fault is None:
            return self._pass_on(body)
        if fault.kind == "status":
            return self._refuse(fault.status)
        if fault.kind == "hang":
            over.wait(120)
            return self._reset()
        if fault.kind == "slow":
            over.wait(fault.seconds)
        self._pass_on(body, fault.kind)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _refuse(self, status: int) -> None:
        code = _ERRORS.get(status, "Refused")
        body = f"<Error><Code>{code}</Code><Message>canary-secret</Message></Error>".encode()
        self._answer(status, [("Content-Type", "application/xml")], body)

    def _pass_on(self, body: bytes, kind: str = "") -> None:
        with closing(HTTPConnection("127.0.0.1", self.server.proxy.target, timeout=60)) as beyond:
            try:
                beyond.putrequest(
                    self.command, self.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in self.headers.items():
                    beyond.putheader(name, value)
                beyond.endheaders(body or None)
                answer = beyond.getresponse()
                told = answer.read()
            except (OSError, HTTPException):
                return self._reset()
        if kind == "lost_answer":
            return self._reset()
        self._answer(answer.status, answer.getheaders(), told, cut=kind == "cut_answer")

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        size = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                size = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", size)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            time.sleep(0.02)  # the half has to arrive before the reset does
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_: object) -> None:
        return None
