"""What identity needs from the database, as a Protocol, and the door at which it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from tause_mcp.auth.audience import normalised
from tause_mcp.tenancy import Scopes, TenantId


class Refused(Exception):
    """Why credentials do not hold: for the security log only, never for the caller."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a caller knocks: the protected resource, and its tenant (`None` on the plain door)."""

    audience: str
    tenant: TenantId | None = None
    mark: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        audience, mark = _marked(self.audience, self.tenant)
        object.__setattr__(self, "audience", audience)
        object.__setattr__(self, "mark", mark)


@lru_cache(maxsize=4096)
def _marked(audience: str, tenant: TenantId | None) -> tuple[str, bytes]:
    """The audience normalised, and bytes that stand for this door and no other."""
    ours = normalised(audience)
    return ours, f"\0{ours}\0{tenant or ''}".encode()


@lru_cache(maxsize=4096)
def door(audience: str, tenant: TenantId | None = None) -> Door:
    """The door of `audience`, made once."""
    return Door(audience, tenant)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A stored API key. `digest` is the HMAC of the whole key; `expires_at` in epoch seconds."""

    digest: bytes = field(repr=False)
    scopes: frozenset[str]
    expires_at: float | None = None
    revoked: bool = False
    toolsets: tuple[str, ...] | None = None


class Identities(Protocol):
    """What is stored about callers. A store that is down raises `Unavailable`: nobody enters."""

    async def key(self, tenant: TenantId, key_id: str) -> KeyRecord | None:
        """The API key `key_id` of `tenant`."""
        ...

    async def active_since(self, tenant: TenantId) -> float | None:
        """When `tenant` was created (epoch seconds); `None` when it is absent or suspended.

        A token that we signed before that moment belongs to an earlier tenant of the same name.
        """
        ...

    async def scopes_of(
        self, tenant: TenantId, issuer: str, subject: str, roles: tuple[str, ...]
    ) -> Scopes:
        """What `roles` and the stored assignments of (`issuer`, `subject`) give in `tenant`."""
        ...

    async def grants_of(
        self, tenant: TenantId, issuer: str, subject: str
    ) -> Mapping[TenantId, Scopes]:
        """The other, active tenants that stored grants open to this subject of `tenant`."""
        ...

    async def spend(self, assertion: str, *, issued: float, until: float) -> bool:
        """Use up a single-use `assertion` (epoch seconds); `False` when it may have been used."""
        ...
