"""A local double of Vault: key-value version 2 below `kv/`, transit below `transit/`.

It answers as Vault's API documentation states: statuses, shapes, check-and-set, soft absence. It is
sealed, slow, broken or strange on command.
"""

import base64
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.canary-token-4c1d"
_KEPT = 10


@dataclass
class VaultDouble:
    """What it keeps, what it was asked, and how it feels."""

    port: int = 0
    secrets: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sealed: bool = False
    delay: float = 0.0
    strange: bytes = b""
    interfere: bool = False
    """Somebody else writes between each read and write."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"vault://127.0.0.1:{self.port}/{path}?tls=off"

    def answer(self, method: str, target: str, token: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(target)
        path, query = unquote(parts.path).removeprefix("/v1/"), parse_qs(parts.query)
        self.asked.append(f"{method} {path}")
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        mount, _, rest = path.partition("/")
        with self.lock:
            if mount == "kv":
                return self._kv(method, rest, query, body)
            if mount == "transit":
                return self._transit(*rest.split("/"), body)
        return 404, {"errors": [f'no handler for route "{path}". route entry not found.']}

    def _kv(self, method: str, rest: str, query: Any, body: Any) -> tuple[int, Any]:
        kind, _, name = rest.partition("/")
        if kind == "data" and method == "GET":
            return self._read(name, int(query.get("version", ["0"])[0]))
        if kind == "data" and method == "POST":
            return self._write(name, body)
        if kind == "metadata" and method == "GET" and "list" in query:
            return self._list(name)
        if kind == "metadata" and method == "GET":
            if name not in self.newest:
                return 404, {"errors": []}
            return 200, {"data": {"current_version": self.newest[name]}}
        if kind == "metadata" and method == "DELETE":
            self.secrets.pop(name, None)
            self.newest.pop(name, None)
            return 204, None
        return 405, {"errors": ["unsupported operation"]}

    def _read(self, name: str, version: int) -> tuple[int, Any]:
        version = version or self.newest.get(name, 0)
        found = self.secrets.get(name, {}).get(version)
        if found is None:
            return 404, {"errors": []}
        if self.interfere:
            self._store(name, {"value": "somebody else's"})
        return 200, {"data": {"data": found, "metadata": _metadata(version)}}

    def _write(self, name: str, body: Any) -> tuple[int, Any]:
        stated = body.get("options", {}).get("cas")
        if stated is not None and stated != self.newest.get(name, 0):
            wrong = "check-and-set parameter did not match the current version"
            return 400, {"errors": [wrong]}
        return 200, {"data": _metadata(self._store(name, body["data"]))}

    def _store(self, name: str, data: dict[str, Any]) -> int:
        version = self.newest[name] = self.newest.get(name, 0) + 1
        kept = self.secrets.setdefault(name, {})
        kept[version] = data
        kept.pop(version - _KEPT, None)
        return version

    def _list(self, folder: str) -> tuple[int, Any]:
        start = folder.rstrip("/") + "/"
        below = (name.removeprefix(start) for name in self.newest if name.startswith(start))
        keys = sorted({re.sub(r"/.*", "/", name) for name in below})
        return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})

    def _transit(self, verb: str, key: str, body: Any) -> tuple[int, Any]:
        about = base64.b64decode(body.get("associated_data", ""))
        if verb == "encrypt":
            aead = AESGCM(self.keys.setdefault(key, os.urandom(32)))
            nonce = os.urandom(12)
            sealed = nonce + aead.encrypt(nonce, base64.b64decode(body["plaintext"]), about)
            return 200, {"data": {"ciphertext": "vault:v1:" + base64.b64encode(sealed).decode()}}
        if key not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        text = body["ciphertext"].rpartition(":")[2]
        try:
            raw = base64.b64decode(text)
            plain = AESGCM(self.keys[key]).decrypt(raw[:12], raw[12:], about)
        except (InvalidTag, ValueError):
            return 400, {"errors": ["invalid ciphertext: unable to decrypt"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


def _metadata(version: int) -> dict[str, Any]:
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "created_time": moment,
        "deletion_time": "",
        "destroyed": False,
        "version": version,
    }


@contextmanager
def vault() -> Iterator[VaultDouble]:
    """A double on a free port, gone afterwards."""
    double = VaultDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            time.sleep(double.delay)
            token = self.headers.get("x-vault-token", "")
            status, told = double.answer(self.command, self.path, token, body)
            content = double.strange or (b"" if told is None else json.dumps(told).encode())
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except BrokenPipeError:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
