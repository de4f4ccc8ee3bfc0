"""The installation's first key: made by whoever starts it, for the root tenant."""

from typing import Protocol

from tause_mcp.capability import Credentials
from tause_mcp.database import TenantDatabase
from tause_mcp.services.access.service import Access
from tause_mcp.tenancy import ROLES, ROOT, Caller, Scopes, TenantId


class House(Protocol):
    """What making a key needs of the platform."""

    @property
    def credentials(self) -> Credentials: ...

    def database_of(self, tenant: TenantId) -> TenantDatabase: ...


async def first_key(house: House, tenant: TenantId = ROOT, role: str = "owner") -> str:
    """The text of a new key, made by the person who holds the machine."""
    local = Caller("local:owner", tenant, Scopes(ROLES["owner"]))
    access = Access(house.database_of(tenant), local, house.credentials, _none_above)
    return (await access.create_key("first key", role)).text


async def _none_above() -> tuple[TenantId, ...]:
    return ()
