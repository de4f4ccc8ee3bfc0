"""Events that Wompi posts (payments and payouts): read, and believed only when genuine.

A checksum covers the values of the properties that the event itself names, joined without
separators: neither the event's name nor reference, currency or environment by default. So a
genuine event says "look at this transaction again", and nothing more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tause_mcp.outbound.wompi.signatures import genuine

MOST_BYTES = 65_536
_MOST_PROPERTIES = 32
_MOST_STEPS = 8
_MOST_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Event:
    """A genuine event. `timestamp` is in seconds for payments, in milliseconds for payouts."""

    name: str
    data: Mapping[str, Any] = field(repr=False)
    environment: str
    timestamp: int
    checksum: str
    properties: tuple[str, ...]

    def of(self, kind: str) -> Mapping[str, Any]:
        """The object of a kind that the event is about (`transaction`, `payout`), or an empty one."""
        found = self.data.get(kind)
        return found if isinstance(found, dict) else {}

    def text(self, kind: str, name: str) -> str:
        """A text of that object (`id`, `reference`, `status`...); "" when there is none."""
        found = self.of(kind).get(name)
        return found if isinstance(found, str) else ""


def read_event(body: bytes, secrets: Iterable[str]) -> Event | None:
    """The event in `body`, or None when it is not genuine. Raises nothing, whatever `body` holds.

    `secrets` are those of the account; several while one is being rotated. Empty ones count for
    nothing.
    """
    if len(body) > MOST_BYTES:
        return None
    try:
        # A number is signed as it is written; money is an int, so a float is worth no more.
        return _judged(json.loads(body, parse_float=str, parse_constant=_refuse), secrets)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _judged(told: Any, secrets: Iterable[str]) -> Event | None:
    if not isinstance(told, dict) or not _shallow(told, _MOST_DEPTH):
        return None
    name, data, timestamp = told.get("event"), told.get("data"), told.get("timestamp")
    signature = told.get("signature")
    if not isinstance(name, str) or not isinstance(data, dict) or type(timestamp) is not int:
        return None
    properties, stated = _signed(signature)
    values = [_value(data, path) for path in properties]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    if not genuine(stated, known, str(timestamp), secrets):
        return None
    environment = told.get("environment")
    return Event(
        name=name,
        data=data,
        environment=environment if isinstance(environment, str) else "",
        timestamp=timestamp,
        checksum=stated.lower(),
        properties=tuple(properties),
    )


def _signed(signature: Any) -> tuple[list[str], str]:
    """The properties, in the order given, and the stated checksum; no properties when malformed."""
    if not isinstance(signature, dict):
        return [], ""
    properties, stated = signature.get("properties"), signature.get("checksum")
    if not isinstance(properties, list) or not isinstance(stated, str):
        return [], ""
    if len(properties) > _MOST_PROPERTIES or not all(isinstance(p, str) for p in properties):
        return [], ""
    return properties, stated


def _value(data: Any, path: str) -> str | None:
    """The text that is signed for a path of `data`; None when it leads nowhere or to no value."""
    for step in path.split(".", _MOST_STEPS):
        if not isinstance(data, dict) or step not in data:
            return None
        data = data[step]
    match data:
        case None:
            return ""
        case bool():
            return "true" if data else "false"
        case str() | int():
            return str(data)
    return None


def _shallow(told: Any, left: int) -> bool:
    if isinstance(told, dict):
        return left > 0 and all(_shallow(inner, left - 1) for inner in told.values())
    if isinstance(told, list):
        return left > 0 and all(_shallow(inner, left - 1) for inner in told)
    return True
