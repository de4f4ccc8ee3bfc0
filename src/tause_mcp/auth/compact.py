"""A compact JWT taken apart, strictly: what is ambiguous is refused before anything is believed."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tause_mcp.auth.identities import Refused

LONGEST = 8192
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Compact:
    """Header and claims of a token that nobody has verified yet."""

    header: dict[str, Any]
    claims: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def dissect(token: str) -> Compact:
    """The parts of `token`: ASCII, at most 8 KiB, three canonical base64url segments, two objects.

    Raises:
        Refused: any of that does not hold, or a JSON member comes twice.
    """
    if len(token) > LONGEST:
        raise Refused("longer than 8 KiB")
    parts = token.split(".")
    if len(parts) != 3:
        raise Refused("not three parts")
    header, claims, signature = map(decoded, parts)
    signed = token.rpartition(".")[0].encode("ascii")
    return Compact(strict_object(header), strict_object(claims), signed, signature)


def decoded(segment: str) -> bytes:
    """Unpadded base64url (RFC 7515 section 2) in its only spelling."""
    if _SEGMENT.fullmatch(segment) is None or len(segment) % 4 == 1:
        raise Refused("not base64url")
    found = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if encoded(found) != segment:
        raise Refused("base64url with stray bits")
    return found


def encoded(data: bytes) -> str:
    """Unpadded base64url."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


_MOST_BRACKETS = 512


def strict_object(data: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 with no member twice, at any depth, and no NaN or Infinity.

    More brackets than any token needs are refused unread: how deep a parser goes is its own affair.
    """
    if data.count(b"[") + data.count(b"{") > _MOST_BRACKETS:
        raise Refused("not JSON")
    try:
        found = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(found, dict):
        raise Refused("not a JSON object")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a JSON member comes twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is not JSON")
