"""The two signatures of Wompi: integrity signs what goes out, a checksum what comes in.

Both are plain SHA-256 over joined text with a secret at the end, in lower-case hex, not HMAC
(docs.wompi.co: "Generar una firma de integridad", "Eventos").
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


def integrity(reference: str, amount: int, currency: str, secret: str, expires: str = "") -> str:
    """The signature of a transaction or checkout. `amount` in cents, `expires` as sent."""
    return _digest([reference, f"{amount:d}", currency, expires, secret])


def expiration(moment: datetime) -> str:
    """A moment as Wompi reads and signs it: `2023-06-09T20:28:50.000Z`."""
    told = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z")


def checksum(values: Sequence[str], timestamp: str, secret: str) -> str:
    """The checksum of an event: the values of its properties in order, timestamp, secret."""
    return _digest([*values, timestamp, secret])


def genuine(stated: str, values: Sequence[str], timestamp: str, secrets: Iterable[str]) -> bool:
    """Whether `stated` is the checksum under one of `secrets`; each is tried, in constant time."""
    claimed = stated.lower().encode()
    found = [
        hmac.compare_digest(checksum(values, timestamp, secret).encode(), claimed)
        for secret in secrets
        if secret
    ]
    return any(found)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("".join(parts).encode()).hexdigest()
