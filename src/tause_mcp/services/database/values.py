"""JSON values of documents: what may be kept, how values compare, how documents change.

Both databases give the same answers because the meaning is here: a value has a *rank* (its kind),
then a number or a text. Numbers compare as IEEE doubles, as every JSON reader may hold them; texts
by code point, in order by their first 200 characters.
"""

from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple

import orjson

from tause_mcp.errors import Invalid, TooLarge

MAX_BYTES = 256 * 1024
"""Bytes of one document as JSON."""
MAX_DEPTH = 64
TEXT = 200
"""Characters of a text that order and indexes look at."""
_INT64 = 2**63

MISSING, NULL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT = range(7)
"""Ranks, in the order of `order_by`."""
ABSENT: Any = object()
"""A field that is not there."""


class Key(NamedTuple):
    """What order and indexes see of a value."""

    rank: int
    number: float
    text: str


def key_of(value: Any) -> Key:
    """The place of a value in order. Arrays, and objects, are all alike."""
    match value:
        case str():
            return Key(STRING, 0.0, value[:TEXT])
        case bool():
            return Key(BOOLEAN, float(value), "")
        case int() | float():
            return Key(NUMBER, float(value) + 0.0, "")  # -0.0 is 0.0
        case None:
            return Key(NULL, 0.0, "")
        case list():
            return Key(ARRAY, 0.0, "")
        case dict():
            return Key(OBJECT, 0.0, "")
        case _:
            return Key(MISSING, 0.0, "")


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, true is not 1."""
    rank = key_of(one).rank
    if rank != key_of(other).rank:
        return False
    if rank == NUMBER:
        return float(one) == float(other)
    if rank == ARRAY:
        return len(one) == len(other) and all(map(same, one, other))
    if rank == OBJECT:
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def unique_key(value: Any) -> str | None:
    """What must be unlike in a unique field; None for a value that is not there, or null."""
    key = key_of(value)
    if key.rank <= NULL:
        return None
    text = value if key.rank == STRING else repr(key.number)
    return sha256(f"{key.rank}\0{text}".encode()).hexdigest()


def at(data: Any, path: str) -> Any:
    """The value at a dotted path of members, or `ABSENT`."""
    for name in path.split("."):
        if not isinstance(data, dict) or name not in data:
            return ABSENT
        data = data[name]
    return data


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a path, making the objects on the way; `ABSENT` removes it.

    Raises:
        ValueError: something on the way is no object.
    """
    *above, last = path.split(".")
    for name in above:
        inner = data.get(name, ABSENT)
        if inner is ABSENT:
            if value is ABSENT:
                return
            inner = data[name] = {}
        if not isinstance(inner, dict):
            if value is ABSENT:
                return
            raise ValueError(name)
        data = inner
    if value is ABSENT:
        data.pop(last, None)
    else:
        data[last] = value


def merged(data: Any, changes: Any) -> Any:
    """RFC 7396: members replace members, null removes, anything but an object replaces whole."""
    if not isinstance(changes, dict):
        return changes
    told = dict(data) if isinstance(data, dict) else {}
    for name, change in changes.items():
        if change is None:
            told.pop(name, None)
        else:
            told[name] = merged(told.get(name), change)
    return told


def encoded(data: Mapping[str, Any], field: str) -> str:
    """A document as it is stored.

    Raises:
        Invalid: a part of it is no JSON that every reader holds; `field` says which.
        TooLarge: it is over 256 KiB.
    """
    if wrong := _unfit(data, MAX_DEPTH):
        reason, *path = wrong
        place = ".".join([field, *(name[:80] for name in reversed(path))])[:400]
        raise Invalid(f"{place}: {reason}", field=place)
    text = orjson.dumps(data)
    if len(text) > MAX_BYTES:
        raise TooLarge(
            f"{field}: {len(text)} bytes; a document has at most {MAX_BYTES}: keep large parts "
            "as objects with storage_put",
            field=field,
        )
    return text.decode()


def _unfit(value: Any, left: int) -> list[str] | None:
    """Why a value cannot be kept, then the names that lead to it, innermost first."""
    match value:
        case str():
            return None if value.isascii() or _whole(value) else ["holds half of a surrogate pair"]
        case None | bool():
            return None
        case int():
            fits = -_INT64 <= value < _INT64
            return None if fits else ["is an integer of more than 64 bits: write it as text"]
        case float():
            return None if isfinite(value) else ["is not a finite number"]
        case dict() | list() if not left:
            return [f"nests deeper than {MAX_DEPTH} levels"]
        case dict():
            return _unfit_member(value, left)
        case list():
            for n, inner in enumerate(value):
                if wrong := _unfit(inner, left - 1):
                    return [*wrong, str(n)]
            return None
    return ["is no JSON value"]


def _unfit_member(members: Mapping[Any, Any], left: int) -> list[str] | None:
    for name, inner in members.items():
        if not isinstance(name, str) or not (name.isascii() or _whole(name)):
            return ["has a name that is no text"]
        if wrong := _unfit(inner, left - 1):
            return [*wrong, name]
    return None


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
