"""What collections, documents and fields may be called. Checked before anything else."""

import re
import secrets
import time

from tause_mcp.errors import Invalid

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
MAX_FIELD = 128
"""Bytes of a field's whole path."""

_NAME = re.compile(NAME_PATTERN[1:-1], re.ASCII)
_ID = re.compile(ID_PATTERN[1:-1], re.ASCII)
_FIELD = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*){0,7}")


def check_name(name: str, field: str = "collection") -> str:
    """`name` as a collection's, else `Invalid`."""
    if _NAME.fullmatch(name) is None:
        raise Invalid(f"{field}: a collection's name matches {NAME_PATTERN}", field=field)
    return name


def check_id(document_id: str, field: str = "id") -> str:
    """`document_id` as a document's, else `Invalid`."""
    if _ID.fullmatch(document_id) is None:
        raise Invalid(f"{field}: a document's id matches {ID_PATTERN}", field=field)
    return document_id


def check_field(path: str, field: str) -> str:
    """`path` as a dotted path of members, else `Invalid` at the argument `field`."""
    if _FIELD.fullmatch(path) is None or len(path.encode("utf-8", "replace")) > MAX_FIELD:
        raise Invalid(
            f"{field}: a field is names joined by dots, such as address.city, in at most "
            f"{MAX_FIELD} bytes and 8 levels",
            field=field,
        )
    return path


class _Clock:
    """Microseconds that never stand still in one process."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self) -> int:
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return self._last


_CLOCK = _Clock()


def fresh_id() -> str:
    """A new id that sorts by the time it was made: 14 digits of microseconds, 18 at random."""
    return f"{_CLOCK.tick():014x}{secrets.token_hex(9)}"
