"""What a caller may write: keys, prefixes, etags, ranges. Pure, checked before anything else."""

import re

from tause_mcp.errors import Invalid, PreconditionFailed

KEY_PATTERN = r"^[A-Za-z0-9._\-/]{1,512}$"
PREFIX_PATTERN = r"^[A-Za-z0-9._\-/]{0,512}$"
_KEY = re.compile(r"[A-Za-z0-9._\-/]{1,512}", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._\-/]{0,512}", re.ASCII)
_RANGE = re.compile(r"(?:bytes=)?([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_ETAG = re.compile(r"[0-9a-f]{16}-[0-9a-f]{1,16}", re.ASCII)
AFTER = "\x7f"
"""Sorts after every character of a key: `prefix <= key < prefix + AFTER` is "starts with"."""


RESERVED = ".tause/"
"""How the keys begin of what other capabilities keep as objects: no caller names them."""


def check_key(key: str, field: str = "key", *, reserved: bool = False) -> str:
    """`key`, or `Invalid` naming the grammar: no empty, `.` or `..` segment.

    Case matters in every backend, because a blob's name is never made from its key.
    """
    if _KEY.fullmatch(key) is None:
        raise Invalid(f"a key is 1 to 512 characters of {KEY_PATTERN}", field=field)
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise Invalid("a key has no empty, '.' or '..' segment", field=field)
    if key.startswith(RESERVED) != reserved:
        raise Invalid(
            f"a key does not begin with {RESERVED}: that is the server's own", field=field
        )
    return key


def check_prefix(prefix: str) -> str:
    """`prefix`, or `Invalid`: the characters of a key, or nothing."""
    if _PREFIX.fullmatch(prefix) is None:
        raise Invalid(f"a prefix is up to 512 characters of {PREFIX_PATTERN}", field="prefix")
    return prefix


def etag_of(sha256: str, updated_at: int) -> str:
    """A strong validator: it names the content and the moment (microseconds) it was stored."""
    return f"{sha256[:16]}-{updated_at:x}"


def _etags(stated: str, field: str) -> list[str]:
    """The etags of a condition, quoted or not; `*` stays."""
    found = [one.strip().removeprefix('"').removesuffix('"') for one in stated.split(",")]
    if not all(one == "*" or _ETAG.fullmatch(one) for one in found):
        raise Invalid(f"{field} is an etag as storage_stat tells it, or *", field=field)
    return found


def check_conditions(current: str | None, if_match: str | None, if_none_match: str | None) -> None:
    """Raise `PreconditionFailed` unless the object's etag (None: no object) is as stated."""
    if if_match is not None:
        wanted = _etags(if_match, "if_match")
        if current is None or not {"*", current} & set(wanted):
            told = "there is no such object" if current is None else f"its etag is now {current}"
            raise PreconditionFailed(f"if_match does not hold: {told}", field="if_match")
    if if_none_match is not None and current is not None:
        if {"*", current} & set(_etags(if_none_match, "if_none_match")):
            raise PreconditionFailed(
                f"if_none_match does not hold: the object exists with etag {current}",
                field="if_none_match",
            )
    elif if_none_match is not None:
        _etags(if_none_match, "if_none_match")


def parse_range(stated: str, size: int) -> tuple[int, int]:
    """`0-99`, `100-`, `-500` (the last 500), with or without `bytes=`, as `[start, end)`.

    Raises:
        Invalid: not of this form, or it begins past the end.
    """
    found = _RANGE.fullmatch(stated)
    if found is None or found[1] == found[2] == "":
        raise Invalid("range is first-last in bytes, such as 0-99, 100- or -500", field="range")
    if found[1] == "":
        start, end = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
    if start >= end:
        raise Invalid(f"this range is outside the object's {size} bytes", field="range")
    return start, end
