"""Who is calling, and for which tenant."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NewType, Self

from tause_mcp.errors import Forbidden, Invalid, NotFound

TenantId = NewType("TenantId", str)

TENANT_ID_PATTERN = r"^[a-z0-9][a-z0-9_-]{1,62}$"
_TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{1,62}", re.ASCII)

BELIEVED = 4.0
"""Seconds for which a process may believe what it read of a tenant, a login or a key: with the time
to look again, what ends has ended everywhere within 5 s."""

ROOT = TenantId("default")
"""The installation's own tenant: the root of the tree, and what a lone person uses."""


def tenant_id(text: str) -> TenantId:
    """`text` as a tenant id, or `Invalid` naming the grammar."""
    if _TENANT_ID.fullmatch(text) is None:
        raise Invalid(f"a tenant id matches {TENANT_ID_PATTERN}", field="tenant_id")
    return TenantId(text)


def no_such_tenant() -> NotFound:
    """The one answer for a tenant that is foreign, suspended for this caller, or absent."""
    return NotFound("no such tenant", field="tenant_id")


@lru_cache(maxsize=4096)
def scope_parts(scope: str) -> tuple[str, str, str]:
    """`capability:action[:part]`, an absent part read as every part."""
    capability, _, rest = scope.partition(":")
    action, _, part = rest.partition(":")
    return capability, action, part or "*"


def part_matches(pattern: str, part: str) -> bool:
    """Whether a granted part covers `part`: exactly, or by a prefix that ends in `*`."""
    if pattern.endswith("*"):
        return part.startswith(pattern[:-1])
    return pattern == part


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a caller may do: `<capability>:<action>[:<part>]`, `*` for any capability or action."""

    granted: frozenset[str]
    _memo: dict[str, tuple[str, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def parts(self, scope: str) -> tuple[str, ...]:
        """The part patterns under which `capability:action` is granted; empty when it is not."""
        found = self._memo.get(scope)
        if found is None:
            capability, action, _ = scope_parts(scope)
            found = self._memo[scope] = tuple(
                {
                    part
                    for c, a, part in map(scope_parts, self.granted)
                    if c in (capability, "*") and a in (action, "*")
                }
            )
        return found

    def allow(self, scope: str, part: str | None = None) -> bool:
        """Whether `scope` is granted for `part`; without a part, for at least one part."""
        patterns = self.parts(scope)
        if not patterns or "*" in patterns:
            return bool(patterns)
        return part is None or any(part_matches(pattern, part) for pattern in patterns)

    def cover(self, scope: str) -> bool:
        """Whether everything that `scope` names (its part included) is granted here."""
        part = scope_parts(scope)[2]
        return any(
            pattern == part or (pattern.endswith("*") and part.startswith(pattern[:-1]))
            for pattern in self.parts(scope)
        )

    def narrowed(self, wanted: Iterable[str]) -> "Scopes":
        """Of `wanted`, what is granted here: a key never holds more than its maker."""
        return Scopes(frozenset(scope for scope in wanted if self.cover(scope)))


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified principal acting for exactly one tenant.

    `subject` is unique within (`issuer`, tenant): `key:<id>`, a token's `sub`, or `local:<role>`
    on stdio. `credential` names what proved it (a key id or jti, never a secret), for revocation
    and audit. `grants` are the tenants of the tree, other than its own, that a stored grant opens.
    """

    subject: str
    tenant: TenantId
    scopes: Scopes
    issuer: str = "local"
    credential: str = ""
    expires_at: float | None = None
    grants: Mapping[TenantId, Scopes] = field(default_factory=dict)
    toolsets: tuple[str, ...] | None = None
    home: TenantId | None = None

    @property
    def principal(self) -> str:
        """The identity that state is bound to: issuer, home tenant, subject and acting tenant."""
        return "\x1f".join((self.issuer, self.home or self.tenant, self.subject, self.tenant))

    def acting_for(self, tenant: str | None) -> Self:
        """Narrow to the tenant named: one's own, or one that a stored grant opens."""
        if tenant is None or tenant == self.tenant:
            return self
        scopes = self.grants.get(TenantId(tenant))
        if scopes is None:
            raise no_such_tenant()
        return replace(
            self, tenant=TenantId(tenant), scopes=scopes, grants={}, home=self.home or self.tenant
        )

    def require(self, scope: str, part: str | None = None) -> None:
        """Raise `Forbidden` unless `scope` is granted (for `part`)."""
        if not self.scopes.allow(scope, part):
            named = scope if part is None else f"{scope}:{part}"
            raise Forbidden(f"the scope {named!r} is required")


ROLES: Mapping[str, frozenset[str]] = {
    "owner": frozenset({"*:*"}),
    "admin": frozenset({"*:read", "*:write", "*:admin"}),
    "developer": frozenset({"*:read", "*:write"}),
    "agent": frozenset(
        {"*:read", "storage:write", "catalog:write", "database:write", "memory:write"}
        | {f"{name}:write" for name in ("analytics", "notifications", "ai", "cache", "dataframes")}
        | {f"{name}:write" for name in ("agents", "workflows", "jobs", "crm")}
    ),
    "viewer": frozenset({"*:read"}),
}
"""Built-in roles. `agent` is what an injected prompt may reach: no keys, roles, erasure or money."""
