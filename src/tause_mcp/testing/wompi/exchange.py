"""One request and its answer, apart from any HTTP library."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from tause_mcp.testing.wompi.errors import ABSENT, FORMAT, PATTERN, Refused, invalid

JSON = "application/json; charset=utf-8"
MAX_CENTS = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A request."""

    method: str
    path: str
    root: str
    """Where the sandbox is served: `http://127.0.0.1:40123`."""
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body, which must be one JSON object."""
        try:
            read = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise invalid("body", "(Sandbox) no es un JSON válido") from None
        if not isinstance(read, dict):
            raise invalid("body", "(Sandbox) no es un objeto JSON")
        return read

    def optional_json(self) -> dict[str, Any]:
        return self.json() if self.body.strip() else {}

    def form(self) -> dict[str, str]:
        """The fields of a posted page."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def told(value: Any, status: int = 200, **headers: str) -> Answer:
    """Any JSON."""
    return Answer(status, orjson.dumps(value), {"content-type": JSON, **headers})


def data(value: Any, status: int = 200, **meta: Any) -> Answer:
    """`{data, meta}`."""
    return told({"data": value, "meta": meta}, status)


def refused(refusal: Refused) -> Answer:
    return told(refusal.body, refusal.status)


def see_other(url: str) -> Answer:
    """303: the browser goes on with a GET."""
    return Answer(303, b"", {"location": url})


def text(
    values: Mapping[str, Any],
    name: str,
    pattern: str = "",
    *,
    longest: int = 255,
    optional: bool = False,
) -> str:
    """A string field; '' where an optional one is absent."""
    value = values.get(name)
    if value is None or value == "":
        if optional:
            return ""
        raise invalid(name, ABSENT)
    if not isinstance(value, str) or len(value) > longest:
        raise invalid(name, FORMAT)
    if pattern and not re.fullmatch(pattern, value, re.ASCII):
        raise invalid(name, PATTERN.format(f"^{pattern}$"))
    return value


def one_of(
    values: Mapping[str, Any], name: str, known: Iterable[str], *, optional: bool = False
) -> str:
    """A string field with so many values; '' where an optional one is absent."""
    value = text(values, name, optional=optional)
    if value and value not in known:
        raise invalid(name, FORMAT)
    return value


def whole(
    values: Mapping[str, Any],
    name: str,
    least: int = 1,
    most: int = MAX_CENTS,
    *,
    optional: bool = False,
) -> int | None:
    """A whole number; None where an optional one is absent."""
    value = values.get(name)
    if value is None:
        if optional:
            return None
        raise invalid(name, ABSENT)
    if type(value) is not int or not least <= value <= most:
        raise invalid(name, FORMAT)
    return value


def flag(values: Mapping[str, Any], name: str, *, optional: bool = False) -> bool | None:
    """true or false; None where an optional one is absent."""
    value = values.get(name)
    if value is None and not optional:
        raise invalid(name, ABSENT)
    if value is not None and type(value) is not bool:
        raise invalid(name, FORMAT)
    return value


def inner(values: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """An object inside the body, where there is one."""
    value = values.get(name)
    if value is not None and not isinstance(value, dict):
        raise invalid(name, FORMAT)
    return value


def objects(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects; empty where it is absent."""
    value = values.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid(name, FORMAT)
    return value


EMAIL = r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+"


def email(values: Mapping[str, Any], name: str = "customer_email") -> str:
    value = text(values, name)
    if not re.fullmatch(EMAIL, value):
        raise invalid(name, FORMAT)
    return value


def url(values: Mapping[str, Any], name: str) -> str | None:
    """An http or https URL, where there is one."""
    value = text(values, name, longest=2048, optional=True)
    if value and not re.match(r"https?://[^\s/?#]+", value):
        raise invalid(name, FORMAT)
    return value or None
