"""Requests as bytes, in both protocol forms, and what their answers must contain."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["2026-07-28", "2025-11-25"]
MODERN: Form = "2026-07-28"
LEGACY: Form = "2025-11-25"
FORMS: tuple[Form, ...] = (MODERN, LEGACY)

Exchange = tuple[bytes, bytes]
"""(request, bytes that only the right answer contains)"""
Call = Callable[[int], Iterator[Exchange]]
"""Connection number -> its endless requests."""

KILOBYTE = 1024
PUT_KEY = "bench/put-"
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_MARK = "@" * 16
_serial = itertools.count(1)


@dataclass(frozen=True)
class Door:
    """Where HTTP requests go, and as whom."""

    port: int
    key: str = ""
    query: str = ""


def message(form: Form, method: str, params: dict[str, Any], number: int = 1) -> dict[str, Any]:
    """One JSON-RPC request; the modern form states version and capabilities in `_meta`."""
    stated = {**params, "_meta": _META} if form == MODERN else params
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": method,
        **({"params": stated} if stated else {}),
    }


def http(door: Door, form: Form, method: str, params: dict[str, Any]) -> bytes:
    """A whole HTTP/1.1 keep-alive request."""
    body = json.dumps(message(form, method, params), separators=(",", ":")).encode()
    lines = [
        f"POST /mcp{door.query} HTTP/1.1",
        f"Host: 127.0.0.1:{door.port}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"MCP-Protocol-Version: {form}",
        *([f"Authorization: Bearer {door.key}"] if door.key else []),
        *([f"Mcp-Method: {method}"] if form == MODERN else []),
        *([f"Mcp-Name: {params['name']}"] if form == MODERN and "name" in params else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def tool(door: Door, form: Form, name: str, arguments: dict[str, Any]) -> bytes:
    return http(door, form, "tools/call", {"name": name, "arguments": arguments})


def echo(door: Door, form: Form, size: int = 5) -> Call:
    text = "hello".ljust(size, ".")
    request = tool(door, form, "echo", {"text": text})
    return lambda _: itertools.repeat((request, text.encode()))


def whoami(door: Door, form: Form) -> Call:
    request = tool(door, form, "access_whoami", {})
    return lambda _: itertools.repeat((request, b"default"))


def validation(door: Door, form: Form, name: str, arguments: dict[str, str]) -> Call:
    request = tool(door, form, name, arguments)
    return lambda _: itertools.repeat((request, b'"verdict":"valid"'))


def discover(door: Door, form: Form) -> Call:
    """No tool at all: the nearest to identity alone. Only the modern form has it."""
    request = http(door, form, "server/discover", {})
    return lambda _: itertools.repeat((request, b'"supportedVersions"'))


def listing(door: Door, form: Form) -> Call:
    request = http(door, form, "tools/list", {})
    return lambda _: itertools.repeat((request, b'"inputSchema"'))


def content(number: int) -> str:
    """1 KB, different for each number."""
    return f"{number:016d}".ljust(KILOBYTE, ".")


def put(door: Door, form: Form) -> Call:
    """Replace the connection's own object by new bytes; the answer must name their sha256."""

    def requests(connection: int) -> Iterator[Exchange]:
        arguments = {"key": f"{PUT_KEY}{connection}", "content": _MARK.ljust(KILOBYTE, ".")}
        head, tail = tool(door, form, "storage_put", arguments).split(_MARK.encode())
        for number in _serial:
            digest = hashlib.sha256(content(number).encode()).hexdigest()
            yield head + b"%016d" % number + tail, digest.encode()

    return requests


def seed(connection: int) -> tuple[str, str]:
    """(key, content) that reads find."""
    return f"bench/get-{connection}", content(10**15 + connection)


def get(door: Door, form: Form) -> Call:
    def requests(connection: int) -> Iterator[Exchange]:
        key, stored = seed(connection)
        return itertools.repeat((tool(door, form, "storage_get", {"key": key}), stored.encode()))

    return requests


def stat(door: Door, form: Form) -> Call:
    def requests(connection: int) -> Iterator[Exchange]:
        key, stored = seed(connection)
        digest = hashlib.sha256(stored.encode()).hexdigest()
        return itertools.repeat((tool(door, form, "storage_stat", {"key": key}), digest.encode()))

    return requests


def cached(connection: int) -> tuple[str, dict[str, Any]]:
    """(key, value) that cached reads find."""
    return f"bench:{connection}", {"rate": connection, "text": "x" * 60}


def cache_get(door: Door, form: Form) -> Call:
    def requests(connection: int) -> Iterator[Exchange]:
        key, value = cached(connection)
        expected = f'"rate":{value["rate"]},'.encode()
        return itertools.repeat((tool(door, form, "cache_get", {"key": key}), expected))

    return requests


def fault(body: bytes, expected: bytes) -> str:
    """Why this JSON-RPC answer is not the one asked for; empty when it is."""
    if b'"error":{"code"' in body or b'"isError":true' in body or b'"isError": true' in body:
        return "an error"
    return "" if expected in body else "not the expected content"
