"""Signatures and checksums, computed here and not by the product's client: each checks the other."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Any


def integrity(
    reference: str, amount_in_cents: int, currency: str, secret: str, expiration_time: str = ""
) -> str:
    """SHA-256 of reference, amount, currency, expiration time if there is one, and secret."""
    text = f"{reference}{amount_in_cents}{currency}{expiration_time}{secret}"
    return sha256(text.encode()).hexdigest()


def same(given: str, right: str) -> bool:
    """Compared exactly: an upper-case signature is another one."""
    return hmac.compare_digest(given.encode(), right.encode())


def checksum(data: Any, properties: Sequence[str], timestamp: int, secret: str) -> str:
    """SHA-256 of the values at `properties` in their order, the timestamp and the events secret."""
    values = "".join(_text(_at(data, path)) for path in properties)
    return sha256(f"{values}{timestamp}{secret}".encode()).hexdigest()


def _at(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
