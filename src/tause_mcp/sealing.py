"""Authenticated tokens that callers carry for us: cursors and signed links.

A token is base64url(payload || HMAC-SHA256/128). The MAC covers the purpose and every binding, so
a token of another tenant, tool or filter does not open, and looks like any other bad token.
"""

import base64
import hmac
import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from tause_mcp.errors import Invalid, Misconfigured

_MAC = 16


class Seal:
    """Seals and opens small JSON values under the installation's key."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"tause/seal/v1", "sha256")
        self._root = key

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose only."""
        return hmac.digest(self._root, b"tause/derive/v1/" + purpose.encode(), "sha256")

    def close(self, value: Any, *bindings: str) -> str:
        """`value` as a URL-safe token, valid only with the same bindings."""
        body = orjson.dumps(value)
        token = base64.urlsafe_b64encode(body + self._mac(body, bindings))
        return token.rstrip(b"=").decode()

    def open(self, token: str, *bindings: str, field: str = "cursor") -> Any:
        """The value of a token that `close` made with the same bindings; else `Invalid`."""
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except ValueError:
            raise _bad(field) from None
        if base64.urlsafe_b64encode(raw).rstrip(b"=") != token.encode():
            raise _bad(field)  # one value has one spelling: what is used once is told by its text
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(body, bindings)):
            raise _bad(field)
        return orjson.loads(body)

    def _mac(self, body: bytes, bindings: Sequence[str]) -> bytes:
        told = b"".join(len(b := text.encode()).to_bytes(4) + b for text in bindings)
        return hmac.digest(self._key, len(told).to_bytes(4) + told + body, sha256)[:_MAC]


def _bad(field: str) -> Invalid:
    return Invalid(f"this {field} is not valid here: ask again without it", field=field)


def secret_file(path: Path, size: int = 32) -> bytes:
    """The random secret kept at `path` (0600), made once however many processes start at once."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(size))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        secret = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"the secret file {path.name} cannot be used: {error.strerror}"
        ) from None
    if len(secret) < size:
        raise Misconfigured(f"the secret file {path.name} is too short: remove it to make another")
    return secret
