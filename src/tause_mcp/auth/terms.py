"""What a token of one issuer has to say. Checked before its signature costs anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tause_mcp.auth.audience import normalised
from tause_mcp.auth.compact import Compact
from tause_mcp.auth.identities import Refused

LEEWAY = 30.0
DAY = 86_400.0
WEEK = 7 * DAY
ASSERTION_LIFETIME = 60.0

FULL = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
OUTSIDE = frozenset({"iss", "sub", "aud", "exp", "iat"})
SHARED = frozenset({"iss", "exp"})

_PLAIN = frozenset({"alg", "kid", "typ"})
_DANGEROUS = frozenset({"jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "enc", "cty"})
_TIMES = ("exp", "iat", "nbf")
_TEXTS = ("iss", "sub", "jti")


@dataclass(frozen=True, slots=True)
class Terms:
    """The profile of one issuer's tokens.

    `audiences`: every audience named has to be one of these; `None` stands for the door itself.
    `strict`: only the header members alg, kid and typ, and one string as audience.
    `types`: the `typ` values that may be stated, `None` for any; "" stands for none stated.
    """

    required: frozenset[str] = FULL
    audiences: frozenset[str] | None = None
    lifetime: float = DAY
    strict: bool = True
    types: frozenset[str] | None = None

    def check(self, token: Compact, audience: str, now: float) -> None:
        """Raise `Refused` unless `token` meets the terms at `audience` (normalised), `now`."""
        self._check_header(token.header)
        missing = self.required - token.claims.keys()
        if missing:
            raise Refused(f"lacks {', '.join(sorted(missing))}")
        for name in _TEXTS:
            _check_text(token.claims, name)
        self._check_times(token.claims, now)
        self._check_audience(token.claims, audience)

    def _check_header(self, header: Mapping[str, Any]) -> None:
        if header.keys() & _DANGEROUS or (self.strict and header.keys() - _PLAIN):
            raise Refused("has a header member that is not allowed")
        if not isinstance(header.get("alg"), str):
            raise Refused("names no algorithm")
        _check_text(header, "kid")
        kind = header.get("typ", "")
        if not isinstance(kind, str) or (self.types is not None and kind.lower() not in self.types):
            raise Refused("is of another type")

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        exp, iat, nbf = (_instant(claims, name) for name in _TIMES)
        if exp is None or exp + LEEWAY <= now:
            raise Refused("expired")
        if max(iat or 0.0, nbf or 0.0) > now + LEEWAY:
            raise Refused("not valid yet")
        if iat is not None and exp <= iat:
            raise Refused("expired before it was issued")
        if exp - (now if iat is None else iat) > self.lifetime:
            raise Refused("lives too long")

    def _check_audience(self, claims: Mapping[str, Any], audience: str) -> None:
        stated = claims.get("aud")
        if "aud" not in claims:
            return
        named = [stated] if self.strict or isinstance(stated, str) else stated
        if not isinstance(named, list) or not named:
            raise Refused("has no readable audience")
        if not all(isinstance(name, str) and self._is_ours(name, audience) for name in named):
            raise Refused("is for another audience")

    def _is_ours(self, name: str, audience: str) -> bool:
        return normalised(name) == audience if self.audiences is None else name in self.audiences


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), bounded so that arithmetic on it stays exact."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) not in (int, float) or not 0 <= value <= 2**53:
        raise Refused(f"{name} is not a date")
    return float(value)


def _check_text(members: Mapping[str, Any], name: str) -> None:
    if name not in members:
        return
    value = members[name]
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not value.isprintable():
        raise Refused(f"{name} is not a short text")
