"""Real ciphers of any tenant, with no database: every process and restart has the same keys."""

from functools import cache
from hashlib import sha256

from tause_mcp.database import TenantDatabase
from tause_mcp.encryption.cipher import TenantCipher
from tause_mcp.services.approvals import Approvals
from tause_mcp.tenancy import TenantId


class Ciphers:
    """`capability.Ciphers` by a hash of the tenant's id."""

    async def cipher(self, tenant: TenantId) -> TenantCipher:
        return _of(tenant)


@cache
def _of(tenant: TenantId) -> TenantCipher:
    return TenantCipher({1: sha256(tenant.encode()).digest()})


@cache
def ciphers() -> Ciphers:
    return Ciphers()


def approvals_of(database: TenantDatabase) -> Approvals:
    """The approvals of a tenant, sealed by `ciphers()`."""
    return Approvals(database, lambda: ciphers().cipher(database.tenant))
