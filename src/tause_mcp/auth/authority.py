"""One issuer that is believed: its keys, its terms, and where its tokens say what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tause_mcp.auth.identities import Refused
from tause_mcp.auth.keys import KeySource
from tause_mcp.auth.terms import Terms
from tause_mcp.errors import Invalid
from tause_mcp.tenancy import TenantId, part_matches, tenant_id

Path = tuple[str, ...]
"""The members to follow from the claims inwards."""

_LOGIN_ONLY = frozenset({"openid", "profile", "email", "address", "phone", "offline_access"})
_MOST_NAMES = 256


@dataclass(frozen=True, slots=True)
class Proof:
    """What credentials prove, before what is stored about their subject is asked.

    `stated` are the scopes that they carry, `None` when they say nothing; they are the grant when
    `granting`, and only narrow it otherwise. `issued_at` is known for our own tokens.
    """

    tenant: TenantId
    issuer: str
    subject: str
    credential: str
    expires_at: float | None
    stated: frozenset[str] | None
    granting: bool
    roles: tuple[str, ...] = ()
    toolsets: tuple[str, ...] | None = None
    issued_at: float | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """An issuer as the operator stated it.

    `tenants`: the places where the tenant may be, which have to agree; `otherwise`: the tenant when
    none holds one. `within`: the tenants this issuer may speak for (exact or ending in `*`).
    `own`: it is this installation, so that `scope` is signed by us and `iat` is our clock.
    """

    issuer: str | None
    keys: KeySource
    terms: Terms
    tenants: tuple[Path, ...] = (("tenant",),)
    otherwise: TenantId | None = None
    within: tuple[str, ...] = ("*",)
    roles: Path | None = None
    scopes: Path | None = ("scope",)
    granting: bool = False
    own: bool = False

    def proof(self, claims: Mapping[str, Any]) -> Proof:
        """What verified `claims` say.

        Raises:
            Refused: no tenant, one this issuer may not speak for, or unreadable roles or scopes.
        """
        issuer = self.issuer or f"shared:{claims['iss']}"
        return Proof(
            tenant=self._tenant(claims),
            issuer=issuer,
            subject=claims.get("sub", claims["iss"]),
            credential=claims.get("jti", ""),
            expires_at=float(claims["exp"]),
            stated=self._stated(claims),
            granting=self.granting,
            roles=tuple(sorted(_names(claims, self.roles) or ())),
            issued_at=float(claims["iat"]) if self.own else None,
        )

    def _tenant(self, claims: Mapping[str, Any]) -> TenantId:
        stated = [value for path in self.tenants if (value := at(claims, path)) is not None]
        if any(value != stated[0] for value in stated):
            raise Refused("names two tenants")
        found = stated[0] if stated else self.otherwise
        if not isinstance(found, str):
            raise Refused("names no tenant")
        try:
            tenant = tenant_id(found)
        except Invalid:
            raise Refused("names no tenant") from None
        if not any(part_matches(pattern, tenant) for pattern in self.within):
            raise Refused("names a tenant that this issuer may not speak for")
        return tenant

    def _stated(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        """The scopes of a token; those of the login itself (OpenID Connect) say nothing here."""
        found = _names(claims, self.scopes)
        if found is None or self.own:
            return found
        ours = found - _LOGIN_ONLY
        return ours if ours or not found else None


def at(claims: Mapping[str, Any], path: Path) -> Any:
    """The value at `path`, `None` when it is not there."""
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _names(claims: Mapping[str, Any], path: Path | None) -> frozenset[str] | None:
    """Names in a text with spaces between (RFC 8693 section 4.2) or in a list."""
    found = None if path is None else at(claims, path)
    if found is None:
        return None
    listed = found.split(" ") if isinstance(found, str) else found
    if not isinstance(listed, list) or len(listed) > _MOST_NAMES:
        raise Refused("has unreadable roles or scopes")
    if not all(isinstance(name, str) for name in listed):
        raise Refused("has unreadable roles or scopes")
    return frozenset(name for name in listed if name)
